// SPDX-License-Identifier: MIT
// A library that is loaded when it is first needed: the program starts as fast as without it,
// and runs where it is not installed.
#pragma once

#include <dlfcn.h>

namespace mien::host {

class SharedLibrary {
public:
    // By its soname. Stays loaded until the process ends.
    explicit SharedLibrary(const char* name) : handle_(::dlopen(name, RTLD_NOW | RTLD_LOCAL)) {}

    // False, and the library counts as missing, if it lacks the function.
    template <class Function>
    void find(Function*& function, const char* name) {
        void* const found = handle_ == nullptr ? nullptr : ::dlsym(handle_, name);
        function = reinterpret_cast<Function*>(found);
        if (found == nullptr) handle_ = nullptr;
    }
    explicit operator bool() const { return handle_ != nullptr; }

private:
    void* handle_;
};

}  // namespace mien::host
