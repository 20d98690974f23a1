#!/bin/sh
# SPDX-License-Identifier: MIT
# Prints the version, which include/mien/version.h alone states.
set -eu
sed -n 's/^#define MIEN_VERSION_\(MAJOR\|MINOR\|PATCH\) //p' "$(dirname "$0")/../include/mien/version.h" |
    paste -sd .
