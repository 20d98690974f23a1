#!/bin/sh
# SPDX-License-Identifier: MIT
# Both commands of the README on other distributions, each in a fresh minimal root:
# sh tests/distributions.sh [NAME...], names of debootstrap (default: bookworm trixie).
# Needs root and debootstrap; 3 GB of disk and 10 minutes per distribution. Ends with 77, and says
# why, where it cannot be done.
set -eu
cd "$(dirname "$0")/.."
. tests/roots.sh
can_make_roots
[ $# -gt 0 ] || set -- bookworm trixie
failed=0
for name in "$@"; do
    if ! make_root "$name"; then
        echo "skipped: no root for $name could be made (network?)"
        [ $# -gt 1 ] || exit 77
        continue
    fi
    git clone -q --no-hardlinks . "$roots/$name/root/mien"
    if inside "$name" /root/mien "sh tools/setup.sh && make demo" &&
        inside "$name" /root/mien "sh tools/setup.sh --tests && make check"; then
        tail -n 1 "$roots/log.$name"
    else
        failed=1
    fi
    rm -rf --one-file-system "${roots:?}/$name"
done
exit $failed
