#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Is anything damaged by a kill -9 at a random moment? Starts a run, kills it, looks at the files,
and starts the next one on what was left, until COUNT of each kind were killed.

    python3 tests/tools/kills.py --mien build/check/mien --count 1000
    VENV/bin/python tests/tools/kills.py --count 1000 --only batch
    build/train-venv/bin/python tests/tools/kills.py --count 1000 --only training

The moments are uniform over about a whole run's time. Prints for each kind how many runs
were killed, and how many of these had begun to write; exit code 1 if a file was damaged, an input
changed, or a later run was blocked.

Python takes seconds to import what batch and training need, and they are killed in other moments
than these. So their runs are forked from a process that has imported it, and has done nothing else:
its children run the program's main() with the same words. The first run and the last, which takes
what the last kill has left, are the command itself; with --anew all of them are.
"""
from __future__ import annotations

import argparse
import hashlib
import importlib
import importlib.util
import json
import os
import random
import select
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable

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


class Nursery:
    """A process that has imported what the runs of a kind need, and forks one after the other."""

    def __init__(self, kind: str, python: str, env: dict[str, str]):
        command = [python, str(Path(__file__).resolve()), "--nursery", kind]
        self.process = subprocess.Popen(
            command, bufsize=0, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def line(self) -> int:
        line = self.process.stdout.readline()
        require(line, "the process that forks the runs has ended")
        return int(line)

    def start(self, folder: Path, words: list[str]) -> Forked:
        self.process.stdin.write(json.dumps([str(folder), words]).encode() + b"\n")
        self.process.stdin.flush()
        return Forked(self, self.line())

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


class Forked:
    """A run of the nursery, with what this program asks of a Popen."""

    def __init__(self, nursery: Nursery, pid: int):
        self.nursery, self.pid = nursery, pid
        self.returncode: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self.nursery.process.stdout], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("run", timeout or 0)
            self.returncode = self.nursery.line()
        return self.returncode


def be_nursery(kind: str) -> None:
    """Reads a folder and the words of a command from each line; writes the process's number, and
    then its exit code."""
    run = KINDS[kind].imported()
    for line in sys.stdin.buffer:
        folder, words = json.loads(line)
        pid = os.fork()
        if pid == 0:
            os.setpgid(0, 0)
            os.chdir(folder)
            for handle, path in enumerate((os.devnull, os.devnull, "errors")):
                os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), handle)
            sys.exit(run(words))
        os.setpgid(pid, pid)  # whichever comes first: it has to be a group when it is killed
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


class Kind:
    """A run in a folder of its own."""

    name = ""
    nursery: Nursery | None = None

    def __init__(self, folder: Path, options: argparse.Namespace):
        self.folder, self.options = folder, options
        self.inputs = folder / "inputs"
        self.inputs.mkdir(parents=True)

    def command(self) -> list[str]:
        raise NotImplementedError

    def words(self) -> list[str]:
        """What main() gets of it, for a nursery."""
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

    @staticmethod
    def imported() -> Callable[[list[str]], int]:
        """The program's main(), ready for its words; in the nursery."""
        raise NotImplementedError

    def start(self, anew: bool = False) -> subprocess.Popen | Forked:
        if self.nursery is not None and not anew:
            return self.nursery.start(self.folder, self.words())
        return subprocess.Popen(
            self.command(),
            cwd=self.folder,
            env=self.env(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=open(self.folder / "errors", "wb"),
            start_new_session=True,
        )

    def whole_run(self, anew: bool = False) -> float:
        start = time.monotonic()
        code = self.start(anew).wait()
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
    PARTS, IMAGES = 12, 12

    def __init__(self, folder: Path, options: argparse.Namespace):
        super().__init__(folder, options)
        for i in range(self.IMAGES):
            shutil.copy(PHOTO, self.inputs / f"{i}.jpg")
        self.done: dict[str, bytes] = {}
        if not options.anew:
            self.nursery = Nursery("batch", options.python, self.env())

    def words(self) -> list[str]:
        size = str(self.IMAGES // self.PARTS)
        return ["inputs", "output", "-q", "--part-size", size, "--workers", "1"]

    def command(self) -> list[str]:
        return [self.options.python, "-m", "mien.batch", *self.words()]

    def env(self) -> dict[str, str]:
        """Dask's workers are forked as well, or each would import all of it."""
        if self.options.anew:
            return dict(os.environ)
        return {**os.environ, "DASK_DISTRIBUTED__WORKER__MULTIPROCESSING_METHOD": "fork"}

    @staticmethod
    def imported() -> Callable[[list[str]], int]:
        # Also what a run imports at its first step.
        for name in (
            "distributed.http.scheduler.info",
            "distributed.nanny",
            "mien.batch.worker",
            "numpy.random",
            "pandas",
            "pyarrow.compute",
            "pyarrow.pandas_compat",
        ):
            importlib.import_module(name)
        from mien.batch.__main__ import main as run_batch

        return run_batch

    def prepare(self) -> None:
        """Goes on with the output of the killed run; a complete one begins anew."""
        if len(list((self.folder / "output").glob("part-*.parquet"))) == self.PARTS:
            self.count()
            shutil.rmtree(self.folder / "output")
            self.done = {}

    def count(self) -> None:
        import pyarrow.dataset as dataset

        rows = dataset.dataset(self.folder / "output", format="parquet").to_table(["source"])
        names = sorted(Path(name).name for name in rows["source"].to_pylist())
        wanted = sorted(f"{i}.jpg" for i in range(self.IMAGES))
        require(names == wanted, f"rows of {len(names)} images")

    def check(self) -> bool:
        import pyarrow.parquet as parquet

        parts = sorted((self.folder / "output").glob("part-*.parquet"))
        for part in parts:
            rows = parquet.read_table(part).num_rows
            require(rows == self.IMAGES // self.PARTS, f"{part.name} is not whole")
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
        images = rng.integers(0, 256, (24, 48, 48), dtype=numpy.uint8)
        labels = rng.integers(0, 2, 24)
        split = numpy.repeat([0, 1, 2], 8)
        numpy.savez(self.inputs / "set.npz", images=images, labels=labels, split=split)
        shutil.copy(ROOT / "weights" / "float" / "gender.hdf5", self.inputs / "model.hdf5")
        self.log: list[str] = []
        if not options.anew:
            self.nursery = Nursery("training", options.python, self.env())

    def words(self) -> list[str]:
        words = ["fine-tune", "inputs/model.hdf5", "--data", "inputs/set.npz"]
        words += ["--labels", "woman,man", "-o", "out.hdf5", "--epochs", "4"]
        return [*words, "--batch", "16", "-y"]

    def command(self) -> list[str]:
        return [self.options.python, str(ROOT / "tools" / "train"), *self.words()]

    @staticmethod
    def imported() -> Callable[[list[str]], int]:
        import torch._dynamo  # noqa: F401  (which it imports at its first step)

        path = ROOT / "tools" / "train" / "__main__.py"
        spec = importlib.util.spec_from_file_location("train_main", path)
        program = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(program)
        return lambda words: program.errors.run_tool("train", lambda: program.main(words))

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
    shown = time.monotonic()
    try:
        seconds = kind.whole_run(anew=True)
        if kind.nursery is not None:
            kind.check()
            kind.prepare()
            seconds = kind.whole_run()
        latest = [seconds]  # whole runs, since a machine is now fast, now slow
        while killed < count:
            kind.prepare()
            process, start = kind.start(), time.monotonic()
            limit = dice.uniform(0, 1.1 * seconds)
            try:
                process.wait(limit)
                finished += 1
                latest.append(time.monotonic() - start)
                told = (kind.folder / "errors").read_text(errors="replace")[-2000:]
                code = process.returncode
                require(code == 0, f"a later run was blocked: exit code {code}: {told}")
            except subprocess.TimeoutExpired:
                killed += 1
                if limit > seconds:  # then whole runs take longer by now
                    latest.append(1.5 * limit)
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
            seconds = statistics.median(latest[-9:])
            begun += kind.check()
            require(sums(kind.inputs) == before, "an input has changed")
            if time.monotonic() - shown > 60:
                shown = time.monotonic()
                print(f"{kind.name}: {killed} killed, {begun} had begun to write", flush=True)
        kind.prepare()
        kind.whole_run(anew=True)
        kind.finish()
    except Damaged as damage:
        print(f"{kind.name}: DAMAGED after {killed} kills: {damage}", flush=True)
        return False
    finally:
        if kind.nursery is not None:
            kind.nursery.close()
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
    parser.add_argument("--anew", action="store_true", help="no run is forked")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--nursery", choices=KINDS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.nursery:
        be_nursery(options.nursery)
        return 0
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
