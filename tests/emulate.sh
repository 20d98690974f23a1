#!/bin/sh
# Does mien do on other processors what it does here? Builds it for ARM, RISC-V and s390x (big-endian) and runs tests and program under QEMU's user-mode
# emulation, one processor model after the other; x86 models without AVX run the program of build/check.
#
#   sh tests/emulate.sh [TARGET...]      aarch64, armhf, riscv64, s390x, x86_64; default: all that this machine has tools for
#
# On each model: exactly the instruction sets that it has are offered; `verify` of the shipped and the small networks; `image` forced to each
# instruction set: JSON and drawn image equal the native ones byte for byte. On the last, so the least, of the models that have the same
# instruction sets: all unit tests where these are the target's fullest (on RISC-V: where there are
# none); elsewhere those of the engine, which try the model's two fullest; on RISC-V with longer vectors those of the kernels. What is
# Eigen's work for the most part (float explanations, the shipped networks' reference, whose answers `verify` compares on every model) runs once
# for 32 and once for 64 bits of ARM. x86 unit tests are the engine's, the build's own processor runs the others.
# Once a target: fuzz corpus, examples, and the program from outside (not on riscv64 and s390x, where it would take minutes).
# MIEN_CHECK=deep leaves the explanations' unit tests out on aarch64, too: a third of its time.
# Left out: the test that limits the address space to 150 MB, less than QEMU itself needs, and the
# one that waits until the program handles a signal: QEMU does so before the program does.
# Exit 77: nothing could be run.
set -u
cd "$(dirname "$0")/.."
jobs=${JOBS:-$(nproc)}
photos="tests/data/photos/astronaut.jpg tests/data/photos/astronaut_320.png tests/data/photos/grace_hopper.jpg"
# The same without JPEG, for a program whose decoder is another than the native one's.
photos_as_png="build/emulation/astronaut.png tests/data/photos/astronaut_320.png build/emulation/grace_hopper.png"
engine_tests=$(cat tests/unit/engine_tests)
networks="weights/emotion.mien weights/emotion-mini_XCEPTION.mien weights/gender.mien $(echo tests/data/models/*.mien)"

# MODEL:INSTRUCTION+SETS that the model has, the fullest first.
models_of() {
    case $1 in
        aarch64) echo "max:scalar+neon+dotprod+i8mm cortex-a76:scalar+neon+dotprod cortex-a72:scalar+neon cortex-a53:scalar+neon" ;;
        armhf) echo "max:scalar+neon cortex-a15:scalar+neon cortex-a7:scalar+neon cortex-a7,neon=off:scalar" ;;
        riscv64)
            rvv=rv64,v=true,vext_spec=v1.0,vlen
            echo "$rvv=512:scalar+rvv $rvv=256:scalar+rvv $rvv=128:scalar+rvv rv64:scalar"
            ;;
        s390x) echo "max:scalar" ;;
        x86_64) echo "Haswell:scalar+sse41+avx2 Nehalem:scalar+sse41 qemu64:scalar" ;;
    esac
}
compiler_of() {
    case $1 in
        aarch64) echo aarch64-linux-gnu-g++ ;;
        armhf) echo arm-linux-gnueabihf-g++ ;;
        riscv64 | s390x) echo "$1-linux-gnu-g++" ;;
        x86_64) [ "$(uname -m)" = x86_64 ] && echo c++ || echo no-x86_64-machine ;;
    esac
}
qemu_of() { # TARGET: the emulator's name, empty when there is none
    case $1 in armhf) name=qemu-arm ;; *) name=qemu-$1 ;; esac
    command -v "$name" || command -v "$name-static"
}
build_of() { case $1 in x86_64) echo build/check ;; *) echo "build/$1" ;; esac; }
offered() { # COMMAND...: the instruction sets that the program says it has, sorted, in one line
    "$@" verify weights/emotion.mien 2>/dev/null | cut -d ' ' -f 1 | sort | xargs
}
decoder_of() { # COMMAND...: libjpeg-turbo or stb_image; versions of libjpeg-turbo give the same pixels
    "$@" --version | sed -n 's/^JPEG *\([^ ]*\).*/\1/p'
}
without_times() { sed 's/"timing_ms":{[^}]*},//'; }

fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}
run() { # COMMAND...: quiet when it succeeds
    "$@" >"$scratch/output" 2>&1 && return
    fail "$* (exit $?)"
    tail -n 40 "$scratch/output"
}

results() { # PHOTOS PROGRAM...: with each detector
    read_by_both=$1
    shift
    for detector in net haar; do
        "$@" image $read_by_both --json --detector "$detector"
    done | without_times
}

test_model() { # TARGET MODEL SETS BUILT
    build=$(build_of "$1") emulator="$(qemu_of "$1") -cpu $2"
    want=$(for set in $(echo "$3" | tr + ' '); do echo " $4 " | grep -q " $set " && echo "$set"; done | sort | xargs)
    have=$(offered $emulator "$build/mien")
    [ "$want" = "$have" ] || fail "instruction sets: $have, expected $want"
    least=$(for model in $(models_of "$1"); do [ "${model##*:}" != "$3" ] || echo "${model%:*}"; done | tail -n 1)
    fullest=$(models_of "$1" | cut -d ' ' -f 1)
    unit="unit tests on $least"
    if [ "$2" = "$least" ] || [ "$1" = riscv64 ]; then
        files='*' left_out='explain:*,shipped networks agree with Eigen*'
        case "$1 $3" in
            "aarch64 ${fullest##*:}" | "armhf ${fullest##*:}")
                left_out=
                [ "${MIEN_CHECK:-all}" != deep ] || left_out='explain:*'
                ;;
            "riscv64 scalar" | s390x*) ;;
            *) files=$engine_tests ;;
        esac
        # The same vectors, but longer: what depends on their length.
        [ "$2" = "$least" ] || files='*/test_kernels_*.cpp'
        # Sweeps over instruction sets: the two fullest of each model. So every pair of neighbors is
        # compared once, on the processor with the least beside them.
        two=$(echo "$3" | tr + '\n' | tail -n 2 | paste -s -d ,)
        run env "MIEN_ISA=$two" $emulator "$build/tests/mien-tests" "-sf=$files" \
            "-tce=$left_out"
        count=$(sed -n 's/.*test cases: *\([0-9]*\).*/\1/p' "$scratch/output")
        [ "${count:-0}" -ge 10 ] || fail "only ${count:-0} unit tests were run"
        unit="${count:-0} unit tests"
    fi
    for network in $networks; do run $emulator "$build/mien" verify "$network"; done
    native=build/emulation/native
    [ "$(decoder_of $emulator "$build/mien")" = "$(decoder_of build/check/mien)" ] || {
        photos=$photos_as_png native=build/emulation/native_png
        unit="$unit, photos as PNG"
    }
    for set in $have; do
        MIEN_ISA=$set results "$photos" $emulator "$build/mien" 2>"$scratch/output" >"$scratch/result.json"
        cmp "$scratch/result.json" $native.json || { fail "--isa $set: image --json differs from the native result"; cat "$scratch/output"; }
        run $emulator "$build/mien" image ${photos%% *} --isa "$set" --out "$scratch/drawn.png" -y
        cmp "$scratch/drawn.png" $native.png || fail "--isa $set: the drawn picture differs from the native one"
    done
    tested="$have, $unit"
}

test_target() { # TARGET MODEL: what does not depend on the model
    build=$(build_of "$1") emulator="$(qemu_of "$1") -cpu $2" data=tests/data
    run $emulator "$build/tests/replay_weights" $data/models $data/corpus/weights
    run $emulator "$build/tests/replay_cascade" $data/cascades $data/corpus/cascade
    run $emulator "$build/tests/replay_image" $data/photos $data/corpus/image
    run $emulator "$build/tests/replay_npz" $data/corpus/npz
    run $emulator "$build/tests/replay_stream" $data/corpus/stream
    run $emulator "$build/tests/mien-example" weights
    run $emulator "$build/tests/mien-example-c" weights
    tested="corpus, examples"
    case $1 in riscv64 | s390x) return ;; esac
    printf '#!/bin/sh\nexec %s "%s" "$@"\n' "$emulator" "$PWD/$build/mien" >"$scratch/mien"
    chmod +x "$scratch/mien"
    run "${PYTHON:-python3}" -m pytest -q -p no:cacheprovider tests/e2e/test_cli.py \
        --mien "$scratch/mien" -m "not inflates and not signals"
    tested="$tested, the program from outside"
}

