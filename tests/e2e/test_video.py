#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`mien video` and `mien camera` from outside: sources, output, recordings, browsers, and everything that can end them."""
from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import threading
import time
import unittest
import urllib.error
import urllib.request

import pytest
from PIL import Image

from processes import handles, waits, wait_until

PHOTOS = pathlib.Path(__file__).resolve().parent.parent / "data" / "photos"
MIEN = os.environ["MIEN_TOOL"]


def run(*arguments, data=b"", timeout=120):
    return subprocess.run(
        [MIEN, *map(str, arguments)], input=data, capture_output=True, timeout=timeout
    )


def one_line(process):
    lines = process.stderr.decode().splitlines()
    assert len(lines) == 1 and lines[0].startswith("mien: "), lines
    return lines[0]


def unread(pipe):
    """How many bytes wait in the pipe."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


class Video(unittest.TestCase):
    folder: pathlib.Path
    film: bytes  # the astronaut's photo twenty times, as motion JPEG

    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.temporary.name)
        cls.film = (PHOTOS / "astronaut.jpg").read_bytes() * 20

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    @pytest.mark.threads
    def test_motion_jpeg_on_standard_input(self):
        done = run("video", "-", "--json", "--fps", "10", "--detector", "haar", data=self.film)
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        frames, summary = lines[:-1], lines[-1]["summary"]
        self.assertEqual([f["frame"] for f in frames], list(range(20)))
        self.assertEqual(frames[7]["time_s"], 0.7)
        for frame in frames:
            self.assertEqual(len(frame["faces"]), 1)
            face = frame["faces"][0]
            self.assertEqual(
                (face["id"], face["missed"], face["emotion"]["label"]), (1, 0, "happy")
            )
            self.assertNotIn("score", face)
            self.assertNotIn("landmarks", face)
            self.assertAlmostEqual(sum(face["emotion"]["smoothed"].values()), 1, places=4)
        self.assertEqual((summary["frames"], summary["ids"], summary["full_searches"]), (20, 1, 1))
        self.assertLess(summary["searched_share"], 0.5)
        self.assertIn(b"work a frame", done.stderr)

    def test_detector_network(self):
        done = run("video", "-", "--json", data=self.film)
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        frames, summary = lines[:-1], lines[-1]["summary"]
        found = json.loads(run("image", "--json", PHOTOS / "astronaut.jpg").stdout)["faces"][0]
        for frame in frames:
            self.assertEqual(len(frame["faces"]), 1)
            face = frame["faces"][0]
            self.assertEqual(
                (face["id"], face["missed"], face["neighbors"], len(face["landmarks"])),
                (1, 0, 0, 5),
            )
            self.assertTrue(0.7 <= face["score"] <= 1)
            size = face["box"]["width"]
            for point, wanted in zip(face["landmarks"], found["landmarks"]):
                self.assertLess(max(abs(point[0] - wanted[0]), abs(point[1] - wanted[1])), size / 8)
        self.assertEqual(summary["ids"], 1)
        self.assertLess(summary["full_searches"], 5)
        self.assertLess(summary["searched_share"], 0.5)
        done = run("video", "-", "-q", "--min-score", "0.99", data=self.film)
        self.assertEqual(
            [json.loads(line)["faces"] for line in done.stdout.splitlines()], [[]] * 20
        )

    def test_events_in_place_of_frames(self):
        """A face comes, goes, and comes again; labels are those of `mien image`."""
        nobody = io.BytesIO()
        Image.new("RGB", (512, 512), (90, 110, 130)).save(nobody, "JPEG")
        face = (PHOTOS / "astronaut.jpg").read_bytes()
        film = nobody.getvalue() * 5 + face * 20 + nobody.getvalue() * 20 + face * 15
        done = run("video", "-", "--fps", "10", "--on", "change", "--json", "-q", data=film)
        self.assertEqual(done.returncode, 0, done.stderr)
        *events, summary = map(json.loads, done.stdout.splitlines())
        self.assertEqual(summary["summary"]["frames"], 60)
        self.assertEqual(
            [(e["event"], e["face"]["id"], e["count"]) for e in events],
            [("appear", 1, 1), ("leave", 1, 0), ("appear", 2, 1), ("leave", 2, 0)],
        )
        self.assertLess(0.5, events[0]["time_s"])
        self.assertLess(events[0]["time_s"], 1.2)
        self.assertEqual(events[0]["face"]["emotion"]["label"], "happy")
        self.assertEqual(events[1]["face"]["emotion"], {"label": "happy"})
        self.assertLess(1.5, events[1]["seconds"])
        self.assertLess(events[1]["seconds"], 2.1)
        self.assertNotIn("utc", events[0])
        self.assertEqual(events[3]["time_s"], 5.9)  # the end
        done = run("video", "-", "--fps", "10", "--every", "2", "--json", "-q", data=film)
        states = [json.loads(line) for line in done.stdout.splitlines()[:-1]]
        self.assertEqual(
            [(e["event"], e["time_s"], e["count"], len(e["faces"])) for e in states],
            [("state", 0, 0, 0), ("state", 2, 1, 1), ("state", 4, 0, 0)],
        )
        done = run("video", "-", "--on", "motion", data=film)
        self.assertEqual(done.returncode, 2)
        self.assertIn("--on", one_line(done))

    def test_cameras_that_hang_askew(self):
        plain, mirrored = (
            json.loads(run("video", "-", "-q", *options, data=self.film).stdout.splitlines()[0])
            for options in ((), ("--mirror",))
        )
        there, here = plain["faces"][0]["box"], mirrored["faces"][0]["box"]
        self.assertLess(abs(512 - there["x"] - there["width"] - here["x"]), there["width"] / 8)
        self.assertLess(abs(there["y"] - here["y"]), there["width"] / 8)
        film = (PHOTOS / "grace_hopper.jpg").read_bytes()
        first = json.loads(run("video", "-", "-q", data=film).stdout)
        turned = json.loads(run("video", "-", "-q", "--rotate", "90", data=film).stdout)
        self.assertNotEqual(first["width"], first["height"])
        self.assertEqual((turned["width"], turned["height"]), (first["height"], first["width"]))
        self.assertEqual((len(first["faces"]), turned["faces"]), (1, []))
        # Turned by 180 degrees, mirrored and flipped: as it was.
        upright = json.loads(
            run("video", "-", "-q", "--rotate", "180", "--mirror", "--flip", data=film).stdout
        )
        self.assertEqual(upright["faces"], first["faces"])
        self.assertEqual(run("video", "-", "--rotate", "45", data=film).returncode, 2)

    def test_pictures(self):
        for n in range(3):
            (self.folder / f"p{n + 1:02}.jpg").write_bytes((PHOTOS / "astronaut.jpg").read_bytes())
        for source in (self.folder / "p%02d.jpg", PHOTOS):
            done = run("video", source, "-q")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertGreaterEqual(len(done.stdout.splitlines()), 3)
        (self.folder / "p02.jpg").write_bytes(b"no picture")
        done = run("video", self.folder / "p%02d.jpg", "-q")
        self.assertEqual(done.returncode, 3)
        self.assertEqual(len(done.stdout.splitlines()), 2)
        self.assertIn("frame 1", one_line(done))

    def test_full_every_frame_is_mien_image(self):
        (self.folder / "one").mkdir()
        (self.folder / "one" / "m.jpg").write_bytes((PHOTOS / "montage.jpg").read_bytes())

        def faces(*options):
            found = json.loads(run(*options).stdout)["faces"]
            read = [
                (list(f["box"].values()), list(f["emotion"]["probabilities"].values()))
                for f in found
            ]
            return sorted(read)  # ids are by score, images list in reading order

        for options in (["--detector", "haar"], ["--enlarge-to", "0"]):
            image = faces("image", PHOTOS / "montage.jpg", "--json", *options)
            self.assertGreater(len(image), 4)
            film = ("video", self.folder / "one", "--full-every", "1", "-q")
            self.assertEqual(faces(*film, *options), image)

    def test_raw_pixels_in_every_format(self):
        """The same face in each format that a camera may send."""
        np = pytest.importorskip("numpy")
        image = pytest.importorskip("PIL.Image")
        photo = image.open(PHOTOS / "astronaut.jpg").convert("RGB").resize((360, 360))
        rgb = np.asarray(photo)
        y, u, v = (np.asarray(plane) for plane in photo.convert("YCbCr").split())
        y = (16 + y * 219.0 / 255).round().astype(np.uint8)

        def packed(order):
            planes = {"Y": [y[:, ::2], y[:, 1::2]], "U": [u[:, ::2]], "V": [v[:, ::2]]}
            return np.stack([planes[c].pop(0) for c in order], axis=2)

        def pairs(first, second, step):
            return np.stack([first[::step, ::2], second[::step, ::2]], axis=2)

        def bayer(pattern):
            mosaic = np.empty(y.shape, np.uint8)
            for at, color in enumerate(pattern):
                rows, columns = slice(at // 2, None, 2), slice(at % 2, None, 2)
                mosaic[rows, columns] = rgb[rows, columns, "rgb".index(color)]
            return mosaic

        wide = rgb.astype(np.uint16)
        rgb565 = wide[:, :, 0] >> 3 << 11 | wide[:, :, 1] >> 2 << 5 | wide[:, :, 2] >> 3
        fourth = np.full((*y.shape, 1), 7, np.uint8)
        formats = {
            "rgb24": [rgb],
            "bgr24": [rgb[:, :, ::-1]],
            "rgb32": [np.concatenate([rgb, fourth], axis=2)],
            "bgr32": [np.concatenate([rgb[:, :, ::-1], fourth], axis=2)],
            "rgb565": [rgb565.astype("<u2")],
            "rgb565be": [rgb565.astype(">u2")],
            "grey": [y],
            "y10": [y.astype("<u2") * 4],
            "y12": [y.astype("<u2") * 16],
            "y16": [y.astype("<u2") * 256],
            "nv12": [y, pairs(u, v, 2)],
            "nv21": [y, pairs(v, u, 2)],
            "nv16": [y, pairs(u, v, 1)],
            "nv61": [y, pairs(v, u, 1)],
            "yu12": [y, u[::2, ::2], v[::2, ::2]],
            "yv12": [y, v[::2, ::2], u[::2, ::2]],
        }
        formats |= {order.lower(): [packed(order)] for order in ("YUYV", "YVYU", "UYVY", "VYUY")}
        formats |= {pattern: [bayer(pattern)] for pattern in ("bggr", "gbrg", "grbg", "rggb")}
        boxes = {}
        for name, parts in formats.items():
            data = b"".join(np.ascontiguousarray(part).tobytes() for part in parts)
            done = run("video", "-", "--raw", name, "--size", "360x360", "-q", data=data)
            self.assertEqual(done.returncode, 0, done.stderr)
            (face,) = json.loads(done.stdout.splitlines()[0])["faces"]
            boxes[name] = list(face["box"].values())
        for name, box in boxes.items():
            with self.subTest(name=name, box=box, rgb24=boxes["rgb24"]):
                far = max(abs(a - b) for a, b in zip(box, boxes["rgb24"]))
                self.assertLessEqual(far, 4)

    def test_wishes_that_no_camera_can_fulfil(self):
        for arguments, code, text in [
            (["--set", "gain"], 2, "NAME=VALUE"),
            (["--set", "=3"], 2, "NAME=VALUE"),
            (["--stall", "-1"], 2, "--stall"),
            (["--fps", "0"], 2, "--fps"),
            (["--format", "yvyv"], 2, "none of"),
            (["/dev/nosuch", "--set", "gain=3"], 3, "no such device"),
            (["/dev/nosuch", "--list-controls"], 3, "no such device"),
            (["/dev/null", "--list-controls", "--json"], 3, "is no camera"),
        ]:
            with self.subTest(arguments=arguments):
                done = run("camera", *arguments)
                self.assertEqual(done.returncode, code, done.stderr)
                self.assertEqual(done.stdout, b"")
                self.assertIn(text, one_line(done))

    def test_bad_input(self):
        for arguments, data, code, text in [
            (["-"], b"", 3, "is empty"),
            (["-"], b"something else", 3, "--raw"),
            (["nosuch.y4m"], b"", 3, "no such file"),
            (["no%03d.png"], b"", 3, "no such files"),
            (["-"], b"YUV4MPEG2 W4 H4 F1:1\nFRAME\n123", 3, "cut short"),
            (["-", "--raw", "yuyv"], b"", 2, "--size"),
            (["-", "--raw", "h264", "--size", "4x4"], b"", 2, "none of"),
            (["-", "--raw", "yuyv", "--size", "4by4"], b"", 2, "no size"),
            (["-", "--mjpeg", "x"], b"", 2, "PORT"),
            (["-", "--record", "a.mp4"], self.film, 2, ".avi"),
            (["-", "--record", "/no/such/a.avi"], self.film, 1, "No such file"),
        ]:
            with self.subTest(arguments=arguments):
                done = run("video", *arguments, "-q", data=data)
                self.assertEqual(done.returncode, code, done.stderr)
                self.assertIn(text, one_line(done))

    def test_frames_that_are_decoded_in_part_give_the_same_faces(self):
        # What is recorded is decoded whole.
        path = self.folder / "whole.avi"
        faces = []
        for more in ([], ["--record", path]):
            done = run("video", "-", "-q", *more, data=self.film)
            self.assertEqual(done.returncode, 0, done.stderr)
            faces.append([json.loads(line)["faces"] for line in done.stdout.splitlines()])
        self.assertEqual(len(faces[0]), 20)
        self.assertEqual(*faces)

    def test_damaged_frames_are_skipped(self):
        jpeg = (PHOTOS / "astronaut.jpg").read_bytes()
        hurt = bytearray(jpeg)
        hurt[len(hurt) // 3 : len(hurt) // 3 + 3000] = b"\x11" * 3000
        done = run(
            "video", "-", "--live", "-q", "--full-every", "1", data=jpeg + bytes(hurt) + jpeg
        )
        self.assertIn(done.returncode, (0, 3))
        for line in done.stdout.splitlines():
            json.loads(line)

    @pytest.mark.threads
    def test_record(self):
        path = self.folder / "out.avi"
        done = run("video", "-", "--record", path, "-q", data=self.film)
        self.assertEqual(done.returncode, 0, done.stderr)
        data = path.read_bytes()
        self.assertEqual((data[:4], int.from_bytes(data[4:8], "little")), (b"RIFF", len(data) - 8))
        self.assertEqual(int.from_bytes(data[48:52], "little"), 20)
        # What was recorded is read again, by every build; from a pipe, too.
        for done in (run("video", path, "-q"), run("video", "-", "-q", data=data)):
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(done.stdout.count(b'"frame":'), 20)
        done = run("video", "-", "--record", path, "-q", data=self.film)
        self.assertEqual(done.returncode, 1)
        self.assertIn("exists", one_line(done))

    def test_full_disk(self):
        path = self.folder / "small.avi"
        limited = f'ulimit -f 200; trap "" XFSZ; exec "{MIEN}" video - --record "{path}" -q'
        done = subprocess.run(
            ["sh", "-c", limited], input=self.film, capture_output=True, timeout=120
        )
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(len(done.stdout.splitlines()), 20)
        self.assertIn("recording ends", one_line(done))

    @pytest.mark.threads
    def test_a_closed_pipe_and_one_that_nobody_reads(self):
        process = subprocess.Popen(
            [MIEN, "video", "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        process.stdout.close()
        try:
            process.stdin.write(self.film)
        except BrokenPipeError:
            pass
        try:
            process.stdin.close()
        except BrokenPipeError:
            pass
        self.assertEqual(process.wait(60), 141)
        self.assertIn(b"frames in", process.stderr.read())
        process.stderr.close()
        source = self.folder / "long.mjpg"
        source.write_bytes(self.film * 20)
        process = subprocess.Popen([MIEN, "video", source, "-q"], stdout=subprocess.PIPE)
        space = fcntl.fcntl(process.stdout, fcntl.F_GETPIPE_SZ)
        wait_until(lambda: unread(process.stdout) > space // 2 and waits(process.pid))
        self.assertIsNone(process.poll())
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(60), 130)
        process.stdout.close()

    @pytest.mark.threads
    def test_interrupt_while_nothing_comes(self):
        process = subprocess.Popen(
            [MIEN, "video", "-", "--live", "--raw", "grey", "--size", "64x64"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        wait_until(lambda: handles(process.pid, signal.SIGINT) and waits(process.pid))
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(60), 130)
        process.communicate()

    def live_view(self, listen="127.0.0.1:0"):
        """A program that shows what comes on its standard input to browsers, and its address."""
        process = subprocess.Popen(
            [MIEN, "video", "-", "--live", "--mjpeg", listen, "-q"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        line = process.stderr.readline().decode()
        if "built without" in line:
            process.communicate()
            self.skipTest("this program was built without the web service")
        return process, line.split()[-1]

    @pytest.mark.threads
    def test_browser_behind_a_proxy(self):
        """A prefix, mjpg-streamer's addresses, IPv6, and a frame for the first who asks for one."""
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
            listen = "[::1]:0/webcam/"
        except OSError:
            listen = "127.0.0.1:0/webcam"
        process, address = self.live_view(listen)
        jpeg = self.film[: len(self.film) // 20]
        fed = threading.Event()

        def feed():
            while not fed.wait(0.05):
                process.stdin.write(jpeg)
                process.stdin.flush()

        feeding = threading.Thread(target=feed)
        feeding.start()
        try:
            self.assertTrue(address.endswith("/webcam/"), address)
            root = address.removesuffix("webcam/")
            for base in (address, root):
                page = urllib.request.urlopen(base, timeout=10).read().decode()
                for link in re.findall(r'(?:href|src)="([^"]+)"', page):
                    self.assertNotIn(link[0], "/.")
                    urllib.request.urlopen(base + link, timeout=20).close()
                for path in ("?action=snapshot", "?action=snapshot&n=3", "snapshot.jpg"):
                    image = urllib.request.urlopen(base + path, timeout=20).read()
                    self.assertEqual(image[:2], b"\xff\xd8", path)
                with urllib.request.urlopen(base + "?action=stream", timeout=20) as stream:
                    self.assertEqual(stream.readline(), b"--frame\r\n")
            for path in ("?action=command", "webcam/webcam/"):
                with self.assertRaises(urllib.error.HTTPError) as refused:
                    urllib.request.urlopen(root + path, timeout=10)
                self.assertEqual(refused.exception.code, 404)
                refused.exception.close()
        finally:
            fed.set()
            feeding.join()
            process.stdin.close()
            process.wait(60)
            process.stderr.close()
        for wrong, text in (("[::1]", "PORT"), ("::", "PORT"), ("127.0.0.1:0/a b", "prefix")):
            done = run("video", "-", "--live", "--mjpeg", wrong)
            self.assertEqual(done.returncode, 2)
            self.assertIn(text, one_line(done))

    @pytest.mark.threads
    def test_browser(self):
        process, address = self.live_view()
        try:
            process.stdin.write(self.film[: len(self.film) // 20])
            process.stdin.flush()
            jpeg = self.film[: len(self.film) // 20]
            self.assertIn(b"stream.mjpg", urllib.request.urlopen(address, timeout=10).read())
            stream = urllib.request.urlopen(address + "stream.mjpg", timeout=20)
            watched = threading.Event()

            def feed():
                while not watched.wait(0.1):
                    process.stdin.write(jpeg)
                    process.stdin.flush()

            feeding = threading.Thread(target=feed)
            feeding.start()
            try:
                begin = stream.read(4000)
            finally:
                watched.set()
                feeding.join()
            self.assertIn(b"--frame\r\nContent-Type: image/jpeg", begin)
            self.assertIn(b"\xff\xd8\xff", begin)
            self.assertEqual(
                urllib.request.urlopen(address + "snapshot.jpg", timeout=10).read(2), b"\xff\xd8"
            )
            self.assertEqual(
                len(
                    json.loads(urllib.request.urlopen(address + "faces.json", timeout=10).read())[
                        "faces"
                    ]
                ),
                1,
            )
            with self.assertRaises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(address + "other", timeout=10)
            self.assertEqual(refused.exception.code, 404)
            refused.exception.close()
            stream.close()
            # A page of another site that had its name point here sends that name.
            for name, code in (
                ("127.0.0.1", 200),
                ("robot:8090", 200),
                ("robot.local", 200),
                ("evil.example", 403),
            ):
                request = urllib.request.Request(address, headers={"Host": name})
                try:
                    with urllib.request.urlopen(request, timeout=10) as answer:
                        self.assertEqual(answer.status, code)
                except urllib.error.HTTPError as error:
                    self.assertEqual(error.code, code)
                    error.close()
        finally:
            process.stdin.close()
            process.wait(60)
            process.stderr.close()

    @pytest.mark.threads
    def test_browser_under_attack(self):
        """Silent, unreading and half-closed clients of the live view keep nobody else out."""
        process, address = self.live_view()
        port = int(address.split(":")[-1].strip("/"))
        fed = threading.Event()

        def feed():
            while not fed.wait(0.1):
                process.stdin.write(self.film[: len(self.film) // 20])
                process.stdin.flush()

        def connect(request=b"", source=None):
            link = socket.create_connection(
                ("127.0.0.1", port), 60, (source, 0) if source else None
            )
            self.addCleanup(link.close)
            link.sendall(request)
            return link

        def get(path, *headers):
            lines = "".join(f"{header}\r\n" for header in ("Host: localhost", *headers))
            return f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode()

        def until_closed(link):
            try:
                while link.recv(1 << 16):
                    pass
            except ConnectionResetError:
                pass

        feeding = threading.Thread(target=feed)
        feeding.start()
        try:
            # Names and pages of others: every address of the view.
            for path in ("/", "/stream.mjpg", "/snapshot.jpg", "/faces.json"):
                for bad in (
                    get(path, "Origin: http://evil.example"),
                    get(path).replace(b"localhost", b"evil.example"),
                    get(path).replace(b"localhost", b"[::1]evil.example"),
                    get(path).replace(b"localhost", b"localhost:evil.example"),
                ):
                    self.assertIn(b" 403 ", connect(bad).recv(64), bad)
            # Who ended his half and reads nothing is let go of; the server does not go on trying.
            for path in ("/stream.mjpg", "/"):
                link = connect(get(path))
                link.shutdown(socket.SHUT_WR)
                until_closed(link)
            # While sixteen hold on, the next one is served.
            held = [connect() for _ in range(8)]
            held += [connect(get("/stream.mjpg")) for _ in range(8)]
            link = connect(get("/stream.mjpg"), "127.0.0.2")
            self.assertIn(b" 200 ", link.recv(64))
            seen = b""
            while seen.count(b"--frame") < 3:  # frames go on coming
                part = link.recv(1 << 16)
                self.assertTrue(part)
                seen += part
            for silent in held[:8]:
                silent.setblocking(False)
                with self.assertRaises(BlockingIOError):  # not closed
                    silent.recv(1)
        finally:
            fed.set()
            feeding.join()
            process.stdin.close()
            process.wait(60)
            process.stderr.close()

    def test_camera_without_camera(self):
        for device, text in [
            ("/dev/no-such-camera", "no such device"),
            ("/dev/null", "is no camera"),
            (PHOTOS / "astronaut.jpg", "is no device"),
        ]:
            done = run("camera", device, "-q")
            self.assertEqual(done.returncode, 3)
            self.assertIn(text, one_line(done))
        self.assertEqual(run("camera", "--list").returncode, 0)
        self.assertIn("cameras", json.loads(run("camera", "--list", "--json").stdout))
        process = subprocess.Popen(
            [MIEN, "camera", "/dev/no-such-camera", "--reconnect"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        said = b""
        while b"waiting" not in said:
            line = process.stderr.readline()
            self.assertTrue(line, said)  # else it has ended
            said += line
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
        self.assertEqual(process.returncode, 0)

    def test_a_pipe_that_begins_late(self):
        # rpicam-vid and network streams take seconds to their first byte.
        process = subprocess.Popen(
            [MIEN, "video", "-", "--live", "-q"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        time.sleep(2.5)
        self.assertIsNone(process.poll())
        out, _ = process.communicate(self.film[: len(self.film) // 20], timeout=60)
        self.assertEqual(process.returncode, 0)
        self.assertEqual(len(out.splitlines()), 1)

    def test_films(self):
        frames, film = self.folder / "film%02d.png", self.folder / "film.mkv"
        small = self.folder / "small.mp4"
        small.write_bytes(b"\0\0\0\x18ftypmp42")
        if b"without FFmpeg" in run("video", small, "-q").stderr:
            self.skipTest("this program was built without FFmpeg (make desktop)")
        if shutil.which("ffmpeg") is None:
            self.skipTest("ffmpeg is not installed")
        quiet = ["ffmpeg", "-v", "error", "-y"]
        # Lossless, so that the film's frames are those of the images that FFmpeg's own tool makes of it.
        subprocess.run(
            [
                *quiet,
                "-loop",
                "1",
                "-framerate",
                "5",
                "-i",
                PHOTOS / "astronaut.jpg",
                "-frames:v",
                "6",
                "-vf",
                "hue=b=0.3*n/6",
                "-pix_fmt",
                "yuv420p",
                "-c:v",
                "ffv1",
                film,
            ],
            check=True,
        )
        subprocess.run([*quiet, "-i", film, frames], check=True)
        piped = subprocess.run(
            [*quiet, "-i", film, "-f", "yuv4mpegpipe", "-pix_fmt", "yuv420p", "-"],
            check=True,
            capture_output=True,
        ).stdout

        def faces(done):
            self.assertEqual(done.returncode, 0, done.stderr)
            results = [json.loads(line) for line in done.stdout.splitlines()]
            return [(r["frame"], r["time_s"], r["width"], r["height"], r["faces"]) for r in results]

        decoded, pipe = faces(run("video", film, "-q", "--full-every", "1")), faces(
            run("video", "-", "-q", "--full-every", "1", data=piped)
        )
        self.assertEqual([d[:4] for d in decoded], [(n, n / 5, 512, 512) for n in range(6)])
        self.assertEqual(decoded, pipe)
        self.assertTrue(all(len(d[4]) == 1 for d in decoded))
        pictures = faces(run("video", frames, "-q", "--fps", "5", "--full-every", "1"))
        self.assertEqual([len(d[4]) for d in pictures], [1] * 6)
        # A compressed film, one that is cut short, and what is none.
        subprocess.run([*quiet, "-i", film, "-c:v", "mpeg4", "-q:v", "3", small], check=True)
        self.assertEqual([len(d[4]) for d in faces(run("video", small, "-q"))], [1] * 6)
        small.write_bytes(film.read_bytes()[: len(film.read_bytes()) // 2])
        done = run("video", small, "-q")
        self.assertIn(done.returncode, (0, 3))
        self.assertLess(len(done.stdout.splitlines()), 6)
        small.write_bytes(bytes(range(256)) * 40)
        done = run("video", small, "-q")
        self.assertEqual(done.returncode, 3)
        one_line(done)

    def test_window(self):
        done = subprocess.run(
            [MIEN, "video", "-", "--window", "-q"],
            input=self.film,
            capture_output=True,
            timeout=60,
            env={k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")},
        )
        self.assertEqual(done.returncode, 1)
        self.assertIn("--mjpeg", one_line(done))
        if b"without SDL2" in done.stderr:
            self.skipTest("this program was built without SDL2 (make desktop)")
        if shutil.which("Xvfb") is None or shutil.which("xdotool") is None:
            self.skipTest("Xvfb and xdotool are not installed")
        screen = subprocess.Popen(
            ["Xvfb", "-displayfd", "1", "-screen", "0", "800x600x24", "-fbdir", self.folder],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        display = {
            **os.environ,
            "DISPLAY": ":" + screen.stdout.readline().decode().strip(),
            "SDL_VIDEODRIVER": "x11",
        }
        display.pop("WAYLAND_DISPLAY", None)
        try:
            for key in ("q", "Escape"):
                process = subprocess.Popen(
                    [MIEN, "video", "-", "--live", "--window", "--style", "emotion"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    env=display,
                )
                window, painted, end = "", 0, time.monotonic() + 30
                while time.monotonic() < end and painted < 1000:
                    process.stdin.write(self.film[: len(self.film) // 20])
                    process.stdin.flush()
                    time.sleep(0.1)
                    window = (
                        subprocess.run(
                            ["xdotool", "search", "--name", "^mien: "],
                            env=display,
                            capture_output=True,
                        )
                        .stdout.decode()
                        .strip()
                    )
                    if window:
                        painted = len(
                            set(
                                zip(*[iter((self.folder / "Xvfb_screen0").read_bytes()[4096:])] * 4)
                            )
                        )  # different pixels on the screen
                self.assertGreaterEqual(painted, 1000, "no image is shown")
                geometry = subprocess.run(
                    ["xdotool", "getwindowgeometry", window.splitlines()[0]],
                    env=display,
                    capture_output=True,
                ).stdout
                self.assertIn(b"512x512", geometry)
                self.assertIsNone(process.poll())
                subprocess.run(
                    ["xdotool", "windowfocus", window.splitlines()[0], "key", key],
                    env=display,
                    check=True,
                    capture_output=True,
                )
                self.assertEqual(process.wait(60), 0)
                self.assertIn(b"frames in", process.stderr.read())
                for pipe in (process.stdin, process.stderr):
                    try:
                        pipe.close()
                    except BrokenPipeError:
                        pass
        finally:
            screen.terminate()
            screen.wait(20)
            screen.stdout.close()

    def test_budget(self):
        """With a budget of next to nothing, a frame is searched in small parts, and faces are found all the same."""
        shares = {}
        for options in (("--full-every", "1"), ("--budget-ms", "0.1")):
            done = run(
                "video",
                "-",
                "--json",
                "-q",
                *options,
                data=(PHOTOS / "montage.jpg").read_bytes() * 60,
            )
            self.assertEqual(done.returncode, 0, done.stderr)
            lines = [json.loads(line) for line in done.stdout.splitlines()]
            shares[options[0]] = lines[-1]["summary"]["searched_share"]
            self.assertTrue(lines[-2]["faces"], options)
        self.assertEqual(shares["--full-every"], 1)
        self.assertLess(shares["--budget-ms"], 0.5, shares)

    @pytest.mark.threads
    def test_bench_live(self):
        done = run("bench", "--live", "-", "--json", "--seconds", "600", data=self.film)
        self.assertEqual(done.returncode, 0, done.stderr)
        summary = json.loads(done.stdout)["summary"]
        self.assertIn("latency", summary["ms"])
        self.assertEqual(summary["frames"] + summary["dropped"], 20)

    def test_bench_live_ends_at_the_sooner_of_frames_and_seconds(self):
        frame = (PHOTOS / "astronaut.jpg").read_bytes()
        for options, frames in (
            (("--frames", "100000", "--seconds", "0.5"), None),
            (("--frames", "3", "--seconds", "60"), 3),
        ):
            bench = subprocess.Popen(
                [MIEN, "bench", "--live", "-", "--json", *options],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )

            def feed(pipe=bench.stdin):
                with contextlib.suppress(OSError, ValueError):
                    while True:
                        pipe.write(frame)
                        pipe.flush()
                        time.sleep(0.01)

            threading.Thread(target=feed, daemon=True).start()
            with self.subTest(options=options):
                self.assertEqual(bench.wait(timeout=30), 0, bench.stderr.read())
                summary = json.loads(bench.stdout.read())["summary"]
                self.assertGreater(summary["frames"], 0)
                if frames is not None:
                    self.assertEqual(summary["frames"], frames)
            for pipe in (bench.stdout, bench.stderr):
                pipe.close()
