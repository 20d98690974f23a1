#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Does the running service answer as docs/SERVICE.md and its own OpenAPI description say? Every route, every refusal, many clients
at once that each check the answer against their own image, slow and rude clients, and a stop that loses nothing.
"""
from __future__ import annotations

import base64
import contextlib
import http.client
import io
import json
import os
import re
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import zlib
from datetime import datetime
from pathlib import Path

import pytest
from PIL import Image

from processes import wait_until

PHOTOS = Path(__file__).resolve().parent.parent / "data" / "photos"
WEIGHTS = PHOTOS.parents[2] / "weights"
HEADS = {name for name in ("emotion", "gender", "age") if (WEIGHTS / f"{name}.mien").exists()}
ORIGINAL_400 = "We cannot process the file sent in the request."
ORIGINAL_404 = "Resource not found."
TOKEN = "a-token-of-the-test-0123456789"
MIEN = os.environ.get("MIEN_TOOL", "")
PHOTO = (PHOTOS / "astronaut.jpg").read_bytes()


def chunk(tag: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data))


def png(
    width: int, height: int, rows: bytes | None = None, claim: tuple[int, int] | None = None
) -> bytes:
    """A gray image; `claim` writes another size into the header."""
    data = rows if rows is not None else (b"\0" + b"\x80" * width) * height
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", *(claim or (width, height)), 8, 0, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(data))
        + chunk(b"IEND", b"")
    )


def png_size(data: bytes) -> tuple[int, int]:
    assert data[:8] == b"\x89PNG\r\n\x1a\n" and data[-12:] == chunk(b"IEND", b""), "no whole PNG"
    return struct.unpack(">II", data[16:24])


def multipart(*parts: tuple[str, str | None, bytes]) -> tuple[bytes, str]:
    body = b""
    for name, file_name, data in parts:
        extra = f'; filename="{file_name}"' if file_name else ""
        body += (
            f'--XbX\r\nContent-Disposition: form-data; name="{name}"{extra}\r\nContent-Type: image/jpeg\r\n\r\n'.encode()
            + data
            + b"\r\n"
        )
    return body + b"--XbX--\r\n", "multipart/form-data; boundary=XbX"


@pytest.fixture(autouse=True, scope="module")
def has_service() -> None:
    if (
        b"built without"
        in subprocess.run([MIEN, "serve", "--listen", "x"], capture_output=True).stderr
    ):
        pytest.skip("this program was built without the web service")


class Service:
    """The program on a port of its own choice; its standard error is kept."""

    def __init__(
        self,
        *options: str,
        env: dict[str, str] | None = None,
        stdin: int | None = None,
        preexec=None,
        listen: str = "127.0.0.1:0",
    ):
        self.process = subprocess.Popen(
            [MIEN, "serve", "--listen", listen, *options],
            stdin=stdin,
            stderr=subprocess.PIPE,
            env={**os.environ, **(env or {})},
            preexec_fn=preexec,
        )
        self.timeout = 60  # seconds without a byte
        self.lines: list[str] = []
        line = self.process.stderr.readline().decode()
        found = re.search(r"http://(127\.0\.0\.1|0\.0\.0\.0|\[[0-9a-f:]+\]):(\d+)(/\S*)?/", line)
        assert found, f"no address in {line!r}"
        self.host, self.port, self.prefix = found[1], int(found[2]), found[3] or ""
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        for line in self.process.stderr:
            self.lines.append(line.decode())

    def __enter__(self) -> "Service":
        return self

    def __exit__(self, *ignored) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self.reader.join(5)
        assert code == 0, f"exit code {code}: {self.lines[-5:]}"

    def connection(self) -> http.client.HTTPConnection:
        name = {"[::]": "127.0.0.1"}.get(self.host, self.host.strip("[]"))
        return http.client.HTTPConnection(name, self.port, timeout=self.timeout)

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        connection = self.connection()
        try:
            connection.request(
                method,
                path,
                body,
                {name.replace("_", "-"): value for name, value in headers.items()},
            )
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        check_described(
            self, method, path, answer.status, answer.getheader("Content-Type") or "", data
        )
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, data

    def post(
        self, path: str, *parts: tuple[str, str | None, bytes], **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        body, content_type = multipart(*parts)
        return self.ask("POST", path, body, Content_Type=content_type, **headers)

    def raw(self, data: bytes, seconds: float = 30) -> bytes:
        """Sends bytes as they are and reads until the service closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as link:
            link.sendall(data)
            answer = b""
            while block := link.recv(65536):
                answer += block
        return answer


# ---- the OpenAPI description: each answer that a test gets must be in it and of its shape ----

DESCRIPTION: dict = {}
SEEN: set[tuple[str, str, int]] = set()


def conforms(value, schema: dict, where: str = "answer") -> None:
    if "$ref" in schema:
        node = DESCRIPTION
        for key in schema["$ref"].removeprefix("#/").split("/"):
            node = node[key]
        return conforms(value, node, where)
    kinds = {
        "object": dict,
        "array": list,
        "string": str,
        "integer": int,
        "number": (int, float),
        "boolean": bool,
    }
    kind = schema.get("type")
    assert (
        kind is None
        or isinstance(value, kinds[kind])
        and (kind == "boolean") == isinstance(value, bool)
    ), f"{where}: {value!r} is no {kind}"
    assert "enum" not in schema or value in schema["enum"], f"{where}: {value!r}"
    if kind == "object":
        for name in schema.get("required", []):
            assert name in value, f"{where}: {name} is missing"
        more = schema.get("additionalProperties", True)
        for name, item in value.items():
            if name in schema.get("properties", {}):
                conforms(item, schema["properties"][name], f"{where}.{name}")
            else:
                assert more is not False, f"{where}: {name} is not described"
                if isinstance(more, dict):
                    conforms(item, more, f"{where}.{name}")
    if kind == "array":
        for item in value:
            conforms(item, schema.get("items", {}), where + "[]")


def check_described(
    service: Service, method: str, path: str, status: int, content_type: str, data: bytes
) -> None:
    if not DESCRIPTION:
        connection = service.connection()
        connection.request("GET", "/openapi.json")
        DESCRIPTION.update(json.loads(connection.getresponse().read()))
        connection.close()
    if service.prefix and path.startswith(service.prefix + "/"):
        path = path.removeprefix(service.prefix)
    route = DESCRIPTION["paths"].get(path.split("?")[0])
    if (
        status in (404, 405, 204)
        and (route is None or method.lower() not in route)
        or status == 403
        or method in ("HEAD", "OPTIONS")
    ):
        return
    assert route is not None, f"{path} answers {status} and is not described"
    responses = route[method.lower()]["responses"]
    assert str(status) in responses, f"{method} {path}: {status} is not described"
    SEEN.add((method, path.split("?")[0], status))
    answer = responses[str(status)]
    if "$ref" in answer:
        answer = DESCRIPTION["components"]["responses"]["Error"]
    kind = content_type.split(";")[0]
    assert kind in answer["content"], f"{path} {status}: {kind} is not described"
    if kind == "application/json":
        conforms(json.loads(data), answer["content"][kind]["schema"])


# ---- tests ----


def error_of(answer: tuple[int, dict[str, str], bytes], status: int) -> str:
    assert answer[0] == status, f"{answer[0]} instead of {status}: {answer[2][:200]!r}"
    assert answer[1]["content-type"] == "application/json"
    return json.loads(answer[2])["error"]


def faces_by_cli(path: Path, *options: str) -> list:
    run = subprocess.run(
        [MIEN, "image", str(path), "--json", *options], capture_output=True, check=True
    )
    return json.loads(run.stdout)["faces"]


def test_original() -> None:
    with Service() as service:
        status, headers, data = service.post("/classifyImage", ("image", "a.jpg", PHOTO))
        assert (
            status == 200
            and headers["content-type"] == "image/png"
            and png_size(data) == (512, 512)
        )
        with tempfile.TemporaryDirectory() as folder:
            drawn = Path(folder) / "drawn.png"
            subprocess.run(
                [MIEN, "image", str(PHOTOS / "astronaut.jpg"), "--out", str(drawn)],
                check=True,
                capture_output=True,
            )
            assert drawn.read_bytes() == data, "the image differs from that of mien image"
        for parts in (
            [("other", "a.jpg", PHOTO)],
            [("image", "a.jpg", b"no picture")],
            [("image", "a.jpg", PHOTO[:3000])],
            [("image", "a.jpg", b"")],
            [("image", "a.jpg", PHOTO), ("image", "b.jpg", PHOTO)],
            [],
        ):
            assert error_of(service.post("/classifyImage", *parts), 400) == ORIGINAL_400
        assert (
            error_of(service.ask("POST", "/classifyImage", PHOTO, Content_Type="image/jpeg"), 400)
            == ORIGINAL_400
        )
        assert error_of(service.ask("GET", "/nothing/here"), 404) == ORIGINAL_404
        if subprocess.run(["sh", "-c", "command -v curl"], capture_output=True).returncode == 0:
            run = subprocess.run(
                [
                    "curl",
                    "-sS",
                    "-F",
                    f"image=@{PHOTOS / 'astronaut.jpg'}",
                    f"localhost:{service.port}/classifyImage",
                ],
                capture_output=True,
                check=True,
            )
            assert run.stdout == data


