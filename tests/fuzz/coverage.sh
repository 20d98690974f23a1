#!/bin/sh
# Which lines of the parsers do the corpora reach? Builds the replay of each target with clang's
# coverage, runs it over the corpus kept in tests/data (and over changed copies of it, COUNT each),
# and prints a table of the files that read untrusted bytes.
#   tests/fuzz/coverage.sh BUILD_FOLDER [COUNT] [CORPUS_FOLDER]
# CORPUS_FOLDER/TARGET is added where it is there. BUILD_FOLDER/lines.txt then has each line's count.
set -eu
cd "$(dirname "$0")/../.."
. tests/fuzz/seeds.sh
build=$1
count=${2:-2000}
more=${3:-}
data=tests/data
targets="address http weights cascade cascade_xml open image header npz stream splitter pipeline groups request json head connection ros2"
cmake --preset clang -B "$build" -DMIEN_UNITY=OFF -DMIEN_WERROR=OFF -DCMAKE_BUILD_TYPE=RelWithDebInfo \
    -DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O1 \
    -DCMAKE_CXX_FLAGS="-fprofile-instr-generate -fcoverage-mapping" >/dev/null
built=
for target in $targets; do built="$built replay_$target"; done
# shellcheck disable=SC2086
cmake --build "$build" -j "$(nproc)" --target $built >/dev/null
profiles= objects=
for target in $targets; do
    files=$(seeds_of "$target" "$data" "$more")
    if [ "$target" = image ]; then files="$files $data/photos"; fi
    # shellcheck disable=SC2086
    LLVM_PROFILE_FILE="$build/$target.profraw" \
        "$build/tests/replay_$target" --count "$count" $files >/dev/null
    profiles="$profiles $build/$target.profraw"
    objects="$objects -object $build/tests/replay_$target"
done
# shellcheck disable=SC2086
llvm-profdata merge -sparse $profiles -o "$build/all.profdata"
parsers="src/base/container.cpp src/nn/model_file.cpp src/detect/haar/cascade.cpp
    src/opencv/xml.cpp src/opencv/cascade_xml.cpp
    src/host/codec/image_header.cpp src/host/codec/image_file.cpp src/host/codec/jpeg_turbo.cpp
    src/host/eval/npz.cpp src/video/stream_source.cpp src/video/address.cpp src/video/http_reader.cpp
    src/video/jpeg_splitter.cpp src/video/decoder.cpp src/report/groups.cpp src/serve/multipart.cpp
    src/serve/json_request.cpp src/host/files/base64.cpp src/ros2/message.cpp
    src/serve/http_head.h src/serve/guard.cpp src/serve/service.cpp src/serve/server.cpp"
# shellcheck disable=SC2086
llvm-cov show -instr-profile="$build/all.profdata" ${objects# -object } >"$build/lines.txt"
# Paths are relative where the compiler's cache made them so.
# shellcheck disable=SC2086
llvm-cov report -instr-profile="$build/all.profdata" ${objects# -object } |
    awk -v parsers="$parsers" '
        BEGIN { n = split(parsers, list); for (i = 1; i <= n; ++i) wanted[list[i]] = 1 }
        { name = $1; sub(/^.*src\//, "src/", name) }
        name in wanted && !seen[name]++ {
            printf "%-34s %5d lines, %4d not reached, %s\n", name, $8, $9, $10
            lines += $8; missed += $9
        }
        END { printf "all: %d lines, %.1f %% reached\n", lines, 100 * (1 - missed / lines) }'
