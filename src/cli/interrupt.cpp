// SPDX-License-Identifier: MIT
#include "cli/interrupt.h"

#include <unistd.h>

#include <csignal>

#include "cli/exit_codes.h"
#include "host/files/file_io.h"

namespace mien::cli {
namespace {

volatile std::sig_atomic_t interrupt_count = 0;

void on_interrupt(int) {
    if (interrupt_count != 0) {
        host::remove_partial_file();
        ::_exit(exit_interrupted);
    }
    interrupt_count = 1;
    host::stop_reading();
}

}  // namespace

void catch_interrupts() {
    struct sigaction action{};
    // without SA_RESTART: a wait for frames or connections must end, too
    action.sa_handler = on_interrupt;
    ::sigaction(SIGINT, &action, nullptr);
    ::sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() { return interrupt_count != 0; }

}  // namespace mien::cli