def test_analyze() -> None:
    with Service() as service:
        golden = json.loads((PHOTOS.parent.parent / "golden" / "faces.json").read_text())
        small = (PHOTOS / golden["photo"]).read_bytes()
        status, headers, data = service.post("/v1/analyze", ("image", golden["photo"], small))
        assert status == 200 and json.loads(data)["images"][0]["faces"] == golden["net"], data
        wanted = faces_by_cli(PHOTOS / "astronaut.jpg")
        assert wanted
        for body, content_type in (
            (PHOTO, "image/jpeg"),
            (PHOTO, "application/octet-stream"),
            multipart(("image", "a.jpg", PHOTO)),
            multipart(("file", None, PHOTO)),
        ):
            status, _, data = service.ask("POST", "/v1/analyze", body, Content_Type=content_type)
            result = json.loads(data)
            assert (
                status == 200
                and len(result["images"]) == 1
                and result["images"][0]["faces"] == wanted
            )
            assert "annotated" not in result["images"][0] and result["timing_ms"]["total"] > 0
            roles = {model["role"] for model in result["models"]}
            assert roles == {"detector"} | HEADS
        status, _, data = service.post(
            "/v1/analyze?annotate=1",
            ("images", "a.jpg", PHOTO),
            ("images", 'b "ä".png', b"nonsense"),
            ("images", "c.png", (PHOTOS / "astronaut_320.png").read_bytes()),
        )
        first, second, third = json.loads(data)["images"]
        assert (
            status == 200
            and first["source"] == "a.jpg"
            and first["faces"] == wanted
            and first["width"] == 512
        )
        status, _, data = service.post("/v1/analyze?annotate=1&landmarks=1", ("image", "a", PHOTO))
        dotted = json.loads(data)["images"][0]
        assert status == 200 and dotted["annotated"] != first["annotated"]
        for threshold, unsure in (("1", True), ("0", False), ("0.0", False)):
            status, _, data = service.post(
                "/v1/analyze?min_confidence=" + threshold, ("image", "a", PHOTO)
            )
            (face,) = json.loads(data)["images"][0]["faces"]
            assert face["emotion"] == {**wanted[0]["emotion"], "unsure": unsure}
            assert face["gender"]["unsure"] is unsure
        status, _, data = service.post(
            "/v1/analyze?annotate=1&min_confidence=1", ("image", "a", PHOTO)
        )
        assert json.loads(data)["images"][0]["annotated"] != first["annotated"]
        for wrong in ("1.1", "-1", "x", "", "1e0", "nan", "0.5.5"):
            status, _, data = service.post(
                "/v1/analyze?min_confidence=" + wrong, ("image", "a", PHOTO)
            )
            assert status == 400 and "min_confidence=0 to 1" in json.loads(data)["detail"], wrong
        assert second["status"] == 415 and second["error"] and "faces" not in second
        assert third["width"] == 320 and png_size(
            base64.b64decode(third["annotated"]["base64"])
        ) == (320, third["height"])
        status, _, data = service.post(
            "/v1/analyze", ("image", "a", b"x"), ("image", "b", PHOTO[:2000])
        )
        assert status == 422 and [image["status"] for image in json.loads(data)["images"]] == [
            415,
            422,
        ]
        blank = json.loads(
            service.ask("POST", "/v1/analyze", png(64, 64), Content_Type="image/png")[2]
        )
        assert blank["images"][0]["faces"] == []


def as_json(**values) -> bytes:
    return json.dumps(values).encode()


def test_json_bodies() -> None:
    """Base64 and data URLs, under the names that other services' clients use."""
    wanted = faces_by_cli(PHOTOS / "astronaut.jpg")
    photo = base64.b64encode(PHOTO).decode()
    with Service("--max-images", "3", "--max-body", "1") as service:

        def send(body: bytes, content_type: str = "application/json"):
            return service.ask("POST", "/v1/analyze", body, Content_Type=content_type)

        for name in ("img", "image", "images", "file", "img_path"):
            for text in (photo, "data:image/jpeg;base64," + photo):
                status, _, data = send(as_json(**{name: text}))
                assert status == 200 and json.loads(data)["images"][0]["faces"] == wanted
        status, _, data = send(as_json(images=[photo, base64.b64encode(b"nothing").decode()]))
        first, second = json.loads(data)["images"]
        assert status == 200 and first["faces"] == wanted and second["status"] == 415
        lines = base64.encodebytes(PHOTO).decode()  # with line ends
        for kind in ("application/json; charset=utf-8", "text/json", "application/x+json"):
            assert send(as_json(img=lines), kind)[0] == 200, kind
        for kind in ("application/x-www-form-urlencoded", ""):  # curl -d
            assert send(as_json(img=photo), kind)[0] == 200, kind
        for image, words in (
            ("http://169.254.169.254/latest/meta-data", "fetches nothing"),
            ("file:///etc/passwd", "fetches nothing"),
            ("/etc/passwd", "opens no files"),
            ("photo.jpg", "opens no files"),
            (None, "null"),
            ({"a": photo}, "an object"),
        ):
            answer = send(as_json(img=image))
            assert error_of(answer, 400) and words in json.loads(answer[2])["detail"]
        assert "9000" in json.loads(send(as_json(img=photo, **{"9000": 1}))[2])["detail"]
        for body in (b"{", b"[]", b"\xff", b"{" * 5000, as_json(a=1), b'{"img":"' + b"A" * 999):
            assert error_of(send(body), 400), body
        assert error_of(send(as_json(images=["AAAA"] * 4)), 413)
        assert error_of(send(as_json(img="A" * (1 << 20))), 413)
        assert send(b"[" * (1 << 19))[0] == 400  # depth costs nothing


def test_clients_of_deepface() -> None:
    (wanted,) = faces_by_cli(PHOTOS / "astronaut.jpg")
    url = "data:image/jpeg;base64," + base64.b64encode(PHOTO).decode()
    with Service() as service:

        def send(**values):
            return service.ask(
                "POST", "/analyze", as_json(**values), Content_Type="application/json"
            )

        status, _, data = send(img=url, actions=["age", "gender", "emotion", "race"], align=True)
        (face,) = json.loads(data)["results"]
        box, points = wanted["box"], wanted["landmarks"]
        assert status == 200 and face["region"] == {
            "x": box["x"],
            "y": box["y"],
            "w": box["width"],
            "h": box["height"],
            "left_eye": [round(v) for v in points[1]],
            "right_eye": [round(v) for v in points[0]],
        }
        assert face["face_confidence"] == wanted["score"]
        shares = wanted["emotion"]["probabilities"]
        assert (
            list(face["emotion"]) == list(shares) and abs(sum(face["emotion"].values()) - 100) < 1
        )
        assert all(abs(face["emotion"][name] - shares[name] * 100) < 1e-3 for name in shares)
        assert face["dominant_emotion"] == wanted["emotion"]["label"]
        assert face["dominant_gender"].lower() == wanted["gender"]["label"]
        assert set(face["gender"]) == {"Woman", "Man"} and "race" not in face
        assert face["age"] == round(wanted["age"]["value"])
        # A file, its field as text, and the options that deepface reads.
        for parts in ([("img", "a.jpg", PHOTO)], [("img", None, url.encode())]):
            status, _, data = service.post("/analyze", *parts, ("actions", None, b"['age']"))
            (face,) = json.loads(data)["results"]
            assert status == 200 and "age" in face and "emotion" not in face
        blank = base64.b64encode(png(64, 64)).decode()
        assert "No face" in error_of(send(img=blank), 400)
        assert json.loads(send(img=blank, enforce_detection=False)[2]) == {"results": []}
        for values in ({"actions": ["mood"]}, {"enforce_detection": "x"}):
            assert error_of(send(img=url, **values), 400)
        assert error_of(send(img=[url, url]), 400)
        assert error_of(send(img_path="https://example.org/a.jpg"), 400)
        assert error_of(service.post("/analyze", ("img", None, b"/etc/passwd")), 400)
    with Service("--detector", "haar") as service:
        body = as_json(img=url)
        _, _, data = service.ask("POST", "/analyze", body, Content_Type="application/json")
        (face,) = json.loads(data)["results"]
        assert face["face_confidence"] is None and face["region"]["left_eye"] is None


def test_clients_of_compreface() -> None:
    (wanted,) = faces_by_cli(PHOTOS / "astronaut.jpg")
    path = "/api/v1/detection/detect"
    with Service(env={"MIEN_TOKEN": TOKEN}) as service:
        key = {"X-Api-Key": TOKEN}
        body = as_json(file=base64.b64encode(PHOTO).decode())
        answers = [
            service.ask(
                "POST", path + "?status=true", body, Content_Type="application/json", **key
            ),
            service.post(path, ("file", "a.jpg", PHOTO), **key),
        ]
        for status, _, data in answers:
            (face,) = json.loads(data)["result"]
            box = wanted["box"]
            assert status == 200 and face["box"] == {
                "probability": wanted["score"],
                "x_min": box["x"],
                "y_min": box["y"],
                "x_max": box["x"] + box["width"],
                "y_max": box["y"] + box["height"],
            }
            assert face["landmarks"] == [[round(v) for v in p] for p in wanted["landmarks"]]
            word = {"man": "male", "woman": "female"}[wanted["gender"]["label"]]
            assert face["gender"]["value"] == word
            low, high = wanted["age"]["range"]
            assert abs(face["age"]["low"] - low) <= 0.5 and abs(face["age"]["high"] - high) <= 0.5
        status, _, data = service.post(
            path + "?face_plugins=age%2Cpose", ("file", "a.jpg", PHOTO), **key
        )
        assert set(json.loads(data)["result"][0]) == {"box", "age"}
        _, _, data = service.post(path + "?det_prob_threshold=1", ("file", "a", PHOTO), **key)
        refused = json.loads(data)
        assert refused["code"] == 28 and "No face" in refused["message"]
        answer = service.post(path, ("file", "a.jpg", PHOTO[:3000]), **key)
        assert error_of(answer, 422) and json.loads(answer[2])["message"]
        assert error_of(service.post(path + "?limit=x", ("file", "a.jpg", PHOTO), **key), 400)
        assert error_of(service.post(path, ("file", "a", PHOTO), **{"X-Api-Key": TOKEN + "x"}), 401)
        assert error_of(service.post(path, ("file", "a", PHOTO)), 401)


def linked(page: str) -> list[str]:
    return re.findall(r'(?:src|href)="([^":]+)"', page)


