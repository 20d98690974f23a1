#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`--mqtt` against a real broker that the tests start, kill, stop and fill: events, states, and
entities as Home Assistant makes them of the discovery."""
from __future__ import annotations

import contextlib
import io
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import threading
import time
import types
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from processes import wait_until

PHOTOS = Path(__file__).resolve().parent.parent / "data" / "photos"
MIEN = os.environ["MIEN_TOOL"]
BROKER = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")

if BROKER is None or shutil.which("mosquitto_sub") is None:
    pytest.skip("mosquitto and mosquitto-clients are not installed", allow_module_level=True)
if (
    b"\nMQTT          libmosquitto"
    not in subprocess.run([MIEN, "--version"], capture_output=True).stdout
):
    pytest.skip("this program was built without libmosquitto", allow_module_level=True)


def jpeg(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG")
    return out.getvalue()


NOBODY = jpeg(Image.new("RGB", (512, 512), (90, 110, 130)))
FACE = (PHOTOS / "astronaut.jpg").read_bytes()
FILM = NOBODY * 5 + FACE * 20 + NOBODY * 20 + FACE * 15


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Broker:
    """mosquitto, on a port that stays the same when it is started again."""

    def __init__(self, folder: Path, *lines: str, wrapper: tuple[str, ...] = ()) -> None:
        self.folder, self.port, self.wrapper = folder, free_port(), wrapper
        self.config = folder / "mosquitto.conf"
        self.log = folder / "mosquitto.log"
        named = not any(line.startswith("allow_anonymous") for line in lines)
        self.config.write_text(
            f"listener {self.port} 127.0.0.1\nuser root\n"
            + ("allow_anonymous true\n" if named else "")
            + "".join(line + "\n" for line in lines)
        )
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}/mien/door"

    def start(self) -> "Broker":
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*self.wrapper, BROKER, "-c", str(self.config)], stdout=log, stderr=log
            )
        wait_until(self.answers, 20)
        return self

    def answers(self) -> bool:
        assert self.process is not None and self.process.poll() is None, self.log.read_text()
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
            self.process.wait(30)


class Subscriber:
    """All messages since it came: (topic, payload, whether it was retained)."""

    def __init__(self, broker: Broker, topic: str = "#", options: tuple[str, ...] = ()) -> None:
        self.messages: list[tuple[str, bytes, bool]] = []
        self.process = subprocess.Popen(
            ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(broker.port), "-q", "1", "-t", topic]
            + ["-F", "%r %x %t", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()
        # Once a message of its own comes back, it is subscribed.
        mark = f"test/{id(self)}"
        if topic == "#" and not options:

            def subscribed() -> bool:
                publish(broker, mark, "here")
                return any(t == mark for t, _, _ in self.messages)

            wait_until(subscribed, 20)

    def read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if not line.endswith(b"\n"):
                return  # killed in the middle
            kept, payload, topic = line.decode().rstrip("\n").split(" ", 2)
            self.messages.append((topic, bytes.fromhex(payload), kept == "1"))

    def of(self, topic: str) -> list[bytes]:
        return [payload for t, payload, _ in list(self.messages) if t == topic]

    def last(self, topic: str) -> bytes | None:
        return (self.of(topic) or [None])[-1]

    def events(self) -> list[dict]:
        return [json.loads(p) for p in self.of("mien/door/event")]

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.thread.join()


def publish(broker: Broker, topic: str, text: str) -> None:
    subprocess.run(
        ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(broker.port), "-t", topic, "-m", text],
        check=True,
    )


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    broker = Broker(tmp_path).start()
    yield broker
    broker.end()


@pytest.fixture
def subscriber(broker: Broker) -> Iterator[Subscriber]:
    subscriber = Subscriber(broker)
    yield subscriber
    subscriber.close()


def run(*arguments: object, data: bytes = FILM, environment: dict[str, str] | None = None):
    return subprocess.run(
        [MIEN, "video", "-", "--fps", "10", "-q", *map(str, arguments)],
        input=data,
        capture_output=True,
        timeout=300,
        env={**os.environ, **(environment or {})},
    )


def one_line(done: subprocess.CompletedProcess[bytes]) -> str:
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 1 and lines[0].startswith("mien: "), lines
    return lines[0]


def in_order(seen: list, wanted: list) -> bool:
    """Of what is kept only the latest is told, so a slow reader may miss what is in between."""
    seen = [value for i, value in enumerate(seen) if i == 0 or value != seen[i - 1]]
    rest = iter(wanted)
    return seen[-1] == wanted[-1] and all(any(s == w for w in rest) for s in seen)


class Live:
    """mien with a camera that shows what `picture` is."""

    def __init__(self, *arguments: object) -> None:
        self.picture = NOBODY
        self.process = subprocess.Popen(
            [MIEN, "video", "-", "--live", "-q", "--json", "--on", "change", *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.lines: list[dict] = []
        self.said: list[str] = []
        self.is_showing = True
        self.threads = [
            threading.Thread(target=target, daemon=True)
            for target in (self.show, self.read, self.listen)
        ]
        for thread in self.threads:
            thread.start()

    def show(self) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            while self.is_showing:
                if self.picture:
                    self.process.stdin.write(self.picture)
                    self.process.stdin.flush()
                time.sleep(0.04)
            self.process.stdin.close()

    def read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            told = json.loads(line)
            if "event" in told:  # the last one is the summary
                self.lines.append(told)

    def listen(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line.decode().rstrip("\n"))

    def has_said(self, words: str) -> bool:
        return any(words in line for line in list(self.said))

    def end(self) -> int:
        self.is_showing = False
        code = self.process.wait(60)
        for thread in self.threads:
            thread.join(10)
        return code

    def __enter__(self) -> "Live":
        return self

    def __exit__(self, *_: object) -> None:
        self.is_showing = False
        self.process.kill()
        self.process.wait()


def test_events_are_those_of_standard_output(broker: Broker, subscriber: Subscriber) -> None:
    for qos in (0, 1, 2):
        subscriber.messages.clear()
        done = run("--on", "change", "--json", "--mqtt", broker.address, "--mqtt-qos", qos)
        assert done.returncode == 0, done.stderr
        told = [json.loads(line) for line in done.stdout.splitlines()]
        told = [event for event in told if "event" in event]
        assert [event["event"] for event in told] == ["appear", "leave", "appear", "leave"]
        wait_until(lambda: subscriber.last("mien/door/status") == b"offline")
        assert subscriber.events() == told, qos
        assert one_line(done) == f"mien: {broker.address}: connected"
        assert subscriber.of("mien/door/status")[-2:] == [b"online", b"offline"]
        states = [json.loads(p) for p in subscriber.of("mien/door/state")]
        assert [s["event"] for s in states] == ["state"] * len(states)
        assert in_order([len(s["faces"]) for s in states], [0, 1, 0, 1, 0])
        summaries = [json.loads(p) for p in subscriber.of("mien/door/summary")]
        assert in_order(
            [(s["faces"], s["expression"]) for s in summaries],
            [(0, None), (1, "happy"), (0, None), (1, "happy"), (0, None)],
        )
        # Who comes later hears how things are now, and nothing of the past.
        late = Subscriber(broker)
        assert {t: p for t, p, kept in late.messages if kept and t.startswith("mien/")} == {
            f"mien/door/{t}": subscriber.last(f"mien/door/{t}")
            for t in ("status", "state", "summary")
        }
        late.close()


def test_all_faces_every_so_often(broker: Broker, subscriber: Subscriber) -> None:
    with Live("--every", "0.3", "--mqtt", broker.address) as live:
        live.picture = FACE
        wait_until(lambda: len(subscriber.of("mien/door/state")) > 6)
        live.end()
    states = [json.loads(p) for p in subscriber.of("mien/door/state")]
    told = [event for event in live.lines if event["event"] == "state"]
    # Those between are of the changes, which are told in any case.
    assert len(told) > 3 and sum(event in states for event in told) > 2
    wait_until(lambda: [e["event"] for e in subscriber.events()] == ["appear", "leave"])


# ---- Home Assistant ------------------------------------------------------------------------------


class HomeAssistant:
    """Entities of the configurations, and their states, by Home Assistant's rules."""

    TOPIC = re.compile(r"homeassistant/(\w+)/(?:([a-zA-Z0-9_-]+)/)?([a-zA-Z0-9_-]+)/config")

    def __init__(self, subscriber: Subscriber) -> None:
        self.subscriber = subscriber

    def configurations(self) -> dict[str, dict]:
        """By unique id; an empty message removes an entity."""
        found: dict[str, tuple[str, dict]] = {}
        for topic, payload, _ in list(self.subscriber.messages):
            match = self.TOPIC.fullmatch(topic)
            if match is None:
                continue
            found.pop(topic, None)
            if payload:
                found[topic] = (match[1], json.loads(payload))
        entities = {}
        for kind, config in found.values():
            assert config["unique_id"] not in entities, "two entities of one id"
            assert config["device"]["identifiers"] and config["origin"]["name"] == "mien"
            entities[config["unique_id"]] = {"kind": kind, **config}
        return entities

    def entity(self, key: str) -> dict:
        matching = [e for i, e in self.configurations().items() if i.endswith("_" + key)]
        assert len(matching) <= 1
        return matching[0] if matching else {}

    def state(self, key: str) -> str | None:
        config = self.entity(key)
        if not config or self.subscriber.last(config["availability_topic"]) != b"online":
            return "unavailable"
        payload = self.subscriber.last(config["state_topic"])
        if payload is None:
            return None
        # Jinja's expressions that are used here mean the same in Python.
        expression = re.fullmatch(r"{{ (.*) }}", config["value_template"])
        assert expression is not None
        value_json = types.SimpleNamespace(**json.loads(payload))
        return str(eval(expression[1], {"value_json": value_json}))


