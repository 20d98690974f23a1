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

using mien::serve::enter_sandbox;

namespace {

constexpr int no_sandbox = 77, refused = 0, allowed = 1, other_error = 2;

// What the child that does `attempt` behind `before` answers.
template <class Before, class Attempt>
int in_child(bool may_open, Before before, Attempt attempt) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        auto prepared = before();
        if (!enter_sandbox(may_open).on) ::_exit(no_sandbox);
        ::_exit(attempt(prepared));
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status));
    return WEXITSTATUS(status);
}
template <class Attempt>
int in_child(Attempt attempt, bool may_open = false) {
    return in_child(may_open, [] { return 0; }, [&](int) { return attempt(); });
}

int judged(long result) { return result >= 0 ? allowed : errno == EPERM ? refused : other_error; }

}  // namespace

TEST_CASE("the sandbox refuses files, programs, connections and code, and nothing else") {
    if (in_child([] { return refused; }) == no_sandbox) {
        // In a child, or this process would have it as well.
        const int told = in_child(
            false, [] { return enter_sandbox(false).text.starts_with("no sandbox: ") ? 1 : 0; },
            [](int) { return 0; });
        CHECK(told == no_sandbox);
        MESSAGE("no sandbox here");
        return;
    }
    CHECK(in_child([] { return judged(::open("/etc/passwd", O_RDONLY)); }) == refused);
    CHECK(in_child([] { return judged(::open("/dev/null", O_WRONLY)); }) == refused);
    CHECK(in_child([] { return judged(::open("/tmp/mien-test", O_CREAT | O_WRONLY, 0600)); }) ==
          refused);
    CHECK(in_child([] { return judged(::unlink("/tmp/mien-test-none")); }) == refused);
    CHECK(in_child([] { return judged(::rename("/tmp/mien-a", "/tmp/mien-b")); }) == refused);
    CHECK(in_child([] { return judged(::mkdir("/tmp/mien-test-folder", 0700)); }) == refused);
    CHECK(in_child([] {
              char* const words[] = {const_cast<char*>("/bin/true"), nullptr};
              return judged(::execv("/bin/true", words));
          }) == refused);
    CHECK(in_child([] { return judged(::fork()); }) == refused);
    CHECK(in_child([] { return judged(::socket(AF_INET, SOCK_STREAM, 0)); }) == refused);
    CHECK(in_child([] { return judged(::socket(AF_UNIX, SOCK_STREAM, 0)); }) == refused);
    // a socket that was there before
    CHECK(in_child(
              false, [] { return ::socket(AF_INET, SOCK_STREAM, 0); },
              [](int own) {
                  sockaddr_in address = {};
                  address.sin_family = AF_INET;
                  address.sin_port = htons(9);
                  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
                  return judged(
                      ::connect(own, reinterpret_cast<sockaddr*>(&address), sizeof address));
              }) == refused);
    constexpr int executed = PROT_READ | PROT_EXEC;
    CHECK(in_child([] {
              return ::mmap(nullptr, 4096, executed, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
                             MAP_FAILED
                         ? allowed
                         : judged(-1);
          }) == refused);
    CHECK(in_child([] {
              void* const page =
                  ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
              return page == MAP_FAILED ? other_error : judged(::mprotect(page, 4096, executed));
          }) == refused);
    // What the service does all the time: threads, memory, and accepting who comes.
    CHECK(in_child([] {
              int sum = 0;
              std::thread([&sum] { sum = 5; }).join();
              void* const block = std::malloc(std::size_t{64} << 20);
              std::free(block);
              return sum == 5 && block != nullptr ? allowed : other_error;
          }) == allowed);
    CHECK(in_child(
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
                  return listening < 0 ? other_error
                                       : judged(::accept(listening, nullptr, nullptr));
              }) == allowed);
}

TEST_CASE(
    "the sandbox holds for threads that were there before, and can leave opening to a camera") {
    if (in_child([] { return refused; }) == no_sandbox) return;
    CHECK(in_child(
              false,
              [] {
                  struct Waiting {
                      std::atomic<bool> go{false};
                      std::atomic<int> answer{-1};
                      std::thread thread{[this] {
                          while (!go) std::this_thread::yield();
                          answer = judged(::open("/etc/passwd", O_RDONLY));
                      }};
                  };
                  return new Waiting;  // of a process that ends
              },
              [](auto* waiting) {
                  waiting->go = true;
                  waiting->thread.join();
                  return waiting->answer.load();
              }) == refused);
    CHECK(in_child([] { return judged(::open("/dev/null", O_RDONLY)); }, true) == allowed);
    CHECK(in_child([] { return judged(::unlink("/tmp/mien-test-none")); }, true) == refused);
    CHECK(in_child([] { return judged(::socket(AF_INET, SOCK_STREAM, 0)); }, true) == refused);
}
#endif
