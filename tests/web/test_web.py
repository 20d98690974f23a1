#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Is mien in a browser the native engine? The same pixels through libmien.so, Node and headless Chromium, bit for bit; bad input; and the
page as a folder: photos, a webcam, without vectors, without a network, with files cut short.

  test_web.py --library LIBMIEN.SO --npm build/npm --web build/web --counted MIEN-WEB-COUNTED.WASM [--mien PROGRAM]

The example and the content security policy of docs/BROWSER.md are taken from there and tried as they stand.
"""
from __future__ import annotations

import argparse
import base64
import ctypes
import functools
import http.server
import json
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from pathlib import Path

HERE = Path(__file__).resolve().parent
PHOTOS = HERE.parent / "data" / "photos"
WEIGHTS = HERE.parent.parent / "weights"
POLICY = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'"


# include/mien/mien.h; any structure may be shorter than the library's.
def int32s(*names: str) -> list[tuple]:
    return [(name, ctypes.c_int32) for name in names]


class Config(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        ("isa", ctypes.c_uint32),
        ("scale_factor", ctypes.c_double),
        *int32s(
            "min_neighbors",
            "min_size",
            "max_size",
            "max_width",
            "max_height",
            "detect_width",
            "max_faces",
            "max_candidates",
            "class_maps",
            "threads",
        ),
        ("run_context", ctypes.c_void_p),
        ("run", ctypes.c_void_p),
        ("clock_ns", ctypes.c_void_p),
    ]


class File(ctypes.Structure):
    _fields_ = [("data", ctypes.c_char_p), ("bytes", ctypes.c_size_t)]


class Weights(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        ("cascade", File),
        ("heads", File * 8),
        ("detector", File),
    ]


class Frame(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        ("format", ctypes.c_uint32),
        ("data", ctypes.c_char_p),
        *int32s("width", "height"),
        ("stride", ctypes.c_ssize_t),
    ]


class Face(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        *int32s("x", "y", "width", "height", "neighbors"),
        ("score", ctypes.c_uint32),
        ("landmark_count", ctypes.c_uint32),
        ("landmarks", ctypes.c_uint32 * 10),
    ]  # bits, not numbers


class Reading(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        ("count", ctypes.c_uint32),
        ("probabilities", ctypes.POINTER(ctypes.c_uint32)),
        ("map", ctypes.c_void_p),
        ("map_width", ctypes.c_uint32),
        ("map_height", ctypes.c_uint32),
        *int32s("unsure", "has_value"),
        ("value", ctypes.c_uint32),
        ("low", ctypes.c_uint32),
        ("high", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
    ]  # bits, not numbers


class Native:
    """The engine of libmien.so for the weights of this repository, with one of its detectors."""

    def __init__(self, library: Path, net: bool = False, largest: int = 4096):
        self.net = net
        self.mien = ctypes.CDLL(str(library.resolve()))
        self.mien.mien_required_bytes.restype = ctypes.c_size_t
        self.mien.mien_head_name.restype = ctypes.c_char_p
        config, weights = Config(), Weights()
        self.size("mien_config_init_sized", config)
        self.size("mien_weights_init_sized", weights)
        config.max_width = config.max_height = largest
        name = "detector.mien" if net else "haarcascade_frontalface_default.mien"
        detector = (WEIGHTS / name).read_bytes()
        if net:
            weights.detector = File(detector, len(detector))
        else:
            weights.cascade = File(detector, len(detector))
        self.heads = []
        while name := self.mien.mien_head_name(len(self.heads)).decode():
            if (file := WEIGHTS / (name + ".mien")).exists():
                network = file.read_bytes()
                weights.heads[len(self.heads)] = File(network, len(network))
            self.heads.append(name)
        views = ctypes.byref(config), ctypes.byref(weights)
        size = self.mien.mien_required_bytes(*views)
        self.weights, self.memory = weights, ctypes.create_string_buffer(size)
        self.engine = ctypes.c_void_p()
        assert (
            self.mien.mien_create(
                *views, self.memory, ctypes.c_size_t(size), ctypes.byref(self.engine)
            )
            == 0
        )

    def size(self, call: str, value: ctypes.Structure, *before) -> None:
        getattr(self.mien, call)(
            *before, ctypes.byref(value), ctypes.c_size_t(ctypes.sizeof(value))
        )

    def process(self, width: int, height: int, form: int, data: bytes) -> list[list]:
        """x, y, width, height, neighbors, of the network the bits of score and landmarks, and those
        of each head's probabilities."""
        frame, count = Frame(), ctypes.c_size_t()
        self.size("mien_frame_init_sized", frame)
        frame.format, frame.data, frame.stride = form, data, len(data) // height
        frame.width, frame.height = width, height
        assert self.mien.mien_process(self.engine, ctypes.byref(frame), ctypes.byref(count)) == 0
        out = []
        for i in range(count.value):
            face, reading = Face(), Reading()
            index = ctypes.c_size_t(i)
            self.size("mien_face_at_sized", face, self.engine, index)
            out.append([face.x, face.y, face.width, face.height, face.neighbors])
            if self.net:
                out[-1] += [face.score, list(face.landmarks)]
            for head in range(len(self.heads)):
                self.size("mien_reading_at_sized", reading, self.engine, index, head)
                out[-1].append(
                    [
                        reading.probabilities[: reading.count],
                        reading.unsure,
                        [reading.value, reading.low, reading.high] if reading.has_value else [],
                    ]
                )
        return out


