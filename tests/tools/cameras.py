# SPDX-License-Identifier: MIT
"""Network cameras for tests: servers of motion JPEG and single images over HTTP, and of RTSP, each
with the habits that a test asks for."""
from __future__ import annotations

import base64
import contextlib
import http.server
import socket
import socketserver
import struct
import threading
import time


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.camera.requests.append((self.path, dict(self.headers)))
        try:
            self.server.camera.answer(self)
        except (BrokenPipeError, ConnectionResetError):
            pass
        self.close_connection = True


class HttpCamera:
    """`answer(handler)` is called for each request; its requests are kept."""

    def __init__(self, answer, port=0):
        self.answer, self.requests = answer, []
        http.server.ThreadingHTTPServer.allow_reuse_address = True
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), _Handler)
        self.server.daemon_threads = True
        self.server.camera = self
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def head(handler, status=200, **fields):
    handler.send_response(status)
    for name, value in fields.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()


def multipart(images, boundary="frame", announced=None, lengths=True, chunked=False, pause=0.02):
    """Sends the images as parts; `announced` is the boundary that the head names."""

    def answer(handler):
        kind = f"multipart/x-mixed-replace; boundary={announced or boundary}"
        fields = {"Content_Type": kind, **({"Transfer_Encoding": "chunked"} if chunked else {})}
        head(handler, **fields)

        def send(data):
            if chunked:  # in pieces of any length
                for at in range(0, len(data), 7001):
                    piece = data[at : at + 7001]
                    handler.wfile.write(b"%x;x=1\r\n%s\r\n" % (len(piece), piece))
            else:
                handler.wfile.write(data)
            handler.wfile.flush()

        for image in images:
            length = f"Content-Length: {len(image)}\r\n" if lengths else ""
            send(f"--{boundary}\r\nContent-Type: image/jpeg\r\n{length}\r\n".encode() + image)
            send(b"\r\n")
            time.sleep(pause)
        if chunked:
            handler.wfile.write(b"0\r\n\r\n")

    return answer


def needs_password(user, password, answer, scheme="Basic"):
    wanted = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def check(handler):
        if handler.headers.get("Authorization") != wanted or scheme != "Basic":
            return head(handler, 401, WWW_Authenticate=f'{scheme} realm="x"', Content_Length="0")
        return answer(handler)

    return check


class RtspCamera:
    """RTSP with images by RTP over the same connection (RFC 2326, RFC 2435): as much of it as players
    need. `image` is a baseline JPEG with 4:2:0 and the standard Huffman tables, its sides multiples of
    16."""

    def __init__(self, image, frames=10**9, user=None, password=None):
        self.tables, self.size, self.scan = self._take_apart(image)
        self.frames, self.authorization, self.requests = frames, None, []
        if user is not None:
            pair = base64.b64encode(f"{user}:{password}".encode()).decode()
            self.authorization = "Basic " + pair
        camera = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                with contextlib.suppress(BrokenPipeError, ConnectionResetError, OSError):
                    camera._serve(self)

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = daemon_threads = True

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    __enter__ = HttpCamera.__enter__
    __exit__ = HttpCamera.__exit__

    @staticmethod
    def _take_apart(jpeg):
        tables, size, at = b"", None, 2
        while True:
            marker, length = jpeg[at + 1], int.from_bytes(jpeg[at + 2 : at + 4], "big")
            body = jpeg[at + 4 : at + 2 + length]
            if marker == 0xDB:
                while body:
                    tables, body = tables + body[1:65], body[65:]
            elif marker == 0xC0:
                size = int.from_bytes(body[3:5], "big"), int.from_bytes(body[1:3], "big")
            at += 2 + length
            if marker == 0xDA:
                return tables, size, jpeg[at:-2]

    def _serve(self, handler):
        while line := handler.rfile.readline().decode():
            method, url = line.split()[:2]
            fields = {}
            while (field := handler.rfile.readline().decode().strip()) != "":
                name, _, value = field.partition(":")
                fields[name.lower()] = value.strip()
            self.requests.append((method, url, fields))
            answer = [f"CSeq: {fields.get('cseq', '0')}"]
            body, status = "", "200 OK"
            if self.authorization and fields.get("authorization") != self.authorization:
                status = "401 Unauthorized"
                answer.append('WWW-Authenticate: Basic realm="camera"')
            elif method == "OPTIONS":
                answer.append("Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER")
            elif method == "DESCRIBE":
                body = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\n"
                body += "m=video 0 RTP/AVP 26\r\na=control:track1\r\n"
                answer.append("Content-Type: application/sdp")
            elif method == "SETUP":
                if "interleaved" not in fields.get("transport", ""):
                    status = "461 Unsupported Transport"
                else:
                    answer += ["Session: 1", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"]
            answer.append(f"Content-Length: {len(body)}")
            text = f"RTSP/1.0 {status}\r\n" + "\r\n".join(answer) + "\r\n\r\n" + body
            handler.wfile.write(text.encode())
            if method == "PLAY" and status == "200 OK":
                return self._play(handler)
            if method == "TEARDOWN":
                return None
        return None

    def _play(self, handler):
        sequence, width, height = 0, *self.size
        for frame in range(self.frames):
            for at in range(0, len(self.scan), 1200):
                piece = self.scan[at : at + 1200]
                last = at + 1200 >= len(self.scan)
                payload = struct.pack(">I4B", at, 1, 255, width // 8, height // 8)
                if at == 0:
                    payload += struct.pack(">BBH", 0, 0, len(self.tables)) + self.tables
                packet = struct.pack(
                    ">BBHII", 0x80, 26 | (0x80 if last else 0), sequence & 0xFFFF, frame * 9000, 7
                )
                packet += payload + piece
                handler.wfile.write(struct.pack(">cBH", b"$", 0, len(packet)) + packet)
                sequence += 1
            handler.wfile.flush()
            time.sleep(0.1)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
