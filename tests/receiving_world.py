"""Real receivers on this machine: an HTTP server and an SMTP server, each on a free port, that do as a test says."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Got:
    """What a receiver got, and what it answers: statuses are used up from the left, then it accepts.

    Attributes:
        bodies, headers: Of HTTP requests, also refused ones.
        mails: Accepted messages as text.
        answers: Statuses to give first.
        refuses: Rules whose alarms are always refused.
    """

    bodies: list[dict[str, Any]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    mails: list[str] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    refuses: set[str] = field(default_factory=set)
    accepted: list[dict[str, Any]] = field(default_factory=list)


@contextmanager
def http_receiver(got: Got) -> Iterator[str]:
    """Serve a webhook; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            body = json.loads(raw)
            got.raw.append(raw)
            got.bodies.append(body)
            got.headers.append(dict(self.headers))
            status, extra = got.answers.pop(0) if got.answers else (200, {})
            if body["commonLabels"]["alertname"] in got.refuses:
                status, extra = 422, {}
            if status == 200:
                got.accepted.append(body)
            self.send_response(status)
            for name, value in extra.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    yield from _served(ThreadingHTTPServer(("127.0.0.1", 0), Handler), "http://127.0.0.1:{}/hook")


@contextmanager
def smtp_receiver(got: Got) -> Iterator[tuple[str, int]]:
    """Serve SMTP; yields host and port. `answers` are replies to the end of a message."""

    class Handler(socketserver.StreamRequestHandler):
        def say(self, text: str) -> None:
            self.wfile.write(text.encode() + b"\r\n")

        def handle(self) -> None:
            self.say("220 here")
            while line := self.rfile.readline().strip():
                word = line.split()[0].upper()
                if word == b"QUIT":
                    self.say("221 bye")
                    return
                if word != b"DATA":
                    self.say("250 fine")
                    continue
                self.say("354 go on")
                lines = []
                while (part := self.rfile.readline()) != b".\r\n":
                    lines.append(part)
                status = got.answers.pop(0)[0] if got.answers else 250
                if status == 250:
                    got.mails.append(b"".join(lines).decode())
                self.say(f"{status} so be it")

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    for address in _served(Server(("127.0.0.1", 0), Handler), "{}"):
        yield "127.0.0.1", int(address)


def _served(server: Any, text: str) -> Iterator[str]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield text.format(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