def golden(library: Path) -> list[dict]:
    from PIL import Image

    native = Native(library)
    images = []
    for path in sorted(PHOTOS.glob("*.jpg")):
        image = Image.open(path).convert("RGBA")
        small = image.resize((image.width * 5 // 8, image.height * 5 // 8 + 1))
        for name, one in ((path.name, image), ("smaller " + path.name, small)):
            images.append((name, one, 3))
            images.append(("gray " + name, one.convert("L"), 0))
            images.append(("rgb " + name, one.convert("RGB"), 1))
    # The file that every writer of faces is held to; this PNG has the same pixels for all.
    written = json.loads((HERE.parent / "golden" / "faces.json").read_text())
    images.append((written["photo"], Image.open(PHOTOS / written["photo"]).convert("RGB"), 1))
    smaller = [image for name, image, _ in images if name.startswith("smaller")]
    net = Native(library, True, max(max(image.size) for image in smaller))
    out = []
    for name, image, form in images:
        data = image.tobytes()
        out.append(
            {
                "name": name,
                "width": image.width,
                "height": image.height,
                "format": form,
                "data": base64.b64encode(data).decode(),
                "heads": native.heads,
                "faces": native.process(image.width, image.height, form, data),
            }
        )
        if name.startswith("smaller"):
            out[-1]["net"] = net.process(image.width, image.height, form, data)
    out[-1]["json"] = written["haar"]
    out.sort(key=lambda p: -len(p["faces"]))
    return out


class Handler(http.server.SimpleHTTPRequestHandler):
    broken: set[str] = set()  # paths that are sent cut short
    policy = POLICY
    extensions_map = {
        **http.server.SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
    }

    def end_headers(self):
        if self.policy:
            self.send_header("Content-Security-Policy", self.policy)
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def do_GET(self):
        if self.path.split("?")[0].lstrip("/") in self.broken:
            body = Path(self.translate_path(self.path)).read_bytes()
            body = body[: len(body) // 2]
            self.send_response(200)
            self.send_header("Content-Type", self.guess_type(self.path))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        super().do_GET()

    def log_message(self, *_):
        pass


def serve(folder: Path) -> tuple[http.server.ThreadingHTTPServer, str]:
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_port}/"


def no_pixels(folder: Path) -> list[Path]:
    """Images of 0 by 0: an empty file, a PNG whose header says so, an SVG."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
        )

    png = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", bytes(8) + bytes([8, 2, 0, 0, 0]))
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )
    files = {
        "empty.png": b"",
        "zero.png": png,
        "zero.svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="0" height="0"/>',
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in files]


def documented() -> tuple[str, str]:
    """The example page and the policy in docs/BROWSER.md."""
    text = (HERE.parents[1] / "docs" / "BROWSER.md").read_text()
    return (
        re.search(r"```html\n(.*?)```", text, re.S)[1],
        re.search(r"```http\nContent-Security-Policy: (.*?)\n```", text, re.S)[1],
    )


def documented_tests(browser, expect, site: Path, address: str) -> None:
    """The example as it stands; its script in a file of its own under the policy; and that nothing of the policy can be left out."""
    example, policy = documented()
    script = re.search(r'<script type="module">(.*?)</script>', example, re.S)
    (site / "example.html").write_text(example)
    (site / "faces.js").write_text(script[1])
    (site / "example_csp.html").write_text(
        example.replace(script[0], '<script type="module" src="faces.js"></script>')
    )
    parts = policy.split("; ")
    weaker = [
        "; ".join(part.replace(" 'wasm-unsafe-eval'", "") for part in parts),
        "; ".join(part for part in parts if not part.startswith("connect-src")),
    ]
    assert len(script[1].strip().splitlines()) <= 12, "the example has grown"
    assert all(p != policy for p in weaker), policy
    context = browser.new_context(permissions=["camera"])
    for file, sent, works in (
        ("example.html", None, True),
        ("example_csp.html", policy, True),
        *(("example_csp.html", p, False) for p in weaker),
    ):
        Handler.policy = sent
        page, failed = context.new_page(), []
        page.on("pageerror", lambda error: failed.append(str(error)))
        page.on(
            "console",
            lambda message: failed.append(message.text) if message.type == "error" else None,
        )
        page.goto(address + file)
        if works:
            expect(page.locator("#faces")).to_have_text(
                re.compile(r"^\w+ at \d+, \d+$"), timeout=20000
            )
            assert failed == [], failed
        else:
            page.wait_for_timeout(1000)
            assert page.locator("#faces").inner_text() == "" and failed, f"works under {sent}"
            if "wasm-unsafe-eval" not in sent:
                assert any(
                    "forbids WebAssembly; it needs script-src" in text for text in failed
                ), failed
        page.close()
    Handler.policy = POLICY
    context.close()
    print("the example of docs/BROWSER.md: works, and under its policy")


def browser_tests(arguments: argparse.Namespace, folder: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    try:
        from playwright.sync_api import expect, sync_playwright
    except ImportError:
        print("skipped in Chromium: the Python package playwright is not installed")
        return
    if chromium is None:
        print("skipped in Chromium: it is not installed")
        return
    site = folder / "site"
    shutil.copytree(arguments.web, site)
    for file in ("cases.mjs",):
        shutil.copy(HERE / file, site)
    shutil.copy(folder / "golden.json", site)
    (site / "worker.js").write_text(
        "import * as mien from './mien.js'; import {run, unpack} from './cases.mjs';\n"
        "run(mien, unpack(await (await fetch('golden.json')).text())).then(log => postMessage({log}), error => postMessage({error: error.message}));\n"
    )
    (site / "empty.html").write_text("<!doctype html><title>empty</title>")
    camera = folder / "face.mjpeg"
    camera.write_bytes((PHOTOS / "astronaut.jpg").read_bytes() * 4)
    server, address = serve(site)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=[
                "--no-sandbox",
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-video-capture={camera}",
            ],
        )
        # The engine itself: in a page, in a worker; from a canvas and from a VideoFrame.
        page = browser.new_page()
        page.goto(address + "empty.html")
        for where, script in (
            (
                "page",
                """async () => { const mien = await import('/mien.js'), {run, unpack} = await import('/cases.mjs');
                return run(mien, unpack(await (await fetch('golden.json')).text())); }""",
            ),
            (
                "worker",
                """() => new Promise((done, fail) => { const worker = new Worker('worker.js', {type: 'module'});
                worker.onerror = event => fail(new Error(event.message)); worker.onmessage = ({data}) => data.error ? fail(new Error(data.error)) : done(data.log); })""",
            ),
        ):
            for line in page.evaluate(script):
                print(f"Chromium, {where}: {line}", flush=True)
        same = page.evaluate(
            """async () => { const {load} = await import('/mien.js'), {unpack} = await import('/cases.mjs');
            const engine = await load(), picture = unpack(await (await fetch('golden.json')).text()).find(p => p.format === 3), text = () => JSON.stringify(faces);
            const data = new ImageData(new Uint8ClampedArray(picture.data), picture.width, picture.height);
            let faces = engine.process(data); const a = text();
            const canvas = new OffscreenCanvas(picture.width, picture.height); canvas.getContext('2d').putImageData(data, 0, 0);
            faces = engine.process(canvas); const b = text();
            const frame = new VideoFrame(picture.data, {format: 'RGBA', codedWidth: picture.width, codedHeight: picture.height, timestamp: 0});
            faces = await engine.processFrame(frame); const c = text(); frame.close();
            let closed = ''; try { await engine.processFrame(frame); } catch (error) { closed = error.message; }
            return [faces.length > 0, a === b, a === c, closed]; }"""
        )
        assert same[:3] == [True, True, True] and "closed" in same[3], same
        page.close()

        documented_tests(browser, expect, site, address)

        # The page as a folder.
        errors: list[str] = []

        def open_page(query: str = "", context=None, script: str = ""):
            page = (context or browser.new_context(permissions=["camera"])).new_page()
            page.on("pageerror", lambda error: errors.append(str(error)))
            if script:
                page.add_init_script(script)
            page.goto(address + query)
            return page

        page = open_page()
        expect(page.locator("#device-note")).to_contain_text("simd128", timeout=20000)
        print("start-up in the page:", page.evaluate("() => document.body.dataset.startup"), "ms")
        broken = folder / "broken.jpg"
        broken.write_bytes(b"nonsense")
        page.set_input_files("#files", [str(PHOTOS / "astronaut.jpg"), str(broken)])
        expect(page.locator("article .bars").first).to_be_visible(timeout=20000)
        expect(page.locator("article .error", has_text="not an image")).to_have_count(
            1, timeout=20000
        )
        with page.expect_download() as waiting:
            page.locator("article").first.get_by_role("button", name="Save the image").click()
        assert Path(waiting.value.path()).read_bytes()[:4] == b"\x89PNG"
        page.locator("#camera").click()
        expect(page.locator("#live-bars .bars")).to_be_visible(timeout=20000)
        page.wait_for_function("() => Number(document.body.dataset.frames) > 4", timeout=60000)
        memory = page.evaluate("() => document.body.dataset.memory")
        frames = int(page.evaluate("() => document.body.dataset.frames"))
        page.wait_for_function(
            f"() => Number(document.body.dataset.frames) > {frames + 8}", timeout=60000
        )
        assert (
            page.evaluate("() => document.body.dataset.memory") == memory
        ), "memory grows with the frames"
        print(
            "webcam on this device:",
            page.evaluate(
                "() => document.body.dataset.fps + ' pictures a second, ' + document.body.dataset.latency + ' ms each'"
            ),
        )
        page.evaluate(
            "() => document.getElementById('video').srcObject.getVideoTracks()[0].dispatchEvent(new Event('ended'))"
        )
        expect(page.locator("#camera-note")).to_contain_text("gone")
        expect(page.locator("#camera")).to_have_attribute("aria-pressed", "false")
        # The page lives: the webcam can be started again. Then its image has no size for a while.
        page.locator("#camera").click()
        expect(page.locator("#live-bars .bars")).to_be_visible(timeout=20000)
        page.evaluate(
            "() => Object.defineProperty(document.getElementById('video'), 'videoWidth', {get: () => 0, configurable: true})"
        )
        expect(page.locator("#camera-note")).to_contain_text("gives no image", timeout=20000)
        page.evaluate("() => { delete document.getElementById('video').videoWidth; }")
        expect(page.locator("#camera-note")).to_have_text("", timeout=20000)
        page.locator("#camera").click()
        # Images without pixels.
        for file in no_pixels(folder):
            page.set_input_files("#files", str(file))
            expect(page.locator(f'article[aria-label="{file.name}"] .error')).to_contain_text(
                "not an image", timeout=20000
            )
        page.set_input_files("#files", str(PHOTOS / "grace_hopper.jpg"))
        expect(page.locator('article[aria-label="grace_hopper.jpg"] .bars').first).to_be_visible(
            timeout=20000
        )
        # Offline after the first visit.
        page.evaluate("() => navigator.serviceWorker.ready.then(() => true)")
        page.context.set_offline(True)
        page.reload()
        expect(page.locator("#device-note")).to_contain_text("simd128", timeout=20000)
        page.set_input_files("#files", str(PHOTOS / "astronaut.jpg"))
        expect(page.locator("article .bars").first).to_be_visible(timeout=20000)
        page.context.close()

        # A browser that has no vectors, because it thinks the processor has none: the module without is chosen.
        if platform.machine() in ("x86_64", "AMD64"):
            old = playwright.chromium.launch(
                executable_path=chromium,
                args=[
                    "--no-sandbox",
                    "--js-flags=--no-enable-ssse3 --no-enable-sse4-1 --no-enable-avx",
                ],
            )
            page = open_page(context=old.new_context())
            expect(page.locator("#device-note")).to_contain_text("scalar", timeout=20000)
            page.set_input_files("#files", str(PHOTOS / "astronaut.jpg"))
            expect(page.locator("article .bars").first).to_be_visible(timeout=20000)
            old.close()
        # The cascade is loaded when it is asked for, in place of the network, and not before.
        context = browser.new_context(service_workers="block")
        page, asked = context.new_page(), []
        page.on("pageerror", lambda error: errors.append(str(error)))
        context.on("request", lambda request: asked.append(request.url.rsplit("/", 1)[-1]))
        page.goto(address)
        expect(page.locator("#device-note")).to_contain_text("simd128", timeout=20000)
        page.set_input_files("#files", str(PHOTOS / "astronaut.jpg"))
        expect(page.locator("article .bars").first).to_be_visible(timeout=20000)
        expect(page.locator(".face .figures")).to_contain_text(re.compile(r"score [789]\d"))
        cascade = "haarcascade_frontalface_default.mien"
        assert "detector.mien" in asked and cascade not in asked
        page.get_by_role("button", name="Remove all").click()
        page.locator("#net").uncheck()
        page.set_input_files("#files", str(PHOTOS / "astronaut.jpg"))
        expect(page.locator("article .bars").first).to_be_visible(timeout=20000)
        assert cascade in asked and page.locator(".face .figures").count() == 0
        context.close()
        page = open_page("?nosimd")
        expect(page.locator("#device-note")).to_contain_text("scalar", timeout=20000)
        page.context.close()

        page = open_page(script="delete globalThis.WebAssembly;")
        expect(page.locator("#device-note")).to_contain_text("no WebAssembly", timeout=20000)
        page.set_input_files("#files", str(PHOTOS / "astronaut.jpg"))
        expect(page.locator("article .error")).to_contain_text("no WebAssembly")
        page.context.close()

        for file, text in (
            ("emotion.mien", "cut short"),
            ("mien-simd.wasm", "cannot be used"),
            ("device-worker.js", "cannot be loaded"),
        ):
            Handler.broken = {file}
            context = browser.new_context(service_workers="block")
            page = open_page(context=context)
            expect(page.locator("#device-note")).to_contain_text(text, timeout=20000)
            Handler.broken = set()
            page.set_input_files(
                "#files", str(PHOTOS / "astronaut.jpg")
            )  # whole again: the page still lives
            expect(page.locator("article .bars").first).to_be_visible(timeout=20000)
            context.close()
        if arguments.mien:  # the switch of mien serve; once it is loaded, the service is not needed
            service = subprocess.Popen(
                [arguments.mien, "serve", "--listen", "127.0.0.1:0", "-q"], stderr=subprocess.PIPE
            )
            try:
                port = re.search(rb":(\d+)/", service.stderr.readline())[1].decode()
                page = browser.new_page()
                page.goto(f"http://127.0.0.1:{port}/")
                page.locator("#device").check()
                expect(page.locator("#device-note")).to_contain_text("simd128", timeout=20000)
                service.terminate()
                service.wait(20)
                page.set_input_files("#files", str(PHOTOS / "astronaut.jpg"))
                expect(page.locator("article .bars").first).to_be_visible(timeout=20000)
                print("the switch of mien serve, its service gone: works")
            finally:
                service.kill()
                service.wait()
        browser.close()
        assert errors == [], errors
    server.shutdown()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--library", type=Path, required=True)
    parser.add_argument("--npm", type=Path, required=True)
    parser.add_argument("--web", type=Path, required=True)
    parser.add_argument("--counted", type=Path, required=True, help="the module whose heap counts")
    parser.add_argument("--mien", help="the program, for the switch on its page")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "golden.json").write_text(json.dumps(golden(arguments.library)))
        subprocess.run(
            [
                "node",
                str(HERE / "node.mjs"),
                str(arguments.npm.resolve()),
                str(folder / "golden.json"),
            ],
            check=True,
        )
        subprocess.run(
            [
                "node",
                "--expose-gc",
                str(HERE / "allocation.mjs"),
                str(arguments.npm.resolve()),
                str(arguments.counted.resolve()),
                str(folder / "golden.json"),
            ],
            check=True,
        )
        browser_tests(arguments, folder)
    print("mien in the browser works")
    return 0


if __name__ == "__main__":
    sys.exit(main())
