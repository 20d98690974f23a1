#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Do `mien explain`, `mien report`, the live map and the service's map do what their help says, on good and on bad input? The report is also opened in
headless Chromium: offline, in the dark, on a phone, by keyboard, printed (skipped, and said so, without Chromium or the Python package playwright).
"""
from __future__ import annotations

import json
import math
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent.parent
PHOTOS = TESTS / "data" / "photos"
MODELS = TESTS / "data" / "models"
MIEN = os.environ["MIEN_TOOL"]


def mien(*arguments: object, code: int = 0, stdin: bytes = b"") -> subprocess.CompletedProcess:
    done = subprocess.run(
        [MIEN, *map(str, arguments)], input=stdin, capture_output=True, timeout=300
    )
    assert done.returncode == code, (
        arguments,
        done.returncode,
        done.stderr.decode(errors="replace")[-500:],
    )
    if code not in (0, 1, 3):
        assert done.stdout == b"", (arguments, "says something on stdout")
    return done


def complaint(*arguments: object, code: int) -> str:
    """The one line on stderr."""
    text = mien(*arguments, code=code).stderr.decode(errors="replace")
    assert text.startswith("mien: ") and text.count("\n") == 1, (arguments, text)
    return text


def png_size(path: Path) -> tuple[int, int]:
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n" and data[-8:-4] == b"IEND", path
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A labeled folder of the sample faces: some labels are right, some are not."""
    folder = tmp_path_factory.mktemp("explain")
    crops = folder / "crops"
    mien("image", PHOTOS / "montage.jpg", PHOTOS / "astronaut.jpg", "--dump-crop", crops)
    data = folder / "faces"
    for i, crop in enumerate(sorted(crops.glob("*.emotion.png"))):
        for label in (["happy", "neutral", "sad"] if i % 2 else ["happy"]):
            (data / label).mkdir(parents=True, exist_ok=True)
            shutil.copy(crop, data / label / f"face{i} <b>.png")
    rows = ["picture,glasses"] + [
        f'"{p.parent.name}/{p.name}",{"yes" if "face4" in p.name or "face5" in p.name else "no"}'
        for p in sorted(data.glob("*/*.png"))[1:]
    ]
    (folder / "groups.csv").write_text("\n".join(rows) + "\n")
    (folder / "no_face.ppm").write_bytes(b"P6 60 60 255\n" + bytes(60 * 60 * 3))
    return folder


def test_golden_faces() -> None:
    # The faces of tests/golden/faces.json with more members; probabilities are not rounded here.
    golden = json.loads((TESTS / "golden" / "faces.json").read_text())
    photo = PHOTOS / golden["photo"]
    for detector in ("net", "haar"):
        done = mien("explain", photo, "--json", "--method", "cam", "--detector", detector)
        for face, wanted in zip(json.loads(done.stdout)["faces"], golden[detector], strict=True):
            for name, value in wanted.items():
                if "probabilities" not in (value if isinstance(value, dict) else {}):
                    assert face[name] == value
                    continue
                answer = {key: part for key, part in value.items() if key != "probabilities"}
                assert {key: face[name][key] for key in answer} == answer
                rounded = {label: round(p, 6) for label, p in face[name]["probabilities"].items()}
                assert rounded == value["probabilities"]


