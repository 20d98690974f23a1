// SPDX-License-Identifier: MIT
// A node of another implementation (Fast DDS) for tests/e2e/test_ros2.py: it reads and writes the
// bytes of messages as they are on the wire and knows nothing of what is in them.
//
//   dds-peer DOMAIN sub SECONDS TYPE TOPIC [TYPE TOPIC]...
//       a JSON object per line: {"found":TOPIC,"type":..,"user_data":..,"reliable":..,"volatile":..,
//       "representation":[..]} for each writer, {"topic":..,"hex":..} for each message
//   dds-peer DOMAIN pub TYPE TOPIC
//       waits for a reader, prints {"matched":true}, and sends each line of standard input, which is
//       hex; prints {"sent":N} for each
#include <fastdds/rtps/transport/UDPv4TransportDescriptor.h>
#include <fastrtps/utils/IPLocator.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fastdds/dds/domain/DomainParticipant.hpp>
#include <fastdds/dds/domain/DomainParticipantFactory.hpp>
#include <fastdds/dds/domain/DomainParticipantListener.hpp>
#include <fastdds/dds/publisher/DataWriter.hpp>
#include <fastdds/dds/publisher/Publisher.hpp>
#include <fastdds/dds/subscriber/DataReader.hpp>
#include <fastdds/dds/subscriber/SampleInfo.hpp>
#include <fastdds/dds/subscriber/Subscriber.hpp>
#include <fastdds/dds/topic/TopicDataType.hpp>
#include <functional>
#include <iostream>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace fast = eprosima::fastdds::dds;
namespace rtps = eprosima::fastrtps::rtps;

