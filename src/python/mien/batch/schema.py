# SPDX-License-Identifier: MIT
"""The columns of the output: the keys of `mien image --json`, so that `row.to_pylist()` is that object (keys without value are None)."""

from __future__ import annotations

from typing import Sequence

import pyarrow as pa

from ..engine import Engine
from ..results import HEADS, TIMING_KEYS


def _reading(labels: Sequence[str], quantity: bool) -> pa.DataType:
    answer = (
        [("value", pa.float64()), ("range", pa.list_(pa.float64())), ("unit", pa.string())]
        if quantity
        else [("label", pa.string()), ("unsure", pa.bool_())]
    )
    probabilities = pa.struct([(label, pa.float64()) for label in labels])
    return pa.struct([*answer, ("probabilities", probabilities)])


def schema_of(engine: Engine) -> pa.Schema:
    face = [
        ("box", pa.struct([(key, pa.int32()) for key in ("x", "y", "width", "height")])),
        ("neighbors", pa.int32()),
    ]
    if "detector" in engine.models:
        face += [("score", pa.float64()), ("landmarks", pa.list_(pa.list_(pa.float64())))]
    face += [
        (head, _reading(engine.labels(head), engine.answers_quantity(head)))
        for head in HEADS
        if engine.labels(head)
    ]
    return pa.schema(
        [
            ("schema", pa.int32()),
            ("source", pa.string()),
            ("error", pa.string()),
            ("width", pa.int32()),
            ("height", pa.int32()),
            ("models", pa.struct([(key, pa.string()) for key in ("cascade", "detector", *HEADS)])),
            ("timing_ms", pa.struct([(key, pa.float64()) for key in TIMING_KEYS])),
            ("faces", pa.list_(pa.struct(face))),
            ("note", pa.string()),
        ]
    )
