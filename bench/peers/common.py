# SPDX-License-Identifier: MIT
"""What the peer benches share: mien through its C interface, rounds, tables."""
from __future__ import annotations

import ctypes as C
import os
import pathlib
import platform
import statistics
import sys
import time
from typing import Callable, Dict, List, Sequence

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools")]

import compare_opencv as mien_c  # noqa: E402  the structures of mien.h

ISA_NAMES = ["best", "scalar", "sse41", "avx2", "avxvnni", "avx512", "neon", "dotprod", "i8mm"]


class Mien:
    """An engine; `process` and `classify` include the cost of calling through ctypes, as the peers' calls include theirs."""

    def __init__(
        self,
        library: str,
        isa: str,
        size: tuple,
        scale_factor: float = 1.3,
        min_neighbors: int = 5,
        threads: int = 1,
        cascade: bytes = b"",
        emotion: bytes = b"",
    ) -> None:
        self.lib = C.CDLL(library)
        self.lib.mien_required_bytes.restype = C.c_size_t
        self.lib.mien_pool_create.restype = C.c_void_p
        config = mien_c.Config()
        self.lib.mien_config_init(C.byref(config))
        config.isa = ISA_NAMES.index(isa)
        config.scale_factor, config.min_neighbors = scale_factor, min_neighbors
        config.max_width, config.max_height = size
        if threads > 1:
            self.lib.mien_pool_lend(C.c_void_p(self.lib.mien_pool_create(threads)), C.byref(config))
        self.weights = mien_c.Weights(
            cascade or None, len(cascade), emotion or None, len(emotion), None, 0
        )
        needed = self.lib.mien_required_bytes(C.byref(config), C.byref(self.weights))
        self.memory = np.zeros(needed, np.uint8)
        self.engine = C.c_void_p()
        status = self.lib.mien_create(
            C.byref(config),
            C.byref(self.weights),
            C.c_void_p(self.memory.ctypes.data),
            C.c_size_t(needed),
            C.byref(self.engine),
        )
        if status != 0:
            raise RuntimeError(f"mien_create: status {status}")
        self.faces, self.count, self.face = C.POINTER(mien_c.Face)(), C.c_size_t(), mien_c.Face()

    def _frame(self, gray: np.ndarray) -> mien_c.Frame:
        return mien_c.Frame(gray.ctypes.data, gray.shape[1], gray.shape[0], gray.strides[0], 0)

    def detect(self, gray: np.ndarray) -> None:
        frame = self._frame(gray)
        if (
            self.lib.mien_detect(
                self.engine, C.byref(frame), C.byref(self.faces), C.byref(self.count)
            )
            != 0
        ):
            raise RuntimeError("mien_detect")

    def boxes(self) -> List[tuple]:
        return [(f.x, f.y, f.width, f.height) for f in self.faces[: self.count.value]]

    def classifier(self, crop: np.ndarray) -> Callable[[], None]:
        """The bare call: what a program that keeps its frame does."""
        frame = self._frame(crop)
        call, engine, at, face = (
            self.lib.mien_classify_crop,
            self.engine,
            C.byref(frame),
            C.byref(self.face),
        )
        return lambda keep=(self, frame, crop): call(engine, at, face)

    def classify(self, crop: np.ndarray) -> np.ndarray:
        frame = self._frame(crop)
        if self.lib.mien_classify_crop(self.engine, C.byref(frame), C.byref(self.face)) != 0:
            raise RuntimeError("mien_classify_crop")
        return np.ctypeslib.as_array(self.face.emotion, (self.face.emotion_count,))


def available_isas(library: str, emotion: bytes) -> List[str]:
    """Asked for by name, an instruction set that is not there becomes scalar; the program says which there are."""
    import subprocess

    program = pathlib.Path(library).parent / "mien"
    out = subprocess.run(
        [program, "verify", ROOT / "weights/emotion.mien"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [
        line.split()[0]
        for line in out.splitlines()
        if line.split() and line.split()[0] in ISA_NAMES
    ]


def pin(core: int) -> None:
    os.sched_setaffinity(0, {core})


def rounds(
    cases: Dict[str, Callable[[], None]], count: int, calls: int = 1
) -> Dict[str, List[float]]:
    """Milliseconds of each case, `calls` calls a round, rounds interleaved."""
    times: Dict[str, List[float]] = {name: [] for name in cases}
    for run in cases.values():
        run()
    for _ in range(count):
        for name, run in cases.items():
            for _ in range(calls):
                start = time.perf_counter()
                run()
                times[name].append((time.perf_counter() - start) * 1e3)
    return times


def processor() -> str:
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.processor()


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def median(values: List[float]) -> float:
    return statistics.median(values)
