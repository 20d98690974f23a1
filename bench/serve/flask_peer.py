#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The same job as people build it with Flask: POST /classifyImage, OpenCV finds the faces, LiteRT reads the expression, OpenCV draws and writes PNG.
Models are loaded once, in each thread of waitress; one thread a processor. Emotion only, where mien also reads gender.

  flask_peer.py --tflite emotion_model_quantized.tflite [--port 8085]
"""
from __future__ import annotations

import argparse
import os
import threading

import cv2
import flask
import numpy as np
import waitress
from ai_edge_litert.interpreter import Interpreter

LABELS = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]
app = flask.Flask(__name__)
local = threading.local()
cv2.setNumThreads(1)


def models():
    if not hasattr(local, "net"):
        local.cascade = cv2.CascadeClassifier(
            cv2.data.haarcascades + "haarcascade_frontalface_default.xml"
        )
        local.net = Interpreter(app.config["tflite"], num_threads=1)
        local.net.allocate_tensors()
    return local.cascade, local.net


@app.post("/classifyImage")
def classify():
    if "image" not in flask.request.files:
        return {"error": "We cannot process the file sent in the request."}, 400
    picture = cv2.imdecode(
        np.frombuffer(flask.request.files["image"].read(), np.uint8), cv2.IMREAD_COLOR
    )
    if picture is None:
        return {"error": "We cannot process the file sent in the request."}, 400
    cascade, net = models()
    gray = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    entry, out = net.get_input_details()[0], net.get_output_details()[0]
    for x, y, w, h in cascade.detectMultiScale(gray, 1.3, 5):
        size = tuple(int(v) for v in entry["shape"][1:3])
        values = (cv2.resize(gray[y : y + h, x : x + w], size).astype(np.float32) / 255 - 0.5) * 2
        scale, zero = entry["quantization"]
        if entry["dtype"] != np.float32:
            values = np.clip(
                np.round(values / scale + zero),
                np.iinfo(entry["dtype"]).min,
                np.iinfo(entry["dtype"]).max,
            )
        net.set_tensor(entry["index"], values.astype(entry["dtype"]).reshape(entry["shape"]))
        net.invoke()
        label = LABELS[int(net.get_tensor(out["index"])[0].argmax())]
        cv2.rectangle(picture, (x, y), (x + w, y + h), (0, 0, 255), 2)
        cv2.putText(
            picture, label, (x, y - 20), cv2.FONT_HERSHEY_SIMPLEX, 1, (0, 0, 255), 2, cv2.LINE_AA
        )
    return flask.Response(cv2.imencode(".png", picture)[1].tobytes(), mimetype="image/png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tflite", required=True)
    parser.add_argument("--port", type=int, default=8085)
    args = parser.parse_args()
    app.config["tflite"] = args.tflite
    print(f"pid {os.getpid()}", flush=True)
    waitress.serve(
        app, host="127.0.0.1", port=args.port, threads=os.cpu_count(), connection_limit=200
    )