def test_home_assistant_follows_a_camera(broker: Broker, subscriber: Subscriber) -> None:
    home = HomeAssistant(subscriber)
    with Live("--mqtt", broker.address, "--mqtt-discovery", "--settle", "0.2") as live:
        wait_until(lambda: home.state("presence") == "OFF")
        entities = home.configurations()
        assert sorted((e["kind"], e["name"]) for e in entities.values()) == [
            ("binary_sensor", "Presence"),
            ("sensor", "Expression"),
            ("sensor", "Faces"),
            ("sensor", "Frame rate"),
        ]
        assert len({json.dumps(e["device"]) for e in entities.values()}) == 1
        assert home.entity("presence")["device_class"] == "occupancy"
        assert (home.state("faces"), home.state("expression")) == ("0", "None")
        live.picture = FACE
        wait_until(lambda: home.state("presence") == "ON")
        assert (home.state("faces"), home.state("expression")) == ("1", "happy")
        wait_until(lambda: home.state("fps") not in ("None", None))
        assert 2 < float(home.state("fps") or 0) < 30
        live.picture = NOBODY
        wait_until(lambda: home.state("presence") == "OFF")

        # Home Assistant starts anew, with a broker that keeps nothing of it.
        before = len(subscriber.messages)
        publish(broker, "homeassistant/status", "online")
        again = HomeAssistant(types.SimpleNamespace(messages=[]))  # type: ignore[arg-type]

        def known_again() -> bool:
            again.subscriber.messages = subscriber.messages[before:]
            return again.configurations() == entities

        wait_until(known_again)
        topics = ("status", "state", "summary")
        wait_until(
            lambda: {f"mien/door/{t}" for t in topics}
            <= {t for t, _, _ in subscriber.messages[before:]}
        )
        # Who asks a hundred times is answered within five seconds, and no hundred times.
        before = len(subscriber.messages)
        subprocess.run(
            ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(broker.port), "-l"]
            + ["-t", "homeassistant/status"],
            input=b"online\n" * 100,
            check=True,
        )
        config = next(t for t, _, _ in subscriber.messages if t.endswith("/faces/config"))

        def answers() -> int:
            return sum(t == config for t, _, _ in subscriber.messages[before:])

        wait_until(lambda: answers() >= 1)
        time.sleep(0.5)
        assert answers() <= 2
        # Other words there mean nothing.
        before = len(subscriber.messages)
        publish(broker, "homeassistant/status", "offline")
        publish(broker, "homeassistant/status", "x" * 100000)
        live.picture = FACE
        wait_until(lambda: home.state("presence") == "ON")
        assert not any("/config" in t for t, _, _ in subscriber.messages[before:])
        assert live.end() in (0, 3), live.said
    wait_until(lambda: home.state("presence") == "unavailable")

    # The next run is the same device.
    done = run("--mqtt", broker.address, "--mqtt-discovery")
    assert done.returncode == 0, done.stderr
    wait_until(lambda: home.state("faces") == "unavailable")
    assert home.configurations().keys() == entities.keys()


