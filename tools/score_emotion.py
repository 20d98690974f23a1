#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Accuracy of an emotion network in the engine, on FER2013's PublicTest and PrivateTest: the figures of weights/README.md.

  score_emotion.py weights/emotion.mien --data MIEN_DATA/data/fer2013 --netdump build/check/tests/mien-netdump

Prints accuracy on all rows and without the rows that are bit-equal to a training picture, macro F1, and per class precision, recall, F1
and the confusion matrix (rows: label, columns: answer)."""
from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import List, Optional

import numpy as np

from mien_tools import errors, image
from mien_tools import format as mien


def answers(netdump: str, model: str, pixels: np.ndarray) -> np.ndarray:
    done = subprocess.run([netdump, model], input=pixels.tobytes(), stdout=subprocess.PIPE, check=False)
    if done.returncode != 0:
        raise errors.ModelError(model, "the engine refuses it")
    return np.frombuffer(done.stdout, "<f4").reshape(len(pixels), 2, -1)[:, 0].argmax(axis=1)


def main(arguments: Optional[List[str]] = None) -> int:
    parser = errors.Parser(prog="score_emotion", description=__doc__.split("\n\n")[0])
    parser.add_argument("model", help=".mien file with the seven classes of FER2013")
    parser.add_argument("--data", type=Path, required=True, help="folder with train.npz, public.npz, private.npz")
    parser.add_argument("--netdump", required=True, help="build/.../tests/mien-netdump")
    parser.add_argument("--splits", nargs="+", default=["public", "private"])
    args = parser.parse_args(arguments)
    net = mien.decode_network(errors.read_bytes(args.model))
    with np.load(args.data / "train.npz") as train:
        seen = {picture.tobytes() for picture in train["images"]}
    for split in args.splits:
        with np.load(args.data / f"{split}.npz") as npz:
            images, labels = npz["images"], npz["labels"]
        got = answers(args.netdump, args.model, image.to_network_input(images, *net.input_shape))
        fresh = np.array([picture.tobytes() not in seen for picture in images])
        matrix = np.zeros((net.class_count, net.class_count), int)
        np.add.at(matrix, (labels, got), 1)
        hits = np.diag(matrix)
        precision, recall = hits / np.maximum(matrix.sum(axis=0), 1), hits / matrix.sum(axis=1)
        f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
        print(f"{split}: accuracy {(got == labels).mean():.4f} of {len(labels)}, without the {(~fresh).sum()} repeats of training pictures "
              f"{(got == labels)[fresh].mean():.4f}, macro F1 {f1.mean():.4f}")
        print(f"| label | rows | precision | recall | F1 | {' | '.join(net.labels)} |\n|---{'|---:' * (4 + len(net.labels))}|")
        for i, label in enumerate(net.labels):
            print(f"| {label} | {matrix[i].sum()} | {precision[i]:.3f} | {recall[i]:.3f} | {f1[i]:.3f} | {' | '.join(str(v) for v in matrix[i])} |")
    return 0


if __name__ == "__main__":
    errors.run_tool("score_emotion", main)
