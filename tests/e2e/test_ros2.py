#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""ROS 2 without ROS: what `mien --ros2` sends and `--ros2-image` reads, with Fast DDS and another
version of Cyclone DDS on the other end, and rosbags and ros2-pyterfaces to say what the bytes mean.
"""

import base64
import contextlib
import io
import json
import os
import pathlib
import random
import subprocess
import sys
import threading
import time
import types

import numpy as np
import pytest
from PIL import Image

from processes import stopped, wait_until

MIEN = os.environ["MIEN_TOOL"]
ROOT = pathlib.Path(__file__).resolve().parents[2]
CHECK = ROOT / "tests/tools/ros2_check.py"
PEER = pathlib.Path(MIEN).resolve().parent / "tests/mien-dds-peer"
PACKAGES = "rosbags==0.11.9 ros2-pyterfaces==0.3.0 cyclonedds==11.0.1 numpy==2.4.6"
PHOTO = Image.open(ROOT / "tests/data/photos/astronaut_320.png").convert("RGB")

DETECTIONS = "vision_msgs/msg/Detection2DArray"
TEXT = "std_msgs/msg/String"
DIAGNOSTICS = "diagnostic_msgs/msg/DiagnosticArray"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
IMAGE = "sensor_msgs/msg/Image"
SENT = {
    "/robot1/faces": DETECTIONS,
    "/robot1/events": TEXT,
    "/diagnostics": DIAGNOSTICS,
    "/robot1/annotated/compressed": COMPRESSED,
}
DOMAIN = random.randrange(1, 100)  # of this run; a domain has ports of its own


def wire(name):
    """The type as DDS calls it."""
    package, _, message = name.split("/")
    return f"{package}::msg::dds_::{message}_"


def environment(**variables):
    kept = {key: value for key, value in os.environ.items() if not key.startswith("ROS_")}
    kept.pop("CYCLONEDDS_URI", None)
    here = {"ROS_DOMAIN_ID": str(DOMAIN), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    return {**kept, **here, **variables}


def start(*command, env=None, stdin=subprocess.DEVNULL):
    return subprocess.Popen(
        [*map(str, command)],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=env or environment(),
    )


def mien(*arguments, env=None, stdin=subprocess.DEVNULL):
    return start(MIEN, *arguments, env=env, stdin=stdin)


def lines(data):
    return [json.loads(line) for line in data.splitlines() if line.startswith(b"{")]


def jpeg(image):
    data = io.BytesIO()
    image.save(data, "JPEG", quality=92)
    return data.getvalue()


class Lines:
    """The JSON lines of a process as they come."""

    def __init__(self, process):
        self.items = []
        self.thread = threading.Thread(target=self.read, args=(process.stdout,), daemon=True)
        self.thread.start()

    def read(self, pipe):
        for line in pipe:
            if line.startswith(b"{"):
                self.items.append(json.loads(line))

    def where(self, key):
        return [item for item in self.items if key in item]


@contextlib.contextmanager
def ending(*processes):
    try:
        yield
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
            process.wait()


@pytest.fixture(scope="module", autouse=True)
def speaks():
    version = subprocess.run([MIEN, "--version"], capture_output=True, text=True).stdout
    if "Cyclone DDS 0" not in version and "Cyclone DDS 1" not in version:
        pytest.skip("this program cannot do ROS 2: " + version.split("ROS 2")[1].strip())
    if not PEER.exists():
        pytest.skip("without Fast DDS there is nobody to talk to (Debian: libfastrtps-dev)")


@pytest.fixture(scope="module")
def check():
    """Runs tests/tools/ros2_check.py with the packages that it needs."""
    folder = ROOT / "build/ros2-venv"
    mark = folder / "packages"
    if not mark.exists() or mark.read_text() != PACKAGES:
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        install = [folder / "bin/pip", "install", "-q", "--disable-pip-version-check"]
        if subprocess.run([*install, *PACKAGES.split()]).returncode:
            pytest.skip("could not be installed: " + PACKAGES)
        mark.write_text(PACKAGES)

    def run(*arguments, items=()):
        data = "".join(json.dumps(item) + "\n" for item in items)
        done = subprocess.run(
            [folder / "bin/python", CHECK, *map(str, arguments)],
            input=data.encode(),
            capture_output=True,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    run.python = folder / "bin/python"
    return run


def feed(pipe, pictures, rate):
    for picture in pictures:
        pipe.write(picture)
        pipe.flush()
        time.sleep(1 / rate)
    pipe.close()


@pytest.fixture(scope="module")
def heard(check):
    """A face that comes and goes, as two other implementations heard of it."""
    names = [name for topic, kind in SENT.items() for name in (wire(kind), "rt" + topic)]
    peer = start(PEER, DOMAIN, "sub", 9, *names)
    config = (
        "<CycloneDDS><Domain><General><AllowMulticast>false</AllowMulticast></General><Discovery>"
        "<ParticipantIndex>auto</ParticipantIndex><Peers><Peer address='localhost'/></Peers>"
        "</Discovery></Domain></CycloneDDS>"
    )
    second = start(
        check.python,
        CHECK,
        "subscribe",
        DOMAIN,
        9,
        "rt/robot1/faces",
        env=environment(CYCLONEDDS_URI=config),
    )
    with ending(peer, second):
        of_peer, of_second = Lines(peer), Lines(second)
        wait_until(lambda: of_peer.where("ready") and of_second.where("ready"), 30)
        options = ["--ros2=/robot1", "--ros2-images", "--ros2-frame-id", "head_camera", "-q"]
        program = mien(
            "video", "-", "--live", "--json", "--on", "change", *options, stdin=subprocess.PIPE
        )
        with ending(program):
            dark = jpeg(Image.new("RGB", PHOTO.size))
            began = time.time()
            # Dark until everybody has found everybody.
            feed(program.stdin, [dark] * 25 + [jpeg(PHOTO)] * 25 + [dark] * 12, 12)
            out, complaints = program.stdout.read(), program.stderr.read()
            assert (program.wait(timeout=60), complaints) == (0, b"")
        messages = lambda topic: [  # noqa: E731
            item for item in of_peer.where("hex") if item["topic"] == "rt" + topic
        ]
        wait_until(lambda: len(messages("/robot1/events")) >= 2, 5)
        time.sleep(0.3)
    decoded = {}
    for topic, kind in SENT.items():
        items = [{"type": kind, "topic": topic, "hex": item["hex"]} for item in messages(topic)]
        fields = lines(check("decode", items=items))
        decoded[topic] = [
            {**item, **field, "wire": item["hex"], "again": field["hex"]}
            for item, field in zip(items, fields)
        ]
    return types.SimpleNamespace(
        found={item["found"]: item for item in of_peer.where("found")},
        second=of_second.where("faces"),
        messages=decoded,
        events=lines(out),
        began=began,
        ended=time.time(),
    )


# ---- what is sent ------------------------------------------------------------------------------


def test_names_types_and_qos(heard):
    """As nodes of ROS 2 have them: reliable, volatile, plain CDR."""
    for topic, kind in SENT.items():
        found = heard.found["rt" + topic]
        assert found["type"] == wire(kind)
        assert found["reliable"] and found["volatile"]
        assert found["representation"] in ([], [0])


def test_type_hashes(heard, check):
    """REP 2016: as two packages compute them from the definitions."""
    hashes = json.loads(check("hashes"))
    for topic, kind in SENT.items():
        assert len(hashes[kind]) == (1 if kind == DETECTIONS else 2)
        for one in hashes[kind]:
            assert heard.found["rt" + topic]["user_data"] == f"typehash={one};"


def test_bytes(heard):
    """What rosbags writes for the same message is the same, byte for byte. Cyclone DDS adds up to
    three bytes at the end, so that their number is a multiple of four, and says in the header how
    many."""
    for messages in heard.messages.values():
        assert messages
        for message in messages:
            ours, theirs = bytes.fromhex(message["wire"]), bytes.fromhex(message["again"])
            padding = ours[3] & 3
            assert ours[:3] == theirs[:3] == bytes((0, 1, 0))  # plain CDR, little-endian
            assert ours[4 : len(ours) - padding] == theirs[4:]


def stamp_of(message):
    stamp = message["fields"]["header"]["stamp"]
    return stamp["sec"] + stamp["nanosec"] * 1e-9


def test_detections(heard):
    messages = heard.messages["/robot1/faces"]
    stamps = [stamp_of(message) for message in messages]
    assert stamps == sorted(stamps)
    assert heard.began - 1 < stamps[0] and stamps[-1] < heard.ended
    assert {m["fields"]["header"]["frame_id"] for m in messages} == {"head_camera"}
    shown = [m["fields"]["detections"] for m in messages if m["fields"]["detections"]]
    assert len(shown) >= 15
    # Dark frames are told, too: without faces.
    assert not messages[-1]["fields"]["detections"]
    told = next(event for event in heard.events if event["event"] == "appear")["face"]
    for faces in shown:
        (face,) = faces
        assert face["id"] == str(told["id"])
        assert face["header"]["frame_id"] == "head_camera"
        box, center = told["box"], face["bbox"]["center"]["position"]
        assert abs(center["x"] - box["x"] - box["width"] / 2) < 8
        assert abs(center["y"] - box["y"] - box["height"] / 2) < 8
        assert abs(face["bbox"]["size_x"] - box["width"]) < 16
        labels = {r["hypothesis"]["class_id"]: r["hypothesis"]["score"] for r in face["results"]}
        assert 0.5 < labels["face"] <= 1
        assert all(0 <= score <= 1 for score in labels.values())
    kinds = {"face": 1, "emotion": 7, "gender": 2, "age": 1}
    last = [result["hypothesis"]["class_id"] for result in shown[-1][0]["results"]]
    for kind, count in kinds.items():
        assert sum(label.split(":")[0] == kind for label in last) == count
    assert last[0] == "face" and last[1] == "emotion:happy"


def test_another_version_of_cyclone(heard):
    """cyclonedds 11 in Python, by types of its own: the same messages."""
    expected = {
        (stamp["sec"], stamp["nanosec"]): message["fields"]
        for message in heard.messages["/robot1/faces"]
        for stamp in [message["fields"]["header"]["stamp"]]
    }
    with_faces = 0
    for message in heard.second:
        fields = expected.get(tuple(message["stamp"]))
        if fields is None:  # the two were not there at the same time
            continue
        assert message["frame_id"] == "head_camera"
        assert len(message["faces"]) == len(fields["detections"])
        for face, same in zip(message["faces"], fields["detections"]):
            with_faces += 1
            assert face["id"] == same["id"]
            position = same["bbox"]["center"]["position"]
            assert face["center"] == [position["x"], position["y"]]
            assert face["labels"] == [r["hypothesis"]["class_id"] for r in same["results"]]
            assert face["w"] == 1
    assert with_faces >= 15


def test_events(heard):
    """The JSON that standard output has."""
    sent = [json.loads(m["fields"]["data"]) for m in heard.messages["/robot1/events"]]
    printed = [event for event in heard.events if "event" in event]
    assert [event["event"] for event in sent] == [event["event"] for event in printed]
    assert sent[0]["event"] == "appear" and sent[-1]["event"] == "leave"
    for one, other in zip(sent, printed):
        assert one.pop("utc") and other.pop("utc")
        assert one == other


def test_diagnostics(heard):
    messages = heard.messages["/diagnostics"]
    assert len(messages) >= 4
    stamps = [stamp_of(message) for message in messages]
    assert all(0.9 < b - a < 1.6 for a, b in zip(stamps, stamps[1:-1]))
    for message in messages[:-1]:
        (status,) = message["fields"]["status"]
        assert (status["name"], status["message"], status["level"]) == ("mien: -", "running", 0)
        values = {pair["key"]: pair["value"] for pair in status["values"]}
        assert 5 < float(values["frames_per_second"]) < 14
        assert 0 < float(values["latency_ms"]) < 1000
        assert values["width"] == values["height"] == "320"
        assert values["messages_not_sent"] == values["events_lost"] == "0"
    assert any(
        {"key": "faces", "value": "1"} in m["fields"]["status"][0]["values"] for m in messages
    )
    (last,) = messages[-1]["fields"]["status"]
    assert (last["message"], last["level"]) == ("ended", 3)


def test_images(heard):
    """JPEG with the stamps of the detections, and something drawn on it."""
    messages = heard.messages["/robot1/annotated/compressed"]
    stamps = {stamp_of(message) for message in heard.messages["/robot1/faces"]}
    assert len(messages) >= 15
    assert sum(stamp_of(message) in stamps for message in messages) >= len(messages) - 3
    plain = np.asarray(PHOTO, int)
    drawn = 0
    for message in messages:
        assert message["fields"]["format"] == "jpeg"
        data = base64.b64decode(message["fields"]["data"])
        picture = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), int)
        assert picture.shape == plain.shape
        difference = np.abs(picture - plain).max(axis=2)
        drawn += 0.01 < (difference > 60).mean() < 0.2
    assert drawn >= 10


def test_recording(heard, check, tmp_path):
    """What was on the wire, as rosbag2's recordings, is read again."""
    items = [message for messages in heard.messages.values() for message in messages]
    items = [
        {key: item[key] for key in ("topic", "type")} | {"hex": item["wire"]} for item in items
    ]
    counts = {topic: len(messages) for topic, messages in heard.messages.items()}
    assert json.loads(check("record", tmp_path, items=items)) == {"mcap": counts, "sqlite3": counts}


