/* SPDX-License-Identifier: MIT
   The page and the API's description, inside the program (embedded.h). */
    .section .rodata
    .globl mien_page_html_begin, mien_page_html_end
    .globl mien_page_css_begin, mien_page_css_end
    .globl mien_page_js_begin, mien_page_js_end
    .globl mien_device_js_begin, mien_device_js_end
    .globl mien_device_worker_js_begin, mien_device_worker_js_end
    .globl mien_js_begin, mien_js_end
    .globl mien_wasm_begin, mien_wasm_end
    .globl mien_wasm_simd_begin, mien_wasm_simd_end
    .globl mien_openapi_begin, mien_openapi_end
mien_page_html_begin:
    .incbin MIEN_PAGE_HTML
mien_page_html_end:
mien_page_css_begin:
    .incbin MIEN_PAGE_CSS
mien_page_css_end:
mien_page_js_begin:
    .incbin MIEN_PAGE_JS
mien_page_js_end:
mien_device_js_begin:
    .incbin MIEN_DEVICE_JS
mien_device_js_end:
mien_device_worker_js_begin:
    .incbin MIEN_DEVICE_WORKER_JS
mien_device_worker_js_end:
mien_js_begin:
    .incbin MIEN_JS
mien_js_end:
mien_wasm_begin:
#ifdef MIEN_WASM
    .incbin MIEN_WASM
#endif
mien_wasm_end:
mien_wasm_simd_begin:
#ifdef MIEN_WASM_SIMD
    .incbin MIEN_WASM_SIMD
#endif
mien_wasm_simd_end:
mien_openapi_begin:
    .incbin MIEN_OPENAPI
mien_openapi_end:
    .byte 0
    .section .note.GNU-stack,"",%progbits
