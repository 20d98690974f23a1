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

// Landlock, where the kernel has it: for the calling thread and those that it starts, so to be called
// before there are others. No file can be opened, made, renamed or removed, no address bound or
// connected to, no process outside gets signals; `keep_devices`: files below /dev can be read and
// written. Rules go by what a call does, so calls that the filter below does not know count, too.
// False where it cannot be done; then nothing has changed.
bool confine_new_threads(bool keep_devices);

// For all threads of the process and for ever: opening, making, renaming and removing files; running
// programs and other processes' memory; sockets but those that are accepted; memory that is executed.
// Each fails with EPERM. `may_open`: files may be opened, for a camera that is plugged in again.
// `confined`: what confine_new_threads() said, for the text. Never fails; where the kernel or the
// build cannot do it, `on` is false and nothing has changed.
Sandbox enter_sandbox(bool may_open, bool confined = false);

}  // namespace mien::serve
