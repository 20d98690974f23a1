#!/bin/sh
# SPDX-License-Identifier: MIT
# Seconds and megabytes from nothing to the first face, for each way in, beside other packages:
#   sh bench/install.sh [RELEASE_FOLDER] [WAY...]     ways: program wheel npm source opencv deepface
# RELEASE_FOLDER (default build/release-VERSION) is what `make release` made. Python packages go into
# an environment of their own, without pip's cache; megabytes are what is then on the disk. The
# source's packages are counted by tests/distributions.sh, a Debian package by tests/packages.sh.
set -eu
cd "$(dirname "$0")/.."
folder=build/release-$(sh tools/version.sh)
if [ -d "${1:-}" ]; then
    folder=$1
    shift
fi
folder=$(cd "$folder" && pwd)
[ $# -gt 0 ] || set -- program wheel npm opencv deepface
photo=$PWD/tests/data/photos/astronaut.jpg
python=${PYTHON:-python3}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
report() { # WAY START FOLDER: what is in the folder
    echo "| $1 | $(($(date +%s) - $2)) | $(du -sm --apparent-size "$3" | cut -f1) |"
}
echo "| way | seconds to the first face | MB |"
echo "|---|---:|---:|"
for way in "$@"; do
    start=$(date +%s)
    case $way in
        program)
            mkdir "$scratch/program"
            tar -xzf "$folder"/mien-*-linux-"$(uname -m)".tar.gz -C "$scratch/program"
            "$scratch"/program/*/mien image "$photo" --json >/dev/null
            ;;
        wheel)
            wheel=$(ls "$folder"/mien-*-"$("$python" -c \
                'import sys; print("cp%d%d" % min(sys.version_info[:2], (3, 12)))')"-*"_$(uname -m).whl")
            "$python" -m venv "$scratch/wheel"
            "$scratch/wheel/bin/pip" install -q --no-cache-dir "$wheel" >&2
            "$scratch/wheel/bin/python" -m mien "$photo" >/dev/null
            ;;
        npm) # in Node; jpeg-js decodes the photo
            mkdir "$scratch/npm"
            cat >"$scratch/npm/face.mjs" <<'JS'
import {readFileSync} from 'node:fs';
import jpeg from 'jpeg-js';
import {load} from '@mien-faces/mien';
const image = jpeg.decode(readFileSync(process.argv[2]), {useTArray: true});
const mien = await load({maxWidth: image.width, maxHeight: image.height});
if (mien.process(image).length === 0) throw new Error('no face');
JS
            (cd "$scratch/npm" && npm init -y >/dev/null &&
                npm install --silent "$folder"/*.tgz jpeg-js && node face.mjs "$photo")
            ;;
        opencv)
            "$python" -m venv "$scratch/opencv"
            "$scratch/opencv/bin/pip" install -q --no-cache-dir opencv-python-headless mediapipe >&2
            "$scratch/opencv/bin/python" -c "import cv2, mediapipe"
            way="opencv-python-headless and mediapipe (imported)"
            mv "$scratch/opencv" "$scratch/$way"
            ;;
        deepface)
            "$python" -m venv "$scratch/deepface"
            "$scratch/deepface/bin/pip" install -q --no-cache-dir deepface tf-keras >&2
            way="deepface with TensorFlow (installed; its weights come from elsewhere)"
            mv "$scratch/deepface" "$scratch/$way"
            ;;
        *) echo "install: unknown: $way" >&2; exit 2 ;;
    esac
    report "$way" "$start" "$scratch/$way"
done