def test_reader_that_stops(tmp_path):
    """A reliable reader that takes nothing, and images that fill what the network holds: the frames
    do not wait for it, and what is kept for it does not grow."""
    names = [wire(DETECTIONS), "rt/mien/faces", wire(COMPRESSED), "rt/mien/annotated/compressed"]
    peer = start(PEER, DOMAIN, "sub", 30, *names)
    with ending(peer):
        heard = Lines(peer)
        wait_until(lambda: heard.where("ready"), 30)
        noise = np.random.default_rng(1).integers(0, 255, (480, 640, 3), np.uint8)
        large = jpeg(Image.fromarray(noise))
        program = mien(
            "video", "-", "--live", "--ros2", "--ros2-images", "--json", "-q", stdin=subprocess.PIPE
        )
        with ending(program):
            out = Lines(program)
            feeder = threading.Thread(target=feed, args=(program.stdin, [large] * 150, 25))
            feeder.start()
            wait_until(lambda: len(heard.where("hex")) >= 10, 30)
            before = len(out.items)
            peer.send_signal(19)
            wait_until(lambda: stopped(peer.pid))
            memory = []
            for _ in range(6):
                time.sleep(0.5)
                status = pathlib.Path(f"/proc/{program.pid}/status").read_text()
                memory.append(int(status.split("VmRSS:")[1].split()[0]) / 1024)
            after = len(out.items)
            peer.send_signal(18)
            feeder.join()
            assert program.wait(timeout=30) == 0
    assert after - before > 40, "frames waited for a reader"
    assert memory[-1] - memory[1] < 8, memory
    out.thread.join()
    (summary,) = [item["summary"] for item in out.items if "summary" in item]
    assert summary["ms"]["latency"]["max"] < 500


