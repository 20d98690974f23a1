#!/bin/sh
# Runs each libFuzzer target for SECONDS: tests/fuzz/run.sh BUILD_FOLDER [SECONDS] [TARGET...]
# New inputs go to BUILD_FOLDER/corpus; a crash leaves its input there and stops with its exit code.
set -eu
build=$1
seconds=${2:-60}
[ $# -lt 2 ] && shift $# || shift 2
data=$(dirname "$0")/../data
. "$(dirname "$0")/seeds.sh"
all="address http weights open cascade cascade_xml image header npz pipeline stream splitter request json head connection groups ros2"
for target in ${*:-$all}; do
    [ -x "$build/tests/fuzz_$target" ] || { echo "== fuzz_$target is not built"; continue; }
    seeds=$(seeds_of "$target" "$data")
    if [ "$target" = image ]; then seeds="$seeds $data/photos"; fi
    mkdir -p "$build/corpus/$target"
    echo "== fuzz_$target, $seconds s"
    # Looking for leaks between runs stops the thread of the server; at the end they are looked for.
    leaks=1
    if [ "$target" = connection ]; then leaks=0; fi
    status=0
    # shellcheck disable=SC2086
    "$build/tests/fuzz_$target" -detect_leaks=$leaks -max_total_time="$seconds" -max_len=200000 \
        -timeout=20 -rss_limit_mb=3000 -print_final_stats=1 \
        -artifact_prefix="$build/corpus/crash-$target-" "$build/corpus/$target" $seeds \
        >"$build/corpus/$target.log" 2>&1 || status=$?
    grep -E 'stat::|ERROR|SUMMARY|crash' "$build/corpus/$target.log" || true
    if [ "$status" -ne 0 ]; then
        echo "== fuzz_$target stopped with exit code $status; its log: $build/corpus/$target.log"
        exit "$status"
    fi
done
