"""The HTTP server of a service, for those who watch over it.

    /metrics   for Prometheus: whatever a service or a plugin has registered with the client
               library's default registry
    /health    200 as long as the process answers
    /ready     200 if the service does its work, 503 if not (ledger/operate/readiness.py)

Other pages are added to PAGES before the server is started.

A service must not fail for its metrics: if no port can be had, it says so in its log and works on.
"""

import errno
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

from ledger.operate.settings import Settings

PORTS = 10
"""Ports that are tried. More services than this on one machine want ports of their own."""

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


@contextmanager
def served(settings: Settings, ready: Callable[[], bool] = lambda: True) -> Iterator[str | None]:
    """Serves the pages for the length of the block. Gives the URL; None if there is none."""
    pages: dict[str, Page] = {**PAGES, "/ready": _Readiness(ready)}
    server = _first_free(settings, pages)
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


def _first_free(settings: Settings, pages: dict[str, Page]) -> WSGIServer | None:
    if settings.metrics_port == 0:
        return None
    ports = range(settings.metrics_port, settings.metrics_port + PORTS)
    for port in ports:
        try:
            page = partial(_page, pages)
            return make_server(settings.metrics_host, port, page, _Server, _Handler)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                _log.warning("metrics_not_served", host=settings.metrics_host, error=str(error))
                return None
    _log.warning(
        "metrics_not_served",
        host=settings.metrics_host,
        error=f"the ports {ports[0]} to {ports[-1]} are taken: set LEDGER_METRICS_PORT",
    )
    return None


def _page(
    pages: dict[str, Page], environ: dict[str, Any], start_response: Callable[..., Any]
) -> Iterable[bytes]:
    page = pages.get(environ.get("PATH_INFO", ""))
    if page is not None:
        return page(environ, start_response)
    return _text(start_response, "404 Not Found", f"there is {', '.join(sorted(pages))}")
