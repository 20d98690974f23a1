// SPDX-License-Identifier: MIT
// After its start the service needs no file, no program and no new connection. On Linux it gives
// these up, so that a fault in a decoder which lets an attacker run code gains him little.
#pragma once

#include <string>

namespace mien::serve {

struct Sandbox {
    bool on = false;
    std::string text;  // one line for the log: what is given up, or why nothing is
};

// For all threads of the process and for ever: opening, making, renaming and removing files; running
// programs and other processes' memory; sockets but those that are accepted; memory that is executed.
// Each fails with EPERM. `may_open`: files may be opened, for a camera that is plugged in again.
// Never fails; where the kernel or the build cannot do it, `on` is false and nothing has changed.
Sandbox enter_sandbox(bool may_open);

}  // namespace mien::serve
