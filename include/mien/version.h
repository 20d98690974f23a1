/* SPDX-License-Identifier: MIT
   The version of these headers, for #if; mien_version() and mien::version() tell the library's.
   The build compares it with the project's version. */
#ifndef MIEN_VERSION_H
#define MIEN_VERSION_H

#define MIEN_VERSION_MAJOR 0
#define MIEN_VERSION_MINOR 2
#define MIEN_VERSION_PATCH 0
/* Grows with every version: 0.2.0 is 200, 1.2.3 is 10203. */
#define MIEN_VERSION_NUMBER \
    (MIEN_VERSION_MAJOR * 10000 + MIEN_VERSION_MINOR * 100 + MIEN_VERSION_PATCH)

#endif
