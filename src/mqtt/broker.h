// SPDX-License-Identifier: MIT
// Where messages go: mqtt://USER@HOST:PORT/TOPIC, and what else a broker asks for.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "host/files/result.h"

namespace mien::mqtt {

struct Broker {
    std::string host;  // without brackets
    int port = 1883;
    bool has_tls = false;
    std::string user, password;
    bool has_user = false;
    std::string topic;  // under which everything is published; empty: default_topic()
    // PEM. Without a file of authorities those of the system are trusted.
    std::string authorities_file, certificate_file, key_file;
    int qos = 1;
};

// "mqtt://[USER[:PASSWORD]@]HOST[:PORT][/TOPIC]", mqtts with TLS. Errors are one line without
// anything of the text.
host::Result<Broker> parse_broker(std::string_view address);

// Of this machine and what is read there: "mien/MACHINE/video0" of /dev/video0.
std::string default_topic(std::string_view source);

// For people and logs: without user and password.
std::string shown_broker(const Broker& broker);

// From a file: the user and, on a second line, the password; or one line, the password.
host::Result<> read_login(std::span<const std::uint8_t> bytes, Broker& broker);

// Letters, digits and underscores that no other topic has: "mien_door_5c3a11d0" of "mien/door".
std::string identifier_of(std::string_view topic);

}  // namespace mien::mqtt