# ---- what is read ------------------------------------------------------------------------------


def image_fields(encoding, picture, step=None, sec=None, frame="cam"):
    data = np.ascontiguousarray(picture)
    row = data.nbytes // data.shape[0]
    step = step or row
    rows = data.view(np.uint8).reshape(data.shape[0], row)
    padded = np.zeros((data.shape[0], step), np.uint8)
    padded[:, :row] = rows
    now = time.time()
    return {
        "header": {
            "stamp": {"sec": int(now) if sec is None else sec, "nanosec": int(now % 1 * 1e9)},
            "frame_id": frame,
        },
        "height": data.shape[0],
        "width": data.shape[1],
        "encoding": encoding,
        "is_bigendian": 0,
        "step": step,
        "data": base64.b64encode(padded.tobytes()).decode(),
    }


def made_images():
    """(encoding, image) of the same photo."""
    rgb = np.asarray(PHOTO)
    gray = np.asarray(PHOTO.convert("L"))
    full = np.full((*gray.shape, 1), 255, np.uint8)
    yuv = np.asarray(PHOTO.convert("YCbCr"))
    yuyv = np.empty((*gray.shape, 2), np.uint8)
    yuyv[:, :, 0] = yuv[:, :, 0]
    yuyv[:, 0::2, 1] = yuv[:, 0::2, 1]
    yuyv[:, 1::2, 1] = yuv[:, 0::2, 2]
    bayer = np.empty_like(gray)
    for y, x, channel in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        bayer[y::2, x::2] = rgb[y::2, x::2, channel]
    return [
        ("rgb8", rgb),
        ("bgr8", rgb[:, :, ::-1]),
        ("8UC3", rgb[:, :, ::-1]),
        ("mono8", gray),
        ("8UC1", gray),
        ("rgba8", np.concatenate([rgb, full], 2)),
        ("bgra8", np.concatenate([rgb[:, :, ::-1], full], 2)),
        ("mono16", gray.astype(np.uint16) * 257),
        ("yuv422_yuy2", yuyv),
        ("yuv422", yuyv[:, :, ::-1]),
        ("bayer_rggb8", bayer),
    ]


