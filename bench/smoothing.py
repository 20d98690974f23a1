#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How well `mien video --smoothing` answers, on films drawn from labeled photos.

    python3 bench/smoothing.py PHOTOS --mien build/check/mien

PHOTOS is a folder or a .zip with a folder of photos per expression. Each photo becomes a film of
320 x 240: the face moves, turns and changes its size, the light changes, sensor noise is added, and
twice the camera turns so fast that the face is blurred. Prints, for each kind of smoothing, the
frames with a face, how many of them are answered with the photo's expression, and how often the
label changes during a film (it never should).
"""

from __future__ import annotations

import argparse
import io
import json
import random
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections import defaultdict
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Tuple

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 320, 240
SUFFIXES = (".jpg", ".jpeg", ".png")
BLURRED = (range(14, 20), range(32, 37))  # frames


def photos_of(path: Path) -> Tuple[Dict[str, List[str]], Callable[[str], bytes]]:
    """Names of the photos by the name of their folder, and how to read one."""
    if path.is_dir():
        names = [str(p.relative_to(path)) for p in path.rglob("*")]
        read: Callable[[str], bytes] = lambda name: (path / name).read_bytes()
    else:
        archive = zipfile.ZipFile(path)
        names, read = archive.namelist(), archive.read
    found = defaultdict(list)
    for name in sorted(names):
        if name.lower().endswith(SUFFIXES) and "/" in name:
            found[name.split("/")[-2]].append(name)
    return dict(found), read


def frames_of(photo: Image.Image, count: int, seed: int) -> Iterator[np.ndarray]:
    """uint8 [HEIGHT, WIDTH], the same for the same seed."""
    rng = np.random.default_rng(seed)
    scale, light = rng.uniform(0.5, 1.0), 1.0
    x, y, speed = rng.uniform(20, 80), int(rng.uniform(0, 20)), rng.normal(0, 1.5)
    for k in range(count):
        side = int(photo.width * scale * (1 + 0.08 * np.sin(k / 6)))
        face = photo.resize((side, side), Image.Resampling.BILINEAR)
        face = face.rotate(6 * np.sin(k / 9), Image.Resampling.BILINEAR, fillcolor=120)
        pixels = np.asarray(face, np.float32)
        if any(k in blurred for blurred in BLURRED):
            length = max(3, side // 11)
            shifts = [np.roll(pixels, d - length // 2, axis=1) for d in range(length)]
            pixels = np.mean(shifts, axis=0)
        x = min(max(x + speed + rng.normal(0, 1.5), 0), WIDTH - side) if side < WIDTH else 0.0
        frame = np.full((HEIGHT, WIDTH), 110.0)
        pixels = pixels[: HEIGHT - y, : WIDTH - int(x)]
        frame[y : y + pixels.shape[0], int(x) : int(x) + pixels.shape[1]] = pixels
        light = 0.9 * light + 0.1 * rng.uniform(0.6, 1.3)
        yield np.clip(frame * light + rng.normal(0, 6, frame.shape), 0, 255).astype(np.uint8)


def labels_of(mien: Path, film: Path, smoothing: str) -> List[str]:
    """The label of the largest face of each frame with one."""
    command = [str(mien), "video", str(film), "--json", "-q", "--fps", "30"]
    done = subprocess.run(
        [*command, "--smoothing", smoothing], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        sys.exit(f"smoothing: {mien}: {done.stderr.strip()}")
    labels = []
    for line in done.stdout.splitlines():
        faces = json.loads(line).get("faces", [])
        if faces:
            labels.append(max(faces, key=lambda face: face["box"]["width"])["emotion"]["label"])
    return labels


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("--mien", type=Path, default=Path("build/check/mien"))
    parser.add_argument("--smoothing", nargs="+", default=["none", "mode", "average", "quality"])
    parser.add_argument(
        "--films", type=int, default=8, help="per expression (default: %(default)s)"
    )
    parser.add_argument("--frames", type=int, default=48, help="per film (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=5)
    args = parser.parse_args()
    try:
        photos, read = photos_of(args.photos)
    except (OSError, zipfile.BadZipFile) as error:
        sys.exit(f"smoothing: {args.photos}: {error}")
    if not photos:
        sys.exit(f"smoothing: {args.photos}: no folders with photos")
    rng = random.Random(args.seed)
    chosen = [
        (label, name)
        for label in sorted(photos)
        for name in rng.sample(photos[label], min(args.films, len(photos[label])))
    ]
    told = {kind: [0, 0, 0] for kind in args.smoothing}  # frames, right, changes
    for k, (label, name) in enumerate(chosen):
        print(f"\r{k + 1} of {len(chosen)} films", end="", file=sys.stderr, flush=True)
        photo = Image.open(io.BytesIO(read(name))).convert("L")
        with tempfile.TemporaryDirectory() as film:
            seed = zlib.crc32(name.encode()) + args.seed
            for number, frame in enumerate(frames_of(photo, args.frames, seed)):
                Image.fromarray(frame).save(Path(film) / f"{number:04}.png", compress_level=1)
            for kind, counts in told.items():
                labels = labels_of(args.mien, Path(film), kind)
                counts[0] += len(labels)
                counts[1] += labels.count(label)
                counts[2] += sum(a != b for a, b in zip(labels, labels[1:]))
    print(file=sys.stderr)
    print("| smoothing | frames with a face | right | changes per film |\n|---|---:|---:|---:|")
    for kind, (frames, right, changes) in told.items():
        share = 100 * right / max(frames, 1)
        print(f"| {kind} | {frames:,} | {share:.1f} % | {changes / len(chosen):.2f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
