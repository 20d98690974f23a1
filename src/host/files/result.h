// SPDX-License-Identifier: MIT
// How does a hosted helper say that something went wrong? A value, or one line of text with the
// cause. The text never names the file: the caller, who knows how the user spelt it, puts that in
// front.
#pragma once

#include <optional>
#include <string>
#include <utility>

namespace mien::host {

struct Error {
    std::string
        text;  // one line, no full stop, no newline: "cut short: the JPEG data has no end mark"
};

// For calls that give nothing back: empty means done.
using Failure = std::optional<Error>;

template <class T>
class [[nodiscard]] Result {
public:
    Result(T value) : value_(std::move(value)) {}
    Result(Error error) : error_(std::move(error)) {}

    explicit operator bool() const { return value_.has_value(); }
    T& operator*() { return *value_; }
    const T& operator*() const { return *value_; }
    T* operator->() { return &*value_; }
    const T* operator->() const { return &*value_; }
    const Error& error() const { return error_; }

private:
    std::optional<T> value_;
    Error error_;
};

}  // namespace mien::host
