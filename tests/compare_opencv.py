#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Are mien's rectangles OpenCV's? Runs both detectors on the same gray pixels and compares (box, neighbors) as sets.

Prints one line per cascade and parameter set, `images compared`, `images that differ`, and each difference; exit 1 if any.
Needs numpy and opencv-python-headless 4.x (5 has no CascadeClassifier). Images come from folders, .zip files or single files.

  compare_opencv.py --library build/release/libmien.so --images DIR.zip DIR --sizes 0.5,1,2 --params 1.3:5,1.1:3,1.05:2
  compare_opencv.py --library ... --cascades /usr/share/opencv4/haarcascades --images DIR --params 1.1:3
"""
from __future__ import annotations

import argparse
import ctypes as C
import multiprocessing
import pathlib
import subprocess
import sys
import tempfile
import time
import zipfile

import cv2
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
EXTENSIONS = {".jpg", ".jpeg", ".png", ".bmp", ".pgm"}


class Config(C.Structure):
    _fields_ = [
        ("struct_size", C.c_uint32),
        ("isa", C.c_uint32),
        ("scale_factor", C.c_double),
        ("min_neighbors", C.c_int32),
        ("min_size", C.c_int32),
        ("max_size", C.c_int32),
        ("max_width", C.c_int32),
        ("max_height", C.c_int32),
        ("detect_width", C.c_int32),
        ("max_faces", C.c_int32),
        ("max_candidates", C.c_int32),
        ("class_maps", C.c_int32),
        ("threads", C.c_int32),
        ("run_context", C.c_void_p),
        ("run", C.c_void_p),
        ("clock_ns", C.c_void_p),
    ]


class File(C.Structure):
    _fields_ = [("data", C.c_char_p), ("bytes", C.c_size_t)]


class Weights(C.Structure):
    _fields_ = [("struct_size", C.c_uint32), ("cascade", File), ("heads", File * 8)]


class Frame(C.Structure):
    _fields_ = [
        ("struct_size", C.c_uint32),
        ("format", C.c_uint32),
        ("data", C.c_void_p),
        ("width", C.c_int32),
        ("height", C.c_int32),
        ("stride_bytes", C.c_ssize_t),
    ]


class Face(C.Structure):
    _fields_ = [
        ("struct_size", C.c_uint32),
        ("x", C.c_int32),
        ("y", C.c_int32),
        ("width", C.c_int32),
        ("height", C.c_int32),
        ("neighbors", C.c_int32),
    ]


def faces(lib: C.CDLL, engine: C.c_void_p, count: int) -> list[Face]:
    """Those that the engine found last."""
    found = [Face() for _ in range(count)]
    for i, face in enumerate(found):
        lib.mien_face_at_sized(engine, C.c_size_t(i), C.byref(face), C.c_size_t(C.sizeof(face)))
    return found


class Detector:
    """mien through its C interface."""

    def __init__(self, library: str, cascade: bytes, isa: int = 0) -> None:
        self.lib = C.CDLL(library)
        self.lib.mien_required_bytes.restype = C.c_size_t
        self.lib.mien_message.restype = C.c_char_p
        self.cascade = cascade
        self.isa = isa

    def detect(
        self,
        gray: np.ndarray,
        scale_factor: float,
        min_neighbors: int,
        min_size: int = 0,
        max_size: int = 0,
    ) -> list[tuple]:
        gray = np.ascontiguousarray(gray)
        config = Config()
        self.lib.mien_config_init_sized(C.byref(config), C.c_size_t(C.sizeof(config)))
        config.isa, config.scale_factor, config.min_neighbors = (
            self.isa,
            scale_factor,
            min_neighbors,
        )
        config.min_size, config.max_size = min_size, max_size
        config.max_height, config.max_width = gray.shape
        config.max_faces = config.max_candidates = 1 << 18
        weights = Weights(C.sizeof(Weights), File(self.cascade, len(self.cascade)))
        size = self.lib.mien_required_bytes(C.byref(config), C.byref(weights))
        memory = np.empty(max(size, 1), np.uint8)
        engine, count = C.c_void_p(), C.c_size_t()
        status = self.lib.mien_create(
            C.byref(config),
            C.byref(weights),
            C.c_void_p(memory.ctypes.data),
            C.c_size_t(size),
            C.byref(engine),
        )
        frame = Frame(
            C.sizeof(Frame), 0, gray.ctypes.data, gray.shape[1], gray.shape[0], gray.strides[0]
        )
        status = status or self.lib.mien_detect(engine, C.byref(frame), None, None, C.byref(count))
        if status:
            raise RuntimeError(self.lib.mien_message(status).decode())
        found = faces(self.lib, engine, count.value)
        return [(f.x, f.y, f.width, f.height, f.neighbors) for f in found]


def opencv_detect(
    cascade: cv2.CascadeClassifier,
    gray: np.ndarray,
    scale_factor: float,
    min_neighbors: int,
    min_size: int = 0,
    max_size: int = 0,
) -> list[tuple]:
    rects, counts = cascade.detectMultiScale2(
        gray, scale_factor, min_neighbors, 0, (min_size, min_size), (max_size, max_size)
    )
    return [(*map(int, r), int(n)) for r, n in zip(rects, counts)]


def list_pictures(places: list[str]) -> list[tuple[str, str]]:
    """(file or archive, member or '') of every image, sorted."""
    found = []
    for place in places:
        path = pathlib.Path(place)
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                found += [
                    (place, name)
                    for name in sorted(archive.namelist())
                    if pathlib.Path(name).suffix.lower() in EXTENSIONS
                ]
        elif path.is_dir():
            found += [
                (str(p), "") for p in sorted(path.rglob("*")) if p.suffix.lower() in EXTENSIONS
            ]
        elif path.is_file():
            found.append((place, ""))
        else:
            sys.exit(f"compare_opencv: {place}: no such file or folder")
    return found


def read_gray(picture: tuple[str, str]) -> np.ndarray:
    place, member = picture
    data = zipfile.ZipFile(place).read(member) if member else pathlib.Path(place).read_bytes()
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)


def resized(gray: np.ndarray, factor: float) -> np.ndarray:
    if factor == 1:
        return gray
    return cv2.resize(
        gray,
        (max(1, round(gray.shape[1] * factor)), max(1, round(gray.shape[0] * factor))),
        interpolation=cv2.INTER_LINEAR,
    )


STATE: dict = {}


def start_worker(library: str, cascades: list[tuple[str, bytes, str]], isa: int) -> None:
    cv2.setNumThreads(1)
    STATE["cascades"] = {
        name: (cv2.CascadeClassifier(xml), Detector(library, data, isa))
        for name, data, xml in cascades
    }


def compare(job: tuple) -> tuple:
    cascade, picture, factor, (scale_factor, neighbors) = job
    theirs, ours = STATE["cascades"][cascade]
    gray = resized(read_gray(picture), factor)
    start = time.perf_counter()
    expected = opencv_detect(theirs, gray, scale_factor, neighbors)
    middle = time.perf_counter()
    got = ours.detect(gray, scale_factor, neighbors)
    seconds = (middle - start, time.perf_counter() - middle)
    return job, sorted(expected) == sorted(got), expected == got, len(expected), seconds


def of_library(library: str, xml: pathlib.Path) -> bytes:
    """The cascade as the library's own reader of XML makes it."""
    call = C.CDLL(library).mien_cascade_of_xml
    call.argtypes = [C.c_char_p, C.c_size_t, C.c_char_p, C.c_char_p, C.c_size_t]
    call.argtypes += [C.POINTER(C.c_size_t), C.c_char_p, C.c_size_t]
    data, size, cause = xml.read_bytes(), C.c_size_t(), C.create_string_buffer(200)
    name = str(xml).encode()
    if call(data, len(data), name, None, 0, C.byref(size), cause, 200):
        sys.exit(f"compare_opencv: {xml}: {cause.value.decode()}")
    out = C.create_string_buffer(size.value)
    call(data, len(data), name, out, size, C.byref(size), cause, 200)
    return out.raw


