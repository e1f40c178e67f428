"""`ledgerctl serve web`: the HTTP API and the console.

A process of its own with few connections: stopped, overrun or taken over, it holds up no command
and writes no history (docs/security.md says what it can do).
"""

import contextlib
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import TYPE_CHECKING

import structlog

from ledger.kernel.errors import LedgerError
from ledger.operate.settings import Settings
from ledger.programs.process import run_in_loop
from ledger.programs.registry import Places, Program
from ledger.web.database import HTTP
from ledger.web.settings import READY, USUAL_PORT

if TYPE_CHECKING:
    import uvicorn

    from ledger.web.application import Web
    from ledger.web.settings import WebSettings

STOP_SECONDS = 5
"""How long a stop waits for answers in work: longer than a statement may take."""
READY_TIMEOUT_SECONDS = 2
"""A server that works answers in milliseconds."""
_EVERYWHERE = ("0.0.0.0", "::")

_log = structlog.get_logger(__name__)


class WebNotInstalled(LedgerError):
    """What the HTTP server is made of is missing."""


class WebPortTaken(LedgerError):
    """The port cannot be had."""


class WebService:
    """Until `stop`."""

    def __init__(self, settings: "WebSettings", database_url: str) -> None:
        self.web, self._server = server(settings, database_url)

    @property
    def works(self) -> bool:
        """Whether requests are taken."""
        return bool(self._server.started)

    def stop(self) -> None:
        self._server.should_exit = True

    async def run(self) -> None:
        """Raises WebPortTaken."""
        _log.info("web_serves", host=self._server.config.host, port=self._server.config.port)
        try:
            await self._server.serve()
        except SystemExit as error:  # what uvicorn does where it cannot listen
            where = f"{self._server.config.host}:{self._server.config.port}"
            raise WebPortTaken(
                f"{where} cannot be listened on. Correct LEDGER_WEB_HOST and LEDGER_WEB_PORT, or "
                "end what has the port."
            ) from error


def server(settings: "WebSettings", database_url: str) -> "tuple[Web, uvicorn.Server]":
    """What requests share, and what takes them. Raises WebNotInstalled."""
    try:
        import uvicorn

        from ledger.web.app import application
        from ledger.web.application import Web
    except ImportError as error:
        raise WebNotInstalled(
            f"the HTTP server is not installed ({error}): pip install 'trading-ledger[web]'"
        ) from error

    class Server(uvicorn.Server):
        """Signals are the program's (`run_in_loop`)."""

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    web = Web.of(settings, database_url)
    return web, Server(
        uvicorn.Config(
            application(web),
            host=settings.web_host,
            port=settings.port,
            log_config=None,
            access_log=False,
            server_header=False,
            ws="none",
            ssl_certfile=settings.web_tls_cert_file,
            ssl_keyfile=settings.web_tls_key_file,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
    )


def _serve(places: Places, stop: threading.Event) -> None:
    from ledger.web.settings import load

    run_in_loop(WebService(load(), places.database_url), stop)


def _ready(places: Places) -> bool:
    settings = places.settings
    host = "127.0.0.1" if settings.web_host in _EVERYWHERE else settings.web_host
    where = f"[{host}]" if ":" in host else host
    for scheme in ("http", "https"):
        url = f"{scheme}://{where}:{settings.web_port or USUAL_PORT}{READY}"
        try:
            with urllib.request.urlopen(
                url,
                timeout=READY_TIMEOUT_SECONDS,
                context=_any_name() if scheme == "https" else None,
            ) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError, ValueError):
            continue
    return False


def _any_name() -> ssl.SSLContext:
    """By its address no server can prove its name; nothing secret is said to it."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _wanted(settings: Settings) -> bool:
    return settings.web_port is not None


PROGRAM = Program(
    name="web",
    summary="serves the HTTP API and the console",
    role=HTTP,
    ready=_ready,
    run=_serve,
    wanted=_wanted,
    port=9473,
)
