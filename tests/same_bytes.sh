#!/bin/sh
# SPDX-License-Identifier: MIT
# Does the commit of a release give the same files again? It is built a second time, in a folder of
# another name and without ccache, and the files are compared.
#   sh tests/same_bytes.sh [source] [programs] [debian] [wheels] [npm]     (default: all)
# Run it after tools/release.sh, which tells what ARCHITECTURES, WHEELS and PYTHONS choose.
set -eu
cd "$(dirname "$0")/.."
version=$(sh tools/version.sh)
first=$PWD/build/release-$version
[ -e "$first/mien-$version.tar.gz" ] || { echo "no $first/mien-$version.tar.gz: make release" >&2; exit 2; }
commit=$(gzip -dc "$first/mien-$version.tar.gz" | git get-tar-commit-id)
scratch=$(mktemp -d)
again=$scratch/the-same-sources-elsewhere
trap 'git worktree remove --force "$again"; rm -rf "$scratch"' EXIT
git worktree add -q --detach "$again" "$commit"
start=$(date +%s)
if ! (
    unset CMAKE_C_COMPILER_LAUNCHER CMAKE_CXX_COMPILER_LAUNCHER SOURCE_DATE_EPOCH
    CCACHE_DISABLE=1 sh "$again/tools/release.sh" "$@"
) >"$scratch/log" 2>&1; then
    tail -n 30 "$scratch/log"
    echo "the second build: FAILED"
    exit 1
fi
second=$again/build/release-$version
echo "$commit, built again in $(($(date +%s) - start)) s"
failed=0 left=
for file in "$first"/*; do
    name=$(basename "$file")
    [ -e "$second/$name" ] || left="$left $name"
done
for file in "$second"/*; do
    name=$(basename "$file")
    case $name in
        # These two tell of all the others.
        SHA256SUMS | *.spdx.json) [ -z "$left" ] || continue ;;
    esac
    if cmp -s "$file" "$first/$name"; then
        echo "$name: the same $(stat -c %s "$file") bytes"
    else
        echo "$name: DIFFERS"
        mkdir -p build/again
        cp "$file" build/again
        failed=1
    fi
done
for name in $left; do echo "$name: not built again"; done
[ "$failed" = 0 ] || echo "what differs is in build/again"
exit $failed
