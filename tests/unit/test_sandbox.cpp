// SPDX-License-Identifier: MIT
// Does the service's sandbox hold, tried from inside? Each attempt is made by a child process.
#ifdef MIEN_HAS_SERVE
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <thread>

#include "serve/sandbox.h"

using mien::serve::confine_new_threads;
using mien::serve::enter_sandbox;

namespace {

constexpr int has_no_sandbox = 77, call_refused = 0, call_allowed = 1, call_failed = 2;

// What the child that does `attempt` behind `before` answers.
template <class Before, class Attempt>
int in_sandboxed_child(bool may_open, Before before, Attempt attempt) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        auto prepared = before();
        if (!enter_sandbox(may_open).on) ::_exit(has_no_sandbox);
        ::_exit(attempt(prepared));
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status));
    return WEXITSTATUS(status);
}
template <class Attempt>
int in_sandboxed_child(Attempt attempt, bool may_open = false) {
    return in_sandboxed_child(may_open, [] { return 0; }, [&](int) { return attempt(); });
}

int call_judged(long result) {
    return result >= 0 ? call_allowed : errno == EPERM ? call_refused : call_failed;
}

}  // namespace

TEST_CASE("the sandbox refuses files, programs, connections and code, and nothing else") {
    if (in_sandboxed_child([] { return call_refused; }) == has_no_sandbox) {
        // In a child, or this process would have it as well.
        const int told = in_sandboxed_child(
            false, [] { return enter_sandbox(false).text.starts_with("no sandbox: ") ? 1 : 0; },
            [](int) { return 0; });
        CHECK(told == has_no_sandbox);
        MESSAGE("no sandbox here");
        return;
    }
    CHECK(in_sandboxed_child([] { return call_judged(::open("/etc/passwd", O_RDONLY)); }) ==
          call_refused);
    CHECK(in_sandboxed_child([] { return call_judged(::open("/dev/null", O_WRONLY)); }) ==
          call_refused);
    CHECK(in_sandboxed_child([] {
              return call_judged(::open("/tmp/mien-test", O_CREAT | O_WRONLY, 0600));
          }) == call_refused);
    CHECK(in_sandboxed_child([] { return call_judged(::unlink("/tmp/mien-test-none")); }) ==
          call_refused);
    CHECK(in_sandboxed_child([] { return call_judged(::rename("/tmp/mien-a", "/tmp/mien-b")); }) ==
          call_refused);
    CHECK(in_sandboxed_child([] { return call_judged(::mkdir("/tmp/mien-test-folder", 0700)); }) ==
          call_refused);
    CHECK(in_sandboxed_child([] {
              char* const words[] = {const_cast<char*>("/bin/true"), nullptr};
              return call_judged(::execv("/bin/true", words));
          }) == call_refused);
    CHECK(in_sandboxed_child([] { return call_judged(::fork()); }) == call_refused);
    CHECK(in_sandboxed_child([] { return call_judged(::socket(AF_INET, SOCK_STREAM, 0)); }) ==
          call_refused);
    CHECK(in_sandboxed_child([] { return call_judged(::socket(AF_UNIX, SOCK_STREAM, 0)); }) ==
          call_refused);
    // a socket that was there before
    CHECK(in_sandboxed_child(
              false, [] { return ::socket(AF_INET, SOCK_STREAM, 0); },
              [](int own) {
                  sockaddr_in address = {};
                  address.sin_family = AF_INET;
                  address.sin_port = htons(9);
                  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
                  return call_judged(
                      ::connect(own, reinterpret_cast<sockaddr*>(&address), sizeof address));
              }) == call_refused);
    constexpr int readable_code = PROT_READ | PROT_EXEC;
    CHECK(in_sandboxed_child([] {
              return ::mmap(nullptr, 4096, readable_code, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
                             MAP_FAILED
                         ? call_allowed
                         : call_judged(-1);
          }) == call_refused);
    CHECK(in_sandboxed_child([] {
              void* const page =
                  ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
              return page == MAP_FAILED ? call_failed
                                        : call_judged(::mprotect(page, 4096, readable_code));
          }) == call_refused);
    // What the service does all the time: threads, memory, and accepting who comes.
    CHECK(in_sandboxed_child([] {
              int sum = 0;
              std::thread([&sum] { sum = 5; }).join();
              void* const block = std::malloc(std::size_t{64} << 20);
              std::free(block);
              return sum == 5 && block != nullptr ? call_allowed : call_failed;
          }) == call_allowed);
    CHECK(in_sandboxed_child(
              false,
              [] {
                  const int listening = ::socket(AF_INET, SOCK_STREAM, 0);
                  sockaddr_in address = {};
                  address.sin_family = AF_INET;
                  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
                  socklen_t size = sizeof address;
                  const int client = ::socket(AF_INET, SOCK_STREAM, 0);
                  const bool ready =
                      ::bind(listening, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                      ::listen(listening, 1) == 0 &&
                      ::getsockname(listening, reinterpret_cast<sockaddr*>(&address), &size) == 0 &&
                      ::connect(client, reinterpret_cast<sockaddr*>(&address), size) == 0;
                  return ready ? listening : -1;
              },
              [](int listening) {
                  return listening < 0 ? call_failed
                                       : call_judged(::accept(listening, nullptr, nullptr));
              }) == call_allowed);
}

// Without the filter of calls, so that it is Landlock which refuses, with errors of its own.
TEST_CASE("new threads are confined to no files, or to devices") {
    const auto in_confined_child = [](bool keep_devices, auto attempt) {
        const pid_t child = ::fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            if (!confine_new_threads(keep_devices)) ::_exit(has_no_sandbox);
            int answer = call_failed;
            std::thread([&] {
                const long result = attempt();
                answer = result >= 0                         ? call_allowed
                         : errno == EACCES || errno == EPERM ? call_refused
                                                             : call_failed;
            }).join();
            ::_exit(answer);
        }
        int status = 0;
        REQUIRE(::waitpid(child, &status, 0) == child);
        REQUIRE(WIFEXITED(status));
        return WEXITSTATUS(status);
    };
    const auto read_passwords = [] { return ::open("/etc/passwd", O_RDONLY); };
    if (in_confined_child(false, read_passwords) == has_no_sandbox) {
        MESSAGE("no Landlock here");
        return;
    }
    for (const bool keep_devices : {false, true}) {
        CAPTURE(keep_devices);
        CHECK(in_confined_child(keep_devices, read_passwords) == call_refused);
        CHECK(in_confined_child(keep_devices, [] {
                  return ::open("/tmp/mien-test", O_CREAT | O_WRONLY, 0600);
              }) == call_refused);
        CHECK(in_confined_child(keep_devices, [] { return ::mkdir("/tmp/mien-test-d", 0700); }) ==
              call_refused);
        CHECK(in_confined_child(keep_devices, [] {
                  char* const words[] = {const_cast<char*>("/bin/true"), nullptr};
                  return ::execv("/bin/true", words);
              }) == call_refused);
        CHECK(in_confined_child(keep_devices, [] { return ::open("/dev/null", O_RDWR); }) ==
              (keep_devices ? call_allowed : call_refused));
    }
}

TEST_CASE(
    "the sandbox holds for threads that were there before, and can leave opening to a camera") {
    if (in_sandboxed_child([] { return call_refused; }) == has_no_sandbox) return;
    CHECK(in_sandboxed_child(
              false,
              [] {
                  struct Waiting {
                      std::atomic<bool> go{false};
                      std::atomic<int> answer{-1};
                      std::thread thread{[this] {
                          while (!go) std::this_thread::yield();
                          answer = call_judged(::open("/etc/passwd", O_RDONLY));
                      }};
                  };
                  return new Waiting;  // of a process that ends
              },
              [](auto* waiting) {
                  waiting->go = true;
                  waiting->thread.join();
                  return waiting->answer.load();
              }) == call_refused);
    CHECK(in_sandboxed_child([] { return call_judged(::open("/dev/null", O_RDONLY)); }, true) ==
          call_allowed);
    CHECK(in_sandboxed_child([] { return call_judged(::unlink("/tmp/mien-test-none")); }, true) ==
          call_refused);
    CHECK(in_sandboxed_child([] { return call_judged(::socket(AF_INET, SOCK_STREAM, 0)); }, true) ==
          call_refused);
}
#endif
