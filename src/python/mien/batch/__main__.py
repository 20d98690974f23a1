# SPDX-License-Identifier: MIT
"""mien-batch INPUT OUTPUT: every image of a folder, archive or table, on the processors of this machine or of a Dask cluster."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Set

from .. import Engine, Error, __version__
from .._files import input_at
from ..engine import NETWORKS
from ..results import HEADS, SCHEMA

CONNECT_SECONDS = 10.0  # how long a scheduler may take to answer
EXIT_OUTPUT, EXIT_USAGE, EXIT_INPUT, EXIT_WEIGHTS, EXIT_INTERRUPTED = 1, 2, 3, 4, 130


def complain(text: str) -> None:
    print(f"mien-batch: {text}", file=sys.stderr)


def parse(arguments: Optional[List[str]]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="mien-batch",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        description="Annotates every image of a folder, a .tar, a .zip, or a table of paths (.parquet, .csv). OUTPUT becomes a folder of Parquet files "
        "with the columns of `mien image --json`; an image that cannot be read is a row with its error. The same command continues where it stopped.",
        epilog="Exit codes: 0 done, 1 output could not be written, 2 usage or no cluster, 3 done, but some images could not be read, 4 bad weights, "
        "130 interrupted.",
    )
    parser.add_argument("input", metavar="INPUT")
    parser.add_argument(
        "output",
        metavar="OUTPUT",
        help="a folder; with --cluster on a file system that all workers share, as INPUT",
    )
    parser.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="of a Dask scheduler, tcp://HOST:8786; without: processes of this machine",
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=os.cpu_count() or 1,
        metavar="N",
        help="processes of this machine",
    )
    parser.add_argument(
        "--part-size",
        type=int,
        default=500,
        metavar="N",
        help="images per file, and what a killed worker repeats",
    )
    parser.add_argument(
        "--column",
        default="path",
        help="of a table: where the paths are (relative ones are relative to the table)",
    )
    parser.add_argument(
        "--emotion",
        metavar="FILE-or-NAME",
        help="weights for the expression; in the package: " + ", ".join(NETWORKS["emotion"]),
    )
    for head in HEADS[1:]:
        parser.add_argument(f"--no-{head}", action="store_true", help=f"leave out the {head}")
    parser.add_argument(
        "--min-confidence",
        type=float,
        metavar="P",
        help="an answer less probable than this is unsure, 0 to 1; 0: none is",
    )
    parser.add_argument(
        "--detector",
        choices=("net", "haar"),
        help="a network (default), or OpenCV's cascade (default with an option of Haar's)",
    )
    parser.add_argument(
        "--min-score", type=float, default=0, help="network: lowest score of a face; 0: its own"
    )
    parser.add_argument(
        "--scale-factor", type=float, help="Haar: from one size of faces to the next (1.3)"
    )
    parser.add_argument(
        "--min-neighbors", type=int, help="Haar: windows that must agree on a face (5)"
    )
    parser.add_argument("--min-size", type=int, default=0, help="smallest face in pixels")
    parser.add_argument(
        "--detect-width",
        type=int,
        default=0,
        help="search in images shrunk to this width; 0: never",
    )
    parser.add_argument("--json", action="store_true", help="the summary as one JSON object")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress")
    parser.add_argument("--version", action="version", version=f"mien {__version__}")
    options = parser.parse_args(arguments)
    if options.workers < 1 or options.part_size < 1:
        parser.error("--workers and --part-size must be at least 1")
    return options


class Progress:
    """On a terminal a line that is updated, elsewhere a line every ten seconds."""

    def __init__(self, total: int, done: int, quiet: bool) -> None:
        self.total, self.before, self.done, self.errors, self.quiet = total, done, done, 0, quiet
        self.start = self.last = time.monotonic()
        self.tty = sys.stderr.isatty()

    def rate(self) -> float:
        return (self.done - self.before) / max(time.monotonic() - self.start, 1e-9)

    def show(self, last: bool = False) -> None:
        now = time.monotonic()
        if self.quiet or not (last or now - self.last >= (0.2 if self.tty else 10)):
            return
        self.last = now
        rate = self.rate()
        left = f", {(self.total - self.done) / rate:.0f} s left" if rate > 0 and not last else ""
        text = f"{self.done} of {self.total} images, {rate:.0f}/s{left}, {self.errors} unreadable"
        sys.stderr.write(f"\r\033[K{text}" + ("\n" if last else "") if self.tty else text + "\n")
        sys.stderr.flush()


def open_run(options: argparse.Namespace) -> Any:
    """The run of OUTPUT: planned now, or found there."""
    from . import plan

    output = Path(options.output)
    emotion = (
        True
        if options.emotion is None
        else (
            options.emotion
            if options.emotion in NETWORKS["emotion"]
            else os.path.abspath(options.emotion)
        )
    )
    engine_options: Dict[str, Any] = {
        "emotion": emotion,
        **{head: not getattr(options, f"no_{head}") for head in HEADS[1:]},
        "min_confidence": options.min_confidence,
        "detector": options.detector,
        "min_score": options.min_score,
        "scale_factor": options.scale_factor,
        "min_neighbors": options.min_neighbors,
        "min_size": options.min_size,
        "detect_width": options.detect_width,
    }
    weights = Engine(
        **engine_options
    ).fingerprint  # wrong options and weights are found here, not on a worker
    output.mkdir(parents=True, exist_ok=True)
    for own in plan.own_files(output):
        if read := input_at(own, [options.input, options.emotion]):
            raise plan.InputError(f"{read}: is read, and would be overwritten; take another folder")
    run = plan.read_run(output)
    if run is None:
        if any(output.glob("part-*.parquet")):
            raise plan.InputError(f"{output}: holds parts of something else, but no {plan.RUN}")
        left = plan.LeftOut()
        run = plan.make_plan(
            options.input, output, options.part_size, engine_options, options.column, weights, left
        )
        if left.counts and not options.quiet:
            complain(f"{options.input}: {left}")
        return run
    if run.input != os.path.abspath(options.input):
        raise plan.InputError(f"{output}: was begun for {run.input}; take another folder")
    for name, value in engine_options.items():
        if run.options.get(name) != value:
            raise plan.InputError(
                f"{output}: was begun with {name} = {run.options.get(name)}, not {value}; take another folder"
            )
    if run.version != __version__:
        raise plan.InputError(f"{output}: was begun by mien {run.version}; take another folder")
    if run.weights != weights:
        raise plan.InputError(f"{output}: was begun with other weights; take another folder")
    return run


def connect(options: argparse.Namespace) -> Any:
    from distributed import Client, LocalCluster

    if options.cluster:
        return None, Client(options.cluster, timeout=CONNECT_SECONDS)
    cluster = LocalCluster(
        n_workers=options.workers,
        threads_per_worker=1,
        processes=True,
        dashboard_address=None,
        memory_limit=0,
        silence_logs=logging.CRITICAL,
    )
    return cluster, Client(cluster)


class Workers:
    """How many there are. Processes of this machine whose keeper has given up (killed while they started, say) are replaced."""

    PATIENCE = 15.0  # seconds, in which Dask's own keeper may start it again

    def __init__(self, client: Any, cluster: Any, wanted: int) -> None:
        self.client, self.cluster, self.wanted = client, cluster, wanted
        self.slots, self.looked, self.complete, self.told = 0, 0.0, time.monotonic(), False

    def look(self) -> int:
        """Parts that may be handed out at a time: two a thread, so that none waits for the command."""
        now = time.monotonic()
        if now - self.looked < 2:
            return self.slots
        threads = self.client.nthreads()
        self.looked, self.slots = now, 2 * max(1, sum(threads.values()))
        missing = self.wanted - len(threads) if self.cluster is not None else int(not threads)
        if missing <= 0:
            self.complete, self.told = now, False
        elif now - self.complete > self.PATIENCE:
            self.complete = now
            if self.cluster is not None:
                self.cluster.scale(len(self.cluster.worker_spec) + missing)
            elif not self.told:
                self.told = True
                complain("the cluster has no worker: waiting for one")
        return self.slots


def process(
    client: Any, workers: Workers, output: Path, left: List[int], progress: Progress
) -> Iterator[Any]:
    """Gives each part's Done. Only a few parts a worker are handed out at a time, so memory does not grow with the input."""
    from distributed import KilledWorker, TimeoutError, wait

    from .worker import annotate_part, annotate_part_carefully

    where = str(output.resolve())
    waiting = iter(left)
    running: Dict[Any, int] = {}  # future: part
    careful: Set[int] = set()
    while True:
        slots = workers.look()
        while len(running) < slots and (part := next(waiting, None)) is not None:
            running[client.submit(annotate_part, where, part, pure=False, retries=2)] = part
        if not running:
            return
        try:
            finished = wait(list(running), timeout=2, return_when="FIRST_COMPLETED").done
        except TimeoutError:
            progress.show()
            continue
        for future in finished:
            part = running.pop(future)
            error = future.exception() if future.status == "error" else None
            if error is None:
                yield future.result()
            elif isinstance(error, KilledWorker) and part not in careful:
                careful.add(part)
                running[
                    client.submit(annotate_part_carefully, where, part, pure=False, retries=2)
                ] = part
            else:
                raise error
        progress.show()