def test_numbers(folder: Path) -> None:
    every = "cam grad-cam guided guided-cam gradient occlusion original-cam original-guided".split()
    result = json.loads(
        mien("explain", PHOTOS / "montage.jpg", "--json", "--method", "all", "--sanity").stdout
    )
    plain = json.loads(mien("image", PHOTOS / "montage.jpg", "--json").stdout)
    assert result["schema"] == 2 and len(result["faces"]) == len(plain["faces"]) == 5
    for face, same in zip(result["faces"], plain["faces"]):
        assert face["box"] == same["box"]
        for head in ("emotion", "gender"):
            part = face[head]
            assert part["label"] == part["class"] == same[head]["label"]
            assert (
                abs(
                    part["probabilities"][part["label"]]
                    - same[head]["probabilities"][part["label"]]
                )
                < 1e-5
            )
            assert [m["method"] for m in part["maps"]] == every
            for m in part["maps"]:
                assert len(m["values"]) == m["width"] * m["height"] > 1
                assert m["signed"] or min(m["values"]) >= 0
                assert any(v != 0 for v in m["values"]), m["method"]
                assert m["method"] == "occlusion" or -1 <= m["shuffled_rank_correlation"] <= 1
            assert part["crop"]["width"] >= face["box"]["width"] * 0.5
    # Another class, which only one network has; the map of another class is another map.
    woman = json.loads(
        mien(
            "explain", PHOTOS / "astronaut.jpg", "--json", "--class", "female", "--method", "cam"
        ).stdout
    )["faces"][0]
    assert "emotion" not in woman and woman["gender"]["class"] == "woman"
    maps = [
        json.loads(
            mien(
                "explain", PHOTOS / "astronaut.jpg", "--json", "--class", c, "--method", "cam"
            ).stdout
        )["faces"][0]["emotion"]["maps"][0]["values"]
        for c in ("happy", "sad")
    ]
    assert maps[0] != maps[1] and sum(maps[0]) > sum(
        maps[1]
    )  # the means are the logits, and she smiles
    # A layer by its name; the whole image as a face.
    layer = json.loads(mien("info", TESTS.parent / "weights" / "emotion.mien", "--json").stdout)[
        "layers"
    ][0]["name"]
    shallow = json.loads(
        mien(
            "explain",
            PHOTOS / "astronaut.jpg",
            "--json",
            "--head",
            "emotion",
            "--method",
            "grad-cam",
            "--layer",
            layer,
        ).stdout
    )["faces"][0]["emotion"]["maps"][0]
    assert shallow["width"] > 20
    whole = json.loads(mien("explain", PHOTOS / "astronaut.jpg", "--crop", "--json").stdout)
    assert whole["faces"][0]["box"] == {"x": 0, "y": 0, "width": 512, "height": 512}
    # Networks of other kinds: no map before the head, color, another input.
    for model in sorted(MODELS.glob("*.mien")):
        maps = json.loads(
            mien(
                "explain",
                PHOTOS / "astronaut.jpg",
                "--json",
                "--method",
                "all",
                "--emotion",
                model,
                "--head",
                "emotion",
            ).stdout
        )["faces"][0]["emotion"]["maps"]
        assert {"gradient", "guided", "occlusion"} <= {m["method"] for m in maps}, model


def test_detector_network(folder: Path) -> None:
    montage = PHOTOS / "montage.jpg"
    plain = json.loads(mien("image", montage, "--json", "--detector", "net").stdout)["faces"]
    explained = json.loads(
        mien(
            "explain",
            montage,
            "--json",
            "--detector",
            "net",
            "--method",
            "cam",
            "-o",
            folder / "net.png",
        ).stdout
    )["faces"]
    assert len(explained) == len(plain) >= 5
    for face, same in zip(explained, plain):
        assert (face["box"], face["score"], face["landmarks"]) == (
            same["box"],
            same["score"],
            same["landmarks"],
        )
        for head in ("emotion", "gender"):
            assert face[head]["label"] == same[head]["label"]
            # The crop is a square around the landmarks, turned like the eyes: it is what the network saw, not the box.
            crop, (right, left) = face[head]["crop"], face["landmarks"][:2]
            middle = [crop["x"] + crop["width"] / 2, crop["y"] + crop["height"] / 2]
            assert crop["width"] == crop["height"]
            for at in (0, 1):
                assert (
                    abs(sum(p[at] for p in face["landmarks"]) / 5 - middle[at]) < crop["width"] / 5
                )
            eyes = math.degrees(math.atan2(left[1] - right[1], left[0] - right[0]))
            assert abs(crop.get("degrees", 0) - eyes) < 8
    assert png_size(folder / "net.png")[1] > len(plain) * 100
    # The live map.
    mien(
        "video",
        "-",
        "--style",
        "explain",
        "--detector",
        "net",
        "--record",
        folder / "net.avi",
        "-q",
        stdin=(PHOTOS / "astronaut.jpg").read_bytes() * 2,
    )
    assert (folder / "net.avi").stat().st_size > 10000


