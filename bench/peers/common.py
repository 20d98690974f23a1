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

ISA_NAMES = "best scalar sse41 avx2 avxvnni avx512 neon dotprod i8mm simd128 rvv".split()


EMOTION = 0  # MIEN_EMOTION


class Reading(C.Structure):  # mien_reading, up to what is read here
    _fields_ = [
        ("struct_size", C.c_uint32),
        ("count", C.c_uint32),
        ("probabilities", C.POINTER(C.c_float)),
    ]


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
        self.lib.mien_config_init_sized(C.byref(config), C.c_size_t(C.sizeof(config)))
        config.isa = ISA_NAMES.index(isa)
        config.scale_factor, config.min_neighbors = scale_factor, min_neighbors
        config.max_width, config.max_height = size
        if threads > 1:
            self.lib.mien_pool_lend(C.c_void_p(self.lib.mien_pool_create(threads)), C.byref(config))
        self.weights = mien_c.Weights(C.sizeof(mien_c.Weights))
        self.weights.cascade = mien_c.File(cascade or None, len(cascade))
        self.weights.heads[EMOTION] = mien_c.File(emotion or None, len(emotion))
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
        self.count = C.c_size_t()

    def _frame(self, gray: np.ndarray) -> mien_c.Frame:
        size = C.sizeof(mien_c.Frame)
        return mien_c.Frame(
            size, 0, gray.ctypes.data, gray.shape[1], gray.shape[0], gray.strides[0]
        )

    def detect(self, gray: np.ndarray) -> None:
        frame = self._frame(gray)
        count = C.byref(self.count)
        if self.lib.mien_detect(self.engine, C.byref(frame), None, None, count) != 0:
            raise RuntimeError("mien_detect")

    def boxes(self) -> List[tuple]:
        found = mien_c.faces(self.lib, self.engine, self.count.value)
        return [(f.x, f.y, f.width, f.height) for f in found]

    def classifier(self, crop: np.ndarray) -> Callable[[], None]:
        """The bare call: what a program that keeps its frame does."""
        frame = self._frame(crop)
        call, engine, at = self.lib.mien_classify_crop, self.engine, C.byref(frame)
        return lambda keep=(self, frame, crop): call(engine, at)

    def classify(self, crop: np.ndarray) -> np.ndarray:
        frame = self._frame(crop)
        if self.lib.mien_classify_crop(self.engine, C.byref(frame)) != 0:
            raise RuntimeError("mien_classify_crop")
        reading = Reading()
        if self.lib.mien_reading_at_sized(
            self.engine,
            C.c_size_t(0),
            EMOTION,
            C.byref(reading),
            C.c_size_t(C.sizeof(reading)),
        ):
            raise RuntimeError("mien_reading_at")
        return np.ctypeslib.as_array(reading.probabilities, (reading.count,)).copy()


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