def test_prefix() -> None:
    with Service("--prefix", "/mien/") as service:
        assert service.prefix == "/mien"
        status, headers, _ = service.ask("HEAD", "/mien")
        assert status == 308 and headers["location"] == "/mien/"
        for base in ("/mien/", "/"):  # a proxy passes the prefix on, or takes it off
            status, _, data = service.ask("GET", base)
            links = [link for link in linked(data.decode()) if not link.startswith("#")]
            assert status == 200 and len(links) >= 5
            for link in links:
                assert not link.startswith("/"), link
                connection = service.connection()  # not all of them are described
                connection.request("GET", base + link)
                assert connection.getresponse().status == 200, link
                connection.close()
            script = service.ask("GET", base + "page.js")[2].decode()
            assert not re.search(r"(?:ask|fetch|stream)\('/", script)
            answer = service.ask("POST", base + "v1/analyze", PHOTO, Content_Type="image/jpeg")
            assert answer[0] == 200
        for path in ("/mienx", "/mien/mien/", "/mien/../healthz", "//mien/healthz"):
            assert service.ask("GET", path)[0] == 404, path
        # What a header says of a prefix has no effect: anybody may send one.
        for name in ("X-Forwarded-Prefix", "X-Script-Name", "X-Forwarded-Host"):
            answer = service.ask("GET", "/other/healthz", **{name: "/other"})
            assert answer[0] == 404
            status, headers, _ = service.ask("HEAD", "/mien", **{name: "evil.example"})
            assert headers["location"] == "/mien/"
        assert service.ask("GET", "/mien", Host="evil.example")[0] == 403
    for wrong in ("a b", "/a//b", "http://x", "/.."):
        run = subprocess.run([MIEN, "serve", "--prefix", wrong], capture_output=True, timeout=20)
        assert run.returncode == 2 and run.stderr.count(b"\n") == 1, wrong


def test_ipv6() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with Service(listen="[::1]:0") as service:
        own = f"[::1]:{service.port}"
        for host, status in (
            (own, 200),
            ("[::1]", 200),
            ("[::ffff:127.0.0.1]", 200),
            ("[::1]evil", 403),
            ("::1", 403),
            ("[::1", 403),
        ):
            assert service.ask("GET", "/healthz", Host=host)[0] == status, host
        for origin, status in (
            (f"http://{own}", 200),
            ("http://[::2]", 403),
            ("http://evil.example", 403),
        ):
            answer = service.ask("GET", "/v1/models", Host=own, Origin=origin)
            assert answer[0] == status, origin
        assert not any("everybody" in line for line in service.lines)
    with Service(listen="[::]:0") as service:  # both kinds of addresses
        for address in ("::1", "127.0.0.1"):
            connection = http.client.HTTPConnection(address, service.port, timeout=60)
            connection.request("GET", "/healthz")
            assert connection.getresponse().status == 200
            connection.close()
        wait_until(lambda: sum('"client"' in line for line in service.lines) >= 2)
        clients = {json.loads(line)["client"] for line in service.lines if '"client"' in line}
        assert clients == {"::1", "127.0.0.1"}
    run = subprocess.run(
        [MIEN, "serve", "--listen", "[2001:db8::1]:0"], capture_output=True, timeout=20
    )
    assert run.returncode == 1 and b"no such address" in run.stderr


def test_detectors() -> None:
    with Service("--detector", "haar") as service:
        small = service.ask("POST", "/v1/analyze", png(20, 20), Content_Type="image/png")
        assert "too small" in error_of(small, 422)
        golden = json.loads((PHOTOS.parent.parent / "golden" / "faces.json").read_text())
        photo = (PHOTOS / golden["photo"]).read_bytes()
        _, _, data = service.post("/v1/analyze", ("image", golden["photo"], photo))
        result = json.loads(data)
        assert result["images"][0]["faces"] == golden["haar"]
        assert {model["role"] for model in result["models"]} == {"cascade"} | HEADS
    wanted = faces_by_cli(PHOTOS / "astronaut.jpg")
    assert len(wanted) == 1 and len(wanted[0]["landmarks"]) == 5
    with Camera() as camera:
        service = camera.service
        result = json.loads(
            service.ask("POST", "/v1/analyze?explain=1", PHOTO, Content_Type="image/jpeg")[2]
        )
        face = result["images"][0]["faces"][0]
        assert (
            face["score"] == wanted[0]["score"]
            and face["landmarks"] == wanted[0]["landmarks"]
            and face["box"] == wanted[0]["box"]
        )
        assert {model["role"] for model in result["models"]} == {"detector"} | HEADS
        crop = face["emotion"]["map"]["crop"]
        assert abs(crop["degrees"]) < 15 and crop["width"] == crop["height"] > face["box"]["width"]
        assert {
            model["role"] for model in json.loads(service.ask("GET", "/v1/models")[2])["models"]
        } == {"detector"} | HEADS
        # An image smaller than the network's step, and than Haar's window.
        assert (
            json.loads(
                service.ask("POST", "/v1/analyze", png(10, 10), Content_Type="image/png")[2]
            )["images"][0]["faces"]
            == []
        )
        events = camera.watch("/v1/events")
        live = [data for name, data in [read_event(events) for _ in range(4)] if name == ""]
        for frame in live:
            conforms(frame, {"$ref": "#/components/schemas/LiveResult"})
            assert (
                len(frame["faces"]) == 1
                and frame["faces"][0]["score"] > 0.7
                and len(frame["faces"][0]["landmarks"]) == 5
            )


def test_refusals() -> None:
    with Service("--max-body", "1", "--max-pixels", "0.5", "--max-images", "2") as service:

        def raw(body: bytes, content_type: str = "image/png", **headers: str):
            return service.ask("POST", "/v1/analyze", body, Content_Type=content_type, **headers)

        assert error_of(raw(PHOTO, "text/plain"), 415)
        assert "text/plain" in json.loads(raw(PHOTO, "text/plain")[2])["detail"]
        for coding in ("gzip", "deflate", "br", "zstd", "gzip, identity"):
            status, headers, data = raw(png(20, 20), Content_Encoding=coding)
            assert status == 415 and headers["accept-encoding"] == "identity"
            assert coding in json.loads(data)["detail"], data
        assert raw(png(20, 20), Content_Encoding="identity")[0] == 200
        assert error_of(raw(b"8BPS\0\1\0\0\0\0\0\0"), 415)
        assert error_of(raw(PHOTO[:2000], "image/jpeg"), 422)
        assert raw(png(20, 20))[0] == 200
        # Of a body that says nothing of itself, as curl's --data-binary, the bytes count.
        assert raw(png(20, 20), "application/x-www-form-urlencoded")[0] == 200
        assert service.ask("POST", "/v1/analyze", png(20, 20))[0] == 200
        assert error_of(service.ask("POST", "/v1/analyze", b"a=b&c=d"), 415)
        assert error_of(raw(png(800, 800)), 413)
        assert error_of(raw(png(8, 8, claim=(30000, 30000))), 413), "a decoding bomb"
        assert error_of(raw(png(8, 8, claim=(2**31 - 1, 2**31 - 1))), 413)
        assert error_of(raw(b"x" * (1 << 21)), 413)
        assert error_of(raw(b""), 400)
        assert error_of(raw(b"x", "multipart/form-data"), 400)
        assert error_of(raw(b"x", "multipart/form-data; boundary=y"), 400)
        assert error_of(
            raw(multipart(("image", "a", PHOTO))[0][:-20], "multipart/form-data; boundary=XbX"), 400
        )
        assert error_of(
            service.post(
                "/v1/analyze", ("image", "a", PHOTO), ("image", "a", PHOTO), ("image", "a", PHOTO)
            ),
            413,
        )
        assert error_of(service.post("/v1/analyze", ("picture", "a", PHOTO)), 400)
        assert error_of(service.post("/v1/analyze?annotate=maybe", ("image", "a", PHOTO)), 400)
        answer = service.ask("GET", "/v1/analyze")
        assert error_of(answer, 405) and "POST" in answer[1]["allow"]
        assert error_of(service.ask("DELETE", "/healthz"), 405) and error_of(
            service.ask("POST", "/v1/models", b""), 405
        )
        # Chunks that grow beyond the limit, header beyond it, and what is no HTTP.
        head = b"POST /v1/analyze HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
        assert (
            b" 413 "
            in service.raw(
                head
                + b"Transfer-Encoding: chunked\r\n\r\n"
                + b"40000\r\n"
                + b"x" * 0x40000
                + (b"\r\n40000\r\n" + b"x" * 0x40000) * 8
            ).split(b"\r\n")[0]
        )
        assert (
            b" 413 "
            in service.raw(
                head + b"Expect: 100-continue\r\nContent-Length: 99999999999\r\n\r\n"
            ).split(b"\r\n")[0]
        )
        assert (
            b" 431 "
            in service.raw(
                b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 70000 + b"\r\n\r\n"
            ).split(b"\r\n")[0]
        )
        assert (
            b" 431 "
            in service.raw(
                b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 9000 + b"\r\n"
            ).split(b"\r\n")[0]
        )
        for wrong in (
            b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n",
            b"GET\r\n\r\n",
            head + b"Content-Length: -1\r\n\r\n",
            head + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc",
            b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc",
        ):
            line = service.raw(wrong).split(b"\r\n")[0]
            assert line.startswith(b"HTTP/1.1 400 "), (wrong, line)
        # Where the body ends must be beyond doubt: 400, and what follows is not read as a request.
        smuggled = b"\r\n\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
        for fields in (
            b"Transfer-Encoding: identity",
            b"Transfer-Encoding: xchunked",
            b'Transfer-Encoding: "chunked"',
            b"Transfer-Encoding: chunked, identity",
            b"Transfer-Encoding: gzip, chunked",
            b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
            b"Transfer-Encoding: identity\r\nContent-Length: 0",
            b"Transfer-Encoding: chunked\r\nContent-Length: 3",
        ):
            for first in (b"GET /healthz", b"POST /v1/analyze"):
                request = first + b" HTTP/1.1\r\nHost: localhost\r\n" + fields + smuggled
                answer = service.raw(request)
                assert answer.startswith(b"HTTP/1.1 400 "), (request, answer)
                assert answer.count(b"HTTP/1.1 ") == 1, (request, answer)
        assert service.ask("GET", "/healthz")[0] == 200