class Camera:
    """A node that sends images, and `mien camera` which reads them."""

    def __init__(self, topic, kind, *options, env=None):
        self.peer = start(PEER, DOMAIN, "pub", wire(kind), "rt" + topic, stdin=subprocess.PIPE)
        self.said = Lines(self.peer)
        self.mien = mien(
            "camera", "--ros2-image", topic, "--json", "-q", "--full-every", 1, *options, env=env
        )
        self.frames = Lines(self.mien)

    def __enter__(self):
        wait_until(lambda: self.said.where("matched"), 20)
        return self

    def __exit__(self, *_):
        for process in (self.mien, self.peer):
            if process.poll() is None:
                process.kill()
            process.wait()

    def send(self, data):
        """Bytes of a message in hex."""
        self.peer.stdin.write(data + b"\n")
        self.peer.stdin.flush()

    def frame(self, data):
        """The result for a message, which is sent again if it got lost."""
        count = len(self.frames.items)
        for _ in range(20):
            self.send(data)
            end = time.monotonic() + 1
            while time.monotonic() < end and len(self.frames.items) == count:
                time.sleep(0.005)
            if len(self.frames.items) > count:
                return self.frames.items[-1]
        raise AssertionError("no frame came of it")

    def stop(self):
        """What it said, after SIGTERM."""
        self.mien.terminate()
        assert self.mien.wait(timeout=20) == 0
        return self.mien.stderr.read().decode()


