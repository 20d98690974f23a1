# SPDX-License-Identifier: MIT
"""Probabilities of any model for any images: HDF5 and .keras files in Keras (or in torch), .mien files in the C++ engine."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import List, Optional, Sequence, Tuple

import numpy as np
from datasets import AGE_CLASSES, EMOTIONS, GENDERS, class_folders, class_index
from mien_tools import format as mien
from mien_tools import image, keras_file
from mien_tools.errors import ModelError, UnreadableError, UsageError, read_bytes


def output_of(command: Sequence[str], path: Path, refused: str) -> str:
    """What the program prints; a ModelError about `path` with its last line where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["?"])[-1]
        raise ModelError(path, f"{refused}: {said}")
    return done.stdout


def crops_of(
    program: Path, photos: Path, classes: Sequence[str], detector: str
) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The largest face of each photo below `photos`/CLASS/, as the program cuts it for its expression
    network: uint8 [N, h, w], the labels uint8 [N], and how many photos of each class there were
    [classes]. Photos without a face are only counted."""
    from PIL import Image

    images: List[np.ndarray] = []
    labels: List[int] = []
    counts = np.zeros(len(classes), np.int64)
    for name in class_folders(photos) if photos.is_dir() else []:
        label = class_index(classes, name)
        if label < 0:
            continue
        with tempfile.TemporaryDirectory() as folder:
            printed = output_of(
                [str(program), "image", str(photos / name), "--dump-crop", folder, "--json", "-q"]
                + ["--detector", detector, "--largest", "--max-faces", "1"]
                + ["--no-gender", "--no-age"],
                photos / name,
                "the program refuses it",
            )
            counts[label] += len(printed.splitlines())
            for file in sorted(Path(folder).iterdir()):
                images.append(np.array(Image.open(file).convert("L")))
                labels.append(label)
    if not images:
        raise UnreadableError(photos, "no photo with a face in a folder named by its expression")
    return np.stack(images), np.array(labels, np.uint8), counts


class Model:
    """`input_shape` is (height, width, channels), `labels` are None when a Keras file, which does not tell them, has neither as many classes as ours for
    expressions nor for gender."""

    def __init__(self, path: Path, program: Optional[Path] = None, backend: str = "keras") -> None:
        self.path, self.program, self.backend = Path(path), program, backend
        self.unsure_below = 0.0  # a probability
        if self.path.suffix == ".mien":
            network = mien.decode_network(read_bytes(self.path))
            self.input_shape: Tuple[int, int, int] = network.input_shape
            self.labels: Optional[Tuple[str, ...]] = tuple(network.labels)
            self.unsure_below = network.answer.unsure_below if network.answer else 0.0
            if program is None or not Path(program).is_file():
                raise UsageError(
                    path,
                    "to run a .mien file, name the program `mien` with --mien (make builds build/release/mien)",
                )
        else:
            self.keras_model = keras_file.read_model(str(path))
            self.input_shape = self.keras_model.input_shape
            known = {len(names): names for names in (EMOTIONS, GENDERS, AGE_CLASSES)}
            self.labels = known.get(self.keras_model.class_count)

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """uint8 [N, h, w, c] of any size to float32 [N, classes]."""
        height, width, channels = self.input_shape
        pixels = image.to_network_input(images, height, width, channels)
        if self.path.suffix == ".mien":
            return self._engine(pixels)
        if self.backend == "torch":
            import torch
            from torch_net import KerasNet
            from trainer import predict

            return torch.softmax(
                torch.from_numpy(predict(KerasNet(self.keras_model), pixels)), 1
            ).numpy()
        os.environ.setdefault("KERAS_BACKEND", "torch")
        try:
            import keras
        except ImportError:
            raise UnreadableError(
                self.path, "Keras is not installed (--backend torch does without)"
            ) from None
        model = keras.models.load_model(self.path, compile=False)
        x = (pixels.astype(np.float32) / 255 - 0.5) * 2
        return np.asarray(model.predict(x, batch_size=256, verbose=0), np.float32)

    def _engine(self, pixels: np.ndarray) -> np.ndarray:
        """Through `mien eval`, which reads the images from an .npz and writes the probabilities as CSV."""
        with tempfile.TemporaryDirectory() as folder:
            data, scores = Path(folder) / "data.npz", Path(folder) / "scores.csv"
            np.savez(data, images=pixels, labels=np.zeros(len(pixels), np.uint8))
            gender = ["--gender"] if self.labels is not None and "woman" in self.labels else []
            output_of(
                [
                    str(self.program),
                    "eval",
                    str(data),
                    "--model",
                    str(self.path),
                    "--scores",
                    str(scores),
                    "-q",
                    *gender,
                ],
                self.path,
                "the engine refuses it",
            )
            with scores.open(newline="") as file:
                rows = list(csv.reader(file))[1:]
        return np.array([[float(v) for v in row[2:]] for row in rows], np.float32)

    def answers_in_photos(self, images: np.ndarray) -> np.ndarray:
        """Class of the face that the program's own detector finds in the middle of each uint8 [N, h, w, c] image, -1 where it finds none.

        The images are close-ups, so they are doubled and get a border of a quarter of their side by repeating their edge.
        """
        if self.path.suffix != ".mien":
            raise UsageError(self.path, "only .mien files run with the detector")
        from PIL import Image

        edge = images.shape[1] // 4
        answers = np.full(len(images), -1)
        with tempfile.TemporaryDirectory() as folder:
            for k, picture in enumerate(
                np.pad(images, ((0, 0), (edge, edge), (edge, edge), (0, 0)), "edge")
            ):
                shown = Image.fromarray(picture.squeeze())
                shown.resize((2 * shown.width, 2 * shown.height), Image.Resampling.BILINEAR).save(
                    Path(folder) / f"{k:07}.bmp"
                )
            which = "gender" if self.labels is not None and "woman" in self.labels else "emotion"
            printed = output_of(
                [
                    str(self.program),
                    "image",
                    folder,
                    "--json",
                    "-q",
                    "--scale-factor",
                    "1.1",
                    "--min-neighbors",
                    "3",
                    "--min-face",
                    "50",
                    f"--{which}",
                    str(self.path),
                ],
                self.path,
                "the program refuses it",
            )
        for line in printed.splitlines():
            result = json.loads(line)
            largest = 0
            for face in result["faces"]:
                x, y = (
                    (face["box"][a] + face["box"][b] / 2) / result[b]
                    for a, b in (("x", "width"), ("y", "height"))
                )
                if 0.3 < x < 0.7 and 0.3 < y < 0.7 and face["box"]["width"] > largest:
                    largest = face["box"]["width"]
                    answers[int(Path(result["source"]).stem)] = (self.labels or ()).index(
                        face[which]["label"]
                    )
        return answers
