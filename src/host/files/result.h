// SPDX-License-Identifier: MIT
// A value, or why there is none. True means good, for values and for calls that give nothing back.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace mien::host {

// What went wrong, for programs (the kind) and for people (the text). Exit codes, exceptions and
// HTTP statuses follow from the kind; nothing ever compares the text.
struct Error {
    enum class Kind {
        usage,     // an option or an argument makes no sense
        input,     // a file, a camera or a request cannot be read, or is damaged
        output,    // a result cannot be written or shown
        weights,   // weights cannot be read, or are of no use here
        memory,    // an allocation failed
        stopped,   // a time limit is over, or nobody waits for the result
        internal,  // the engine refused what it was given; a fault of this program
    };

    Kind kind = Kind::internal;
    // One line, no full stop, no newline: "cut short: the JPEG data has no end mark". It never
    // names the file: the caller knows how the user spelled it, and puts that in front.
    std::string text;

    static Error usage(std::string text) { return {Kind::usage, std::move(text)}; }
    static Error input(std::string text) { return {Kind::input, std::move(text)}; }
    static Error output(std::string text) { return {Kind::output, std::move(text)}; }
    static Error weights(std::string text) { return {Kind::weights, std::move(text)}; }
    static Error memory(std::string text) { return {Kind::memory, std::move(text)}; }
    static Error stopped() { return {Kind::stopped, "stopped before it was done"}; }
    static Error internal(std::string text) { return {Kind::internal, std::move(text)}; }
};

// if (!result) the cause is error(); otherwise *result is the value. Reading the other one of the
// two is undefined, as with std::optional.
template <class T = void>
class [[nodiscard]] Result {
public:
    Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
    Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

    explicit operator bool() const { return state_.index() == 0; }
    T& operator*() { return *std::get_if<0>(&state_); }
    const T& operator*() const { return *std::get_if<0>(&state_); }
    T* operator->() { return std::get_if<0>(&state_); }
    const T* operator->() const { return std::get_if<0>(&state_); }
    const Error& error() const { return *std::get_if<1>(&state_); }

private:
    std::variant<T, Error> state_;
};

// Calls that give nothing back: `return {};` is success, and so
//     if (Result<> done = step(); !done) return done.error();
template <>
class [[nodiscard]] Result<void> {
public:
    Result() = default;
    Result(Error error) : error_(std::move(error)) {}

    explicit operator bool() const { return !error_.has_value(); }
    const Error& error() const { return *error_; }

private:
    std::optional<Error> error_;
};

}  // namespace mien::host
