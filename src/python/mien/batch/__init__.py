# SPDX-License-Identifier: MIT
"""Millions of images on many processors: `mien-batch INPUT OUTPUT` (docs/BATCH.md). Needs `pip install mien[batch]`.

plan.py      which images, in which parts: written down once, before the work
worker.py    one part: images in, a Parquet file out; runs on the workers
schema.py    the columns: those of `mien image --json`
__main__.py  the command: hands parts to a Dask cluster, shows progress, goes on after an interruption
"""
