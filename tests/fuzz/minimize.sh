#!/bin/sh
# Adds to the corpus in tests/data what a fuzzing build found (BUILD_FOLDER/corpus, by run.sh) and
# what reaches more than is there already: the smallest FILES of each target.
#   tests/fuzz/minimize.sh BUILD_FOLDER [FILES] [TARGET...]
set -eu
build=$1
most=${2:-30}
[ $# -lt 2 ] && shift $# || shift 2
data=$(dirname "$0")/../data
all="weights open cascade cascade_xml image header npz pipeline stream splitter request json head connection groups ros2"
for target in ${*:-$all}; do
    [ -d "$build/corpus/$target" ] || continue
    least=$build/corpus/least-$target
    rm -rf "$least"
    mkdir -p "$least" "$data/corpus/$target"
    find "$data/corpus/$target" -type f -exec cp {} "$least" \;
    touch "$least.before"
    sleep 1
    "$build/tests/fuzz_$target" -merge=1 -timeout=20 -rss_limit_mb=3000 \
        -artifact_prefix="$build/corpus/crash-$target-" "$least" \
        "$build/corpus/$target" >"$build/corpus/merge-$target.log" 2>&1
    new=$(find "$least" -type f -newer "$least.before" -printf '%s %p\n' | sort -n)
    echo "$new" | head -n "$most" | while read -r _ file; do
        [ -z "$file" ] || cp "$file" "$data/corpus/$target/min_$(basename "$file")"
    done
    echo "$target: $(echo "$new" | wc -l) files reach more," \
        "$(find "$data/corpus/$target" -type f | wc -l) are kept"
done
