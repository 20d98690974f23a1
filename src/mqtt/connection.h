// SPDX-License-Identifier: MIT
// A connection to a broker on a thread of its own, by libmosquitto, which is loaded when the first
// one starts. It comes back by itself: after 0.5 s, then twice as long, up to 30 s. What waits for a
// broker that is away is limited: the latest message of each topic that is kept, and of the others
// the last 1000, or 1 MiB of them; the rest is counted.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "host/files/result.h"
#include "mqtt/broker.h"
#include "mqtt/outbox.h"

namespace mien::mqtt {

// Name and version of the library, as `mien --version` says it; empty if it is not on this machine.
std::string mosquitto_library();

struct ConnectionOptions {
    Broker broker;
    std::string will_topic;   // gets "offline", retained, when this program is gone
    std::string birth_topic;  // who says "online" there wants all that is kept again; empty: nobody
    // One line for people, from the connection's thread.
    std::function<void(const std::string&)> tell;
};

class Connection : public Outbox {
public:
    // Checks the options; nothing is sent before start().
    static host::Result<std::unique_ptr<Connection>> open(ConnectionOptions options);
    ~Connection() override;
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    // Waits for the first answer, 5 s at most. A broker that refuses user, password or certificate is
    // an error; one that is not there is waited for. `connected` is called after each connection, on
    // its thread: with this machine's address as the broker sees it, such as "192.168.1.7" or
    // "[fe80::1]".
    host::Result<> start(std::function<void(const std::string& address)> connected);

    void send(const std::string& topic, std::string payload) override;
    void keep(const std::string& topic, std::string payload) override;
    void keep_again(const std::string& topic) override;
    bool is_connected() const override;

    // Delivers what waits, for 5 s at most and not at all while the broker is away, and tells what
    // was not delivered.
    void close();

private:
    struct Shared;
    class Client;
    explicit Connection(std::shared_ptr<Shared> shared);

    std::shared_ptr<Shared> shared_;
};

}  // namespace mien::mqtt