def convert(xml: pathlib.Path, folder: str, library: str) -> bytes:
    """By the converter, after the library made the same of it."""
    out = pathlib.Path(folder) / (xml.stem + ".mien")
    subprocess.run(
        [
            sys.executable,
            str(ROOT / "tools" / "convert_cascade.py"),
            str(xml),
            "-o",
            str(out),
            "-y",
        ],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    if out.read_bytes() != of_library(library, xml):
        sys.exit(f"compare_opencv: {xml}: the library reads it differently from convert_cascade.py")
    return out.read_bytes()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--library", required=True, help="libmien.so")
    parser.add_argument("--images", nargs="+", required=True, help="folders, .zip files or images")
    parser.add_argument(
        "--cascades",
        nargs="+",
        default=[],
        help="OpenCV XML files or folders of them (default: frontalface_default of OpenCV)",
    )
    parser.add_argument("--sizes", default="1", help="factors, e.g. 0.5,1,2 [%(default)s]")
    parser.add_argument(
        "--params", default="1.3:5", help="scaleFactor:minNeighbors, comma separated [%(default)s]"
    )
    parser.add_argument(
        "--limit", type=int, default=0, help="at most so many images, evenly spread [all]"
    )
    parser.add_argument("--jobs", type=int, default=2, help="processes [%(default)s]")
    parser.add_argument(
        "--isa", type=int, default=0, help="its number in mien.h; 0: the best [%(default)s]"
    )
    args = parser.parse_args()

    names = args.cascades or [cv2.data.haarcascades + "haarcascade_frontalface_default.xml"]
    xmls: list[pathlib.Path] = []
    for name in map(pathlib.Path, names):
        xmls += sorted(name.glob("haarcascade_*.xml")) if name.is_dir() else [name]
    pictures = list_pictures(args.images)
    if args.limit and len(pictures) > args.limit:
        pictures = [pictures[i * len(pictures) // args.limit] for i in range(args.limit)]
    sizes = [float(s) for s in args.sizes.split(",")]
    params = [(float(a), int(b)) for a, b in (p.split(":") for p in args.params.split(","))]
    print(
        f"OpenCV {cv2.__version__}, {len(pictures)} images, sizes {args.sizes}, {len(xmls)} cascades",
        flush=True,
    )

    differing = 0
    with tempfile.TemporaryDirectory() as folder:
        cascades = [(x.stem, convert(x, folder, args.library), str(x)) for x in xmls]
        with multiprocessing.Pool(
            args.jobs, start_worker, (args.library, cascades, args.isa)
        ) as pool:
            for name, _, _ in cascades:
                for param in params:
                    jobs = [(name, p, s, param) for s in sizes for p in pictures]
                    different = reordered = rectangles = 0
                    spent = np.zeros(2)
                    for job, same, same_order, count, seconds in pool.imap_unordered(
                        compare, jobs, chunksize=4
                    ):
                        rectangles += count
                        spent += seconds
                        reordered += same and not same_order
                        if not same:
                            different += 1
                            print(
                                f"  differs: {job[1][0]} {job[1][1]} size {job[2]} {name} {param}",
                                flush=True,
                            )
                    differing += different
                    print(
                        f"{name} ({param[0]:g}, {param[1]}): images compared {len(jobs)}, images that differ {different}, "
                        f"same set in another order {reordered}, rectangles {rectangles}, "
                        f"seconds OpenCV {spent[0]:.1f} mien {spent[1]:.1f}",
                        flush=True,
                    )
    print(f"images that differ in all: {differing}")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
