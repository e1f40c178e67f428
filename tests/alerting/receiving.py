"""Channels of this machine: a webhook that keeps what it is told and answers as it is asked to."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

SECRET = "hook-token-5f2c"
"""A part of the address that nobody may see."""


@dataclass
class Webhook:
    """`statuses`: what is answered next; 0 hangs up without a word."""

    address: str = ""
    told: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    @property
    def titles(self) -> list[str]:
        return [one["title"] for one in self.told]


class Posted(NamedTuple):
    path: str
    body: dict[str, Any]


@contextmanager
def posted(answer: dict[str, Any]) -> Iterator[tuple[str, list[Posted]]]:
    """A server that keeps what is posted, and answers all of it the same."""
    told: list[Posted] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told.append(Posted(self.path, json.loads(body)))
            written = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(written)))
            self.end_headers()
            self.wfile.write(written)

        def log_message(self, *_: object) -> None:
            pass

    with _serving(Handler) as port:
        yield f"http://127.0.0.1:{port}", told


@contextmanager
def _serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def webhook(*statuses: int) -> Iterator[Webhook]:
    hook = Webhook(statuses=list(statuses))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            hook.told.append(json.loads(body))
            hook.headers.append(dict(self.headers))
            status = hook.statuses.pop(0) if hook.statuses else 200
            if status:
                self.send_response(status)
                self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with _serving(Handler) as port:
        hook.address = f"json://127.0.0.1:{port}/{SECRET}"
        yield hook
