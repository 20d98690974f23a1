#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Does the page do its work in a real browser? Headless Chromium chooses photos, goes by keyboard alone, plays a film of a face as its webcam,
becomes a phone, turns dark, works on this device, and sees the service go and come back. `--shots FOLDER` keeps a screenshot of each state.
"""
from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Iterator

import pytest

MIEN = os.environ["MIEN_TOOL"]
PHOTOS = Path(__file__).resolve().parent.parent / "data" / "photos"


def start(
    mien: str, port: int = 0, *options: str, stdin: int | None = None
) -> tuple[subprocess.Popen, int]:
    process = subprocess.Popen(
        [mien, "serve", "--listen", f"127.0.0.1:{port}", "-q", *options],
        stdin=stdin,
        stderr=subprocess.PIPE,
    )
    STARTED.append(process)
    return process, int(re.search(rb":(\d+)/", process.stderr.readline())[1])


STARTED: list[subprocess.Popen] = []


def stop(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


def feed(pipe) -> None:
    try:
        while True:
            pipe.write((PHOTOS / "astronaut.jpg").read_bytes())
            time.sleep(0.05)
    except OSError:
        pass


def film(path: Path) -> None:
    """A motion JPEG of one face, which Chromium plays in a loop: the photo as it is, again and again."""
    path.write_bytes((PHOTOS / "astronaut.jpg").read_bytes() * 4)


@pytest.fixture(autouse=True)
def no_service_is_left() -> Iterator[None]:
    yield
    for left in STARTED:
        left.kill()


def crowd_of(count: int) -> dict:
    """An answer of the service with so many small faces in five rows, as a detector network gives them."""

    def face(i: int) -> dict:
        x, y = 12 + i % 12 * 52, 30 + i // 12 * 90
        points = [
            [x + 8, y + 10],
            [x + 20, y + 10],
            [x + 14, y + 18],
            [x + 9, y + 24],
            [x + 19, y + 24],
        ]
        emotions = dict.fromkeys(["angry", "disgust", "fear", "happy", "sad", "surprise"], 0.05) | {
            "neutral": 0.7
        }
        return {
            "box": {"x": x, "y": y, "width": 28, "height": 32},
            "neighbors": 0,
            "score": 0.9,
            "landmarks": points,
            "emotion": {"label": "neutral", "probabilities": emotions},
            "gender": {"label": "woman", "probabilities": {"woman": 0.8, "man": 0.2}},
        }

    return {
        "images": [
            {
                "schema": 2,
                "width": 640,
                "height": 480,
                "timing_ms": {"total": 5.0},
                "faces": [face(i) for i in range(count)],
            }
        ]
    }


def test_crowd(shots: Path) -> None:
    playwright_api = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("chromium is not installed")
    if (
        b"built without"
        in subprocess.run([MIEN, "serve", "--listen", "x"], capture_output=True).stderr
    ):
        pytest.skip("this program was built without the web service")
    with playwright_api.sync_playwright() as playwright:
        service, port = start(MIEN)
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.route("**/v1/analyze*", lambda route: route.fulfill(json=crowd_of(57)))
        page.goto(f"http://127.0.0.1:{port}/")
        page.set_input_files("#files", str(PHOTOS / "montage.jpg"))
        playwright_api.expect(page.locator(".face")).to_have_count(57, timeout=20000)
        # Cards in columns, each with its crop beside its bars, the photo above them.
        layout = page.evaluate(
            """() => {
            const rect = e => { const r = e.getBoundingClientRect(); return {x: r.x, y: r.y, w: r.width, h: r.height}; };
            return {height: document.querySelector('article').getBoundingClientRect().height, stage: rect(document.querySelector('article .stage')),
                    cards: [...document.querySelectorAll('.face')].map(rect),
                    crops: [...document.querySelectorAll('.crop')].map(rect), bars: [...document.querySelectorAll('.face .bars')].map(rect)}; }"""
        )
        assert layout["height"] < 3600, layout["height"]
        assert len({round(card["x"]) for card in layout["cards"]}) >= 4
        for card, crop, bars in zip(layout["cards"], layout["crops"], layout["bars"]):
            assert (
                crop["x"] + crop["w"] <= bars["x"]
                and bars["x"] + bars["w"] <= card["x"] + card["w"] + 1
            )
            assert card["y"] >= layout["stage"]["y"] + layout["stage"]["h"]
        # An answer in words, never without its numbers.
        texts = page.evaluate(
            """() => {
            const p = {child: .25, adult: .75};
            return [{label: 'adult', unsure: false, probabilities: p}, {label: 'adult', unsure: true, probabilities: p},
                    {value: 34.2, range: [27.1, 42.5], unit: 'years', probabilities: p}].map(reading => [word(reading), sentence({reading})]); }"""
        )
        assert [[text.replace("\xa0", " ") for text in pair] for pair in texts] == [
            ["adult", "adult 75 %"],
            ["unsure", "unsure (adult 75 %)"],
            ["34 years", "34 years (27–43)"],
        ]
        # Numbers cover neither faces nor each other.
        tags, boxes = page.evaluate(
            """() => {
            const boxes = document.querySelector('article .stage canvas').result.faces.map(({box}) => ({x: 1.5 * box.x, y: 1.5 * box.y, w: 1.5 * box.width, h: 1.5 * box.height}));
            return [placeTags(boxes, boxes.map(() => ({w: 24, h: 16})), 960, 720, 3), boxes]; }"""
        )

        def touch(a: dict, b: dict) -> bool:
            return (
                a["x"] < b["x"] + b["w"]
                and b["x"] < a["x"] + a["w"]
                and a["y"] < b["y"] + b["h"]
                and b["y"] < a["y"] + a["h"]
            )

        assert len(tags) == 57
        for i, tag in enumerate(tags):
            assert not any(touch(tag, box) for box in boxes)
            assert not any(touch(tag, other) for other in tags[:i])
        page.screenshot(path=shots / "crowd.png", full_page=True)
        page.set_viewport_size({"width": 390, "height": 844})
        assert page.evaluate(
            "() => document.documentElement.scrollWidth <= innerWidth"
        ), "a phone scrolls sideways"
        page.screenshot(path=shots / "crowd-phone.png")
        browser.close()
        stop(service)


def test_page(tmp_path: Path, shots: Path) -> None:
    playwright_api = pytest.importorskip("playwright.sync_api")
    expect, sync_playwright = playwright_api.expect, playwright_api.sync_playwright
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("chromium is not installed")
    if (
        b"built without"
        in subprocess.run([MIEN, "serve", "--listen", "x"], capture_output=True).stderr
    ):
        pytest.skip("this program was built without the web service")

    with sync_playwright() as playwright:
        camera = tmp_path / "face.mjpeg"
        film(camera)
        service, port = start(MIEN)
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=[
                "--no-sandbox",
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-video-capture={camera}",
            ],
        )
        errors: list[str] = []

        def open_page(**options):
            page = browser.new_context(permissions=["camera"], **options).new_page()
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on(
                "console",
                lambda message: (
                    errors.append(message.text)
                    if message.type == "error" and "Failed to load resource" not in message.text
                    else None
                ),
            )
            page.on(
                "request",
                lambda request: (
                    None
                    if request.url.startswith((f"http://127.0.0.1:{port}/", "blob:", "data:"))
                    else errors.append("asks " + request.url)
                ),
            )
            page.goto(f"http://127.0.0.1:{port}/")
            return page

        # Several photos, one of them none.
        page = open_page(viewport={"width": 1280, "height": 900})
        broken = tmp_path / "broken <b>.jpg"
        broken.write_bytes(b"nonsense")
        began = time.monotonic()
        page.set_input_files(
            "#files", [str(PHOTOS / "astronaut.jpg"), str(PHOTOS / "montage.jpg"), str(broken)]
        )
        expect(page.locator("article .bars").first).to_be_visible(timeout=20000)
        print(f"first result {1000 * (time.monotonic() - began):.0f} ms after the choice")
        expect(page.locator("article")).to_have_count(3)
        expect(page.locator("article .error", has_text="known format")).to_have_count(
            1, timeout=20000
        )
        expect(page.locator("article h2", has_text="broken <b>.jpg")).to_have_count(1)
        run = json.loads(
            subprocess.run(
                [MIEN, "image", "--json", str(PHOTOS / "astronaut.jpg")],
                capture_output=True,
                check=True,
            ).stdout
        )
        label = run["faces"][0]["emotion"]["label"]
        expect(page.locator("article").first.locator("h3").first).to_contain_text(f"1: {label}")
        expect(page.locator("article").first.locator("dt")).to_have_count(7)
        painted = page.evaluate(
            "() => { const c = document.querySelector('article canvas'); return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v > 0); }"
        )
        assert painted, "no box is drawn"
        page.screenshot(path=shots / "photos.png", full_page=True)

        # Five faces are a crowd: numbers in the photo, cards with crops below it.
        crowd = page.locator("article.crowd")
        expect(crowd).to_have_count(1)
        expect(crowd.locator(".face")).to_have_count(5)
        expect(crowd.locator(".face h3").last).to_contain_text("5: ")
        page.wait_for_function(
            """() => [...document.querySelectorAll('article .crop')].every(c => {
            const {data} = c.getContext('2d').getImageData(0, 0, c.width, c.height);
            return new Set(data).size > 20; })"""
        )
        crowd.locator(".face").first.hover()
        assert page.evaluate("() => document.querySelector('.crowd .stage canvas').chosen") == 0

        # Downloads.
        with page.expect_download() as waiting:
            page.locator("article").first.get_by_role("button", name="Save the image").click()
        assert (
            waiting.value.suggested_filename == "astronaut.faces.png"
            and Path(waiting.value.path()).read_bytes()[:4] == b"\x89PNG"
        )
        with page.expect_download() as waiting:
            page.locator("article").first.get_by_role("button", name="Save the JSON").click()
        assert (
            json.loads(Path(waiting.value.path()).read_text())["images"][0]["faces"] == run["faces"]
        )

        # Dropped on the page.
        page.get_by_role("button", name="Remove all").click()
        expect(page.locator("article")).to_have_count(0)
        page.evaluate(
            """() => { const data = new DataTransfer();
            data.items.add(new File(['P5 30 30 255\\n'], 'dropped.pgm'));
            document.dispatchEvent(new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true})); }"""
        )
        expect(page.locator("article .error")).to_have_count(1)  # cut short, and said so

        # The service goes and comes back.
        stop(service)
        page.set_input_files("#files", str(PHOTOS / "astronaut.jpg"))
        expect(page.locator("#server")).to_contain_text("gone")
        expect(page.locator("article").last.locator(".error")).to_contain_text("cannot be reached")
        page.screenshot(path=shots / "gone.png", full_page=True)
        service, _ = start(MIEN, port)
        expect(page.locator("#server")).to_have_text("Ready", timeout=15000)
        page.locator("article").last.get_by_role("button", name="Try again").click()
        expect(page.locator("article").last.locator(".bars").first).to_be_visible()

        # Keyboard alone: to the webcam's button and on and off; then every control can be reached.
        page.reload()
        reached = []
        for _ in range(12):
            page.keyboard.press("Tab")
            reached.append(
                page.evaluate(
                    "() => document.activeElement.id || document.activeElement.className || document.activeElement.getAttribute('href') || ''"
                )
            )
            if reached[-1] == "files":
                assert (
                    page.evaluate(
                        "() => getComputedStyle(document.querySelector('label[for=files]')).outlineStyle"
                    )
                    != "none"
                ), "focus cannot be seen"
            if reached[-1] == "camera":
                break
        assert reached[-1] == "camera" and "files" in reached and "skip" in reached, reached
        page.keyboard.press("Enter")
        expect(page.locator("#live-bars .bars")).to_be_visible(timeout=20000)
        page.wait_for_function(
            "() => Number(document.body.dataset.frames) > 8 && document.body.dataset.fps",
            timeout=60000,
        )
        figures = page.evaluate("() => [document.body.dataset.fps, document.body.dataset.latency]")
        print(f"webcam: {figures[0]} images per second, {figures[1]} ms from image to result")
        expect(page.locator("#live-bars .top").first).to_be_visible()
        drawn = page.evaluate(
            "() => ['overlay', 'timeline'].map(id => { const c = document.getElementById(id); return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v > 0); })"
        )
        assert drawn == [True, True], drawn
        page.screenshot(path=shots / "webcam.png", full_page=True)
        # What speaks for the expression, red and blue on the face; the boxes and labels alone are gray.
        tinted = "() => { const c = document.getElementById('overlay'), d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let n = 0; for (let i = 0; i < d.length; i += 4) n += d[i + 3] > 20 && Math.abs(d[i] - d[i + 2]) > 60; return n; }"
        assert page.evaluate(tinted) == 0
        page.locator("#explain").check()
        page.wait_for_function(f"() => ({tinted})() > 1000", timeout=20000)
        page.screenshot(path=shots / "webcam_explain.png", full_page=True)
        page.locator("#explain").uncheck()
        page.wait_for_function(f"() => ({tinted})() === 0", timeout=20000)
        page.locator("#camera").focus()
        page.keyboard.press("Enter")
        expect(page.locator("#live-view")).to_be_hidden()
        expect(page.locator("#camera")).to_have_attribute("aria-pressed", "false")
        page.context.close()

        # On this device: what is said about images is true in either state, and the service is not asked.
        page = open_page(viewport={"width": 1280, "height": 900})
        expect(page.locator("#where")).to_contain_text("this service")
        page.locator(
            "#device"
        ).click()  # not check(): without its files the box is empty again at once
        expect(page.locator("#device-note")).to_contain_text(
            re.compile("No image leaves|built without|answered 404"), timeout=20000
        )
        if "No image" in page.locator("#device-note").inner_text():
            expect(page.locator("#where")).to_have_text("They stay in this browser")
            expect(page.locator("#explain")).to_be_hidden()
            asked: list[str] = []
            page.on(
                "request",
                lambda request: asked.append(request.url) if request.method != "GET" else None,
            )
            page.set_input_files("#files", str(PHOTOS / "astronaut.jpg"))
            expect(page.locator("article .bars").first).to_be_visible(timeout=20000)
            expect(page.locator("article h3").first).to_contain_text(f"1: {label}")
            assert asked == [], asked
            page.screenshot(path=shots / "device.png", full_page=True)
            page.locator("#device").uncheck()
        else:
            print("skipped: on this device: the program was configured before `make wasm`")
        expect(page.locator("#where")).to_contain_text("this service")
        expect(page.locator("#explain")).to_be_visible()
        page.context.close()

        # Every control has a name.
        page = open_page(
            viewport={"width": 360, "height": 740},
            device_scale_factor=2,
            color_scheme="dark",
            is_mobile=True,
            has_touch=True,
        )
        unnamed = page.evaluate(
            """() => [...document.querySelectorAll('button, input, canvas, video')].filter(e => e.offsetParent !== null || e.type === 'file')
            .filter(e => !(e.textContent.trim() || e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || (e.labels && e.labels.length))).map(e => e.outerHTML)"""
        )
        assert unnamed == [], unnamed
        page.set_input_files("#files", str(PHOTOS / "grace_hopper.jpg"))
        expect(page.locator("article .bars").first).to_be_visible(timeout=20000)
        page.locator("#camera").tap()
        expect(page.locator("#live-bars .bars")).to_be_visible(timeout=20000)
        time.sleep(1)
        assert page.evaluate(
            "() => document.documentElement.scrollWidth <= window.innerWidth"
        ), "the page is wider than the phone"
        small = page.evaluate(
            "() => [...document.querySelectorAll('button, .button')].filter(e => e.offsetParent && e.getBoundingClientRect().height < 40).map(e => e.textContent)"
        )
        assert small == [], f"too small for a finger: {small}"
        page.screenshot(path=shots / "phone_dark.png", full_page=True)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            low = page.evaluate(CONTRAST)
            assert low == [], f"{scheme}: contrast below 4.5: {low}"
        page.context.close()
        stop(service)

        # A token, and the service's own camera: photos on its standard input.
        token_file = tmp_path / "token"
        token_file.write_text("0123456789abcdef")
        service, port = start(
            MIEN, 0, "--token-file", str(token_file), "--camera", "-", stdin=subprocess.PIPE
        )
        feeding = threading.Thread(target=feed, args=(service.stdin,), daemon=True)
        feeding.start()
        page = open_page()
        expect(page.locator("#token-form")).to_be_visible()
        page.get_by_label("This service asks for a token").fill("0123456789abcdef")
        page.keyboard.press("Enter")
        expect(page.locator("#models")).to_contain_text(re.compile(r"^mien \d.*: .+ · .+ · .+"))
        page.set_input_files("#files", str(PHOTOS / "astronaut.jpg"))
        expect(page.locator("article .bars").first).to_be_visible(timeout=20000)
        page.get_by_role("button", name="Watch the service").click()
        expect(page.locator("#live-bars .bars")).to_be_visible(timeout=20000)
        expect(page.locator("#video")).to_be_hidden()
        page.wait_for_function(
            "() => document.getElementById('board-picture').naturalWidth === 512", timeout=20000
        )
        first = page.locator("#board-picture").get_attribute("src")
        page.wait_for_function(
            "first => document.getElementById('board-picture').src !== first && Number(document.body.dataset.frames) > 10",
            arg=first,
            timeout=20000,
        )
        time.sleep(1)
        page.screenshot(path=shots / "board.png", full_page=True)
        page.get_by_role("button", name="Stop watching").click()
        expect(page.locator("#live-view")).to_be_hidden()
        page.locator("#camera").click()  # the browser's own camera, after it
        expect(page.locator("#video")).to_be_visible(timeout=20000)
        expect(page.locator("#board-picture")).to_be_hidden()
        browser.close()
        stop(service)
        assert errors == [], errors


CONTRAST = """() => {
  const parse = text => { const m = text.match(/[\\d.]+/g).map(Number); return {c: m.slice(0, 3), a: m.length > 3 ? m[3] : 1}; };
  const light = c => { const f = c.map(v => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; }); return .2126 * f[0] + .7152 * f[1] + .0722 * f[2]; };
  const low = [];
  for (const e of document.querySelectorAll('body *')) {
    if (!e.offsetParent || ![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())) continue;
    let below = e, ground = {c: [255, 255, 255], a: 0};
    while (below && ground.a === 0) { ground = parse(getComputedStyle(below).backgroundColor); below = below.parentElement; }
    const a = light(parse(getComputedStyle(e).color).c), b = light(ground.c);
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) low.push(e.tagName + ' ' + e.textContent.slice(0, 20) + ' ' + ratio.toFixed(2));
  }
  return low;
}"""