def test_names_and_origins() -> None:
    with Service("--allow-host", "board.local", "--cors", "https://friend.example") as service:
        own = f"localhost:{service.port}"
        for name in (
            own,
            f"127.0.0.1:{service.port}",
            "[::1]:8084",
            "192.168.7.7",
            "board.local",
            "BOARD.local:80",
        ):
            assert service.ask("GET", "/v1/models", Host=name)[0] == 200, name
        for name in (
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "localhost:evil.example",
            "localhost:80.evil.example",
            "[::1]evil.example",
            "[::1]:80evil.example",
            "[::1",
            "[localhost]",
            ":80",
        ):
            assert service.ask("GET", "/healthz", Host=name)[0] == 403, name
        twice = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
        assert b" 403 " in service.raw(twice).split(b"\r\n")[0]
        assert service.ask("GET", "/v1/models", Host=own, Origin="http://" + own)[0] == 200
        for origin in (
            "http://evil.example",
            "null",
            "http://localhost:1",
            "https://friend.example.evil.example",
        ):
            status, headers, _ = service.ask(
                "POST", "/v1/analyze", PHOTO, Content_Type="image/jpeg", Host=own, Origin=origin
            )
            assert status == 403 and "access-control-allow-origin" not in headers, origin
        status, headers, _ = service.ask(
            "POST",
            "/v1/analyze",
            PHOTO,
            Content_Type="image/jpeg",
            Host=own,
            Origin="https://friend.example",
            Sec_Fetch_Site="cross-site",
        )
        assert (
            status == 200
            and headers["access-control-allow-origin"] == "https://friend.example"
            and headers["vary"] == "Origin"
        )
        status, headers, _ = service.ask(
            "OPTIONS",
            "/v1/analyze",
            Origin="https://friend.example",
            Access_Control_Request_Method="POST",
        )
        assert status == 204 and "Authorization" in headers["access-control-allow-headers"]
        assert service.ask("OPTIONS", "/v1/analyze", Origin="http://evil.example")[0] == 403
        assert service.ask("GET", "/metrics", Sec_Fetch_Site="cross-site")[0] == 403
        assert (
            service.ask("GET", "/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")[0]
            == 200
        )


def test_names_on_every_network() -> None:
    """Names that no public DNS holds are known where others may connect, and only there."""
    for listen, status in ("0.0.0.0:0", 200), ("127.0.0.1:0", 403):
        with Service(listen=listen) as service:
            for name in ("board", "board.local", f"Board.local:{service.port}"):
                assert service.ask("GET", "/healthz", Host=name)[0] == status, (listen, name)
            for name in ("board.example", "local.example", "board."):
                assert service.ask("GET", "/healthz", Host=name)[0] == 403, (listen, name)


@pytest.mark.threads
def test_token_and_rate() -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "token"
        file.write_text(TOKEN + "\n")
        with Service("--token-file", str(file)) as service:
            for path in ("/", "/healthz", "/readyz", "/openapi.json"):
                assert service.ask("GET", path)[0] == 200
            for wrong in (
                {},
                {"Authorization": "Bearer " + TOKEN[:-1]},
                {"Authorization": "Bearer " + TOKEN + "x"},
                {"Authorization": "Basic " + TOKEN},
                {"Authorization": "Bearer"},
            ):
                answer = service.ask("GET", "/metrics", **wrong)
                assert error_of(answer, 401) and answer[1]["www-authenticate"].startswith("Bearer")
                # Refused on its header: a body larger than the limit changes nothing.
                assert error_of(
                    service.ask("POST", "/v1/analyze", b"x", Content_Type="image/png", **wrong), 401
                )
            assert (
                service.ask(
                    "POST",
                    "/v1/analyze",
                    PHOTO,
                    Content_Type="image/jpeg",
                    Authorization="bearer " + TOKEN,
                )[0]
                == 200
            )
        assert not any(TOKEN in line for line in service.lines)
        file.write_text("short\n")
        run = subprocess.run(
            [MIEN, "serve", "--listen", "127.0.0.1:0", "--token-file", str(file)],
            capture_output=True,
            timeout=20,
        )
        assert run.returncode == 2 and b"16" in run.stderr and run.stderr.count(b"\n") == 1
    with Service(env={"MIEN_TOKEN": TOKEN}) as service:
        assert service.ask("GET", "/v1/models")[0] == 401
    with Service("--rate", "2") as service:
        statuses = [service.ask("GET", "/v1/models")[0] for _ in range(12)]
        assert statuses[:4] == [200] * 4 and 429 in statuses
        assert service.ask("GET", "/healthz")[0] == 200


def numbered_picture(number: int) -> tuple[bytes, int, int]:
    """Each client's own: another size, and the face at another place (rows of a PGM)."""
    gray = decode_gray()
    width, height = 200 + 3 * (number % 40), 190 + 2 * (number % 50)
    left, top = number * 7 % (width - 130), number * 5 % (height - 130)
    rows = bytearray(b"\x70" * width * height)
    for y in range(130):
        rows[(top + y) * width + left : (top + y) * width + left + 130] = gray[y]
    return b"P5 %d %d 255\n" % (width, height) + bytes(rows), width, height


_GRAY: list[bytes] = []


