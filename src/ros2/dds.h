// SPDX-License-Identifier: MIT
// Cyclone DDS, loaded when somebody asks for ROS 2: a program that has it starts as fast as one
// without it, and runs where the library is not installed. Only files that call it include this.
#pragma once

#include <dds/dds.h>

#include <memory>
#include <string>

#include "host/files/result.h"
#include "host/shared_library.h"
#include "ros2/message.h"

namespace mien::ros2 {

// The functions that are called, by their names without dds_.
struct Dds {
    host::SharedLibrary library{MIEN_CYCLONEDDS_SONAME};
    decltype(&::dds_create_domain) create_domain = nullptr;
    decltype(&::dds_create_participant) create_participant = nullptr;
    decltype(&::dds_create_topic) create_topic = nullptr;
    decltype(&::dds_create_writer) create_writer = nullptr;
    decltype(&::dds_create_reader) create_reader = nullptr;
    decltype(&::dds_create_readcondition) create_readcondition = nullptr;
    decltype(&::dds_create_waitset) create_waitset = nullptr;
    decltype(&::dds_waitset_attach) waitset_attach = nullptr;
    decltype(&::dds_waitset_detach) waitset_detach = nullptr;
    decltype(&::dds_waitset_wait) waitset_wait = nullptr;
    decltype(&::dds_create_qos) create_qos = nullptr;
    decltype(&::dds_delete_qos) delete_qos = nullptr;
    decltype(&::dds_qset_reliability) qset_reliability = nullptr;
    decltype(&::dds_qset_history) qset_history = nullptr;
    decltype(&::dds_qset_userdata) qset_userdata = nullptr;
    decltype(&::dds_qset_data_representation) qset_data_representation = nullptr;
    decltype(&::dds_write) write = nullptr;
    decltype(&::dds_take) take = nullptr;
    decltype(&::dds_return_loan) return_loan = nullptr;
    decltype(&::dds_wait_for_acks) wait_for_acks = nullptr;
    decltype(&::dds_get_publication_matched_status) get_publication_matched_status = nullptr;
    decltype(&::dds_get_sample_lost_status) get_sample_lost_status = nullptr;
    decltype(&::dds_sample_free) sample_free = nullptr;
    decltype(&::dds_delete) remove = nullptr;
    decltype(&::dds_strretcode) strretcode = nullptr;
    decltype(&::dds_set_log_sink) set_log_sink = nullptr;

    Dds();
    // One line: what the call said.
    [[nodiscard]] host::Error error(const char* what, dds_return_t code) const;
};
const Dds& dds();

// A message's description by idlc, and its type hash by REP 2016.
struct Type {
    const dds_topic_descriptor_t* descriptor;
    const char* hash;
};
extern const Type detections_type, text_type, image_type, compressed_type, diagnostics_type;

// Who mien is among the nodes of a domain. Safe for any thread.
class Participant {
public:
    // By the variables of ROS 2. The library's threads get no signals. Its own complaints go to
    // `tell`, on any thread, also after the participant has gone.
    static host::Result<std::shared_ptr<Participant>> create(
        std::function<void(const std::string&)> tell);
    ~Participant();
    Participant(const Participant&) = delete;
    Participant& operator=(const Participant&) = delete;

    // As ROS 2's nodes do by default: reliable, the last `depth` messages, none for who comes late.
    host::Result<dds_entity_t> writer(const Type& type, const std::string& name, int depth) const;
    // As ROS 2's nodes read sensors: best effort, so that it matches every writer.
    host::Result<dds_entity_t> reader(const Type& type, const std::string& name, int depth) const;
    [[nodiscard]] dds_entity_t entity() const { return entity_; }

private:
    Participant() = default;
    host::Result<dds_entity_t> topic(const Type& type, const std::string& name) const;
    // `make` makes a writer or a reader of the topic.
    host::Result<dds_entity_t> endpoint(decltype(Dds::create_writer) make, const Type& type,
                                        const std::string& name, dds_reliability_kind_t reliability,
                                        int depth) const;

    dds_entity_t domain_ = 0, entity_ = 0;
};

}  // namespace mien::ros2
