// SPDX-License-Identifier: MIT
// Where are the page's files? Inside the program (embedded.S).
#pragma once

#include <string>

extern "C" {
extern const char mien_page_html_begin[], mien_page_html_end[];
extern const char mien_page_css_begin[], mien_page_css_end[];
extern const char mien_page_js_begin[], mien_page_js_end[];
extern const char mien_device_js_begin[], mien_device_js_end[];
extern const char mien_device_worker_js_begin[], mien_device_worker_js_end[];
extern const char mien_js_begin[], mien_js_end[];
// empty where the modules were not built
extern const char mien_wasm_begin[], mien_wasm_end[];
extern const char mien_wasm_simd_begin[], mien_wasm_simd_end[];
extern const char mien_openapi_begin[], mien_openapi_end[];
}

namespace mien::serve {

inline std::string page_html() { return {mien_page_html_begin, mien_page_html_end}; }
inline std::string page_css() { return {mien_page_css_begin, mien_page_css_end}; }
inline std::string page_js() { return {mien_page_js_begin, mien_page_js_end}; }
inline std::string device_js() { return {mien_device_js_begin, mien_device_js_end}; }
inline std::string device_worker_js() {
    return {mien_device_worker_js_begin, mien_device_worker_js_end};
}
inline std::string mien_js() { return {mien_js_begin, mien_js_end}; }
inline std::string wasm() { return {mien_wasm_begin, mien_wasm_end}; }
inline std::string wasm_simd() { return {mien_wasm_simd_begin, mien_wasm_simd_end}; }
inline std::string openapi_json() { return {mien_openapi_begin, mien_openapi_end}; }

}  // namespace mien::serve
