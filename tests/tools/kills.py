#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Is anything damaged by a kill -9 at a random moment? Starts a run, kills it, looks at the files,
and starts the next one on what was left, until COUNT of each kind were killed.

    python3 tests/tools/kills.py --mien build/check/mien --count 1000
    python3 tests/tools/kills.py --count 100 --only batch --python VENV/bin/python
    python3 tests/tools/kills.py --count 100 --only training --python build/train-venv/bin/python

The moments are uniform over about a whole run's time. Prints for each kind how many runs
were killed, and how many of these had begun to write; exit code 1 if a file was damaged, an input
changed, or a later run was blocked.
"""
from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PHOTO = ROOT / "tests" / "data" / "photos" / "grace_hopper.jpg"
OLD = b"the file of an earlier run\n"


class Damaged(Exception):
    pass


def require(condition: object, what: str) -> None:
    if not condition:
        raise Damaged(what)


def sums(folder: Path) -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def playable_frames(data: bytes) -> int:
    """Whole frames of an AVI, as its header counts them; what comes behind is not looked at."""
    require(data[:4] == b"RIFF" and data[8:12] == b"AVI ", "is no AVI")
    told, at = struct.unpack_from("<I", data, 48)[0], 224
    for number in range(told):
        require(data[at : at + 4] == b"00dc", f"frame {number} of {told} is missing")
        size = struct.unpack_from("<I", data, at + 4)[0]
        image = data[at + 8 : at + 8 + size]
        require(image[:2] == b"\xff\xd8" and image[-2:] == b"\xff\xd9", f"frame {number} is cut")
        at += 8 + size + size % 2
    return told


class Kind:
    """A run in a folder of its own."""

    name = ""

    def __init__(self, folder: Path, options: argparse.Namespace):
        self.folder, self.options = folder, options
        self.inputs = folder / "inputs"
        self.inputs.mkdir(parents=True)

    def command(self) -> list[str]:
        raise NotImplementedError

    def env(self) -> dict[str, str]:
        return dict(os.environ)

    def prepare(self) -> None:
        """Before each run."""

    def check(self) -> bool:
        """After each kill; whether the run had begun to write."""
        raise NotImplementedError

    def finish(self) -> None:
        """After the last kill, and a whole run."""

    def start(self) -> subprocess.Popen:
        return subprocess.Popen(
            self.command(),
            cwd=self.folder,
            env=self.env(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=open(self.folder / "errors", "wb"),
            start_new_session=True,
        )

    def whole_run(self) -> float:
        start = time.monotonic()
        code = self.start().wait()
        told = (self.folder / "errors").read_text(errors="replace")[-2000:]
        require(code == 0, f"a whole run ended with exit code {code}: {told}")
        return time.monotonic() - start


class Image(Kind):
    name = "image --out"

    def __init__(self, folder: Path, options: argparse.Namespace):
        super().__init__(folder, options)
        shutil.copy(PHOTO, self.inputs / "photo.jpg")
        self.out = folder / "out.png"
        self.wanted = b""

    def command(self) -> list[str]:
        return [self.options.mien, "image", "inputs/photo.jpg", "-o", "out.png", "-y", "-q"]

    def prepare(self) -> None:
        if not self.wanted and self.out.exists():
            self.wanted = self.out.read_bytes()
        self.out.write_bytes(OLD)
        self.parts = set(self.folder.glob(".mien-*.part"))

    def check(self) -> bool:
        data = self.out.read_bytes()
        require(data in (OLD, self.wanted), f"out.png has {len(data)} bytes of neither file")
        parts = set(self.folder.glob(".mien-*.part"))
        # They stay for a while, so that later runs meet them.
        if len(parts) > 20:
            for part in parts:
                part.unlink()
        return parts != self.parts or data != OLD


class Record(Kind):
    name = "video --record"

    def __init__(self, folder: Path, options: argparse.Namespace):
        super().__init__(folder, options)
        (self.inputs / "film.mjpg").write_bytes(PHOTO.read_bytes() * 8)
        self.out = folder / "out.avi"
        self.replaces = False

    def command(self) -> list[str]:
        command = [self.options.mien, "video", "inputs/film.mjpg", "-q", "--full-every", "0"]
        return [*command, "--record", "out.avi", "-y"]

    def prepare(self) -> None:
        """Every other run replaces a film."""
        self.replaces = not self.replaces
        self.out.unlink(missing_ok=True)
        if self.replaces:
            self.out.write_bytes(OLD)
        self.parts = set(self.folder.glob("out.part*.avi"))

    def check(self) -> bool:
        begun = False
        for path in self.folder.glob("out*.avi"):
            data = path.read_bytes()
            if data == OLD:
                continue
            begun = begun or path not in self.parts
            require(path == self.out or self.replaces or path in self.parts, f"a new {path.name}")
            # Killed between making the file and its first frame, it is empty or a header.
            if len(data) > 224:
                frames = playable_frames(data)
                require(not (path == self.out and self.replaces and frames < 8), "the old is lost")
        parts = list(self.folder.glob("out.part*.avi"))
        if len(parts) > 10:
            for part in parts:
                part.unlink()
        return begun


class Batch(Kind):
    name = "mien-batch"

    def __init__(self, folder: Path, options: argparse.Namespace):
        super().__init__(folder, options)
        for i in range(24):
            shutil.copy(PHOTO, self.inputs / f"{i}.jpg")
        self.done: dict[str, bytes] = {}

    def command(self) -> list[str]:
        command = [self.options.python, "-m", "mien.batch", "inputs", "output", "-q"]
        return [*command, "--part-size", "2", "--workers", "1"]

    def prepare(self) -> None:
        """Goes on with the output of the killed run; a complete one begins anew."""
        if len(list((self.folder / "output").glob("part-*.parquet"))) == 12:
            self.count()
            shutil.rmtree(self.folder / "output")
            self.done = {}

    def count(self) -> None:
        import pyarrow.dataset as dataset

        rows = dataset.dataset(self.folder / "output", format="parquet").to_table(["source"])
        names = sorted(Path(name).name for name in rows["source"].to_pylist())
        require(names == sorted(f"{i}.jpg" for i in range(24)), f"rows of {len(names)} images")

    def check(self) -> bool:
        import pyarrow.parquet as parquet

        parts = sorted((self.folder / "output").glob("part-*.parquet"))
        for part in parts:
            require(parquet.read_table(part).num_rows == 2, f"{part.name} is not whole")
        data = {part.name: part.read_bytes() for part in parts}
        for name, before in self.done.items():
            require(data.get(name) == before, f"{name} was complete and has changed")
        grown = len(data) > len(self.done)
        self.done = data
        return grown

    def finish(self) -> None:
        self.count()


class Training(Kind):
    name = "fine-tuning"

    def __init__(self, folder: Path, options: argparse.Namespace):
        super().__init__(folder, options)
        import numpy

        rng = numpy.random.default_rng(1)
        images = rng.integers(0, 256, (96, 48, 48), dtype=numpy.uint8)
        labels = rng.integers(0, 2, 96)
        split = numpy.repeat([0, 1, 2], 32)
        numpy.savez(self.inputs / "set.npz", images=images, labels=labels, split=split)
        shutil.copy(ROOT / "weights" / "float" / "gender.hdf5", self.inputs / "model.hdf5")
        self.log: list[str] = []

    def command(self) -> list[str]:
        command = [self.options.python, str(ROOT / "tools" / "train"), "fine-tune"]
        command += ["inputs/model.hdf5", "--data", "inputs/set.npz", "--labels", "woman,man"]
        return [*command, "-o", "out.hdf5", "--epochs", "4", "--batch", "16", "-y"]

    def env(self) -> dict[str, str]:
        return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}

    def prepare(self) -> None:
        """Goes on from the checkpoint; a complete run begins anew."""
        if (self.folder / "out.hdf5").exists():
            require((self.folder / "out.hdf5").read_bytes()[:4] == b"\x89HDF", "is no HDF5")
            for path in self.folder.glob("out*"):
                path.unlink()
            self.log = []

    def check(self) -> bool:
        import torch

        checkpoint = self.folder / "out.checkpoint.pt"
        if checkpoint.exists():
            torch.load(checkpoint, weights_only=True)
        log = self.folder / "out.csv"
        lines = log.read_text().splitlines() if log.exists() else []
        epochs = [line.split(",")[0] for line in lines[1:]]
        require(len(set(epochs)) == len(epochs), f"an epoch is logged twice: {epochs}")
        grown = len(lines) > len(self.log)
        self.log = lines
        return grown


KINDS = {"image": Image, "record": Record, "batch": Batch, "training": Training}


def run(kind: Kind, count: int, dice: random.Random) -> bool:
    before = sums(kind.inputs)
    killed = begun = finished = 0
    try:
        seconds = kind.whole_run()
        latest = [seconds]  # whole runs, since a machine is now fast, now slow
        while killed < count:
            kind.prepare()
            process, start = kind.start(), time.monotonic()
            try:
                process.wait(dice.uniform(0, 1.1 * seconds))
                finished += 1
                latest.append(time.monotonic() - start)
                seconds = statistics.median(latest[-9:])
                told = (kind.folder / "errors").read_text(errors="replace")[-2000:]
                code = process.returncode
                require(code == 0, f"a later run was blocked: exit code {code}: {told}")
            except subprocess.TimeoutExpired:
                killed += 1
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
            begun += kind.check()
            require(sums(kind.inputs) == before, "an input has changed")
        kind.prepare()
        kind.whole_run()
        kind.finish()
    except Damaged as damage:
        print(f"{kind.name}: DAMAGED after {killed} kills: {damage}", flush=True)
        return False
    print(
        f"{kind.name}: {killed} killed, {finished} were done before; {begun} of all had begun to"
        f" write; a whole run takes about {seconds:.2f} s; nothing damaged",
        flush=True,
    )
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mien", help="the program, for image and record")
    parser.add_argument("--python", default=sys.executable, help="for batch and training")
    parser.add_argument("--count", type=int, default=20, help="kills of each kind")
    parser.add_argument("--only", choices=KINDS, action="append", help="may be repeated")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.mien:
        options.mien = os.path.abspath(options.mien)
    dice = random.Random(options.seed)
    good = True
    for name in options.only or ("image", "record"):
        if name in ("image", "record") and not options.mien:
            parser.error(f"{name} needs --mien")
        with tempfile.TemporaryDirectory() as folder:
            good = run(KINDS[name](Path(folder), options), options.count, dice) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
