// SPDX-License-Identifier: MIT
// The reader of OpenCV's cascades for callers in C.
#include <algorithm>
#include <cstring>
#include <new>

#include "mien/cascade_xml.hpp"
#include "mien/mien.h"

namespace {

void copy_text(const char* from, char* text, size_t bytes) {
    if (text == nullptr || bytes == 0) return;
    const std::size_t length = std::min(std::strlen(from), bytes - 1);
    std::memcpy(text, from, length);
    text[length] = '\0';
}

}  // namespace

int mien_cascade_of_xml(const void* xml, size_t xml_bytes, const char* name, void* file,
                        size_t file_bytes, size_t* bytes_needed, char* error, size_t error_bytes) {
    if (bytes_needed != nullptr) *bytes_needed = 0;
    copy_text("", error, error_bytes);
    if (xml == nullptr) return MIEN_BAD_ARGUMENT;
    try {
        std::string cause;
        const std::vector<std::uint8_t> made = mien::cascade_of_xml(
            {static_cast<const std::uint8_t*>(xml), xml_bytes}, name != nullptr ? name : "", cause);
        if (made.empty()) {
            copy_text(cause.c_str(), error, error_bytes);
            return MIEN_BAD_FILE;
        }
        if (bytes_needed != nullptr) *bytes_needed = made.size();
        if (file == nullptr) return MIEN_OK;
        if (file_bytes < made.size()) return MIEN_TOO_SMALL;
        std::memcpy(file, made.data(), made.size());
        return MIEN_OK;
    } catch (const std::bad_alloc&) {
        copy_text("not enough memory", error, error_bytes);
        return MIEN_TOO_SMALL;
    }
}
