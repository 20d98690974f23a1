// SPDX-License-Identifier: MIT
#include "mien/mien.hpp"

#define MIEN_TEXT(number) MIEN_TEXT_OF(number)
#define MIEN_TEXT_OF(number) #number

namespace mien {

const char* message(Status status) noexcept {
    switch (status) {
        case Status::ok: return "ok";
        case Status::bad_argument: return "an argument is out of range";
        case Status::bad_file:
            return "weights file is not a .mien file, or it is cut short or altered";
        case Status::wrong_kind:
            return "weights file is of the other kind (network and cascade exchanged)";
        case Status::unsupported: return "weights file is of a newer format version";
        case Status::too_small: return "the memory given to the engine is too small";
        case Status::frame_too_large: return "frame is larger than the engine was created for";
        case Status::verify_failed:
            return "the engine does not reproduce the test vectors of the weights file";
        case Status::stopped: return "stopped by the program before it was done";
        case Status::too_costly: return "network takes more operations or memory than its limit";
    }
    return "unknown status";
}

const char* head_name(Head head) noexcept {
    switch (head) {
        case Head::emotion: return "emotion";
        case Head::gender: return "gender";
        case Head::age: return "age";
    }
    return "";
}

const char* version() noexcept {
    return MIEN_TEXT(MIEN_VERSION_MAJOR) "." MIEN_TEXT(MIEN_VERSION_MINOR) "." MIEN_TEXT(
        MIEN_VERSION_PATCH);
}

}  // namespace mien
