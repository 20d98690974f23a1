#!/bin/sh
# Very many executions: each target in a fast build (cmake --preset volume) for SECONDS, on changed
# copies of its corpus, one process at a time and at idle priority.
#   tests/fuzz/volume.sh BUILD_FOLDER SECONDS [TARGET...]
# Adds a line `target,seed,executions,seconds` each to BUILD_FOLDER/volume.csv. What crashes is left
# in BUILD_FOLDER/crashes; then it stops.
#   tests/fuzz/volume.sh BUILD_FOLDER sum      prints the sums of that table
set -eu
build=$1
table=$build/volume.csv
if [ "$2" = sum ]; then
    awk -F, '{ n[$1] += $3; s[$1] += $4; all += $3 }
        END { for (t in n) printf "%-12s %15.0f %8.0f s\n", t, n[t], s[t]
              printf "%-12s %15.0f\n", "all", all }' "$table" | sort
    exit
fi
seconds=$2
shift 2
data=$(dirname "$0")/../data
. "$(dirname "$0")/seeds.sh"
mkdir -p "$build/crashes"
for target in ${*:-address http header head json splitter groups open npz pipeline}; do
    # What a fuzzing build found beside the corpus kept (run.sh) is used where it lies here.
    files=$(seeds_of "$target" "$data" "$build/corpus")
    # Large files change slowly, and say no more.
    most=2048
    case $target in open | weights | cascade | cascade_xml | npz) most=12000 ;; image | pipeline) most=4096 ;; esac
    seed=$(date +%s)
    status=0
    # shellcheck disable=SC2086
    chrt -i 0 "$build/tests/replay_$target" --seconds "$seconds" --seed "$seed" \
        --max-bytes $most --crashes "$build/crashes" $files >"$build/volume.log" 2>&1 || status=$?
    line=$(grep ' executions, ' "$build/volume.log" | tail -1)
    echo "$target: $line"
    [ -z "$line" ] ||
        echo "$line" | sed "s/\([0-9]*\) executions, \([0-9]*\) s.*/$target,$seed,\1,\2/" >>"$table"
    [ "$status" -eq 0 ] || { echo "$target stopped with exit code $status"; exit "$status"; }
done
