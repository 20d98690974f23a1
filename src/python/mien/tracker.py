# SPDX-License-Identifier: MIT
"""Faces over time: frames in, faces with lasting numbers out, for a fraction of the search (include/mien/tracker.hpp)."""

from __future__ import annotations

import os
import time
from typing import Any, List, Optional, Tuple

from . import _checks, _engine
from .engine import Engine, Picture, _called, default_engine
from .results import HEADS, Box, TrackedFace, TrackedReading

SMOOTHING = {"none": 0, "mode": 1, "average": 2, "quality": 3}


class Tracker:
    """One a video. Frames in order; calls from several threads wait for each other.

    engine: whose weights and detector options it takes (the default engine's by default).
    smoothing: "mode" (share of each label among a face's last 10 readings), "average" (exponential, `average_weight`),
        "quality" (the same, by the size, sharpness and turn of the face; labels stay longer), "none".
    full_every: every so many frames everything is searched; 1: in each; 0: only in the first, then a part in each frame,
        everything once in `cycle_seconds`. lost_seconds: a face not found for so long is gone.
    """

    def __init__(
        self,
        engine: Optional[Engine] = None,
        *,
        smoothing: str = "mode",
        average_weight: float = 0.25,
        max_tracks: int = 32,
        full_every: int = 0,
        cycle_seconds: float = 0.3,
        lost_seconds: float = 0.5,
        keep_neighbors: int = 2,
    ) -> None:
        _checks.choice("smoothing", smoothing, tuple(SMOOTHING))
        if engine is not None and not isinstance(engine, Engine):
            raise TypeError(f"engine is a mien.Engine, not {_checks.named(engine)}")
        self.engine = default_engine() if engine is None else engine
        self._process = os.getpid()
        self.engine._follow_fork()
        self._tracker = _engine.Tracker(
            self.engine._engine,
            SMOOTHING[smoothing],
            _checks.real("average_weight", average_weight),
            _checks.whole("max_tracks", max_tracks),
            _checks.whole("full_every", full_every, 0),
            _nanoseconds("cycle_seconds", cycle_seconds),
            _nanoseconds("lost_seconds", lost_seconds),
            _checks.whole("keep_neighbors", keep_neighbors),
        )
        self._clock_start = time.monotonic_ns()

    def process(
        self, frame: Picture, seconds: Optional[float] = None, format: Optional[str] = None
    ) -> List[TrackedFace]:
        """`seconds` is the frame's time by any clock that goes forward; by default the time of the call."""
        if os.getpid() != self._process:
            raise RuntimeError("a tracker does not outlive os.fork(): make one in the child")
        array, number, _, _ = self.engine._pixels(frame, format)
        if seconds is None:
            now = time.monotonic_ns() - self._clock_start
        else:
            now = _nanoseconds("seconds", seconds)
        return [self._face(raw) for raw in _called(self._tracker.process, array, number, now)[3]]

    def reset(self) -> None:
        """Forgets every face."""
        self._tracker.reset()

    def _face(self, raw: Any) -> TrackedFace:
        number, x, y, width, height, neighbors, missed, frames, readings, score, landmarks = raw
        return TrackedFace(
            number,
            Box(x, y, width, height),
            neighbors,
            missed,
            frames,
            {
                head: _reading(labels, unit, reading)
                for head, labels, unit, reading in zip(
                    HEADS, self.engine._labels, self.engine._units, readings
                )
                if reading is not None
            },
            score,
            landmarks,
        )


def _nanoseconds(name: str, seconds: Any) -> int:
    value = _checks.real(name, seconds)
    if not 0 <= value < 1e9:
        raise ValueError(f"{name} must not be negative, nor above 1e9")
    return round(value * 1e9)


def _reading(labels: Tuple[str, ...], unit: str, raw: Any) -> TrackedReading:
    label, smoothed, (probabilities, unsure, value, low, high) = raw
    names, averages = dict(zip(labels, probabilities)), dict(zip(labels, smoothed))
    return TrackedReading(labels[label], names, averages, unsure, value, low, high, unit)