def test_discovery_under_another_prefix(broker: Broker, subscriber: Subscriber) -> None:
    done = run("--mqtt", broker.address, "--mqtt-discovery=home/ha", "--no-gender", data=FACE * 5)
    assert done.returncode == 0, done.stderr
    wait_until(lambda: subscriber.last("mien/door/status") == b"offline")
    topics = {t for t, _, _ in subscriber.messages if t.endswith("/config")}
    assert topics and all(t.startswith("home/ha/") for t in topics)


def test_images_for_home_assistant(broker: Broker, subscriber: Subscriber) -> None:
    """A camera by the broker, an image by the live view; an entity that is gone is removed."""
    home = HomeAssistant(subscriber)
    options = ("--mqtt-image", "0.2", "--mjpeg", "127.0.0.1:0")
    with Live("--mqtt", broker.address, "--mqtt-discovery", *options) as live:
        wait_until(lambda: len(subscriber.of("mien/door/image")) > 2)
        camera, image = home.entity("camera"), home.entity("image")
        assert (camera["kind"], camera["topic"]) == ("camera", "mien/door/image")
        shown = Image.open(io.BytesIO(subscriber.of(camera["topic"])[-1]))
        assert (shown.format, shown.size) == ("JPEG", (512, 512))
        assert image["kind"] == "image"
        address = (subscriber.last(image["url_topic"]) or b"").decode()
        with urllib.request.urlopen(address, timeout=20) as answer:
            fetched = Image.open(io.BytesIO(answer.read()))
        assert (fetched.format, fetched.size) == ("JPEG", (512, 512))
        page = image["device"]["configuration_url"]
        with urllib.request.urlopen(page, timeout=20) as answer:
            assert b"<html" in answer.read()
        # Home Assistant loads the image again when its address comes again.
        before = len(subscriber.of(image["url_topic"]))
        live.picture = FACE
        wait_until(lambda: len(subscriber.of(image["url_topic"])) > before)
        live.end()
    done = run("--mqtt", broker.address, "--mqtt-discovery")
    assert done.returncode == 0, done.stderr
    wait_until(lambda: not home.entity("camera") and not home.entity("image"))
    assert home.entity("presence")


