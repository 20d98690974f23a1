#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What does mien cost in a browser, beside the native program and beside a peer that runs there too?

    build/page-venv/bin/python bench/web/bench.py [--peer] [--rounds 30] [--json]

Wants `make web` and `make`, Node, and for the browser Chromium and the Python packages playwright and pillow (tests/page_venv.sh). --peer installs
@vladmandic/face-api from npm into build/web-peer (330 MB, once) and measures it in the same runs. Prints tables in Markdown: bytes that a visitor loads; start-up;
milliseconds of a 640x480 photo with one face and of a face, in Node, in headless Chromium and native; and images per second of the live page. Everything runs on one
thread. Minima say what the code costs, medians what the machine gave.
"""
from __future__ import annotations

import argparse
import functools
import gzip
import http.server
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PHOTO = ROOT / "tests" / "data" / "photos" / "astronaut.jpg"
WIDTH, HEIGHT = 640, 480
PEER = ROOT / "build" / "web-peer"
PEER_PACKAGES = [
    "@vladmandic/face-api@1.7.15",
    "@tensorflow/tfjs@4.22.0",
    "@tensorflow/tfjs-backend-wasm@4.22.0",
]
API = PEER / "node_modules" / "@vladmandic" / "face-api"
TF_WASM = PEER / "node_modules" / "@tensorflow" / "tfjs-backend-wasm" / "dist"
# What a page has to load for the same work: the library with TensorFlow.js inside, its module, the small detector, the expression network.
PEER_FILES = [
    API / "dist" / "face-api.esm.js",
    TF_WASM / "tfjs-backend-wasm-simd.wasm",
    *(
        API / "model" / f"{net}{part}"
        for net in ("tiny_face_detector_model", "face_expression_model")
        for part in (".bin", "-weights_manifest.json")
    ),
]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def packed(files: list[Path]) -> tuple[int, int, int | None]:
    """Bytes as they are, gzipped, and with brotli where there is one."""
    contents = [file.read_bytes() for file in files]
    brotli = None
    if shutil.which("brotli"):
        brotli = sum(
            len(
                subprocess.run(
                    ["brotli", "-q", "11", "-c"], input=content, capture_output=True, check=True
                ).stdout
            )
            for content in contents
        )
    return (
        sum(map(len, contents)),
        sum(len(gzip.compress(content, 9)) for content in contents),
        brotli,
    )


def sizes(npm: Path, peer: bool) -> list[dict]:
    weights = sorted(npm.glob("*.mien"))
    rows = [
        (file.name, [file])
        for file in (npm / "mien-simd.wasm", npm / "mien.wasm", npm / "mien.js", *weights)
    ]
    rows.append(("a visit, with vectors", [npm / "mien-simd.wasm", npm / "mien.js", *weights]))
    rows.append(("a visit, without", [npm / "mien.wasm", npm / "mien.js", *weights]))
    if peer:
        rows.append(("a visit to the peer", PEER_FILES))
    return [
        dict(zip(("file", "bytes", "gzip", "brotli"), (name, *packed(files))))
        for name, files in rows
    ]


def pictures(folder: Path, mien: str) -> list[str]:
    """The frame and its face: frame.rgba, frame.png, face.rgba; the sizes as node.mjs wants them."""
    from PIL import Image, ImageOps

    frame = ImageOps.fit(Image.open(PHOTO).convert("RGB"), (WIDTH, HEIGHT), centering=(0.5, 0.2))
    frame.save(folder / "frame.png")
    (folder / "frame.rgba").write_bytes(frame.convert("RGBA").tobytes())
    found = json.loads(
        subprocess.run(
            [mien, "image", str(folder / "frame.png"), "--json", "--detector", "haar"],
            capture_output=True,
            check=True,
        ).stdout
    )
    box = found["faces"][0]["box"]
    face = frame.crop((box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"]))
    (folder / "face.rgba").write_bytes(face.convert("RGBA").tobytes())
    return [str(WIDTH), str(HEIGHT), str(box["width"]), str(box["height"])]


def native(folder: Path, mien: str, rounds: int) -> list[dict]:
    rows = []
    for isa, name in (
        ("best", "native, best of this processor"),
        ("sse41", "native, vectors as wide"),
        ("scalar", "native, plain C++"),
    ):
        done = subprocess.run(
            [
                mien,
                "bench",
                str(folder / "frame.png"),
                "--json",
                "--detector",
                "haar",
                "--isa",
                isa,
                "--repeat",
                str(rounds),
            ],
            capture_output=True,
        )
        if done.returncode != 0:
            continue
        result = json.loads(done.stdout)
        ms, add = result["ms"], lambda *steps: {
            k: sum(ms[step][k] for step in steps) for k in ("min", "median")
        }  # noqa: E731
        rows.append(
            {
                "name": f"{name} ({result['isa']})",
                "faces": result["faces"],
                "ms": {
                    "process": add("total"),
                    "detect": add("gray", "detect"),
                    "read": add("crop_per_face", "emotion_per_face"),
                    "readAll": add("crop_per_face", "emotion_per_face", "gender_per_face"),
                },
            }
        )
    return rows


class Quiet(http.server.SimpleHTTPRequestHandler):
    extensions_map = {
        **http.server.SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
    }

    def log_message(self, *_):
        pass


def browser(
    web: Path, folder: Path, shape: list[str], rounds: int, peer: bool
) -> tuple[list[dict], dict]:
    """measure.mjs in a page of Chromium, then the live page."""
    from playwright.sync_api import sync_playwright

    site = folder / "site"
    shutil.copytree(web, site)
    for file in (
        HERE / "measure.mjs",
        folder / "frame.rgba",
        folder / "face.rgba",
        *(PEER_FILES if peer else []),
    ):
        shutil.copy(file, site)
    (site / "empty.html").write_text("<!doctype html><title>empty</title>")
    camera = folder / "face.mjpeg"
    from PIL import Image

    Image.open(folder / "frame.png").save(folder / "frame.jpg", quality=90)
    camera.write_bytes((folder / "frame.jpg").read_bytes() * 4)
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(site))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-video-capture={camera}",
            ],
        )
        page = chromium.new_page()
        page.goto(address + "empty.html")
        rows = page.evaluate(
            """async ([width, height, faceWidth, faceHeight, rounds, peer]) => {
            const {measure, mien, faceApi} = await import('/measure.mjs'), {load} = await import('/mien.js');
            const picture = async (path, w, h) => ({data: new Uint8ClampedArray(await (await fetch(path)).arrayBuffer()), width: +w, height: +h});
            const contenders = [mien(load, true), mien(load, false)];
            if (peer) contenders.push(faceApi(await import('/face-api.esm.js'), 'wasm', async tf => tf.setWasmPaths('/'), net => net.loadFromUri('/')));
            return measure(contenders, await picture('frame.rgba', width, height), await picture('face.rgba', faceWidth, faceHeight), rounds); }""",
            [*shape, rounds, peer],
        )
        page.close()
        page = chromium.new_context(permissions=["camera"]).new_page()
        page.goto(address)
        page.locator("#camera").click()
        page.locator("#live-bars .bars").wait_for(timeout=20000)
        time.sleep(3)
        start, before = time.monotonic(), int(page.evaluate("() => document.body.dataset.frames"))
        time.sleep(10)
        count, seconds = (
            int(page.evaluate("() => document.body.dataset.frames")) - before,
            time.monotonic() - start,
        )
        live = {
            "pictures_per_second": count / seconds,
            **{
                k: float(page.evaluate(f"() => document.body.dataset.{k}"))
                for k in ("latency", "startup")
            },
            "size": page.evaluate(
                "() => document.getElementById('video').videoWidth + ' x ' + document.getElementById('video').videoHeight"
            ),
        }
        chromium.close()
    server.shutdown()
    return rows, live


def install_peer() -> None:
    if all(file.exists() for file in PEER_FILES):
        return
    PEER.mkdir(parents=True, exist_ok=True)
    (PEER / "package.json").write_text('{"private": true}\n')
    print("installing the peer into", PEER, file=sys.stderr)
    subprocess.run(
        [
            "npm",
            "install",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--silent",
            *PEER_PACKAGES,
        ],
        cwd=PEER,
        check=True,
    )


def table(places: dict[str, list[dict]]) -> str:
    lines = [
        "| | 640x480 frame, all | detection alone | expression of a face | both networks on a face | load() | first result |",
        "| --- | " + "---: | " * 6,
    ]
    for place, rows in places.items():
        for row in rows:
            cell = lambda what: (
                "{min:.2f} ({median:.2f})".format(**row["ms"][what]) if what in row["ms"] else ""
            )  # noqa: E731
            start = [f"{row[k]:.0f}" if k in row else "" for k in ("load", "first")]
            lines.append(
                f"| {place}{row['name']} | "
                + " | ".join(
                    [cell("process"), cell("detect"), cell("read"), cell("readAll"), *start]
                )
                + " |"
            )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peer", action="store_true", help="measure @vladmandic/face-api as well")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument(
        "--mien", default=str(ROOT / "build/release/mien"), help="the native program"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    options = parser.parse_args()
    npm, web = ROOT / "build/npm", ROOT / "build/web"
    for path, how in (
        (npm / "mien.js", "make web"),
        (web / "index.html", "make web"),
        (Path(options.mien), "make"),
    ):
        if not path.exists():
            print(f"bench: {path} is missing; run: {how}", file=sys.stderr)
            return 3
    try:
        import PIL  # noqa: F401
    except ImportError:
        print(
            "bench: the Python package pillow is missing; tests/page_venv.sh makes an environment that has it",
            file=sys.stderr,
        )
        return 3
    if options.peer:
        install_peer()
    out: dict = {
        "sizes": sizes(npm, options.peer),
        "rounds": options.rounds,
        "load_average": os.getloadavg()[0],
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shape = pictures(folder, options.mien)
        done = subprocess.run(
            [
                "node",
                str(HERE / "node.mjs"),
                str(npm),
                str(folder / "frame.rgba"),
                *shape[:2],
                str(folder / "face.rgba"),
                *shape[2:],
                str(options.rounds),
                *([str(PEER)] if options.peer else []),
            ],
            capture_output=True,
            check=True,
            text=True,
        )
        version = (
            subprocess.run(["node", "--version"], capture_output=True, check=True, text=True)
            .stdout.strip()
            .lstrip("v")
            .split(".")[0]
        )
        places = {f"Node {version}: ": json.loads(done.stdout.splitlines()[-1])}
        try:
            import playwright  # noqa: F401

            if CHROMIUM is None:
                raise ImportError
            places["Chromium: "], out["live"] = browser(
                web, folder, shape, options.rounds, options.peer
            )
        except ImportError:
            print(
                "skipped in Chromium: it, or the Python package playwright, is not installed",
                file=sys.stderr,
            )
        places[""] = native(folder, options.mien, options.rounds)
    out["places"] = places
    faces = {row["name"]: row["faces"] for rows in places.values() for row in rows}
    if options.json:
        print(json.dumps(out))
        return 0
    print("| file | bytes | gzip | brotli |\n| --- | ---: | ---: | ---: |")
    for row in out["sizes"]:
        print(
            f"| {row['file']} | "
            + " | ".join(
                f"{row[k]:,}".replace(",", " ") if row[k] else ""
                for k in ("bytes", "gzip", "brotli")
            )
            + " |"
        )
    print(
        f"\nMilliseconds: the least of {options.rounds} (median); load average {out['load_average']:.1f} on {os.cpu_count()} processors.\n"
    )
    print(table(places))
    print("\nfaces found:", ", ".join(f"{name}: {count}" for name, count in faces.items()))
    if options.peer:
        for place, rows in places.items():
            if rows[-1]["name"].startswith("face-api"):
                ratios = [
                    f"{text} {rows[-1]['ms'][what]['min'] / rows[0]['ms'][what]['min']:.1f} (medians {rows[-1]['ms'][what]['median'] / rows[0]['ms'][what]['median']:.1f})"
                    for what, text in (
                        ("process", "frame"),
                        ("detect", "detection"),
                        ("read", "expression"),
                    )
                ]
                print(
                    f"{place}the peer takes so many times as long as mien with vectors: "
                    + ", ".join(ratios)
                )
    if "live" in out:
        print(
            "live page in Chromium, webcam {size}: {pictures_per_second:.1f} images per second, {latency:.0f} ms from image to result, ready {startup:.0f} ms after the start".format(
                **out["live"]
            )
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