def test_pictures(folder: Path) -> None:
    text = mien("explain", PHOTOS / "astronaut.jpg", "-o", folder / "one.png").stdout.decode()
    assert "happy" in text and "guided-cam" in text and "strongest" in text
    width, height = png_size(folder / "one.png")
    assert width > 4 * 190 and height > 2 * 190  # five tiles across, two questions
    mien("explain", PHOTOS, "-o", folder / "all.jpg", "-q")
    assert (folder / "all.jpg").read_bytes()[:2] == b"\xff\xd8"
    mien("explain", PHOTOS, "-o", f"{folder}/sheets/", "-q")
    names = sorted(p.name for p in (folder / "sheets").iterdir())
    assert "montage.explain.png" in names and len(names) >= 3, names
    assert "exists already" in complaint(
        "explain", PHOTOS / "astronaut.jpg", "-o", folder / "one.png", code=1
    )
    mien(
        "explain",
        PHOTOS / "astronaut.jpg",
        "-o",
        folder / "one.png",
        "-y",
        "--method",
        "occlusion,cam",
    )
    # Maps over the faces: the sheet is not only gray and not only the photo.
    assert (
        "not written"
        in mien("explain", folder / "no_face.ppm", "-o", folder / "none.png").stderr.decode()
    )
    assert not (folder / "none.png").exists()


def test_refusals(folder: Path) -> None:
    photo = PHOTOS / "astronaut.jpg"
    assert "guided" in complaint("explain", photo, "--method", "guidet", code=2)
    assert "surprise" in complaint("explain", photo, "--class", "surprised!", code=2)
    assert "mien info" in complaint("explain", photo, "--layer", "xyz", code=2)
    assert "for a folder" in complaint("explain", photo, "-o", folder / "x.tiff", code=2)
    assert "did you mean" in complaint("explain", photo, "--methd", "cam", code=2)
    complaint("explain", photo, "--head", "nose", code=2)
    complaint("explain", photo, "--emotion", photo, code=4)
    complaint("explain", folder / "missing.jpg", code=3)
    cut = folder / "cut.jpg"
    cut.write_bytes(photo.read_bytes()[:3000])
    complaint("explain", cut, code=3)
    done = mien("explain", cut, photo, "--json", code=3)  # the others are done
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert "error" in lines[0] and lines[1]["faces"]
    small = folder / "small.pgm"
    small.write_bytes(b"P5 10 10 255\n" + bytes(100))
    assert "too small" in complaint("explain", small, "--detector", "haar", code=3)
    data = folder / "faces"
    assert "--out" in complaint("report", data, code=2)
    complaint("report", folder / "missing", "-o", folder / "r.html", code=3)
    complaint("report", photo, "-o", folder / "r.html", code=3)
    complaint("report", data, "-o", folder / "r.html", "--method", "x", code=2)
    complaint("report", data, "-o", folder / "r.html", "--groups", folder / "missing.csv", code=3)
    for text in ("", 'a,b\n"x', "a,b\n1,2,3\n", "a,b\nnobody.png,1\n"):
        (folder / "bad.csv").write_text(text)
        assert "bad.csv" in complaint(
            "report", data, "-o", folder / "r.html", "--groups", folder / "bad.csv", code=3
        )
    complaint("report", data, "-o", folder / "no" / "such" / "folder.html", code=1)
    assert not (folder / "r.html").exists()
    assert "no class activation map" in complaint(
        "video",
        PHOTOS / "astronaut_320.png",
        "--style",
        "explain",
        "--emotion",
        MODELS / "dense_head.mien",
        code=2,
    )