if [ "${1:-}" = --one ]; then # a job of the list below: WHAT TARGET MODEL SETS BUILT
    shift
    failures=0 tested=nothing start=$(date +%s) scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    "test_$1" "$2" "$3" "$4" "$(echo "$5" | tr + ' ')" >"$scratch/log" 2>&1
    [ "$failures" -eq 0 ] && verdict=passed || verdict="FAILED, $failures checks"
    { printf '%-8s %-18s %s: %s, %d s\n' "$2" "$3" "$tested" "$verdict" "$(($(date +%s) - start))"; cat "$scratch/log"; } >"$scratch/report"
    cat "$scratch/report"
    [ "$failures" -eq 0 ]
    exit
fi

targets=
for target in ${*:-aarch64 armhf riscv64 s390x x86_64}; do
    if ! command -v "$(compiler_of "$target")" >/dev/null; then
        echo "$target: skipped, no compiler $(compiler_of "$target"); run: MIEN_CHECK=all sh tools/setup.sh --tests"
    elif [ -z "$(qemu_of "$target")" ]; then
        echo "$target: skipped, no emulator; run: MIEN_CHECK=all sh tools/setup.sh --tests"
    else
        targets="$targets $target"
    fi
done
[ -n "$targets" ] || exit 77

# The native program says what is right.
start=$(date +%s)
for target in check $targets; do
    [ "$target" != x86_64 ] || continue
    [ "$target" = check ] || sh tools/foreign.sh "$target"
    cmake --preset "$target" -DMIEN_BUILD_TESTS=ON >/dev/null && cmake --build --preset "$target" -j "$jobs" >"build/$target/build.log" 2>&1 ||
        { cat "build/$target/build.log"; echo "$target: FAILED, does not build"; exit 1; }
done
echo "built:$targets, $(($(date +%s) - start)) s"
mkdir -p build/emulation
results "$photos" build/check/mien >build/emulation/native.json
build/check/mien image tests/data/photos/astronaut.jpg --out build/emulation/native.png -y >/dev/null
python=python3
python3 -c "import PIL" 2>/dev/null || python=/usr/bin/python3  # the distribution's, which tools/setup.sh serves
$python -c "
from PIL import Image
for name in 'astronaut', 'grace_hopper':
    Image.open(f'tests/data/photos/{name}.jpg').save(f'build/emulation/{name}.png')" || exit 1
results "$photos_as_png" build/check/mien >build/emulation/native_png.json
build/check/mien image build/emulation/astronaut.png --out build/emulation/native_png.png -y >/dev/null
[ "$(wc -l <build/emulation/native.json)" -eq 6 ] || { echo "FAILED: the native program, on photos"; exit 1; }

# The longest jobs first, as many at a time as there are processors.
for target in s390x riscv64 armhf aarch64 x86_64; do
    case " $targets " in *" $target "*) ;; *) continue ;; esac
    fullest=$(models_of "$target" | cut -d : -f 1)
    built=$(offered $(qemu_of "$target") -cpu "$fullest" "$(build_of "$target")/mien" | tr ' ' +)
    for model in $(models_of "$target"); do
        case "$model, built: $built" in
            *+rvv,*rvv*) ;;
            *+rvv,*)
                echo "${model%:*}: skipped, built without vectors; run: MIEN_CHECK=all sh tools/setup.sh --tests" >&2
                continue
                ;;
        esac
        echo "model $target ${model%:*} ${model##*:} ${built:-none}"
    done
    [ "$target" = x86_64 ] || echo "target $target $fullest - -"
done >build/emulation/jobs
xargs -P "$jobs" -n 5 sh tests/emulate.sh --one <build/emulation/jobs