namespace {

std::mutex output;
void say(const std::string& line) {
    const std::lock_guard lock(output);
    std::printf("%s\n", line.c_str());
    std::fflush(stdout);
}

using Bytes = std::vector<unsigned char>;

class RawType : public fast::TopicDataType {
public:
    explicit RawType(const std::string& name) {
        setName(name.c_str());
        m_typeSize = 1 << 22;
        m_isGetKeyDefined = false;
    }
    bool serialize(void* data, rtps::SerializedPayload_t* payload) override {
        const Bytes& bytes = *static_cast<Bytes*>(data);
        if (bytes.size() > payload->max_size) return false;
        std::memcpy(payload->data, bytes.data(), bytes.size());
        payload->length = static_cast<unsigned>(bytes.size());
        payload->encapsulation = CDR_LE;
        return true;
    }
    bool deserialize(rtps::SerializedPayload_t* payload, void* data) override {
        static_cast<Bytes*>(data)->assign(payload->data, payload->data + payload->length);
        return true;
    }
    std::function<unsigned()> getSerializedSizeProvider(void* data) override {
        return [data] { return static_cast<unsigned>(static_cast<Bytes*>(data)->size()); };
    }
    void* createData() override { return new Bytes; }
    void deleteData(void* data) override { delete static_cast<Bytes*>(data); }
    bool getKey(void*, rtps::InstanceHandle_t*, bool) override { return false; }
};

std::string bool_text(bool value) { return value ? "true" : "false"; }

class Finder : public fast::DomainParticipantListener {
public:
    void on_publisher_discovery(fast::DomainParticipant*,
                                rtps::WriterDiscoveryInfo&& info) override {
        if (info.status != rtps::WriterDiscoveryInfo::DISCOVERED_WRITER) return;
        const auto& qos = info.info.m_qos;
        std::string user(qos.m_userData.begin(), qos.m_userData.end()), kinds;
        for (const auto kind : qos.representation.m_value)
            kinds += (kinds.empty() ? "" : ",") + std::to_string(kind);
        say("{\"found\":\"" + info.info.topicName().to_string() + "\",\"type\":\"" +
            info.info.typeName().to_string() + "\",\"user_data\":\"" + user + "\",\"reliable\":" +
            bool_text(qos.m_reliability.kind == fast::RELIABLE_RELIABILITY_QOS) +
            ",\"volatile\":" + bool_text(qos.m_durability.kind == fast::VOLATILE_DURABILITY_QOS) +
            ",\"representation\":[" + kinds + "]}");
    }
};

fast::DomainParticipant* join(unsigned domain, Finder& finder) {
    fast::DomainParticipantQos qos;
    qos.transport().use_builtin_transports = false;
    qos.transport().user_transports.push_back(
        std::make_shared<eprosima::fastdds::rtps::UDPv4TransportDescriptor>());
    // Each other only on this machine, without multicast: the ports of the first participants.
    for (unsigned index = 0; index < 10; ++index) {
        rtps::Locator_t peer;
        rtps::IPLocator::setIPv4(peer, 127, 0, 0, 1);
        peer.kind = LOCATOR_KIND_UDPv4;
        peer.port = 7400 + 250 * domain + 10 + 2 * index;
        qos.wire_protocol().builtin.initialPeersList.push_back(peer);
    }
    return fast::DomainParticipantFactory::get_instance()->create_participant(
        domain, qos, &finder, fast::StatusMask::none());
}

int subscribe(fast::DomainParticipant& participant, double seconds, char** names, int count) {
    fast::Subscriber* const subscriber =
        participant.create_subscriber(fast::SUBSCRIBER_QOS_DEFAULT, nullptr);
    std::vector<fast::DataReader*> readers;
    for (int i = 0; i + 1 < count; i += 2) {
        fast::TypeSupport type(new RawType(names[i]));
        type.register_type(&participant);
        fast::Topic* const topic =
            participant.create_topic(names[i + 1], names[i], fast::TOPIC_QOS_DEFAULT);
        fast::DataReaderQos qos = fast::DATAREADER_QOS_DEFAULT;
        qos.reliability().kind = fast::RELIABLE_RELIABILITY_QOS;  // as ROS 2's readers by default
        qos.history().depth = 200;
        qos.endpoint().history_memory_policy = rtps::DYNAMIC_RESERVE_MEMORY_MODE;
        readers.push_back(subscriber->create_datareader(topic, qos));
        if (readers.back() == nullptr) return 1;
    }
    say("{\"ready\":true}");
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    Bytes bytes;
    fast::SampleInfo info;
    while (std::chrono::steady_clock::now() < end) {
        for (fast::DataReader* const reader : readers) {
            while (reader->take_next_sample(&bytes, &info) == ReturnCode_t::RETCODE_OK) {
                if (!info.valid_data) continue;
                std::string hex;
                for (const unsigned char byte : bytes) {
                    hex += "0123456789abcdef"[byte >> 4];
                    hex += "0123456789abcdef"[byte & 15];
                }
                say("{\"topic\":\"" + reader->get_topicdescription()->get_name() + "\",\"hex\":\"" +
                    hex + "\"}");
            }
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return 0;
}

int publish(fast::DomainParticipant& participant, char** names) {
    fast::TypeSupport type(new RawType(names[0]));
    type.register_type(&participant);
    fast::Topic* const topic =
        participant.create_topic(names[1], names[0], fast::TOPIC_QOS_DEFAULT);
    fast::DataWriterQos qos = fast::DATAWRITER_QOS_DEFAULT;
    qos.history().depth = 20;
    qos.endpoint().history_memory_policy = rtps::DYNAMIC_RESERVE_MEMORY_MODE;
    qos.publish_mode().kind = fast::ASYNCHRONOUS_PUBLISH_MODE;  // large messages go in pieces
    fast::DataWriter* const writer =
        participant.create_publisher(fast::PUBLISHER_QOS_DEFAULT, nullptr)
            ->create_datawriter(topic, qos);
    if (writer == nullptr) return 1;
    fast::PublicationMatchedStatus matched;
    for (int i = 0; i < 1500 && matched.current_count == 0; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
        writer->get_publication_matched_status(matched);
    }
    if (matched.current_count == 0) return 1;
    say("{\"matched\":true}");
    int sent = 0;
    for (std::string line; std::getline(std::cin, line);) {
        Bytes bytes;
        for (std::size_t i = 0; i + 1 < line.size(); i += 2)
            bytes.push_back(
                static_cast<unsigned char>(std::strtoul(line.substr(i, 2).c_str(), nullptr, 16)));
        if (!writer->write(&bytes)) return 1;
        say("{\"sent\":" + std::to_string(++sent) + "}");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 5) return 2;
    Finder finder;
    fast::DomainParticipant* const participant =
        join(static_cast<unsigned>(std::atoi(argv[1])), finder);
    if (participant == nullptr) return 1;
    const int code = std::string(argv[2]) == "sub"
                         ? subscribe(*participant, std::atof(argv[3]), argv + 4, argc - 4)
                         : publish(*participant, argv + 3);
    std::_Exit(code);  // nothing to take apart
}