def read_counts(output: Path, part: int) -> Dict[str, int]:
    import pyarrow.parquet as pq

    from .plan import part_path

    metadata = pq.read_metadata(part_path(output, part))
    return {"pictures": metadata.num_rows, **json.loads(metadata.metadata[b"mien"])}


def main(arguments: Optional[List[str]] = None) -> int:
    options = parse(arguments)
    try:
        import distributed  # noqa: F401
        import pyarrow  # noqa: F401
    except ImportError as error:
        complain(f"{error.name} is missing: pip install 'mien[batch]'")
        return EXIT_USAGE
    from . import plan, worker

    output = Path(options.output)
    try:
        run = open_run(options)
    except plan.InputError as error:
        complain(str(error))
        return EXIT_USAGE
    except Error as error:
        complain(str(error))
        return EXIT_WEIGHTS
    except ValueError as error:
        complain(str(error))
        return EXIT_USAGE
    except OSError as error:
        complain(f"{error.filename or output}: {error.strerror or error}")
        return EXIT_OUTPUT

    for stale in output.glob(".part-*.tmp"):
        stale.unlink(missing_ok=True)
    present = {int(path.name[5:-8]) for path in output.glob("part-*.parquet")}
    counts = {"pictures": 0, "errors": 0, "faces": 0}
    for part in sorted(present):
        for key, value in read_counts(output, part).items():
            counts[key] += value
    left = [part for part in range(run.parts) if part not in present]
    before = counts["pictures"]
    if present and not options.quiet:
        print(f"continuing: {before} of {run.pictures} images are done", file=sys.stderr)

    progress = Progress(run.pictures, before, options.quiet)
    progress.errors = counts["errors"]
    if left:
        cluster = client = None
        try:
            cluster, client = connect(options)
            for complaint in client.run(worker.check, str(output.resolve()), __version__).values():
                if complaint:
                    complain(complaint)
                    return EXIT_USAGE
            progress.start = time.monotonic()
            for done in process(
                client, Workers(client, cluster, options.workers), output, left, progress
            ):
                counts["pictures"] += done.pictures
                counts["errors"] += done.errors
                counts["faces"] += done.faces
                progress.done, progress.errors = counts["pictures"], counts["errors"]
        except KeyboardInterrupt:
            complain(
                f"interrupted at {counts['pictures']} of {run.pictures} images; the same command continues from there"
            )
            return EXIT_INTERRUPTED
        except OSError as error:
            if client is None:
                complain(f"{options.cluster}: no Dask scheduler answers there")
                return EXIT_USAGE
            complain(f"{error.filename or output}: {error.strerror or error}")
            return EXIT_OUTPUT
        except ValueError as error:
            complain(f"{options.cluster or output}: {error}")
            return EXIT_USAGE
        finally:
            if client is not None:
                client.close()
            if cluster is not None:
                cluster.close()
    progress.show(last=True)

    if counts["pictures"] != run.pictures:  # should never happen, but must not go unreported
        complain(f"{output}: holds {counts['pictures']} rows for {run.pictures} images")
        return EXIT_OUTPUT
    seconds = time.monotonic() - progress.start
    if options.json:
        print(
            json.dumps(
                {
                    "schema": SCHEMA,
                    "output": str(output),
                    **counts,
                    "done_before": before,
                    "seconds": round(seconds, 3),
                    "per_second": round((run.pictures - before) / max(seconds, 1e-9), 1),
                }
            )
        )
    else:
        print(
            f"{output}: {counts['pictures']} images, {counts['faces']} faces, {counts['errors']} unreadable, {seconds:.1f} s"
        )
    return EXIT_INPUT if counts["errors"] else 0


if __name__ == "__main__":
    sys.exit(main())
