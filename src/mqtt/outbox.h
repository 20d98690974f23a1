// SPDX-License-Identifier: MIT
// Where a publisher puts its messages. No call waits for anything.
#pragma once

#include <string>

namespace mien::mqtt {

class Outbox {
public:
    virtual ~Outbox() = default;
    // A message of its own. While the broker is away the last ones wait.
    virtual void send(const std::string& topic, std::string payload) = 0;
    // What a topic is from now on: retained by the broker, and told again after each connection.
    // Only the latest waits.
    virtual void keep(const std::string& topic, std::string payload) = 0;
    // Tells once more what such a topic is, if it is anything.
    virtual void keep_again(const std::string& topic) = 0;
    // Is the broker there? Work for it can be spared where it is not.
    virtual bool is_connected() const = 0;
};

}  // namespace mien::mqtt
