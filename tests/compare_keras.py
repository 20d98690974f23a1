#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Does the engine compute the numpy reference's integers, and do those agree with the float network? On real faces, for each Keras model.

For every HDF5 in MIEN_DATA/models: convert (calibrated on training images only), then
  engine against reference  every layer on some images, logits on all: must be bit-equal
  int8 against float        accuracy where the labels apply, share of images with the same class
  float against Keras       the converter's float network beside Keras itself (--keras, needs keras)
FER2013's PrivateTest serves the emotion networks; the gender network sees UTKFace test faces, its labels exchanged to woman, man.
Exit 1 when a bit differs, when int8 loses more than 0.5 points, or when fewer than 97 % keep their class.

  MIEN_DATA=FOLDER python3 tests/compare_keras.py --netdump build/check/tests/mien-netdump [--quick] [--keras]
"""
from __future__ import annotations

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
from mien_tools import fold, image, keras_file, pictures, reference  # noqa: E402
from mien_tools import format as mien  # noqa: E402

GENDER_PADDING = 24  # the original's gender network was trained on images much wider than the face


def load_faces(data: pathlib.Path, gender: bool, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, h, w[, 3]) and labels, evenly spread over the test rows."""
    if not gender:
        with np.load(data / "data" / "fer2013" / "private.npz") as npz:
            images, labels = npz["images"], npz["labels"]
        chosen = pictures.spread(len(images), count) if count else np.arange(len(images))
        return images[chosen], labels[chosen]
    import io
    from PIL import Image

    with np.load(data / "data" / "gender" / "utkface64.npz") as npz:
        jpeg, offset, genders, split, age = (
            npz[k] for k in ("jpeg", "offset", "gender", "split", "age")
        )
    rows = np.flatnonzero((split == 2) & (age >= 18))
    rows = rows[pictures.spread(len(rows), min(count or 1000, len(rows)))]
    faces = [
        np.asarray(Image.open(io.BytesIO(jpeg[offset[i] : offset[i + 1]].tobytes())).convert("RGB"))
        for i in rows
    ]
    return np.stack([pictures.edge_pad(f, GENDER_PADDING) for f in faces]), 1 - genders[rows]


def run_engine(netdump: str, model: str, pixels: np.ndarray, isa: str, layers: bool) -> bytes:
    command = [netdump, model, "--isa", isa] + (["--layers"] if layers else [])
    return subprocess.run(
        command, input=np.ascontiguousarray(pixels).tobytes(), capture_output=True, check=True
    ).stdout


def differing_layers(
    net: mien.Network, netdump: str, model: str, pixels: np.ndarray, isa: str
) -> tuple[int, int]:
    """Layers compared and layers that differ, over all images."""
    data, at, compared, different = run_engine(netdump, model, pixels, isa, True), 0, 0, 0
    for picture in pixels:
        expected: list[bytes] = []
        reference.integer_forward(
            net,
            picture[None],
            observer=lambda _layer, _start, value: expected.append(value[0].tobytes()),
        )
        for want in expected:
            compared += 1
            different += data[at : at + len(want)] != want
            at += len(want)
    if at != len(data):
        return compared, compared
    return compared, different


def keras_scores(path: pathlib.Path, x: np.ndarray) -> np.ndarray:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    return np.asarray(
        keras.models.load_model(path, compile=False).predict(
            x.astype(np.float32), batch_size=128, verbose=0
        )
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--netdump", required=True, help="build/.../tests/mien-netdump")
    parser.add_argument(
        "--quick", action="store_true", help="200 images and two models instead of all"
    )
    parser.add_argument("--keras", action="store_true", help="run the floats in Keras as well")
    parser.add_argument(
        "--models", nargs="*", default=[], help="names that contain one of these [all]"
    )
    parser.add_argument("convert", nargs="*", help="options for convert_keras.py, after --")
    args = parser.parse_args()
    if "MIEN_DATA" not in os.environ:
        print("compare_keras: skipped, MIEN_DATA is not set")
        return 0
    data = pathlib.Path(os.environ["MIEN_DATA"])
    models = sorted((data / "models").glob("*.hdf5"))
    if args.quick:
        models = [m for m in models if "102" in m.name or "tiny" in m.name]
    if args.models:
        models = [m for m in models if any(name in m.name for name in args.models)]
    bad = False
    print(
        f"{'model':32}{'pictures':>9}{'float':>8}{'int8':>8}{'agree':>8}{'layers equal':>16}{'logits equal':>15}",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        for path in models:
            gender = path.name.startswith("gender")
            start = time.monotonic()
            out = pathlib.Path(folder) / (path.stem + ".mien")
            calibrate = data / "data" / ("gender/utkface64.npz" if gender else "fer2013/train.npz")
            command = [
                sys.executable,
                str(ROOT / "tools" / "convert_keras.py"),
                str(path),
                "-o",
                str(out),
                "--calibrate",
                str(calibrate),
                *(["--calibrate-pad", str(GENDER_PADDING)] if gender else []),
                *args.convert,
            ]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            net = mien.decode_network(out.read_bytes())
            float_net = fold.fold(keras_file.read_model(str(path)))
            faces, labels = load_faces(data, gender, 200 if args.quick else 0)
            height, width, channels = net.input_shape
            pixels = image.to_network_input(faces, height, width, channels)
            x = reference.scale_pixels(pixels, net.input_scale, net.input_offset)
            wanted = np.concatenate(
                [float_net.forward(x[i : i + 64]) for i in range(0, len(x), 64)]
            ).argmax(axis=1)
            got_logits = reference.integer_forward(net, pixels)
            got = got_logits.argmax(axis=1)

            layers = layers_bad = logits_bad = 0
            sample = pixels[:: max(1, len(pixels) // (20 if args.quick else 100))]
            for isa in ("scalar", "best"):
                compared, different = differing_layers(net, args.netdump, str(out), sample, isa)
                layers, layers_bad = layers + compared, layers_bad + different
                engine = np.frombuffer(
                    run_engine(args.netdump, str(out), pixels, isa, False), "<f4"
                ).reshape(len(pixels), 2, -1)
                logits_bad += int((engine[:, 0] != got_logits.astype(np.float32)).any(axis=1).sum())
            # A network of other classes (KDEF names the same seven in the same order) still has an accuracy here.
            float_accuracy, accuracy, agreement = (
                (wanted == labels).mean(),
                (got == labels).mean(),
                (wanted == got).mean(),
            )
            print(
                f"{path.stem[:31]:32}{len(pixels):9}{float_accuracy:8.4f}{accuracy:8.4f}{agreement:8.4f}"
                f"{f'{layers - layers_bad} / {layers}':>16}{f'{2 * len(pixels) - logits_bad} / {2 * len(pixels)}':>15}"
                f"  {time.monotonic() - start:.0f} s",
                flush=True,
            )
            if args.keras:
                theirs = keras_scores(path, x)
                ours = np.concatenate(
                    [
                        reference.softmax(float_net.forward(x[i : i + 64]))
                        for i in range(0, len(x), 64)
                    ]
                )
                print(
                    f"    Keras: accuracy {(theirs.argmax(axis=1) == labels).mean():.4f}, largest difference of a probability {np.abs(theirs - ours).max():.1e}, "
                    f"same class as int8 {(theirs.argmax(axis=1) == got).mean():.4f}",
                    flush=True,
                )
                bad |= bool(np.abs(theirs - ours).max() > 1e-4)
            bad |= (
                layers_bad > 0
                or logits_bad > 0
                or bool(float_accuracy - accuracy > 0.005)
                or bool(agreement < (0.95 if args.quick else 0.97))
            )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