def encoded(check, kind, fields):
    items = [{"type": kind, "fields": one} for one in fields]
    return check("encode", items=items).splitlines()


def test_images_of_every_encoding(check):
    """The same face in each, rows padded or not; and what is damaged is skipped."""
    images = [(name, image_fields(name, picture)) for name, picture in made_images()]
    rgb = np.asarray(PHOTO)
    images.append(("padded", image_fields("rgb8", rgb, step=1000)))
    hexes = encoded(check, IMAGE, [fields for _, fields in images])
    short = image_fields("rgb8", rgb)
    short["height"] = 4000
    narrow = image_fields("rgb8", rgb)
    narrow["step"] = 12
    bad = encoded(check, IMAGE, [short, narrow, image_fields("32FC1", rgb)])
    # Bytes that are no message: cut in the header, in a length, in the pixels; a string that is
    # longer than all; and none.
    good = hexes[0]
    lengths = good[:32] + b"ffffffff" + good[40:]
    bad += [good[:20], good[:70], good[:90], good[:20000], lengths, b"00010000"]
    with Camera("/cam/image_raw", IMAGE, env=environment(ROS_LOCALHOST_ONLY="1")) as camera:
        for (name, _), data in zip(images, hexes):
            frame = camera.frame(data)
            assert (frame["width"], frame["height"]) == PHOTO.size, name
            (face,) = frame["faces"]
            assert abs(face["box"]["x"] - 112) < 8 and abs(face["box"]["y"] - 39) < 8, name
            for data in bad:
                camera.send(data)
        assert camera.mien.poll() is None
        said = camera.stop()
    assert "mien: /cam/image_raw: sensor_msgs/msg/Image\n" in said
    # Each round has nine of them; a log is not filled.
    assert all(line.startswith("mien: ") for line in said.splitlines())
    assert 3 < said.count("\n") <= 1 + 10 + 11
    assert "bytes instead of" in said or "rows of 12 bytes" in said or "32FC1" in said


