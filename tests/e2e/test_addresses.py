#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`mien video ADDRESS`: cameras in the network with all their habits, which come and go, want passwords
that nobody else may read, or are none."""
from __future__ import annotations

import contextlib
import io
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

import pytest

from processes import wait_until

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import cameras  # noqa: E402

PHOTOS = pathlib.Path(__file__).resolve().parent.parent / "data" / "photos"
MIEN = os.environ["MIEN_TOOL"]
PHOTO = (PHOTOS / "astronaut.jpg").read_bytes()
SECRET = "s3cr:et@x/?#"
QUOTED = "s3cr%3Aet%40x%2F%3F%23"


def run(*arguments, data=b"", timeout=120):
    return subprocess.run(
        [MIEN, *map(str, arguments)], input=data, capture_output=True, timeout=timeout
    )


def watch(address, *options):
    """What came from an address: its frames, the exit code and what was said."""
    done = run("video", address, "-q", "--full-every", "1", *options)
    return [json.loads(line) for line in done.stdout.splitlines()], done


@pytest.fixture(scope="module", autouse=True)
def http():
    with cameras.HttpCamera(cameras.multipart([PHOTO])) as camera:
        done = run("video", f"http://127.0.0.1:{camera.port}/", "-q")
    if b"built without" in done.stderr:
        pytest.skip("this program was built without the web service", allow_module_level=True)


@pytest.fixture(scope="module")
def ffmpeg():
    if b"build with FFmpeg" in run("video", "rtsp://127.0.0.1:1/", "-q").stderr:
        pytest.skip("this program was built without FFmpeg (make desktop)")


def last_line(done):
    lines = done.stderr.decode().splitlines()
    assert lines and all(line.startswith("mien: ") for line in lines), lines
    return lines[-1]


HABITS = {
    "as most": {},
    "chunked": {"chunked": True},
    "another boundary": {"announced": "--myboundary"},
    "no lengths": {"lengths": False},
}


@pytest.mark.parametrize("habit", HABITS)
def test_motion_jpeg(habit):
    answer = cameras.multipart([PHOTO] * 4, **HABITS[habit])
    with cameras.HttpCamera(answer) as camera:
        frames, done = watch(f"http://127.0.0.1:{camera.port}/stream.mjpg")
    assert done.returncode == 0, done.stderr
    assert frames and frames[-1]["frame"] == 3
    for frame in frames:
        assert frame["source"] == f"http://127.0.0.1:{camera.port}/stream.mjpg"
        assert len(frame["faces"]) == 1 and "latency" in frame["timing_ms"]
    (path, fields), *more = camera.requests
    assert (path, fields["Host"], more) == ("/stream.mjpg", f"127.0.0.1:{camera.port}", [])


def test_the_newest_image_wins():
    with cameras.HttpCamera(cameras.multipart([PHOTO] * 200, pause=0.001)) as camera:
        frames, done = watch(f"http://127.0.0.1:{camera.port}/", "--json", "--enlarge-to", "2000")
    assert done.returncode == 0, done.stderr
    summary = frames[-1]["summary"]
    assert summary["dropped"] > 0 and summary["frames"] + summary["dropped"] == 200


def test_one_image_again_and_again():
    def answer(handler):
        cameras.head(handler, Content_Type="image/jpeg", Content_Length=len(PHOTO))
        handler.wfile.write(PHOTO)

    with cameras.HttpCamera(answer) as camera:
        begin = time.monotonic()
        frames, done = watch(
            f"http://127.0.0.1:{camera.port}/shot.jpg", "--fps", "10", "--frames", "5"
        )
        took = time.monotonic() - begin
    assert done.returncode == 0, done.stderr
    # Those that came while another was read are left out: none where there is time.
    numbers = [frame["frame"] for frame in frames]
    assert len(numbers) == 5 and numbers[0] == 0 and numbers == sorted(set(numbers))
    assert len(camera.requests) > numbers[-1] and took >= 0.4
    stamps = [frame["time_s"] for frame in frames]
    assert stamps == sorted(stamps) and stamps[-1] - stamps[0] >= 0.3


def test_mien_s_own_stream():
    source, sink = os.pipe()
    process = subprocess.Popen(
        [MIEN, "video", "-", "--live", "--mjpeg", "127.0.0.1:0", "-q"],
        stdin=source,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    ended = threading.Event()

    def feed():
        with contextlib.suppress(BrokenPipeError):
            while not ended.wait(0.1):
                os.write(sink, PHOTO)

    feeding = threading.Thread(target=feed)
    feeding.start()
    try:
        address = process.stderr.readline().decode().split()[-1]
        frames, done = watch(address + "stream.mjpg", "--frames", "3")
        assert done.returncode == 0, done.stderr
        assert [len(frame["faces"]) for frame in frames] == [1] * 3
        snapshot, done = watch(address + "snapshot.jpg", "--frames", "2")
        assert done.returncode == 0 and len(snapshot) == 2, done.stderr
        _, done = watch(address)
        assert done.returncode == 3 and "is a page (text/html)" in last_line(done)
    finally:
        ended.set()
        process.terminate()
        process.wait(60)
        process.stderr.close()
        feeding.join()
        os.close(source)
        os.close(sink)


def everything_that_was_written(folder):
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_passwords_are_sent_and_never_shown(tmp_path):
    answer = cameras.needs_password("admin", SECRET, cameras.multipart([PHOTO] * 3))
    with cameras.HttpCamera(answer) as camera:
        place = f"127.0.0.1:{camera.port}/v.cgi"
        seen = []
        record = tmp_path / "out.avi"
        for user, options, code in (
            (f"admin:{QUOTED}@", ("--json", "--record", record), 0),
            ("", (), 3),
            ("admin:wr0ngs3cr@", (), 3),
            (f"admin:{SECRET}@", (), 2),  # as it is: / ? and # end the host
            (f"admin:{QUOTED}@", ("--nonsense",), 2),
            (f"admin:{QUOTED}@", ("a second",), 2),
            (f"admin:{QUOTED}@", ("--raw", "grey", "--size", "4x4"), 2),
        ):
            done = run("video", f"http://{user}{place}?pwd=s3cret", *options)
            assert done.returncode == code, (user, options, done.stderr)
            seen.append(done.stdout + done.stderr)
        for verb in ("image", "camera", "explain", "verify", "info"):
            done = run(verb, f"http://admin:{QUOTED}@{place}?pwd=s3cret")
            assert done.returncode not in (0, -signal.SIGSEGV)
            seen.append(done.stdout + done.stderr)
    assert json.loads(seen[0].splitlines()[0])["source"] == f"http://{place}?..."
    assert b"asks for a user and a password" in seen[1]
    assert b"refuses the user or the password" in seen[2]
    assert b"in a password / as %2F" in seen[3]
    written = everything_that_was_written(tmp_path)
    assert b"RIFF" in written
    for text in (*seen, written):
        assert b"s3cr" not in text and b"admin" not in text, text


@pytest.mark.parametrize("live", [False, True])
def test_passwords_are_not_in_feed_and_process_list(live):
    ended = threading.Event()

    def answer(handler):
        cameras.multipart([PHOTO])(handler)
        ended.wait(60)

    check = cameras.needs_password("admin", SECRET, answer)
    options = ("--mjpeg", "127.0.0.1:0") if live else ()
    with cameras.HttpCamera(check) as camera:
        process = subprocess.Popen(
            [
                MIEN,
                "video",
                f"http://admin:{QUOTED}@127.0.0.1:{camera.port}/x?pwd=s3cret",
                *options,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            assert len(json.loads(process.stdout.readline())["faces"]) == 1
            listed = pathlib.Path(f"/proc/{process.pid}/cmdline").read_bytes()
            assert b"s3cr%3A" not in listed and b"admin" not in listed and b"http://" in listed
            if live:
                line = next(iter(process.stderr.readline, b"")).decode()
                while "live image" not in line:
                    line = process.stderr.readline().decode()
                port = int(line.split()[-1].rsplit(":", 1)[1].strip("/"))
                got, patience = b"", time.monotonic() + 20
                while b'"faces"' not in got and time.monotonic() < patience:
                    # The line is printed before the live view has it.
                    with socket.create_connection(("127.0.0.1", port), 10) as link:
                        link.sendall(b"GET /faces.json HTTP/1.0\r\nHost: localhost\r\n\r\n")
                        got = b"".join(iter(lambda: link.recv(65536), b""))
                assert b'"faces"' in got and b"s3cr" not in got and b"admin" not in got
        finally:
            ended.set()
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)


def test_redirections():
    def answer(handler):
        if handler.path == "/a/x":
            cameras.head(handler, 302, Location="y?z=1", Content_Length="0")
        elif handler.path == "/a/y?z=1":
            cameras.head(handler, 307, Location=f"http://localhost:{camera.port}/end")
        elif handler.path == "/loop":
            cameras.head(handler, 301, Location="/loop", Content_Length="0")
        elif handler.path == "/away":
            cameras.head(handler, 301, Location="ftp://127.0.0.1/u:s3cret", Content_Length="0")
        elif handler.path == "/bad":
            cameras.head(handler, 301, Location="http://a b/", Content_Length="0")
        else:
            cameras.multipart([PHOTO])(handler)

    with cameras.HttpCamera(answer) as camera:
        begin = f"http://admin:secret@127.0.0.1:{camera.port}"
        frames, done = watch(begin + "/a/x")
        assert done.returncode == 0 and len(frames) == 1, done.stderr
        # The password is for the one who was named.
        sent = ["Authorization" in fields for _, fields in camera.requests]
        assert sent == [True, True, False]
        for path, text in (("/loop", "more than 5 times"), ("/away", "FFmpeg"), ("/bad", "host")):
            camera.requests.clear()
            _, done = watch(begin + path)
            assert done.returncode == 3 and text in last_line(done)
            assert len(camera.requests) <= 6


def raw_server(*answers, hold=0.0):
    """A server that answers each connection with the next of `answers`, and keeps it open so long."""
    server = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def serve():
        for answer in answers:
            try:
                link, _ = server.accept()
            except OSError:
                return
            with link, contextlib.suppress(OSError):
                link.recv(4096)
                link.sendall(answer)
                ended.wait(hold)

    threading.Thread(target=serve, daemon=True).start()
    return server, ended


OK = b"HTTP/1.1 200 OK\r\n"
FAULTS = {
    "a page": (OK + b"Content-Type: text/html\r\n\r\n<html>", "is a page (text/html)"),
    "PNG": (OK + b"Content-Type: image/png\r\n\r\n\x89PNG", "is image/png, not motion JPEG"),
    "missing": (b"HTTP/1.0 404 No\r\n\r\n", "status 404"),
    "forbidden": (b"HTTP/1.0 403 No\r\n\r\n", "forbids"),
    "Digest": (
        b'HTTP/1.0 401 No\r\nWWW-Authenticate: Digest realm="s"\r\n\r\n',
        "curl --digest",
    ),
    "no HTTP": (b"SSH-2.0-x\r\n", "does not answer as HTTP does"),
    "nothing": (b"", "without an answer"),
    "half a head": (b"HTTP/1.1 2", "without an answer"),
    "an endless head": (OK + b"X: " + b"y" * 40000, "does not answer as HTTP does"),
    "no image": (OK + b"Content-Type: multipart/mixed\r\n\r\nabc", "no whole JPEG"),
    "half an image": (
        OK + b"Content-Type: image/jpeg\r\nContent-Length: 99999\r\n\r\n" + PHOTO[:999],
        "in the middle",
    ),
    "bad chunks": (
        OK + b"Transfer-Encoding: chunked\r\nContent-Type: multipart/x\r\n\r\nzz\r\n",
        "damaged",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_answers_that_are_of_no_use(fault):
    answer, text = FAULTS[fault]
    server, _ = raw_server(answer)
    with server:
        _, done = watch(f"http://127.0.0.1:{server.getsockname()[1]}/x", "--timeout", "10")
    assert done.returncode == 3, done.stderr
    assert text in last_line(done), done.stderr


@pytest.mark.parametrize("answer", [b"", OK, OK + b"Content-Type: image/jpeg\r\n\r\n" + PHOTO[:99]])
def test_silence_has_an_end(answer):
    server, ended = raw_server(answer, hold=60)
    with server:
        begin = time.monotonic()
        _, done = watch(f"http://127.0.0.1:{server.getsockname()[1]}/x", "--timeout", "0.5")
        ended.set()
    assert done.returncode == 3 and time.monotonic() - begin < 20
    assert "no answer in time" in last_line(done) or "no image for" in last_line(done)


def test_addresses_that_cannot_be_opened():
    port = cameras.free_port()
    for address, code, text in (
        (f"http://127.0.0.1:{port}/", 3, "cannot connect"),
        ("http://no-such-host.invalid/", 3, "host"),
        ("http://", 2, "names no host"),
        ("http://h:x/", 2, "port"),
        ("ftp://127.0.0.1/", 3, "addresses begin with"),
    ):
        _, done = watch(address, "--timeout", "5")
        assert done.returncode == code and text in last_line(done), done.stderr


def test_without_ffmpeg_others_are_named():
    _, done = watch("rtsp://a:s3cret@127.0.0.1:1/x", "--timeout", "1")
    if b"build with FFmpeg" not in done.stderr:
        pytest.skip("this program has FFmpeg")
    assert done.returncode == 3 and "-rtsp_transport tcp" in last_line(done)
    _, done = watch("https://127.0.0.1:1/x")
    assert done.returncode == 3 and "HTTPS needs a build with FFmpeg" in last_line(done)
    assert b"s3cret" not in done.stderr


def frames_until(process, wanted):
    frames = []
    while len(frames) < wanted:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        frames.append(json.loads(line))
    return frames


def test_reconnects():
    port = cameras.free_port()
    process = subprocess.Popen(
        [MIEN, "video", f"http://u:s3cret@127.0.0.1:{port}/x", "--reconnect", "-q"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        said = process.stderr.readline()  # not there yet
        numbers = []
        for _ in range(2):  # comes, and goes in the middle of an image
            cut = cameras.multipart([PHOTO] * 3 + [PHOTO[: len(PHOTO) // 2]])
            with cameras.HttpCamera(cut, port) as camera:
                numbers += [frame["frame"] for frame in frames_until(process, 2)]
                wait_until(lambda: camera.requests)
        assert numbers == sorted(set(numbers))
        process.send_signal(signal.SIGINT)
        out, later = process.communicate(timeout=30)
        assert process.returncode == 130
        said += later
        assert b"cannot connect" in said and b"; waiting for it" in said
        assert said.count(b"motion JPEG over HTTP") >= 2 and b"s3cret" not in said
        # Each fault is told once, however often it is tried.
        lines = said.decode().splitlines()
        assert all(a != b for a, b in zip(lines, lines[1:]))
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def test_reconnecting_does_not_try_a_wrong_password_twice():
    check = cameras.needs_password("a", "b", cameras.multipart([PHOTO]))
    with cameras.HttpCamera(check) as camera:
        _, done = watch(f"http://a:c@127.0.0.1:{camera.port}/", "--reconnect")
        assert done.returncode == 3 and "refuses" in last_line(done)
        assert len(camera.requests) == 1


@pytest.mark.parametrize("reconnect", [False, True])
def test_interrupts_end_every_wait(reconnect):
    server, ended = raw_server(*[b""] * 9, hold=60)
    with server:
        process = subprocess.Popen(
            [MIEN, "video", f"http://127.0.0.1:{server.getsockname()[1]}/", "-q"]
            + ["--reconnect"] * reconnect,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(1)
        begin = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert time.monotonic() - begin < 5
        ended.set()


# ---- by FFmpeg


def rtp_jpeg():
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    out = io.BytesIO()
    image.open(io.BytesIO(PHOTO)).save(out, "JPEG", quality=85, subsampling=2)
    return out.getvalue()


def test_rtsp(ffmpeg):
    with cameras.RtspCamera(rtp_jpeg(), user="admin", password="s3cret") as camera:
        place = f"127.0.0.1:{camera.port}/live"
        frames, done = watch(f"rtsp://admin:s3cret@{place}", "--frames", "3")
        assert done.returncode == 0, done.stderr
        assert [len(frame["faces"]) for frame in frames] == [1] * 3
        assert frames[0]["source"] == f"rtsp://{place}" and "latency" in frames[0]["timing_ms"]
        setups = [fields["transport"] for method, _, fields in camera.requests if method == "SETUP"]
        assert setups and all("RTP/AVP/TCP" in transport for transport in setups)
        assert b"s3cret" not in done.stdout + done.stderr
        _, done = watch(f"rtsp://admin:s3crit@{place}", "--reconnect")
        assert done.returncode == 3 and "user and a password" in last_line(done)
        assert b"s3crit" not in done.stdout + done.stderr


def test_rtsp_reconnects_and_its_silence_has_an_end(ffmpeg):
    with cameras.RtspCamera(rtp_jpeg(), frames=8) as camera:
        address = f"rtsp://127.0.0.1:{camera.port}/"
        frames, done = watch(address, "--reconnect", "--frames", "12", "--seconds", "60")
        assert done.returncode == 0 and len(frames) == 12, done.stderr
        assert sum(method == "PLAY" for method, _, _ in camera.requests) >= 2
    server, ended = raw_server(b"", hold=60)
    with server:
        begin = time.monotonic()
        _, done = watch(f"rtsp://127.0.0.1:{server.getsockname()[1]}/", "--timeout", "1")
        assert done.returncode == 3 and "in time" in last_line(done)
        assert time.monotonic() - begin < 20
        ended.set()


def test_films_over_http_and_https(ffmpeg, tmp_path):
    if shutil.which("ffmpeg") is None or shutil.which("openssl") is None:
        pytest.skip("ffmpeg or openssl is not installed")
    film = tmp_path / "film.mp4"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-loop", "1", "-framerate", "5", "-i", PHOTOS / "astronaut.jpg"]
        + ["-frames:v", "4", "-pix_fmt", "yuv420p", "-c:v", "mpeg4", "-q:v", "2"]
        + ["-movflags", "faststart", film],
        check=True,
    )

    def answer(handler):
        data = film.read_bytes()
        cameras.head(handler, Content_Type="video/mp4", Content_Length=len(data))
        handler.wfile.write(data)

    with cameras.HttpCamera(answer) as camera:
        frames, done = watch(f"http://u:s3cret@127.0.0.1:{camera.port}/film.mp4")
        # All frames, by the film's own times: it is no live stream.
        assert done.returncode == 0, done.stderr
        assert [frame["time_s"] for frame in frames] == [0, 0.2, 0.4, 0.6]
        assert all(len(frame["faces"]) == 1 for frame in frames)
        assert b"s3cret" not in done.stdout + done.stderr
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
        + ["-subj", "/CN=localhost", "-keyout", tmp_path / "key", "-out", tmp_path / "cert"],
        check=True,
        stderr=subprocess.DEVNULL,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    with cameras.HttpCamera(answer) as camera:
        camera.server.socket = context.wrap_socket(camera.server.socket, server_side=True)
        address = f"https://localhost:{camera.port}/film.mp4"
        _, done = watch(address)
        assert done.returncode == 3 and not camera.requests
        frames, done = watch(address, "--insecure")
        assert done.returncode == 0 and len(frames) == 4, done.stderr


def test_playlists_lead_to_no_files(ffmpeg, tmp_path):
    """What a server answers must not make the program read files of this machine."""
    secret = tmp_path / "secret.mjpg"
    secret.write_bytes(PHOTO * 3)
    playlists = (
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n%s\n#EXT-X-ENDLIST\n", "x-mpegURL"),
        (b"ffconcat version 1.0\nfile '%s'\n", "x-ffconcat"),
    )
    for text, kind in playlists:
        for name in (f"file:{secret}", str(secret)):

            def answer(handler, body=text % name.encode(), kind=kind):
                cameras.head(handler, Content_Type=f"application/{kind}", Content_Length=len(body))
                handler.wfile.write(body)

            with cameras.HttpCamera(answer) as camera:
                frames, done = watch(
                    f"http://127.0.0.1:{camera.port}/list", "--timeout", "5", "--frames", "1"
                )
            assert done.returncode == 3 and frames == [], (kind, name)
