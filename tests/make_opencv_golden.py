#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes tests/golden/opencv.inc: what OpenCV computes on images that the C++ tests can make again from a seed.

Gray conversions, INTER_LINEAR crops (of YUV frames too) and INTER_LINEAR_EXACT levels as CRC-32 of the pixels; rectangles of the shipped photos and of
the shipped synthetic cascades' source. Needs numpy and opencv-python-headless 4.x; run again only when a case is added.
"""
from __future__ import annotations

import pathlib
import sys
import zlib

import cv2
import numpy as np

HERE = pathlib.Path(__file__).resolve().parent


def picture(seed: int, height: int, width: int, channels: int) -> np.ndarray:
    """Same generator as test_picture() in tests/unit/helpers.h: a 32-bit LCG, top byte, and a quarter of the pixels 0 or 255."""
    n = height * width * channels
    state, out = np.uint32(seed), np.empty(n, np.uint8)
    values = np.empty(n, np.uint32)
    s = int(state)
    for i in range(n):
        s = (s * 1664525 + 1013904223) & 0xFFFFFFFF
        values[i] = s
    out = (values >> 24).astype(np.uint8)
    mode = (values >> 20) & 15
    out[mode == 0] = 0
    out[mode == 1] = 255
    out[mode == 2] = 0
    out[mode == 3] = 255
    return out.reshape((height, width, channels) if channels > 1 else (height, width))


def main() -> int:
    rng = np.random.default_rng(3)
    lines = [
        f"// Made by tests/make_opencv_golden.py with OpenCV {cv2.__version__}. Do not edit.",
        "",
    ]
    lines.append(
        "inline constexpr GrayGolden gray_golden[] = {  // format, width, height, seed, crc"
    )
    codes = {
        "rgb24": (3, cv2.COLOR_RGB2GRAY),
        "bgr24": (3, cv2.COLOR_BGR2GRAY),
        "rgba32": (4, cv2.COLOR_RGBA2GRAY),
        "bgra32": (4, cv2.COLOR_BGRA2GRAY),
    }
    for i, (name, (channels, code)) in enumerate(codes.items()):
        for w, h in ((1, 1), (37, 23), (161, 40)):
            crc = zlib.crc32(cv2.cvtColor(picture(100 + i, h, w, channels), code).tobytes())
            lines.append(f"    {{PixelFormat::{name}, {w}, {h}, {100 + i}, {crc:#010x}}},")
    yuv = {
        "yuyv": (cv2.COLOR_YUV2GRAY_YUY2, cv2.COLOR_YUV2RGB_YUY2),
        "uyvy": (cv2.COLOR_YUV2GRAY_UYVY, cv2.COLOR_YUV2RGB_UYVY),
        "nv12": (cv2.COLOR_YUV2GRAY_NV12, cv2.COLOR_YUV2RGB_NV12),
    }

    def yuv_picture(name: str, seed: int, h: int, w: int) -> np.ndarray:
        return picture(seed, h * 3 // 2, w, 1) if name == "nv12" else picture(seed, h, w, 2)

    for i, (name, (code, _)) in enumerate(yuv.items()):
        for w, h in ((2, 2), (38, 24), (162, 40)):
            crc = zlib.crc32(cv2.cvtColor(yuv_picture(name, 104 + i, h, w), code).tobytes())
            lines.append(f"    {{PixelFormat::{name}, {w}, {h}, {104 + i}, {crc:#010x}}},")
    lines += ["};", ""]
    lines.append(
        "inline constexpr YuvGolden yuv_golden[] = {  // format, frame size, part, size, seed, crc"
    )
    seed = 200
    for name, (_, code) in yuv.items():
        for w, h, part, size in (
            (64, 48, (0, 0, 64, 48), (64, 48)),
            (90, 70, (7, 5, 32, 24), (16, 12)),
            (90, 70, (3, 9, 61, 44), (48, 48)),
            (40, 30, (11, 2, 23, 28), (64, 64)),
            (128, 128, (0, 1, 128, 127), (24, 24)),
            (2, 2, (1, 1, 1, 1), (9, 5)),
        ):
            x, y, pw, ph = part
            rgb = cv2.cvtColor(yuv_picture(name, seed, h, w), code)[y : y + ph, x : x + pw]
            crc = zlib.crc32(cv2.resize(rgb, size, interpolation=cv2.INTER_LINEAR).tobytes())
            lines.append(
                f"    {{PixelFormat::{name}, {w}, {h}, {x}, {y}, {pw}, {ph}, {size[0]}, {size[1]}, {seed}, {crc:#010x}}},"
            )
            seed += 1
    lines += ["};", ""]
    fixed = [
        (48, 48, 64, 64),
        (64, 64, 64, 64),
        (128, 128, 64, 64),
        (96, 50, 48, 48),
        (1, 1, 64, 64),
        (2, 3, 48, 48),
        (61, 128, 64, 64),
        (30, 31, 60, 62),
    ]
    for table, modes, channel_choices, count in (
        ("crop", cv2.INTER_LINEAR, (1, 3), 60),
        ("level", cv2.INTER_LINEAR_EXACT, (1,), 60),
    ):
        lines.append(
            f"inline constexpr ResizeGolden {table}_golden[] = {{  // channels, source width, height, width, height, seed, crc"
        )
        cases = [(c, *f) for f in fixed for c in channel_choices]
        while len(cases) < count:
            w, h = (int(v) for v in rng.integers(1, 160, 2))
            if table == "crop":
                dw, dh = (int(v) for v in rng.integers(1, 100, 2))
            else:
                s = float(rng.uniform(1, 6))
                dw, dh = max(1, round(w / s)), max(1, round(h / s))
            cases.append((int(rng.choice(channel_choices)), w, h, dw, dh))
        for seed, (c, w, h, dw, dh) in enumerate(cases):
            crc = zlib.crc32(
                cv2.resize(picture(seed, h, w, c), (dw, dh), interpolation=modes).tobytes()
            )
            lines.append(f"    {{{c}, {w}, {h}, {dw}, {dh}, {seed}, {crc:#010x}}},")
        lines += ["};", ""]
    lines.append(
        "inline constexpr DetectGolden detect_golden[] = {  // photo (gray, shrunk to `width` by INTER_LINEAR), scale factor, neighbors, count, rectangles in order"
    )
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    cv2.setNumThreads(1)
    for photo in sorted((HERE / "data" / "photos").glob("*.png")):
        rgb = cv2.cvtColor(cv2.imread(str(photo), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        full = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        for width in (full.shape[1], full.shape[1] // 2 + 1, 333):
            gray = cv2.resize(
                full,
                (width, round(full.shape[0] * width / full.shape[1])),
                interpolation=cv2.INTER_LINEAR,
            )
            for factor, neighbors in ((1.3, 5), (1.1, 3), (1.05, 2), (1.1, 0)):
                rects, counts = cascade.detectMultiScale2(gray, factor, neighbors)
                boxes = np.array([[*r, n] for r, n in zip(rects, counts)], np.int32).reshape(-1, 5)
                crc = zlib.crc32(boxes.astype("<i4").tobytes())
                lines.append(
                    f'    {{"{photo.name}", {width}, {gray.shape[0]}, {factor}, {neighbors}, {len(boxes)}, {crc:#010x}}},'
                )
    lines += ["};", ""]
    (HERE / "golden").mkdir(exist_ok=True)
    (HERE / "golden" / "opencv.inc").write_text("\n".join(lines))
    print(f"{len(lines)} lines")
    return 0


if __name__ == "__main__":
    sys.exit(main())