@pytest.fixture(scope="module")
def report(folder: Path) -> Path:
    """The page of `mien report`, which says what `mien eval` says."""
    page = folder / "report.html"
    done = mien("report", folder / "faces", "-o", page, "--groups", folder / "groups.csv")
    assert b"accuracy" in done.stdout and b"1 of" in done.stderr  # an image is not in the table
    text = page.read_text()
    same = json.loads(mien("eval", folder / "faces", "--json").stdout)
    again = json.loads(
        mien(
            "report",
            folder / "faces",
            "-o",
            page,
            "-y",
            "--json",
            "--groups",
            folder / "groups.csv",
            "-q",
        ).stdout
    )
    assert again == same
    assert f"{100 * same['accuracy']:.1f}" in text
    for part in ("figures", "confusion", "calibration", "curves", "groups", "mistakes"):
        assert f'id="{part}"' in text
    assert (
        "glasses" in text
        and "(not in the table)" in text
        and "<b>.png" not in text
        and "face1 &lt;b&gt;.png" in text
    )
    wrong = same["count"] - round(same["accuracy"] * same["count"])
    assert text.count("<li><figure>") == min(wrong, 24) > 0
    # It holds all it shows.
    assert (
        not re.search(r"(?:src|href)=\"(?!data:|#)", text)
        and "<script" not in text
        and "http" not in text
        and "@import" not in text
        and "url(" not in text
    )
    gender = folder / "gender"
    for label, name in (("woman", "face0"), ("man", "face4")):
        (gender / label).mkdir(parents=True)
        shutil.copy(next((folder / "faces").glob(f"*/{name}*")), gender / label / "a.png")
    mien(
        "report",
        gender,
        "--gender",
        "-o",
        folder / "gender.html",
        "--method",
        "grad-cam",
        "--mistakes",
        0,
    )
    assert "woman" in (folder / "gender.html").read_text()
    return page


def test_report(report: Path) -> None:
    assert report.stat().st_size > 10000


def test_live(folder: Path) -> None:
    film = (PHOTOS / "astronaut.jpg").read_bytes() * 6
    frames = {}
    for style in ("emotion", "explain"):
        out = mien(
            "video",
            "-",
            "--style",
            style,
            "--record",
            folder / f"{style}.avi",
            "--json",
            "-q",
            stdin=film,
        ).stdout
        frames[style] = [
            json.loads(line)["faces"][0]["emotion"]["probabilities"]
            for line in out.splitlines()
            if b'"faces":[' in line
        ]
    assert (
        frames["emotion"] == frames["explain"] and len(frames["explain"]) == 6
    )  # the map changes no answer
    pictures = [(folder / f"{style}.avi").read_bytes() for style in ("emotion", "explain")]
    jpegs = [p[p.index(b"\xff\xd8\xff") : p.rindex(b"\xff\xd9") + 2] for p in pictures]
    assert jpegs[0] != jpegs[1]
    (folder / "live.jpg").write_bytes(jpegs[1][: jpegs[1].index(b"\xff\xd9") + 2])