def decode_gray() -> list[bytes]:
    """130 x 130 pixels around the astronaut's face, cut out of the sample PNG by the standard library."""
    if _GRAY:
        return _GRAY
    data = (PHOTOS / "astronaut_320.png").read_bytes()
    at, packed = 8, b""
    while at < len(data):
        size, tag = struct.unpack(">I4s", data[at : at + 8])
        if tag == b"IHDR":
            width, height, _, kind = struct.unpack(">IIBB", data[at + 8 : at + 18])
        if tag == b"IDAT":
            packed += data[at + 8 : at + 8 + size]
        at += 12 + size
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[kind]
    stream, stride, before, rows = (
        zlib.decompress(packed),
        width * channels,
        bytes(width * channels),
        [],
    )
    for y in range(height):
        line = bytearray(stream[y * (stride + 1) + 1 : (y + 1) * (stride + 1)])
        way = stream[y * (stride + 1)]
        for i in range(stride):
            a, b, c = (
                line[i - channels] if i >= channels else 0,
                before[i],
                before[i - channels] if i >= channels else 0,
            )
            p = a + b - c
            paeth = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
            line[i] = (line[i] + (0, a, b, (a + b) // 2, paeth)[way]) & 255
        before = bytes(line)
        rows.append(before)
    box = faces_by_cli(PHOTOS / "astronaut_320.png")[0]["box"]
    x, y = box["x"] + box["width"] // 2 - 65, max(0, box["y"] + box["height"] // 2 - 65)
    x = max(0, min(x, width - 130))
    _GRAY.extend(
        bytes(row[(x + i) * channels + min(1, channels - 1)] for i in range(130))
        for row in rows[y : y + 130]
    )
    return _GRAY


@pytest.mark.threads
def test_a_promise_takes_no_room() -> None:
    """Bodies count as they come: clients that announce much and send nothing keep nobody out."""
    head = b"POST /v1/analyze HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
    with Service("--max-body", "1") as service, contextlib.ExitStack() as idle:
        for number in range(200):
            length = (b"Transfer-Encoding: chunked", b"Content-Length: 1048576")[number % 2]
            link = socket.create_connection(("127.0.0.1", service.port), timeout=30)
            idle.enter_context(link)
            link.sendall(head + length + b"\r\n\r\n1\r\nx")
        assert service.post("/v1/analyze", ("image", "a", png(48, 48)))[0] == 200
    # What did come counts: beyond 128 MiB there is no room.
    with Service("--max-body", "16") as service, contextlib.ExitStack() as filled:
        for _ in range(8):
            link = socket.create_connection(("127.0.0.1", service.port), timeout=30)
            filled.enter_context(link)
            link.sendall(head + b"Content-Length: 16777216\r\n\r\n" + bytes(16777215))

        def body_bytes() -> float:
            text = service.ask("GET", "/metrics")[2].decode()
            return float(re.search(r"^mien_body_bytes (\d+)", text, re.MULTILINE)[1])

        wait_until(lambda: body_bytes() == 8 * 16777215)
        assert service.post("/v1/analyze", ("image", "a", png(48, 48)))[0] == 503


@pytest.mark.threads
def test_nobody_waits_for_a_client_that_is_gone() -> None:
    images = [("images", f"{i}.png", png(2000, 2000)) for i in range(16)]
    body, content_type = multipart(*images)
    head = f"POST /v1/analyze HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\n"
    with Service("--workers", "1") as service:
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", service.port), timeout=30) as link:
                link.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        assert service.post("/v1/analyze", ("image", "a", png(48, 48)))[0] == 200

        def told() -> list[dict]:
            lines = [json.loads(line) for line in list(service.lines) if '"status":499' in line]
            return lines if len(lines) == 3 else []

        wait_until(lambda: bool(told()))
        assert all(line["images"] < 16 for line in told()), told()


@pytest.mark.threads
def test_work_ends_inside_of_an_image() -> None:
    """Who leaves during the first image frees the engine before it is done; so does the time limit."""
    large = png(6000, 6000)
    head = (
        "POST /v1/analyze HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
        f"Content-Length: {len(large)}\r\n\r\n"
    )
    with Service("--workers", "1") as service:
        link = socket.create_connection(("127.0.0.1", service.port), timeout=60)
        link.sendall(head.encode() + large)
        wait_until(lambda: figure(service, "mien_engines_busy") == 1)
        link.close()
        wait_until(lambda: any('"status":499' in line for line in list(service.lines)))
        line = next(json.loads(line) for line in service.lines if '"status":499' in line)
        assert line["images"] == 0 and line["work_ms"] > 0, line  # begun, and not finished
        assert service.post("/v1/analyze", ("image", "a", png(48, 48)))[0] == 200
    with Service("--workers", "1", "--work-timeout", "1") as service:
        parts = [("images", f"{i}.png", large) for i in range(16)]
        status, _, data = service.post("/v1/analyze", *parts)
        images = json.loads(data)["images"] if status == 200 else []
        late = [image for image in images if image.get("status") == 503]
        assert status == 422 or late and all("too long" in image["error"] for image in late)
        assert service.post("/v1/analyze", ("image", "a", png(48, 48)))[0] == 200


def test_memory_that_is_missing() -> None:
    """It is 503, also for what is inside the image and the engine; the service goes on."""
    with Service("--workers", "1") as service:
        pid = service.process.pid
        size = re.search(r"VmSize:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
        if int(size[1]) > 1 << 30:
            pytest.skip("a sanitizer has taken all addresses")
        for more in (
            20,
            200,
        ):  # MiB: too few for the pixels; enough for these, but not for the engine
            limit = int(size[1]) * 1024 + (more << 20)
            resource.prlimit(pid, resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
            answer = service.post("/v1/analyze", ("image", "a", png(5000, 5000)))
            assert "memory" in error_of(answer, 503) and answer[1]["retry-after"] == "1"
            assert service.post("/v1/analyze", ("image", "a", png(48, 48)))[0] == 200
        resource.prlimit(pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
        assert service.post("/v1/analyze", ("image", "a", png(5000, 5000)))[0] == 200


def test_sandbox() -> None:
    """What it forbids is tried in tests/unit/test_sandbox.cpp. All other tests here run inside of it."""

    def filters(service: Service) -> set[str]:
        tasks = Path(f"/proc/{service.process.pid}/task").iterdir()
        text = [(task / "status").read_text() for task in tasks]
        return {re.search(r"^Seccomp:\s+(\d)", one, re.MULTILINE)[1] for one in text}

    outside = re.search(r"^Seccomp:\s+(\d)", Path("/proc/self/status").read_text(), re.MULTILINE)[1]
    with Service() as service:
        wait_until(lambda: any("sandbox" in line for line in list(service.lines)))
        told = next(line for line in service.lines if "sandbox" in line)
        assert service.post("/v1/analyze", ("image", "a.jpg", PHOTO))[0] == 200
        if "no sandbox" in told:
            assert filters(service) == {outside}, told
        else:
            assert filters(service) == {"2"} and "no files" in told
    with Service("--camera", "/dev/video-none") as service:
        wait_until(lambda: any("sandbox" in line for line in list(service.lines)))
        with_camera = next(line for line in service.lines if "sandbox" in line)
        assert ("below /dev only" in with_camera) == ("Landlock" in told), with_camera
        assert service.post("/v1/analyze", ("image", "a.jpg", PHOTO))[0] == 200
    with Service("--no-sandbox") as service:
        assert service.post("/v1/analyze", ("image", "a.jpg", PHOTO))[0] == 200
        assert filters(service) == {outside} and not any("sandbox" in l for l in service.lines)


@pytest.mark.threads
def test_an_address_cannot_take_the_places_of_others() -> None:
    """One address fills the queue; of two more, each gets its answer, and the one that took most gives way."""
    with Service("--workers", "1", "--waiting", "4") as service:
        service.timeout = 600
        statuses: list[int] = []
        # So many images that a request takes half a second on any machine; one under a sanitizer.
        image, start = png(2000, 2000), time.monotonic()
        assert service.post("/v1/analyze", ("images", "a.png", image))[0] == 200
        count = max(1, min(8, int(0.5 / (time.monotonic() - start))))
        slow = [("images", f"{i}.png", image) for i in range(count)]

        def greedy() -> None:
            statuses.append(service.post("/v1/analyze", *slow)[0])

        threads = [threading.Thread(target=greedy) for _ in range(9)]
        for thread in threads:
            thread.start()
        # Some are refused, so the queue is full.
        wait_until(lambda: len(statuses) > 0)
        assert statuses[0] == 503
        for source in ("127.0.0.2", "127.0.0.3"):
            connection = http.client.HTTPConnection(
                "127.0.0.1", service.port, timeout=600, source_address=(source, 0)
            )
            with contextlib.closing(connection):
                connection.request(
                    "POST", "/v1/analyze", png(48, 48), {"Content-Type": "image/png"}
                )
                assert connection.getresponse().status == 200, source
        for thread in threads:
            thread.join()
        assert sorted(set(statuses)) == [200, 503]


@pytest.mark.threads
def test_silent_connections_make_room() -> None:
    """One address holds all connections and says nothing; another one gets in, and that one itself does not."""
    with Service("--max-connections", "8") as service, contextlib.ExitStack() as silent:
        beginnings = (b"", b"GET /hea", b"POST /v1/analyze HTTP/1.1\r\nHost: localhost\r\n")
        for number in range(8):
            link = socket.create_connection(("127.0.0.1", service.port), timeout=30)
            silent.enter_context(link)
            link.sendall(beginnings[number % 3])
        for source, status in (("127.0.0.1", 503), ("127.0.0.2", 200), ("127.0.0.3", 200)):
            connection = http.client.HTTPConnection(
                "127.0.0.1", service.port, timeout=60, source_address=(source, 0)
            )
            with contextlib.closing(connection):
                connection.request("GET", "/healthz")
                assert connection.getresponse().status == status, source


@pytest.mark.threads
def test_many_clients() -> None:
    """What each client gets must be what the program says about its own image, whoever else asks."""
    clients, rounds = 12, 5
    pictures = [numbered_picture(i) for i in range(clients * rounds)]
    with tempfile.TemporaryDirectory() as folder:
        for i, (data, _, _) in enumerate(pictures):
            (Path(folder) / f"{i}.pgm").write_bytes(data)
        run = subprocess.run(
            [
                MIEN,
                "image",
                "--json",
                *(str(Path(folder) / f"{i}.pgm") for i in range(len(pictures))),
            ],
            capture_output=True,
            check=True,
        )
    expected = [json.loads(line) for line in run.stdout.splitlines()]
    assert (
        sum(len(result["faces"]) for result in expected) > len(pictures) // 2
    ), "the test's images hold no faces"
    assert (
        len({json.dumps(result["faces"]) for result in expected}) > len(pictures) // 2
    ), "the answers hardly differ"
    problems: list[str] = []
    with Service("--waiting", "100", "--workers", "3") as service:

        def client(number: int) -> None:
            try:
                connection = service.connection()
                for turn in range(rounds):
                    i = number * rounds + turn
                    data, width, height = pictures[i]
                    if turn % 2:
                        body, content_type = multipart(("image", f"client {number} {turn}", data))
                    else:
                        body, content_type = data, "image/x-portable-graymap"
                    connection.request(
                        "POST",
                        "/v1/analyze?annotate=1",
                        body,
                        {"Content-Type": content_type, "X-Number": str(i)},
                    )
                    answer = connection.getresponse()
                    result = json.loads(answer.read())["images"][0]
                    assert answer.status == 200 and (result["width"], result["height"]) == (
                        width,
                        height,
                    )
                    assert (
                        result["faces"] == expected[i]["faces"]
                    ), f"client {number}: faces of another image"
                    assert result["source"] == (f"client {number} {turn}" if turn % 2 else "body")
                    assert png_size(base64.b64decode(result["annotated"]["base64"])) == (
                        width,
                        height,
                    )
                    assert answer.getheader("X-Number") is None
                connection.close()
            except Exception:  # noqa: BLE001 - whatever it is, the main thread reports it
                problems.append(traceback.format_exc())

        threads = [threading.Thread(target=client, args=(i,)) for i in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        assert not problems, problems[0]
        text = service.ask("GET", "/metrics")[2].decode()
    metrics = dict(re.findall(r"^(mien_\S+) (\S+)$", text, re.M))
    assert int(metrics["mien_images_total"]) == clients * rounds
    assert int(metrics["mien_faces_total"]) == sum(len(result["faces"]) for result in expected)
    assert int(metrics["mien_requests_in_flight"]) == 1 and int(metrics["mien_body_bytes"]) == 0
    assert int(metrics['mien_step_duration_seconds_count{step="detect"}']) == clients * rounds
    logged = [json.loads(line) for line in service.lines if line.startswith("{")]
    mine = [line for line in logged if line["path"] == "/v1/analyze"]
    assert len(mine) == clients * rounds and len({line["id"] for line in logged}) == len(logged)
    assert all(
        line["status"] == 200 and line["images"] == 1 and line["work_ms"] > 0 for line in mine
    )
    assert "client 3" not in "".join(service.lines), "names of files are nobody's business"


def test_requests() -> None:
    """The client that most people would write, by the library that they would take."""
    requests = pytest.importorskip("requests")
    with (
        Service("--token-file", "/dev/stdin", stdin=token_pipe()) as service,
        requests.Session() as session,
    ):
        address = f"http://127.0.0.1:{service.port}"
        assert session.get(address + "/v1/models", timeout=60).status_code == 401
        session.headers["Authorization"] = "Bearer " + TOKEN
        with (PHOTOS / "astronaut.jpg").open("rb") as file:
            answer = session.post(address + "/classifyImage", files={"image": file}, timeout=60)
        assert answer.status_code == 200 and png_size(answer.content) == (512, 512)
        answer = session.post(
            address + "/v1/analyze",
            params={"annotate": "1"},
            files=[
                ("image", ("ä.jpg", PHOTO, "image/jpeg")),
                ("image", ("b.png", png(64, 64), "image/png")),
            ],
            timeout=60,
        )
        first, second = answer.json()["images"]
        assert (
            first["source"] == "ä.jpg"
            and first["faces"] == faces_by_cli(PHOTOS / "astronaut.jpg")
            and second["faces"] == []
            and second["annotated"]
        )
        answer = session.post(
            address + "/v1/analyze",
            data=(PHOTO[i : i + 5000] for i in range(0, len(PHOTO), 5000)),
            headers={"Content-Type": "image/jpeg"},
            timeout=60,
        )
        assert answer.json()["images"][0]["faces"] == first["faces"], "a body in chunks"
        with session.post(
            address + "/v1/analyze", data=b"x", headers={"Content-Type": "text/plain"}, timeout=60
        ) as answer:
            assert answer.status_code == 415 and answer.json()["error"]


def token_pipe() -> int:
    read, write = os.pipe()
    os.write(write, TOKEN.encode())
    os.close(write)
    return read


def test_no_file_is_written() -> None:
    """The kernel ends a process that writes a byte into a file beyond its limit, and this one's limit is none."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    with tempfile.TemporaryFile() as file:  # the limit is one
        probe = subprocess.run(
            ["sh", "-c", "echo x"], stdout=file, stderr=subprocess.DEVNULL, preexec_fn=limit
        )
        assert probe.returncode != 0
    with Service(preexec=limit) as service:
        for path in ("/classifyImage", "/v1/analyze?annotate=1&explain=1"):
            assert service.post(path, ("image", "a.jpg", PHOTO))[0] == 200
        assert service.ask("POST", "/v1/analyze", PHOTO[:3000], Content_Type="image/jpeg")[0] == 422


class Work:
    """A request that keeps an engine busy for a second or two, on any machine and under any sanitizer."""

    OPTIONS = ("--workers", "1", "--scale-factor", "1.005")

    def __init__(self, service: Service, factor: float = 1):
        service.timeout = 600
        start = time.monotonic()
        assert (
            service.ask(
                "POST", "/v1/analyze", self._image(300), Content_Type="image/x-portable-graymap"
            )[0]
            == 200
        )
        self.side = max(300, min(3000, int(300 * (2 * factor / (time.monotonic() - start)) ** 0.5)))
        wait_until(lambda: figure(service, "mien_engines_busy") == 0)
        self.service = service
        self.answers: list[tuple[int, dict[str, str], bytes] | None] = []
        self.begin()
        wait_until(lambda: figure(service, "mien_engines_busy") == 1)

    @staticmethod
    def _image(side: int) -> bytes:
        return b"P5 %d %d 255\n" % (side, side) + bytes(range(250)) * (side * side // 250 + 1)

    def begin(self) -> None:
        """Sends the request; its answer, or None for a connection that was cut, goes into `answers`."""
        self.thread = threading.Thread(target=self._ask)
        self.thread.start()

    def _ask(self) -> None:
        try:
            self.answers.append(
                self.service.ask(
                    "POST",
                    "/v1/analyze?annotate=1",
                    self._image(self.side),
                    Content_Type="image/x-portable-graymap",
                )
            )
        except (ConnectionError, http.client.HTTPException):
            self.answers.append(None)


class BusyService(Service):
    """One engine, which is at work, and one waiting place, which is taken."""

    def __init__(self, *options: str):
        super().__init__(*Work.OPTIONS, "--waiting", "1", "--grace", "600", *options)
        self.work = Work(self)
        self.answers = self.work.answers
        self.threads = [self.work.thread]
        self.work.begin()
        self.threads.append(self.work.thread)
        wait_until(lambda: figure(self, "mien_requests_waiting") == 1)

    def __exit__(self, *failure) -> None:
        for thread in self.threads:
            thread.join(600)
        super().__exit__(*failure)


# ---- each bad input and its status: `--table` prints what the service answers, and docs/SERVICE.md holds these lines ----

PAGE = Path(__file__).resolve().parents[2] / "docs" / "SERVICE.md"


def first_status(data: bytes) -> str:
    """The status of the first answer in these bytes; `closed` when there is none."""
    found = re.match(rb"HTTP/1\.1 (\d+) ", data)
    return found[1].decode() if found else "closed"


def bad_inputs() -> list[tuple[str, str]]:
    head = b"POST /v1/analyze HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
    get = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
    rows: list[tuple[str, str]] = []
    with Service(
        "-q", "--max-connections", "3", "--header-timeout", "1", "--body-timeout", "1"
    ) as service:

        def raw(what: str, data: bytes) -> None:
            rows.append((what, first_status(service.raw(data))))

        def body(
            what: str, data: bytes, content_type: str = "image/png", path: str = "/v1/analyze"
        ) -> None:
            raw(
                what,
                f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: {content_type}\r\nContent-Length: {len(data)}\r\n\r\n".encode()
                + data,
            )

        def form(what: str, data: bytes, path: str = "/v1/analyze") -> None:
            body(what, data, "multipart/form-data; boundary=XbX", path)

        raw("a TLS greeting instead of HTTP", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n")
        raw("a negative `Content-Length`", head + b"Content-Length: -1\r\n\r\n")
        raw(
            "a chunked body with an invalid size",
            head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        )
        raw("no `Host`", b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n")
        raw("a body where none is allowed", get + b"Content-Length: 3\r\n\r\nabc")
        body("an empty body", b"")
        body("an unknown query", PHOTO, "image/jpeg", "/v1/analyze?annotate=maybe")
        body("multipart without a boundary", b"x", "multipart/form-data")
        form("truncated multipart", multipart(("image", "a", PHOTO))[0][:-20])
        form("a part with an unknown name", multipart(("picture", "a", PHOTO))[0])
        body("JSON: cut short", b'{"img":"AAAA', "application/json")
        for image in ("http://example.org/a.jpg", "/etc/passwd"):
            body("JSON: an address or a path instead of an image", as_json(img=image), "text/json")
        assert rows.pop() == rows[-1]
        body("JSON: 9 levels", b'{"a":' + b"[" * 8, "application/json")
        form(
            "`/classifyImage`: any unreadable image",
            multipart(("image", "a", b"nonsense"))[0],
            "/classifyImage",
        )
        raw(
            "an unknown `Host`",
            b"GET /healthz HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
        )
        raw(
            "a page from another origin",
            get + b"Origin: http://evil.example\r\nConnection: close\r\n\r\n",
        )
        raw(
            "an unknown path",
            b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        )
        raw(
            "a wrong method",
            b"DELETE /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        )
        raw(
            "`Content-Length` of 100 GB, refused before any byte of it",
            head + b"Expect: 100-continue\r\nContent-Length: 99999999999\r\n\r\n",
        )
        raw(
            "a chunked body beyond the limit",
            head
            + b"Transfer-Encoding: chunked\r\n\r\n"
            + (b"400000\r\n" + b"x" * 0x400000 + b"\r\n") * 5,
        )
        body(
            "a decompression bomb: an 8 x 8 PNG that claims 30,000 x 30,000 pixels",
            png(8, 8, claim=(30000, 30000)),
        )
        form("17 images", multipart(*[("image", "a", png(30, 30))] * 17)[0])
        body("text", b"hello", "text/plain")
        raw(
            "a body with `Content-Encoding: gzip`",
            head + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
        )
        body("an unsupported image format (Photoshop)", b"8BPS\0\1\0\0\0\0\0\0")
        body("a truncated JPEG", PHOTO[:2000], "image/jpeg")
        form(
            "several images, none readable",
            multipart(("image", "a", b"x"), ("image", "b", PHOTO[:2000]))[0],
        )
        raw("a header of 70 kB", get + b"X: " + b"a" * 70000 + b"\r\n\r\n")
        raw("a header that arrives too slowly", b"GET / HT")
        raw(
            "a body that arrives too slowly (408 in the log)",
            head + b"Content-Length: 1000\r\n\r\nabc",
        )
        links = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(3)]
        time.sleep(0.3)
        with socket.create_connection(("127.0.0.1", service.port), timeout=10) as link:
            rows.append(("one connection too many", first_status(link.recv(100))))
        for link in links:
            link.close()
    with Service("-q", env={"MIEN_TOKEN": TOKEN}) as service:
        rows.append(
            (
                "no token where one is required",
                first_status(
                    service.raw(
                        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                    )
                ),
            )
        )
    with Service("-q", "--rate", "1") as service:
        models = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n"
        answers = service.raw(
            models * 5 + models.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        )
        rows.append(
            (
                "with `--rate`: more requests than allowed",
                "429" if b"HTTP/1.1 429 " in answers else first_status(answers),
            )
        )
    with BusyService("-q") as service:
        status = service.post("/v1/analyze", ("image", "a.jpg", PHOTO))[0]
        rows.append(("more images than engines and waiting places", str(status)))
    return sorted(rows, key=lambda row: (row[1] == "closed", row[1]))


def test_bad_inputs() -> None:
    """The page holds exactly what the service answers."""
    table = PAGE.read_text().split("| sent | answer |\n")[1].split("\n\n")[0]
    wanted = [re.fullmatch(r"\| (.+) \| (\d+|closed) \|", line) for line in table.splitlines()[1:]]
    documented = [(match[1], match[2]) for match in wanted if match]
    assert len(documented) == len(wanted)
    got = bad_inputs()
    assert got == documented, f"docs/SERVICE.md differs: {sorted(set(got) ^ set(documented))}"


def test_overload() -> None:
    with BusyService() as service:
        for _ in range(3):
            answer = service.ask("POST", "/v1/analyze", PHOTO, Content_Type="image/jpeg")
            assert error_of(answer, 503) and answer[1]["retry-after"] == "1"
        assert (
            service.ask("GET", "/healthz")[0] == 200 and not service.answers
        ), "health waits for engines"
    assert [answer[0] for answer in service.answers] == [200, 200]
    with Service("--max-connections", "4") as service:
        links = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(4)]
        with socket.create_connection(("127.0.0.1", service.port), timeout=10) as link:
            assert link.recv(100).startswith(b"HTTP/1.1 503 ")
        for link in links:
            link.close()
        health = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        wait_until(lambda: service.raw(health).startswith(b"HTTP/1.1 200 "))


@pytest.mark.threads
def test_slow_clients() -> None:
    with Service("--header-timeout", "1", "--body-timeout", "1") as service:
        for beginning in (
            b"",
            b"GET / HT",
            b"POST /v1/analyze HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 100000\r\n\r\n",
        ):
            with socket.create_connection(("127.0.0.1", service.port), timeout=60) as link:
                link.sendall(beginning)
                try:  # a byte now and then does not help
                    for _ in range(300):
                        if beginning:
                            link.sendall(b"a")
                        ready = select.select([link], [], [], 0.2)[0]
                        if ready and link.recv(1000) == b"":
                            break
                    else:
                        raise AssertionError(f"still open after a minute: {beginning[:20]!r}")
                except (ConnectionResetError, BrokenPipeError):
                    pass
        # Half a request and a hang-up; then two requests in one packet.
        with socket.create_connection(("127.0.0.1", service.port)) as link:
            link.sendall(
                b"POST /v1/analyze HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 100\r\n\r\nabc"
            )
        two = service.raw(
            b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        assert two.count(b"HTTP/1.1 200 OK") == 2 and two.index(b'"status"') < two.index(
            b'"models"'
        )
        names = ("mien_body_bytes", "mien_requests_in_flight", "mien_connections")
        wait_until(lambda: [figure(service, name) for name in names] == [0, 1, 1])


def test_page_headers() -> None:
    with Service() as service:
        status, headers, data = service.ask("GET", "/")
        assert status == 200 and headers["content-type"].startswith("text/html")
        policy = headers["content-security-policy"]
        assert (
            "default-src 'none'" in policy
            and "unsafe-inline" not in policy
            and "'unsafe-eval'" not in policy
            and "'wasm-unsafe-eval'" in policy
            and headers["x-content-type-options"] == "nosniff"
            and headers["x-frame-options"] == "DENY"
        )
        for path in ("/", "/page.css", "/page.js"):
            text = service.ask("GET", path)[2].decode()
            assert not re.search(
                r"(?:src|href|url\(|import|fetch\()\s*=?\s*[\"'(]*(?:https?:)?//", text
            ), f"{path} loads something from elsewhere"
        assert not re.search(
            r"<script(?! src=)|<style|\son\w+=|\sstyle=", data.decode()
        ), "inline script or style, which the policy forbids"
        status, headers, data = service.ask("HEAD", "/")
        assert status == 200 and int(headers["content-length"]) > 10 and data == b""
        assert (
            service.ask("GET", "/stream.mjpg")[0] == 404
            and service.ask("GET", "/v1/events")[0] == 404
        ), "there is no camera"
        assert service.ask("GET", "/v1/models")[1]["cache-control"] == "no-store"


class Camera:
    """A camera of the test's own: frames on the service's standard input, as rpicam-vid would send them."""

    def __init__(self, *options: str, env: dict[str, str] | None = None):
        read, write = os.pipe()
        self.service = Service("--camera", "-", *options, env=env, stdin=read)
        os.close(read)
        self.pipe = os.fdopen(write, "wb", buffering=0)
        self.sent = 0
        self.picture = PHOTO
        self.on = threading.Event()
        self.on.set()
        self.ending = False
        self.thread = threading.Thread(target=self._feed, daemon=True)
        self.thread.start()

    def _feed(self) -> None:
        try:
            while not self.ending:
                if self.on.wait(0.1):
                    self.pipe.write(self.picture)
                    self.sent += 1
                    time.sleep(0.04)
        except BrokenPipeError:
            pass

    def end(self) -> None:
        self.ending = True
        self.thread.join(10)
        self.pipe.close()

    def __enter__(self) -> "Camera":
        self.service.__enter__()
        return self

    def __exit__(self, *failure) -> None:
        self.ending = True
        self.service.__exit__(*failure)
        self.end()

    def watch(self, path: str, **headers: str) -> http.client.HTTPResponse:
        connection = self.service.connection()
        connection.request(
            "GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()}
        )
        return connection.getresponse()


def read_event(
    answer: http.client.HTTPResponse, kind: str = "LiveResult", ids: list[int] | None = None
) -> tuple[str, dict]:
    name, data = "", None
    while line := answer.fp.readline().decode().rstrip("\n"):
        key, value = line.split(": ", 1)
        if key == "id" and ids is not None:
            ids.append(int(value))
        name, data = (
            (value, data)
            if key == "event"
            else (name, json.loads(value)) if key == "data" else (name, data)
        )
    assert data is not None, "the stream has ended"
    conforms(
        data,
        {"$ref": "#/components/schemas/" + ("CameraState" if name == "camera" else kind)},
    )
    return name, data


def read_picture(answer: http.client.HTTPResponse) -> bytes:
    assert (
        answer.fp.readline() == b"--frame\r\n"
        and answer.fp.readline() == b"Content-Type: image/jpeg\r\n"
    )
    size = int(re.fullmatch(rb"Content-Length: (\d+)\r\n", answer.fp.readline())[1])
    assert answer.fp.readline() == b"\r\n"
    picture = answer.fp.read(size)
    assert (
        picture[:2] == b"\xff\xd8" and picture[-2:] == b"\xff\xd9" and answer.fp.read(2) == b"\r\n"
    )
    return picture


def figure(service: Service, name: str) -> float:
    text = service.ask("GET", "/metrics")[2].decode()
    found = re.search(rf"^{name} (\S+)$", text, re.M)
    assert found, f"no {name} in /metrics"
    return float(found[1])


@pytest.mark.threads
def test_camera() -> None:
    with Camera() as camera:
        service = camera.service
        assert json.loads(service.ask("GET", "/readyz")[2])["camera"] is True
        events = camera.watch("/v1/events")
        assert (
            events.status == 200
            and events.getheader("Content-Type") == "text/event-stream"
            and events.getheader("Cache-Control") == "no-store"
        )
        seen = [read_event(events) for _ in range(12)]
        assert seen[0][0] == "camera" and seen[0][1]["source"] == "standard input"
        frames = [data for name, data in seen if name == ""]
        numbers = [data["frame"] for data in frames]
        assert len(frames) >= 10 and numbers == sorted(set(numbers)), numbers
        wanted = faces_by_cli(PHOTOS / "astronaut.jpg")
        last = frames[-1]
        assert (
            last["width"] == 512
            and len(last["faces"]) == len(wanted) == 1
            and last["timing_ms"]["latency"] > 0
        )
        assert (
            last["faces"][0]["emotion"]["label"] == wanted[0]["emotion"]["label"]
            and abs(last["faces"][0]["box"]["x"] - wanted[0]["box"]["x"]) < 12
        )
        # Images: drawn on, and only while somebody watches them.
        pictures = camera.watch("/stream.mjpg")
        assert (
            pictures.status == 200
            and pictures.getheader("Content-Type") == "multipart/x-mixed-replace; boundary=frame"
        )
        drawn = [read_picture(pictures) for _ in range(5)]
        assert (
            all(abs(len(picture) - len(drawn[0])) < 20000 for picture in drawn)
            and drawn[0] != PHOTO
        )
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "drawn.jpg"
            file.write_bytes(drawn[-1])
            assert len(faces_by_cli(file)) == 1
        assert (
            figure(service, "mien_camera_connected") == 1
            and figure(service, "mien_camera_watchers") == 2
        )
        assert (
            figure(service, "mien_camera_frames_total") >= 10
            and figure(service, "mien_camera_faces_total") >= 10
        )
        assert (
            0
            < figure(service, "mien_camera_latency_seconds_sum")
            / figure(service, "mien_camera_latency_seconds_count")
            < 5
        )
        # Photos are analyzed beside it, and HEAD begins no stream.
        assert (
            json.loads(service.ask("POST", "/v1/analyze", PHOTO, Content_Type="image/jpeg")[2])[
                "images"
            ][0]["faces"]
            == wanted
        )
        assert service.ask("HEAD", "/stream.mjpg")[0] == 200
        # A pause of the camera ends nothing.
        camera.on.clear()
        time.sleep(1.5)
        camera.on.set()
        for _ in range(3):
            read_event(events)
            read_picture(pictures)
        # Other origins and names may not look.
        assert camera.watch("/stream.mjpg", Sec_Fetch_Site="cross-site").status == 403
        assert camera.watch("/v1/events", Origin="http://evil.example").status == 403
        assert camera.watch("/v1/events", Host="evil.example").status == 403
        pictures.close()
        events.close()
        wait_until(lambda: figure(service, "mien_camera_watchers") == 0)
        # The stream ends: watchers are told, new ones get 503, photos go on.
        events = camera.watch("/v1/events")
        read_event(events)
        camera.end()
        name, data = "", {}
        while name != "camera" or data["connected"]:
            name, data = read_event(events)
        assert "ended" in data["text"]
        while events.fp.readline():
            pass
        assert figure(service, "mien_camera_connected") == 0
        answer = service.ask("GET", "/v1/events")
        assert error_of(answer, 503) and answer[1]["retry-after"]
        assert service.ask("POST", "/v1/analyze", PHOTO, Content_Type="image/jpeg")[0] == 200
    assert any('"path":"/stream.mjpg","status":200' in line for line in service.lines)


@pytest.mark.threads
def test_changes_before_the_camera() -> None:
    """A face comes and goes: each is told once, in order, and to one who comes back as well."""
    nobody = io.BytesIO()
    Image.new("RGB", (512, 512), (90, 110, 130)).save(nobody, "JPEG")
    with Camera("--settle", "0.2") as camera:
        ids: list[int] = []

        def next_change(stream) -> dict:
            name = "camera"
            while name == "camera":
                name, change = read_event(stream, "Change", ids)
            return change

        stream = camera.watch("/v1/changes")
        assert (stream.status, stream.getheader("Content-Type")) == (200, "text/event-stream")
        wanted = faces_by_cli(PHOTOS / "astronaut.jpg")[0]
        told = []
        for event, picture in (("appear", nobody.getvalue()), ("leave", PHOTO), ("appear", None)):
            change = next_change(stream)
            assert change["event"] == event and change["count"] == (event == "appear")
            assert abs(change["face"]["box"]["x"] - wanted["box"]["x"]) < 12
            assert change["face"]["emotion"]["label"] == wanted["emotion"]["label"]
            assert (
                abs(time.time() - datetime.fromisoformat(change["utc"][:-1] + "+00:00").timestamp())
                < 30
            )
            told.append(change)
            camera.picture = picture or camera.picture
        assert [change["face"]["id"] for change in told] == [1, 1, 2] and ids == [1, 2, 3]
        assert told[1]["seconds"] < 30 and list(told[1]["face"]) == [
            "id",
            "box",
            "emotion",
            "gender",
        ]
        again = camera.watch("/v1/changes", Last_Event_ID="1")
        assert [next_change(again), next_change(again)] == told[1:]
        assert camera.watch("/v1/changes", Origin="http://evil.example").status == 403
        for stale in ("99", "-1", "x"):  # of another run, or nonsense: from now on
            answer = camera.watch("/v1/changes", Last_Event_ID=stale)
            assert read_event(answer, "Change")[0] == "camera"
            answer.close()
    with Service() as service:
        assert service.ask("GET", "/v1/changes")[0] == 404


@pytest.mark.threads
def test_camera_watchers() -> None:
    # Under AddressSanitizer memory that was freed is kept for a while, up to 256 MB, which would look like growth.
    kept = "quarantine_size_mb=1:thread_local_quarantine_size_kb=64"
    env = {
        "MIEN_TOKEN": TOKEN,
        "ASAN_OPTIONS": ":".join(filter(None, [os.environ.get("ASAN_OPTIONS"), kept])),
    }
    with Camera("-q", "--grace", "600", env=env) as camera:
        assert (
            camera.watch("/stream.mjpg").status == 401 and camera.watch("/v1/events").status == 401
        )
        bearer = {"Authorization": "Bearer " + TOKEN}
        process = camera.service.process.pid
        watchers = [camera.watch("/stream.mjpg", **bearer) for _ in range(8)] + [
            camera.watch("/v1/events", **bearer) for _ in range(8)
        ]
        assert [answer.status for answer in watchers] == [200] * 16
        refused = camera.watch("/stream.mjpg", **bearer)
        assert refused.status == 503 and refused.getheader("Retry-After")
        # Those that do not read hold nobody up, and cost no memory: the others still get the newest.
        for answer in watchers[:2] + watchers[8:10]:
            read_picture(answer) if answer in watchers[:2] else read_event(answer)
        before = resident_kib(process)
        begin = camera.sent
        while camera.sent < begin + 100:
            name, data = read_event(watchers[8])
        wait_until(lambda: read_event(watchers[8])[1].get("frame", 0) >= begin + 90)
        assert resident_kib(process) - before < 16 << 10, f"{before} to {resident_kib(process)} KiB"
        for answer in watchers:
            answer.close()
        wait_until(lambda: camera.watch("/healthz").status == 200 and try_watch(camera, bearer))
        # SIGTERM with a watcher: ended at once, exit code 0 (Service checks it).
        last = camera.watch("/v1/events", **bearer)
        read_event(last)
        camera.service.process.send_signal(signal.SIGTERM)
        camera.service.process.wait(60)  # far below --grace
        last.close()


def try_watch(camera: Camera, bearer: dict[str, str]) -> bool:
    answer = camera.watch("/v1/events", **bearer)
    answer.close()
    return answer.status == 200


def resident_kib(process: int) -> int:
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{process}/status").read_text())[1])


@pytest.mark.threads
def test_as_mjpg_streamer() -> None:
    """Its addresses, as OctoPrint and others ask for them, and a frame for the first who asks."""
    with Camera("--prefix", "webcam") as camera:
        for path in ("/?action=snapshot", "/webcam/?action=snapshot_0&n=17", "/snapshot.jpg"):
            status, headers, data = camera.service.ask("GET", path)
            assert status == 200 and headers["content-type"] == "image/jpeg", path
            assert data[:2] == b"\xff\xd8"
        answer = camera.watch("/webcam/?action=stream")
        assert answer.status == 200
        assert answer.getheader("Content-Type").startswith("multipart/x-mixed-replace")
        assert answer.fp.readline() == b"--frame\r\n"
        for path in ("/?action=command&id=1", "/?action=stream_1", "/?action="):
            status, _, data = camera.service.ask("GET", path)
            assert status == 404 and "action=stream" in json.loads(data)["detail"], path
        assert camera.service.ask("GET", "/?x=1")[0] == 200
    with Camera(env={"MIEN_TOKEN": TOKEN}) as camera:
        assert error_of(camera.service.ask("GET", "/?action=snapshot"), 401)
        bearer = {"Authorization": "Bearer " + TOKEN}
        assert camera.service.ask("GET", "/?action=snapshot", **bearer)[0] == 200
    with Service() as service:
        for action in ("stream", "snapshot"):
            assert "no camera" in json.loads(service.ask("GET", "/?action=" + action)[2])["detail"]


def test_camera_that_is_not_there() -> None:
    # The service serves photos all the same, and says what it waits for.
    with Service("--camera", "/dev/no-such-camera") as service:
        assert service.ask("GET", "/healthz")[0] == 200
        connection = service.connection()
        connection.request("GET", "/v1/events")
        name, data = read_event(connection.getresponse())
        assert (
            name == "camera"
            and data["connected"] is False
            and "waiting" in data["text"]
            and data["source"] == "/dev/no-such-camera"
        )
        assert figure(service, "mien_camera_connected") == 0
        assert service.ask("POST", "/v1/analyze", PHOTO, Content_Type="image/jpeg")[0] == 200
        connection.close()
    for options in (["--size", "4by4"], ["--format", "h264"], ["--style", "none"], ["--fps", "0"]):
        run = subprocess.run(
            [MIEN, "serve", "--listen", "127.0.0.1:0", "--camera", "-", *options],
            capture_output=True,
            timeout=20,
            stdin=subprocess.DEVNULL,
        )
        assert run.returncode == 2, (options, run.stderr)


@pytest.mark.threads
def test_stop_and_restart() -> None:
    service = Service(*Work.OPTIONS, "--grace", "600")
    idle = socket.create_connection(("127.0.0.1", service.port))
    work = Work(service)
    service.process.send_signal(signal.SIGTERM)
    work.thread.join(600)
    answer = work.answers[0]
    assert answer and answer[0] == 200
    annotated = json.loads(answer[2])["images"][0]["annotated"]["base64"]
    assert png_size(base64.b64decode(annotated)) == (work.side, work.side)
    assert service.process.wait(60) == 0
    assert idle.recv(10) == b""
    port = service.port
    again = subprocess.Popen(
        [MIEN, "serve", "--listen", f"127.0.0.1:{port}", "-q"], stderr=subprocess.PIPE
    )
    assert f":{port}/" in again.stderr.readline().decode(), "the port is not free at once"
    taken = subprocess.run(
        [MIEN, "serve", "--listen", f"127.0.0.1:{port}"], capture_output=True, timeout=60
    )
    assert taken.returncode == 1 and taken.stderr.count(b"\n") == 1 and b"in use" in taken.stderr
    again.send_signal(signal.SIGINT)
    assert again.wait(60) == 0 and again.stderr.read() == b""
    for _ in range(5):  # stopped as soon as it says that it listens
        again = subprocess.Popen(
            [MIEN, "serve", "--listen", "127.0.0.1:0", "-q"], stderr=subprocess.PIPE
        )
        again.stderr.readline()
        again.terminate()
        assert again.wait(60) == 0


def test_grace_is_over() -> None:
    # The engine cannot be told to stop in the middle of an image; the process ends all the same, and says what it left.
    service = Service(*Work.OPTIONS, "--grace", "0")
    work = Work(service, factor=4)
    service.process.send_signal(signal.SIGTERM)
    work.thread.join(600)
    assert work.answers == [None], work.answers
    assert service.process.wait(60) == 0
    service.reader.join(5)
    assert "1 request unfinished" in service.lines[-1], service.lines


def test_usage() -> None:
    for options in (
        ["--listen", "nowhere"],
        ["--listen", "1.2.3.4:99999"],
        ["--workers", "-1"],
        ["--max-body", "0"],
        ["--grace", "-1"],
        ["--listne", "x"],
    ):
        run = subprocess.run([MIEN, "serve", *options], capture_output=True, timeout=20)
        assert run.returncode == 2 and run.stderr.count(b"\n") == 1, (options, run)
    run = subprocess.run(
        [MIEN, "serve", "--token-file", "/does/not/exist"], capture_output=True, timeout=20
    )
    assert run.returncode == 3
    help_text = subprocess.run(
        [MIEN, "serve", "--help"], capture_output=True, check=True
    ).stdout.decode()
    assert "--listen" in help_text and "127.0.0.1:8084" in help_text and "Exit code" in help_text


def test_everything_described_was_asked() -> None:
    """Last: after all tests of this file, each path of the description has been asked for."""
    if not {"/v1/analyze", "/metrics", "/stream.mjpg"} <= {path for _, path, _ in SEEN}:
        pytest.skip("only some of the tests were run")
    assert set(DESCRIPTION["paths"]) == {path for _, path, _ in SEEN}


if __name__ == "__main__":  # the table of docs/SERVICE.md
    if len(sys.argv) != 2:
        sys.exit(
            "usage: python3 tests/e2e/test_serve.py PROGRAM\n"
            "prints each bad input and its status, as docs/SERVICE.md shows them"
        )
    MIEN = os.path.abspath(sys.argv[1])
    print("| sent | answer |\n|---|---|")
    for what, answered in bad_inputs():
        print(f"| {what} | {answered} |")
