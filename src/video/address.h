// SPDX-License-Identifier: MIT
// Addresses of network cameras: http://USER:PASSWORD@HOST:PORT/PATH?QUERY and the like. What is
// shown of one never has a user, a password or a query, in which many cameras want a password.
#pragma once

#include <string>
#include <string_view>

#include "host/files/result.h"

namespace mien::video {

struct Address {
    std::string scheme;          // in small letters
    std::string user, password;  // decoded
    bool has_user = false;
    std::string host;    // without brackets
    int port = 0;        // 0: not given
    std::string target;  // path and query, at least "/", fit for a request

    friend bool operator==(const Address&, const Address&) = default;
};

// Does the text begin like an address (word "://")? Then it is none of a file.
bool is_address(std::string_view text);

// Errors are one line without anything of the text.
host::Result<Address> parse_address(std::string_view text);

// Where "Location: TEXT" of an answer from there leads. User and password go along to the same
// scheme, host and port only; those in the text are not taken.
host::Result<Address> redirected(const Address& from, std::string_view location);

// For people, logs and JSON: without user, password, query, or what follows an = in the path.
std::string shown_address(const Address& address);
// The whole of it, for a library that opens it.
std::string full_address(const Address& address);
// "host", "host:port", "[::1]:port", as a request's Host has it.
std::string host_and_port(const Address& address);
// "%40" becomes "@"; a lone % stays.
std::string percent_decoded(std::string_view text);
// The value of "Authorization: Basic ..." for user and password.
std::string basic_credentials(const Address& address);

// Any text, such as an error with an argument in it: addresses in it lose what could be a user, a
// password or a query. Rather too much than too little.
std::string without_credentials(std::string_view text);

}  // namespace mien::video
