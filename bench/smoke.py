#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Does the bench run, and does it say what it promises? Few rounds of small cases; no time is looked at."""
from __future__ import annotations

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bench", required=True)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder, "bench.json")
        run = subprocess.run([args.bench, "--quick", "--out", out], capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        data = json.loads(out.read_text())
        for part in ("peak", "net", "detect", "frame", "growth", "threads"):
            assert data[part], part
            assert part in run.stdout.lower() or part in ("net", "peak", "detect"), part
        for model in data["net"]["models"]:
            assert model["macs"] > 1e6
            for entry in model["isas"]:
                assert (
                    sum(layer["macs"] for layer in entry["layers"]) == model["macs"]
                ), "layers and whole disagree"
        assert json.loads(
            subprocess.run(
                [args.bench, "peak", "--quick", "--json"],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )["peak"]
        bad = subprocess.run([args.bench, "nonsense"], capture_output=True, text=True)
        assert bad.returncode != 0 and "nonsense" in bad.stderr, bad.stderr
        try:
            import matplotlib  # noqa: F401
        except ImportError:
            print("plots: skipped, no matplotlib")
        else:
            plots = subprocess.run(
                [
                    sys.executable,
                    pathlib.Path(__file__).with_name("plot.py"),
                    "--bench",
                    out,
                    "--out",
                    folder,
                ],
                capture_output=True,
                text=True,
            )
            assert plots.returncode == 0 and "growth" in plots.stdout, plots.stderr
    print("the bench runs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
