# SPDX-License-Identifier: MIT
"""Millions of pictures on many processors: `mien-batch INPUT OUTPUT` (docs/BATCH.md). Needs `pip install mien[batch]`.

    plan.py      which pictures, in which parts: written down once, before the work
    worker.py    one part: pictures in, a Parquet file out; runs on the workers
    schema.py    the columns: those of `mien image --json`
    __main__.py  the command: hands parts to a Dask cluster, shows progress, goes on after an interruption
"""
