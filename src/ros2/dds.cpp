// SPDX-License-Identifier: MIT
#include "ros2/dds.h"

#include <arpa/inet.h>
#include <dds/version.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#include "host/quiet_thread.h"
#include "messages.h"  // made of messages.idl
#include "ros2/ros2.h"

namespace mien::ros2 {
namespace {

// Larger than the largest frame (video::max_pixels of four bytes); what claims to be larger is not
// taken from the network.
constexpr const char* message_limit =
    "<CycloneDDS><Domain><Internal><MaxSampleSize>257 MiB</MaxSampleSize></Internal></Domain>"
    "</CycloneDDS>";

struct QosDeleter {
    void operator()(dds_qos_t* qos) const { dds().delete_qos(qos); }
};
using Qos = std::unique_ptr<dds_qos_t, QosDeleter>;

Qos make_qos(const Type& type, dds_reliability_kind_t reliability, int depth) {
    Qos qos(dds().create_qos());
    // A tenth of a second is ROS 2's own patience with a slow reader.
    dds().qset_reliability(qos.get(), reliability, DDS_MSECS(100));
    dds().qset_history(qos.get(), DDS_HISTORY_KEEP_LAST, depth);
    const dds_data_representation_id_t plain[] = {DDS_DATA_REPRESENTATION_XCDR1};
    dds().qset_data_representation(qos.get(), 1, plain);
    const std::string user = "typehash=" + std::string(type.hash) + ";";
    dds().qset_userdata(qos.get(), user.data(), user.size());
    return qos;
}

// What the library complains about. It would fill a log with each message of a stranger that makes
// no sense, so only the first are told.
struct Complaints {
    static constexpr int most = 10;
    std::function<void(const std::string&)> tell;
    std::atomic<int> count{0};
};
void hear(void* complaints, const dds_log_data_t* data) {
    auto& to = *static_cast<Complaints*>(complaints);
    if ((data->priority & (DDS_LC_FATAL | DDS_LC_ERROR | DDS_LC_WARNING)) == 0) return;
    const int before = to.count.fetch_add(1);
    if (before > Complaints::most || !to.tell) return;
    std::string text(data->message);
    while (!text.empty() && text.back() == '\n') text.pop_back();
    to.tell(before < Complaints::most ? text : "more of this kind is not told");
}

// Of the network interfaces that are up, but for the loopback; IPv4, of which DDS is by default.
std::vector<std::string> own_addresses() {
    constexpr std::size_t most = 8;
    std::vector<std::string> addresses;
    struct ifaddrs* first = nullptr;
    if (::getifaddrs(&first) != 0) return addresses;
    for (const struct ifaddrs* one = first; one != nullptr; one = one->ifa_next) {
        if (one->ifa_addr == nullptr || one->ifa_addr->sa_family != AF_INET ||
            (one->ifa_flags & IFF_UP) == 0 || (one->ifa_flags & IFF_LOOPBACK) != 0 ||
            addresses.size() == most)
            continue;
        struct sockaddr_in address{};
        std::memcpy(&address, one->ifa_addr, sizeof address);
        char text[INET_ADDRSTRLEN] = "";
        if (::inet_ntop(AF_INET, &address.sin_addr, text, sizeof text) != nullptr)
            addresses.emplace_back(text);
    }
    ::freeifaddrs(first);
    return addresses;
}

}  // namespace

// tests/e2e/test_ros2.py computes them anew.
const Type detections_type = {
    &vision_msgs_msg_dds__Detection2DArray__desc,
    "RIHS01_214274120007f4a683866481336b70310268cfa107aebe9d594a6acf75bda968"};
const Type text_type = {&std_msgs_msg_dds__String__desc,
                        "RIHS01_df668c740482bbd48fb39d76a70dfd4bd59db1288021743503259e948f6b1a18"};
const Type image_type = {&sensor_msgs_msg_dds__Image__desc,
                         "RIHS01_d31d41a9a4c4bc8eae9be757b0beed306564f7526c88ea6a4588fb9582527d47"};
const Type compressed_type = {
    &sensor_msgs_msg_dds__CompressedImage__desc,
    "RIHS01_15640771531571185e2efc8a100baf923961a4d15d5569652e6cb6691e8e371a"};
const Type diagnostics_type = {
    &diagnostic_msgs_msg_dds__DiagnosticArray__desc,
    "RIHS01_5a8a36efb05fb25070fa0fb3810290c0e6cd4862b54a8fb975a1ee8dc55a333e"};

Dds::Dds() {
    library.find(create_domain, "dds_create_domain");
    library.find(create_participant, "dds_create_participant");
    library.find(create_topic, "dds_create_topic");
    library.find(create_writer, "dds_create_writer");
    library.find(create_reader, "dds_create_reader");
    library.find(create_readcondition, "dds_create_readcondition");
    library.find(create_waitset, "dds_create_waitset");
    library.find(waitset_attach, "dds_waitset_attach");
    library.find(waitset_detach, "dds_waitset_detach");
    library.find(waitset_wait, "dds_waitset_wait");
    library.find(create_qos, "dds_create_qos");
    library.find(delete_qos, "dds_delete_qos");
    library.find(qset_reliability, "dds_qset_reliability");
    library.find(qset_history, "dds_qset_history");
    library.find(qset_userdata, "dds_qset_userdata");
    library.find(qset_data_representation, "dds_qset_data_representation");
    library.find(write, "dds_write");
    library.find(take, "dds_take");
    library.find(return_loan, "dds_return_loan");
    library.find(wait_for_acks, "dds_wait_for_acks");
    library.find(get_publication_matched_status, "dds_get_publication_matched_status");
    library.find(get_sample_lost_status, "dds_get_sample_lost_status");
    library.find(sample_free, "dds_sample_free");
    library.find(remove, "dds_delete");
    library.find(strretcode, "dds_strretcode");
    library.find(set_log_sink, "dds_set_log_sink");
}

host::Error Dds::error(const char* what, dds_return_t code) const {
    return host::Error::output(std::string(what) + ": " + strretcode(code));
}

const Dds& dds() {
    static const Dds library;
    return library;
}

std::string library_name() {
    return dds().library ? "Cyclone DDS " DDS_VERSION
                         : "no: " MIEN_CYCLONEDDS_SONAME " is not on this machine";
}

host::Result<std::shared_ptr<Participant>> Participant::create(
    std::function<void(const std::string&)> tell) {
    const host::Result<Discovery> discovery = discovery_of(std::getenv, own_addresses());
    if (!discovery) return discovery.error();
    if (!dds().library)
        return host::Error::usage(MIEN_CYCLONEDDS_SONAME
                                  " is not on this machine (Debian: libddsc0debian)");
    const std::shared_ptr<Participant> made(new Participant);
    static Complaints complaints;
    complaints.tell = std::move(tell);
    dds().set_log_sink(hear, &complaints);
    std::string config = message_limit;
    if (!discovery->config.empty()) config += "," + discovery->config;
    // The library's own variable comes last and so has the last word.
    const char* const own = std::getenv("CYCLONEDDS_URI");
    if (own != nullptr && *own != '\0') config += "," + std::string(own);
    dds_return_t domain;
    {
        const host::SignalsBlocked blocked;  // the library starts threads
        domain = made->domain_ = dds().create_domain(discovery->domain, config.c_str());
        if (domain >= 0)
            made->entity_ = dds().create_participant(discovery->domain, nullptr, nullptr);
    }
    if (domain < 0) return dds().error("DDS refuses the domain", domain);
    if (made->entity_ < 0) return dds().error("DDS gives no access to the network", made->entity_);
    return made;
}

Participant::~Participant() {
    if (entity_ > 0) dds().remove(entity_);
    if (domain_ > 0) dds().remove(domain_);
}

host::Result<dds_entity_t> Participant::topic(const Type& type, const std::string& name) const {
    const dds_entity_t made = dds().create_topic(entity_, type.descriptor,
                                                 dds_topic_name(name).c_str(), nullptr, nullptr);
    if (made < 0) return dds().error(name.c_str(), made);
    return made;
}

host::Result<dds_entity_t> Participant::endpoint(decltype(Dds::create_writer) make,
                                                 const Type& type, const std::string& name,
                                                 dds_reliability_kind_t reliability,
                                                 int depth) const {
    const host::Result<dds_entity_t> of = topic(type, name);
    if (!of) return of.error();
    const Qos qos = make_qos(type, reliability, depth);
    const dds_entity_t made = make(entity_, *of, qos.get(), nullptr);
    if (made < 0) return dds().error(name.c_str(), made);
    return made;
}

host::Result<dds_entity_t> Participant::writer(const Type& type, const std::string& name,
                                               int depth) const {
    return endpoint(dds().create_writer, type, name, DDS_RELIABILITY_RELIABLE, depth);
}

host::Result<dds_entity_t> Participant::reader(const Type& type, const std::string& name,
                                               int depth) const {
    return endpoint(dds().create_reader, type, name, DDS_RELIABILITY_BEST_EFFORT, depth);
}

}  // namespace mien::ros2
