"""The HTTP server of a service: what Prometheus asks for at /metrics.

Whatever a service or a plugin has registered with the client library's default registry is
served. Other pages are added to PAGES before the server is started.

A service must not fail for its metrics: if no port can be had, it says so in its log and works on.
"""

import errno
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import structlog
from prometheus_client import make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from ledger.settings import Settings

PORTS = 10
"""Ports that are tried. More services than this on one machine want ports of their own."""

Page: TypeAlias = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
"""A WSGI application."""

PAGES: dict[str, Page] = {"/metrics": make_wsgi_app()}
"""What is served, by path."""

_log = structlog.get_logger(__name__)


class _Handler(WSGIRequestHandler):
    """Requests are not logged: a scrape every few seconds is no news."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Says nothing."""


class _Server(ThreadingWSGIServer):
    """Its port is its own: another service must not share it."""

    allow_reuse_port = False

    def server_bind(self) -> None:
        # WSGIServer would ask the resolver for our name, which may take seconds.
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()


@contextmanager
def served(settings: Settings) -> Iterator[str | None]:
    """Serves PAGES for the length of the block. Gives the URL; None if there is none."""
    server = _first_free(settings)
    if server is None:
        yield None
        return
    url = f"http://{settings.metrics_host}:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    _log.info("metrics_served", url=f"{url}/metrics")
    try:
        yield url
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _first_free(settings: Settings) -> WSGIServer | None:
    if settings.metrics_port == 0:
        return None
    ports = range(settings.metrics_port, settings.metrics_port + PORTS)
    for port in ports:
        try:
            return make_server(settings.metrics_host, port, _page, _Server, _Handler)
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


def _page(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    page = PAGES.get(environ.get("PATH_INFO", ""))
    if page is not None:
        return page(environ, start_response)
    start_response("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
    return [f"there is {', '.join(sorted(PAGES))}\n".encode()]