# ---- What can go wrong ---------------------------------------------------------------------------


@pytest.mark.threads
def test_a_broker_that_is_killed_and_started_again(broker: Broker, subscriber: Subscriber) -> None:
    with Live("--mqtt", broker.address, "--mqtt-discovery") as live:
        live.picture = FACE
        wait_until(lambda: len(subscriber.events()) == 1)
        broker.end()
        subscriber.close()
        live.picture = NOBODY
        wait_until(lambda: len(live.lines) == 2)  # the camera goes on
        wait_until(lambda: live.has_said("trying again"))
        live.picture = FACE
        wait_until(lambda: len(live.lines) == 3)
        late: Subscriber | None = None
        broker.start()  # which has forgotten everything
        late = Subscriber(broker)
        home = HomeAssistant(late)
        wait_until(lambda: home.state("presence") == "ON")
        # What happened meanwhile was not lost: the subscriber came after the broker, so it may have
        # missed the first of them.
        wait_until(lambda: all(event in live.lines for event in late.events()))
        live.picture = NOBODY
        wait_until(lambda: home.state("presence") == "OFF")
        wait_until(lambda: len(live.lines) == 4)
        wait_until(lambda: late.events()[-1] == live.lines[-1])
        wait_until(lambda: sum(line.endswith(": connected") for line in live.said) == 2)
        assert live.end() in (0, 3)
        late.close()


def test_two_cameras_on_one_topic(broker: Broker, subscriber: Subscriber) -> None:
    """They throw each other out; it is said once what that may be, and then nothing."""
    hint = "another client may use this topic: give each camera its own; trying again"
    with Live("--mqtt", broker.address) as one, Live("--mqtt", broker.address) as other:
        wait_until(lambda: one.has_said(hint) and other.has_said(hint), 60)
        before = len(one.said), len(other.said)
        taken = broker.log.read_text().count("already connected")
        wait_until(lambda: broker.log.read_text().count("already connected") >= taken + 2, 60)
        assert (len(one.said), len(other.said)) == before, (one.said, other.said)
        for live in (one, other):
            assert sum(hint in line for line in live.said) == 1, live.said
            assert sum(line.endswith(": connected") for line in live.said) <= 3, live.said