def test_compressed_images_and_their_headers(check):
    """Detections have the stamp and the frame of the image that they are about."""
    png = io.BytesIO()
    PHOTO.save(png, "PNG")
    messages = []
    for number, data in enumerate((jpeg(PHOTO), png.getvalue(), jpeg(PHOTO))):
        # The clock of a simulation.
        header = {"stamp": {"sec": 100 + number, "nanosec": 7}, "frame_id": f"frame{number}"}
        messages.append(
            {"header": header, "format": "any", "data": base64.b64encode(data).decode()}
        )
    hexes = encoded(check, COMPRESSED, messages)
    sink = start(PEER, DOMAIN, "sub", 30, wire(DETECTIONS), "rt/robot2/faces")
    with ending(sink):
        heard = Lines(sink)
        wait_until(lambda: heard.where("ready"), 30)
        with Camera("/cam/image/compressed", COMPRESSED, "--ros2=robot2") as camera:
            wait_until(lambda: camera.frame(hexes[0]) and heard.where("hex"), 20)
            for data in hexes[1:]:
                count = len(heard.where("hex"))
                assert len(camera.frame(data)["faces"]) == 1
                wait_until(lambda: len(heard.where("hex")) > count, 10)
            said = camera.stop()
    assert "sensor_msgs/msg/CompressedImage" in said
    items = [{"type": DETECTIONS, "hex": item["hex"]} for item in heard.where("hex")]
    headers = [message["fields"]["header"] for message in lines(check("decode", items=items))]
    for message in messages:
        assert message["header"] in headers


def test_topic_of_another_type():
    peer = start(PEER, DOMAIN, "pub", wire(TEXT), "rt/cam/words", stdin=subprocess.PIPE)
    program = mien("camera", "--ros2-image", "cam/words", "-q")
    with ending(peer, program):
        _, complaints = program.communicate(timeout=30)
    assert program.returncode == 3
    assert complaints.decode() == (
        "mien: /cam/words: has messages of the type std_msgs/msg/String, not sensor_msgs/msg/Image "
        "or CompressedImage\n"
    )


def test_nobody_publishes():
    """It waits, as for a camera that is to come, and ends when it is told."""
    program = mien("camera", "--ros2-image", "/nothing", "-q", "--seconds", "0.5")
    with ending(program):
        out, complaints = program.communicate(timeout=30)
    assert (program.returncode, out, complaints) == (0, b"", b"")


@pytest.mark.parametrize(
    "arguments, variables, says",
    [
        (["camera", "--ros2-image", "/a//b"], {}, '--ros2-image: "/a//b" is no name of ROS 2'),
        (["camera", "0", "--ros2-image", "/a"], {}, "takes the place of DEVICE"),
        (["video", "-", "--ros2=/1"], {}, '--ros2: "/1" is no name of ROS 2'),
        (["video", "-", "--ros2"], {"ROS_DOMAIN_ID": "300"}, "no number from 0 to 232"),
        (["video", "-", "--ros2"], {"ROS_LOCALHOST_ONLY": "x"}, "neither 0 nor 1"),
        (["video", "-", "--ros2"], {"ROS_AUTOMATIC_DISCOVERY_RANGE": "x"}, "none of SUBNET"),
        (["camera", "--ros2-image", "/a"], {"ROS_STATIC_PEERS": "a<b"}, "is no address"),
    ],
)
def test_refusals(arguments, variables, says):
    program = mien(*arguments, env=environment(**variables))
    _, complaints = program.communicate(timeout=30)
    assert program.returncode == 2
    assert says in complaints.decode() and complaints.count(b"\n") == 1
