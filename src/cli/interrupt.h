// SPDX-License-Identifier: MIT
// Ctrl-C and SIGTERM.
#pragma once

namespace mien::cli {

// After this, Ctrl-C (and SIGTERM) only sets a flag; a second one ends the program at once, without
// partial files.
void catch_interrupts();
bool interrupted();

}  // namespace mien::cli