def test_cameras_of_one_machine_have_topics_of_their_own(
    broker: Broker, subscriber: Subscriber, tmp_path: Path
) -> None:
    film = tmp_path / "film.mjpg"
    film.write_bytes(FILM)
    address = broker.address.removesuffix("/mien/door")
    words = set()
    for source in ("-", film):
        done = subprocess.run(
            [MIEN, "video", str(source), "--fps", "10", "-q", "--mqtt", address],
            input=FILM,
            capture_output=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        topic = one_line(done).removeprefix(f"mien: {address}/").removesuffix(": connected")
        wait_until(lambda topic=topic: subscriber.last(topic + "/status") == b"offline")
        words.add(topic.split("/")[2])
    assert len(words) == 2 and "stdin" in words


def test_a_broker_that_comes_late_gets_what_happened(tmp_path: Path) -> None:
    broker = Broker(tmp_path)
    with Live("--mqtt", broker.address) as live:
        wait_until(lambda: live.has_said("Connection refused; trying again"))
        live.picture = FACE
        wait_until(lambda: len(live.lines) == 1)
        # A client of that name that is not there keeps its messages.
        broker.start()
        try:
            subscriber = Subscriber(broker)
            wait_until(lambda: subscriber.last("mien/door/status") == b"online")
            live.picture = NOBODY
            wait_until(lambda: len(live.lines) == 2)
            wait_until(lambda: live.lines[-1] in subscriber.events())
            # Each cause is said once.
            assert sum("trying again" in line for line in live.said) == 1, live.said
            subscriber.close()
        finally:
            live.end()
            broker.end()


def test_a_broker_that_is_away_costs_no_memory(tmp_path: Path) -> None:
    """What waits is limited; what was dropped is counted, and nothing is said twice."""
    broker = Broker(tmp_path)
    many = Image.new("RGB", (480, 360), (90, 110, 130))
    face = Image.open(PHOTOS / "astronaut.jpg").crop((150, 30, 310, 190)).resize((120, 120))
    for i in range(12):
        many.paste(face, (i % 4 * 120, i // 4 * 120))
    cycle = jpeg(many) * 4 + jpeg(Image.new("RGB", many.size, (90, 110, 130))) * 4
    arguments = ["--on", "change", "--json", "--max-rate", "0", "--no-gender", "--no-age"]
    program = subprocess.Popen(
        [MIEN, "video", "-", "--fps", "4", "-q", *arguments, "--mqtt", broker.address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    told: list[dict] = []
    reader = threading.Thread(
        target=lambda: told.extend(json.loads(line) for line in program.stdout), daemon=True
    )
    reader.start()
    try:
        for _ in range(120):
            program.stdin.write(cycle)
        program.stdin.flush()
        wait_until(lambda: len(told) > 1500, 120)
        subscriber = None
        broker.start()
        subscriber = Subscriber(broker, "mien/#", ("-c", "-i", "counter"))
        wait_until(lambda: subscriber.last("mien/door/status") == b"online", 90)
        program.stdin.close()
        said = program.stderr.read().decode()
        assert program.wait(60) == 0
        reader.join(10)
        dropped = re.search(r"connected; (\d+) messages dropped while it was away", said)
        assert dropped, said
        events = [e for e in told if "event" in e]
        assert len(events) - int(dropped[1]) <= 1000 + 24
        wait_until(lambda: subscriber.last("mien/door/status") == b"offline")
        got = subscriber.events()
        assert got == events[len(events) - len(got) :]
    finally:
        if subscriber:
            subscriber.close()
        program.kill()
        broker.end()


@pytest.mark.threads
def test_a_broker_that_stands_still_does_not_hold_the_camera(
    broker: Broker, subscriber: Subscriber
) -> None:
    with Live("--mqtt", broker.address, "--mqtt-image", "0.05") as live:
        wait_until(lambda: subscriber.last("mien/door/status") == b"online")
        assert broker.process is not None
        broker.process.send_signal(signal.SIGSTOP)
        for count in range(1, 7):
            live.picture = FACE if count % 2 else NOBODY
            wait_until(lambda: len(live.lines) == count)
        broker.process.send_signal(signal.SIGCONT)
        wait_until(lambda: subscriber.events() == live.lines, 30)
        assert live.end() in (0, 3)


def test_the_last_will(broker: Broker, subscriber: Subscriber) -> None:
    with Live("--mqtt", broker.address) as live:
        live.picture = FACE
        wait_until(lambda: len(subscriber.events()) == 1)
        assert subscriber.last("mien/door/status") == b"online"
        live.process.kill()
        wait_until(lambda: subscriber.last("mien/door/status") == b"offline")
    late = Subscriber(broker)
    assert ("mien/door/status", b"offline", True) in late.messages
    late.close()


def test_a_camera_that_goes_quiet_is_offline(broker: Broker, subscriber: Subscriber) -> None:
    with Live("--mqtt", broker.address) as live:
        wait_until(lambda: subscriber.last("mien/door/status") == b"online")
        live.picture = b""
        wait_until(lambda: subscriber.last("mien/door/status") == b"offline", 30)
        live.picture = NOBODY
        wait_until(lambda: subscriber.last("mien/door/status") == b"online")


def test_a_broker_that_never_answers(tmp_path: Path) -> None:
    """Its machine takes no connection: the camera waits five seconds for it, and no longer."""
    with socket.socket() as deaf, contextlib.ExitStack() as before:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for _ in range(3):  # of which it has room for one or two
            other = before.enter_context(socket.socket())
            other.setblocking(False)
            other.connect_ex(deaf.getsockname())
        begin = time.monotonic()
        done = run("--mqtt", f"mqtt://127.0.0.1:{deaf.getsockname()[1]}/mien/door")
        seconds = time.monotonic() - begin
    assert done.returncode == 0 and done.stderr.endswith(b": 4 messages not delivered\n")
    assert 4.9 < seconds < 15


def test_passwords(tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    passwords.touch()
    subprocess.run(["mosquitto_passwd", "-b", str(passwords), "camera", "se:cr@et"], check=True)
    broker = Broker(tmp_path, "allow_anonymous false", f"password_file {passwords}").start()
    try:
        place = f"127.0.0.1:{broker.port}/mien/door"
        refused = f"mien: mqtt://{place}: the broker refuses this user and password"
        for address, line in (
            (
                f"mqtt://{place}",
                f"mien: mqtt://{place}: the broker asks for a user: --mqtt-login FILE",
            ),
            (
                f"mqtt://camera@{place}",
                refused.replace(" and", " without a") + ": --mqtt-login FILE",
            ),
            (f"mqtt://camera:wrong-one@{place}", refused),
        ):
            done = run("--mqtt", address)
            assert (done.returncode, one_line(done)) == (1, line)
            assert done.stdout == b""
        good = f"mien: mqtt://{place}: connected"
        done = run("--mqtt", f"mqtt://camera:se%3Acr%40et@{place}")
        assert (done.returncode, one_line(done)) == (0, good)
        environment = {"MIEN_MQTT_PASSWORD": "se:cr@et"}
        done = run("--mqtt", f"mqtt://camera@{place}", environment=environment)
        assert (done.returncode, one_line(done)) == (0, good)
        environment["MIEN_MQTT_USER"] = "camera"
        done = run("--mqtt", f"mqtt://{place}", environment=environment)
        assert (done.returncode, one_line(done)) == (0, good)
        login = tmp_path / "login"
        for text, address in (
            ("se:cr@et\n", f"mqtt://camera@{place}"),
            ("camera\nse:cr@et\n", f"mqtt://{place}"),
            ("camera\r\nse:cr@et", f"mqtt://{place}"),
        ):
            login.write_bytes(text.encode())
            done = run(
                "--mqtt", address, "--mqtt-login", login, environment={"MIEN_MQTT_PASSWORD": "no"}
            )
            assert (done.returncode, one_line(done)) == (0, good), text
        # Nobody finds it in the list of processes.
        with Live("--mqtt", f"mqtt://camera:se%3Acr%40et@{place}") as live:
            wait_until(lambda: live.has_said("connected"))
            words = Path(f"/proc/{live.process.pid}/cmdline").read_bytes()
            assert b"cr" not in words and b"***" in words and b"@127.0.0.1" in words
    finally:
        broker.end()


def test_a_broker_whose_disk_is_full(tmp_path: Path) -> None:
    """It cannot save what it keeps, says so, and goes on; so do we, also when it starts anew."""
    store = tmp_path / "store"
    store.mkdir()
    mount = f"mount -t tmpfs -o size=16k none {store} && head -c 12k /dev/zero >{store}/rest"
    wrapper = ("unshare", "--mount", *(() if os.geteuid() == 0 else ("--map-root-user",)))
    if subprocess.run([*wrapper, "sh", "-c", mount], capture_output=True).returncode != 0:
        pytest.skip("no small file system can be mounted here")
    shell = (*wrapper, "sh", "-c", mount + ' ; exec "$@"', "sh")
    broker = Broker(
        tmp_path,
        "persistence true",
        f"persistence_location {store}/",
        "autosave_interval 1",
        "autosave_on_changes true",
        wrapper=shell,
    ).start()
    try:
        subscriber = Subscriber(broker)
        # Retained images fill it at once.
        with Live("--mqtt", broker.address, "--mqtt-image", "0.1") as live:
            live.picture = FACE
            wait_until(lambda: len(subscriber.events()) == 1)
            wait_until(lambda: "No space left" in broker.log.read_text(), 30)
            live.picture = NOBODY
            wait_until(lambda: len(subscriber.events()) == 2)
            subscriber.close()
            broker.end()
            broker.start()
            late = Subscriber(broker)
            wait_until(lambda: late.last("mien/door/status") == b"online", 30)
            live.picture = FACE
            wait_until(lambda: len(live.lines) == 3)
            wait_until(lambda: late.events()[-1:] == live.lines[-1:])
            late.close()
            assert live.end() in (0, 3)
    finally:
        broker.end()


def authorities(folder: Path) -> None:
    """A test's own authority, a broker's certificate for localhost, and a client's."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-keyout", "ca.key", "-out", "ca.crt", "-days", "2", "-subj", "/CN=A test's authority"),
    )
    for name, subject, extension in (
        ("broker", "/CN=localhost", "subjectAltName=DNS:localhost"),
        ("client", "/CN=door", "keyUsage=digitalSignature"),
    ):
        (folder / f"{name}.ext").write_text(extension + "\n")
        openssl(
            *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", subject),
        )
        openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key"),
            *("-CAcreateserial", "-days", "2", "-extfile", f"{name}.ext", "-out", f"{name}.crt"),
        )
    openssl("pkey", "-in", "client.key", "-aes128", "-passout", "pass:x", "-out", "locked.key")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_tls(tmp_path: Path) -> None:
    authorities(tmp_path)
    files = [f"cafile {tmp_path}/ca.crt", f"certfile {tmp_path}/broker.crt"]
    files.append(f"keyfile {tmp_path}/broker.key")
    broker = Broker(tmp_path, *files).start()
    strict = Broker(tmp_path, *files, "require_certificate true")
    address = f"mqtts://localhost:{broker.port}/mien/door"
    authority = ("--mqtt-ca", tmp_path / "ca.crt")
    try:
        options = ("--cafile", str(tmp_path / "ca.crt"), "-h", "localhost")
        subscriber = Subscriber(broker, "mien/#", options)
        done = run("--on", "change", "--mqtt", address, *authority)
        assert (done.returncode, one_line(done)) == (0, f"mien: {address}: connected")
        wait_until(lambda: len(subscriber.events()) == 4)
        subscriber.close()
        for place, more, words in (
            ("localhost", (), "certificate verify failed"),  # nobody whom the system knows
            ("127.0.0.1", authority, "host name verification failed"),  # another's
            ("localhost", ("--mqtt-ca", __file__), "TLS: "),  # no certificate
        ):
            done = run("--mqtt", f"mqtts://{place}:{broker.port}/mien/door", *more)
            assert done.returncode == 1, done.stderr
            assert f"mien: mqtts://{place}:{broker.port}/mien/door: " in one_line(done)
            assert words in one_line(done)
        # Without TLS the broker hangs up, or says nothing.
        with Live("--mqtt", f"mqtt://localhost:{broker.port}/mien/door") as live:
            wait_until(lambda: live.has_said("trying again"))

        broker.end()
        strict.start()
        address = f"mqtts://localhost:{strict.port}/mien/door"
        client = ("--mqtt-cert", tmp_path / "client.crt", "--mqtt-key", tmp_path / "client.key")
        done = run("--mqtt", address, *authority, *client)
        assert (done.returncode, one_line(done)) == (0, f"mien: {address}: connected")
        # The broker's reason may be lost when it hangs up; then it might be a passing fault.
        done = run("--mqtt", address, *authority)
        told = done.stderr
        assert b"may want a certificate" in told or b"certificate required" in told, told
        assert done.returncode == (0 if b"trying again" in told else 1)
        locked = (*client[:3], tmp_path / "locked.key")
        done = run("--mqtt", address, *authority, *locked)  # asks nobody for the key's password
        assert done.returncode == 1 and one_line(done)
    finally:
        broker.end()
        strict.end()


def test_24000_messages_in_the_same_memory(broker: Broker) -> None:
    counter = Subscriber(broker, "mien/#", ("-c", "-i", "counter"))
    small = Image.open(PHOTOS / "astronaut.jpg").crop((150, 30, 310, 190)).resize((64, 64))
    frame = jpeg(small)
    count = 24_000
    program = subprocess.Popen(
        [MIEN, "video", "-", "--fps", "1000", "--json", "--every", "0.0005", "--no-gender"]
        + ["--no-age", "--mqtt", broker.address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )

    def feed() -> None:
        assert program.stdin is not None
        while len(counter.messages) < count:  # of what comes too fast, only the latest is told
            program.stdin.write(frame * 100)
        program.stdin.close()

    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    assert program.stdout is not None
    last = b""
    for line in program.stdout:
        last = line
    assert program.wait(60) == 0
    feeder.join(10)
    wait_until(lambda: counter.last("mien/door/status") == b"offline")
    counter.close()
    states = len(counter.of("mien/door/state"))
    memory = json.loads(last)["summary"]["memory"]
    half = next(s["mib"] for s in memory if s["frame"] >= 2000)
    print(states, memory)
    assert states > 0.99 * count
    assert memory[-1]["mib"] - half < 1, memory


def test_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "three").write_text("a\nb\nc\n")
    good = "mqtt://127.0.0.1:1/mien/door"
    for arguments, code, words in (
        (("--mqtt", ""), 2, "the address is empty"),
        (("--mqtt-discovery",), 2, "--mqtt-discovery requires --mqtt"),
        (("--mqtt-qos", "0"), 2, "--mqtt-qos requires --mqtt"),
        (("--mqtt", "localhost"), 2, "neither mqtt:// nor mqtts://; write mqtt://HOST/TOPIC"),
        (("--mqtt", "127.0.0.1:1883"), 2, "write mqtt://HOST/TOPIC"),
        (("--mqtt", "mqtt:/localhost/x"), 2, "write mqtt://HOST/TOPIC"),
        (("--mqtt", "http://127.0.0.1/x"), 2, "neither mqtt:// nor mqtts://"),
        (("--mqtt", "mqtt:///x"), 2, "names no host; write mqtt://HOST/TOPIC"),
        (("--mqtt", "mqtt://h:99999/x"), 2, "has a port that is not 1 to 65535"),
        (("--mqtt", "mqtt://h/a//b"), 2, "empty word"),
        (("--mqtt", "mqtt://h/a/+/b"), 2, "a topic with +"),
        (("--mqtt", "mqtt://h/a/#"), 2, "has a #"),
        (("--mqtt", "mqtt://h/a?b"), 2, "%3F"),
        (("--mqtt", "mqtt://h/$SYS/b"), 2, "begins with $"),
        (("--mqtt", "mqtt://h/%ff"), 2, "no UTF-8"),
        (("--mqtt", "mqtt://h/%ed%a0%80"), 2, "no UTF-8"),
        (("--mqtt", "mqtt://h/" + "x" * 201), 2, "more than 200 bytes"),
        (("--mqtt", "mqtt://:secret@h/x/+"), 2, "a topic with +"),
        (("--mqtt", good, "--mqtt-qos", "3"), 2, "--mqtt-qos"),
        (("--mqtt", good, "--mqtt-ca", __file__), 2, "are for mqtts://"),
        (("--mqtt", "mqtts://h/x", "--mqtt-cert", __file__), 2, "belong together"),
        (("--mqtt", "mqtts://h/x", "--mqtt-ca", tmp_path / "none"), 3, "no such file"),
        (("--mqtt", good, "--mqtt-login", tmp_path / "none"), 3, "no such file"),
        (("--mqtt", good, "--mqtt-login", tmp_path / "empty"), 2, "not one line"),
        (("--mqtt", good, "--mqtt-login", tmp_path / "three"), 2, "not one line"),
        (("--mqtt", good, "--mqtt-discovery=a/#"), 2, "no prefix"),
    ):
        done = run(*arguments)
        assert done.returncode == code and words in one_line(done), (arguments, done.stderr)
        assert b"secret" not in done.stderr
    done = run("--mqtt", good, environment={"MIEN_MQTT_PASSWORD": "secret"})
    assert done.returncode == 2 and "no user" in one_line(done)
