"""The HTTP server of a service, for those who watch over it.

    /metrics   for Prometheus: whatever a service or a plugin has registered with the client
               library's default registry
    /health    200 as long as the process answers
    /ready     200 if the service does its work, 503 if not (ledger/operate/readiness.py)

Other pages are added to PAGES before the server is started.

Each program has a port of its own, so that whoever watches finds it at the same place after every
start. A port that was set and cannot be had ends the program, because nobody could watch it; where
none was set (trying out, twice on one machine) it says so in its log and works on.
"""

import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import structlog
from prometheus_client import Gauge, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from ledger.kernel.errors import LedgerError
from ledger.operate.settings import Settings

Page: TypeAlias = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
"""A WSGI application."""

Start: TypeAlias = Callable[[str, list[tuple[str, str]]], Any]


def _text(start_response: Start, status: str, text: str) -> list[bytes]:
    start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{text}\n".encode()]


def _health(_: dict[str, Any], start_response: Start) -> list[bytes]:
    return _text(start_response, "200 OK", "alive")


BUILD_INFO = Gauge(
    "ledger_build_info", "1; which program this is, and of which version.", ["service", "version"]
)
PAGES: dict[str, Page] = {"/metrics": make_wsgi_app(), "/health": _health}
"""What is served, by path; and /ready."""
READY_SECONDS = 1.0
"""How long an answer to /ready holds: whoever asks more often costs the service nothing."""

_log = structlog.get_logger(__name__)


class _Handler(WSGIRequestHandler):
    """Requests are not logged: a scrape every few seconds is no news."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Says nothing."""


class _Server(ThreadingWSGIServer):
    """Its port is its own: another service must not share it."""

    allow_reuse_port = False

    def __init__(self, address: tuple[str, int], handler: type[WSGIRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)

    def server_bind(self) -> None:
        # Connections of the process before, which are over, keep nobody from its port.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # WSGIServer would ask the resolver for our name, which may take seconds.
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()


class _Readiness:
    """The page /ready: asks the service, and remembers for a moment what it said."""

    def __init__(self, ready: Callable[[], bool]) -> None:
        self._ready = ready
        self._one_at_a_time = threading.Lock()
        self._said = False
        self._holds_until = 0.0

    def __call__(self, _: dict[str, Any], start_response: Start) -> list[bytes]:
        with self._one_at_a_time:
            if time.monotonic() >= self._holds_until:
                self._said = self._ready()
                self._holds_until = time.monotonic() + READY_SECONDS
        if self._said:
            return _text(start_response, "200 OK", "ready")
        return _text(start_response, "503 Service Unavailable", "not ready: see the log")


class PortTaken(LedgerError):
    """The port that was set cannot be had."""


@contextmanager
def served(
    settings: Settings, ready: Callable[[], bool] = lambda: True, *, port: int | None = None
) -> Iterator[str | None]:
    """Serves the pages for the length of the block, on the port that is set, else on this one.
    Gives the URL; None if there is none. Raises PortTaken."""
    pages: dict[str, Page] = {**PAGES, "/ready": _Readiness(ready)}
    server = _server(settings, port, pages)
    if server is None:
        yield None
        return
    host = settings.metrics_host
    url = f"http://[{host}]" if ":" in host else f"http://{host}"
    url += f":{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    _log.info("metrics_served", url=f"{url}/metrics")
    try:
        yield url
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _server(settings: Settings, usual: int | None, pages: dict[str, Page]) -> WSGIServer | None:
    port = usual if settings.metrics_port is None else settings.metrics_port
    if not port:
        return None
    page = partial(_page, pages)
    try:
        return make_server(settings.metrics_host, port, page, _Server, _Handler)
    except OSError as error:
        where = f"{settings.metrics_host}:{port}"
        if settings.metrics_port is not None:
            raise PortTaken(
                f"/metrics cannot be served on {where}: {error.strerror or error}. Correct "
                "LEDGER_METRICS_HOST and LEDGER_METRICS_PORT, or end what has the port."
            ) from error
        _log.warning("metrics_not_served", at=where, error=error.strerror or str(error))
        return None


def _page(
    pages: dict[str, Page], environ: dict[str, Any], start_response: Callable[..., Any]
) -> Iterable[bytes]:
    page = pages.get(environ.get("PATH_INFO", ""))
    if page is not None:
        return page(environ, start_response)
    return _text(start_response, "404 Not Found", f"there is {', '.join(sorted(pages))}")