def test_stream(folder: Path) -> None:
    """Browsers see the map, too: the same frame gives another image with it."""
    seen = []
    for style in ("emotion", "emotion", "explain"):
        process = subprocess.Popen(
            [MIEN, "video", "-", "--live", "--mjpeg", "127.0.0.1:0", "--style", style, "-q"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        try:
            line = process.stderr.readline().decode()
            if "built without" in line:
                pytest.skip("this program was built without the web service")
            address = line.split()[-1]
            stream = urllib.request.urlopen(
                address + "stream.mjpg", timeout=20
            )  # images are made for those who look
            # One frame only: from the second on, a face is searched near where it was, and its box moves by a pixel or two.
            process.stdin.write((PHOTOS / "astronaut.jpg").read_bytes())
            process.stdin.flush()
            for _ in range(200):
                try:
                    seen.append(urllib.request.urlopen(address + "snapshot.jpg", timeout=20).read())
                    break
                except urllib.error.HTTPError as none_yet:
                    assert none_yet.code == 503, none_yet
                time.sleep(0.1)
            assert (
                len(
                    json.loads(urllib.request.urlopen(address + "faces.json", timeout=20).read())[
                        "faces"
                    ]
                )
                == 1
            )
            stream.close()
        finally:
            process.stdin.close()
            process.wait(20)
            process.stderr.close()
    assert len(seen) == 3 and all(picture[:2] == b"\xff\xd8" for picture in seen)
    (folder / "stream.jpg").write_bytes(seen[2])
    assert seen[0] == seen[1] != seen[2]  # nothing but the style makes the difference


def test_service() -> None:
    process = subprocess.Popen(
        [MIEN, "serve", "--listen", "127.0.0.1:0", "-q"], stderr=subprocess.PIPE
    )
    try:
        first = process.stderr.readline()
        if b"built without" in first:
            pytest.skip("this program was built without the web service")
        port = int(re.search(rb":(\d+)/", first)[1])

        def ask(query: str) -> dict:
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/v1/analyze{query}",
                (PHOTOS / "montage.jpg").read_bytes(),
                {"Content-Type": "image/jpeg"},
            )
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["images"][0]

        plain, mapped = ask(""), ask("?explain=1")
        for face in mapped["faces"]:
            for head in ("age", "emotion", "gender"):
                m = face[head].pop("map")
                assert len(m["values"]) == m["width"] * m["height"] > 1 and m["crop"]["width"] > 10
        assert plain["faces"] == mapped["faces"]
        program = json.loads(
            mien(
                "explain", PHOTOS / "montage.jpg", "--json", "--method", "cam", "--head", "emotion"
            ).stdout
        )["faces"]
        values = [face["emotion"]["maps"][0] for face in program]
        assert [v["width"] for v in values] == [
            ask("?explain=1")["faces"][i]["emotion"]["map"]["width"] for i in range(len(values))
        ]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def test_browser(report: Path, shots: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    sync_playwright = pytest.importorskip("playwright.sync_api").sync_playwright
    if chromium is None:
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        problems: list[str] = []

        def open_page(**options):
            context = browser.new_context(offline=True, **options)
            page = context.new_page()
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.on(
                "console",
                lambda message: problems.append(message.text) if message.type == "error" else None,
            )
            page.on(
                "request",
                lambda request: (
                    None
                    if request.url.startswith(("file:", "data:"))
                    else problems.append("asks " + request.url)
                ),
            )
            page.goto(report.as_uri())
            return page

        for name, options in {
            "light": {},
            "dark": {"color_scheme": "dark"},
            "phone": {"viewport": {"width": 390, "height": 800}},
        }.items():
            page = open_page(**options)
            assert (
                page.locator("h1").inner_text()
                and page.locator("table").count() >= 3
                and page.locator("svg").count() >= 2
            )
            broken = page.evaluate(
                "() => [...document.images].filter(i => !i.complete || i.naturalWidth === 0).length"
            )
            assert broken == 0, "images that do not show"
            unnamed = page.evaluate(
                "() => [...document.images].filter(i => !i.alt).length + [...document.querySelectorAll('svg')].filter(s => !s.getAttribute('aria-label')).length"
            )
            assert unnamed == 0, "images without a text for those who cannot see them"
            assert page.evaluate(
                "() => document.documentElement.scrollWidth <= window.innerWidth"
            ), f"{name}: the page is wider than its window"
            colors = page.evaluate(
                "() => { const s = getComputedStyle(document.body); return [s.backgroundColor, s.color].map(c => c.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + Number(b), 0)); }"
            )
            assert (colors[0] < colors[1]) == (name == "dark"), (name, colors)
            page.screenshot(path=shots / f"report_{name}.png", full_page=True)
        # By keyboard: the skip link first, then the parts of the page; tables that scroll can be reached.
        page = open_page()
        reached = []
        for _ in range(12):
            page.keyboard.press("Tab")
            reached.append(
                page.evaluate(
                    "() => document.activeElement.getAttribute('href') || document.activeElement.getAttribute('aria-label') || document.activeElement.tagName"
                )
            )
        assert (
            reached[0] == "#main" and "#mistakes" in reached and "Confusion matrix" in reached
        ), reached
        page.locator("nav a", has_text="Mistakes").press("Enter")
        assert page.evaluate("() => location.hash") == "#mistakes"
        (shots / "report.pdf").write_bytes(page.pdf(format="A4", print_background=True))
        page.emulate_media(media="print")
        assert page.locator("nav").is_hidden()
        browser.close()
        assert not problems, problems
