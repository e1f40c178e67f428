"""The ledger's connections to NATS, and what they have in common.

    connect        looks for its server for ever: services and clients
    connect_once   raises when there is no server: health checks, commands at the terminal

There is no other way to connect, and none without saying who we are (`BusSecurity`). Requests that
would have their answer published where it belongs to the server or to the ledger never reach who
answers: the connection drops them (`Connection`).

On a server with users the ledger has a NATS account, and everybody else one of their own
(`users.py`). JetStream of the ledger's account has a prefix there, which is the same in all
accounts; a user's own `$JS.API` is answered by the server, which has no streams for it.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Any

from nats.js import JetStreamContext, api

from ledger.bus.command_subjects import ANONYMOUS
from ledger.bus.nats_client import NatsClient
from ledger.bus.security import BusSecurity, inbox_prefix
from ledger.bus.wire import take_in_bulk
from ledger.kernel.errors import LedgerError
from ledger.kernel.logger import EventLogger

COMMANDS_STREAM = "LEDGER_COMMANDS"
OUTCOMES_SUBJECT = "ledger.outcomes.get"
POSITION_OF_SUBJECT = "ledger.query.position-of"
REPLY_TO = "Ledger-Reply-To"
"""Header of a command: the subject its outcome is published to."""

PING_INTERVAL_SECONDS = 10
"""How often a silent connection is tried. After two pings without an answer it is given up, so a
server that vanished without a word is noticed in half a minute."""
CONNECT_TIMEOUT_SECONDS = 2
"""A server that does not take a connection by then is tried again or passed over."""
JETSTREAM_TIMEOUT_SECONDS = 2.0
"""A server that does not answer a request about streams by then is asked again."""
MAX_REPLY_SUBJECT_LENGTH = 255
"""Longest reply subject that is answered: inboxes have about 50 characters."""
LEDGER_API = "$JS.LEDGER.API"
"""JetStream of the ledger's account, as it is spelled on a server with users."""
WITNESS_API = "$JS.WITNESS.API"
"""JetStream of the account that keeps the heads of the seals, which nobody of the ledger's own can
take back."""
CONSUMER_GUARD = "ledger.consumers."
"""Where the server sends what users want to have made (`consumer_guard.py`)."""
SECONDS_PER_DAY = 86_400
MESSAGE_TOO_LARGE = 10054
"""The server's code for a message above what the stream takes."""

_log = EventLogger(__name__)


class UnusableSubject(LedgerError, ValueError):
    """Nothing can or may be published to the subject."""


Callback = Callable[[], Awaitable[None]]
_RESERVED_REPLIES = ("$", "ledger.")
_ANSWERED = ("ledger.outcomes.", "ledger.query.", CONSUMER_GUARD, "$SRV.")
"""What the subjects of requests to the ledger begin with."""
_USUAL_TOKEN = re.compile(r"[A-Za-z0-9_-]+")
_USUAL_INBOX = re.compile(r"_INBOX(?:\.[A-Za-z0-9_-]+)+")


class Connection(NatsClient):
    """A connection that knows who it is, and where on this server the ledger's streams are."""

    def __init__(self, security: BusSecurity) -> None:
        super().__init__()
        self.sender = security.user or ANONYMOUS
        """Our name, as the last token of the subjects that we send commands to."""
        self.api_prefix = api.DEFAULT_PREFIX if security.user is None else LEDGER_API
        self._witness_prefix = api.DEFAULT_PREFIX if security.user is None else WITNESS_API
        take_in_bulk(self, accepts=_may_be_answered)

    def jetstream(self, **options: Any) -> JetStreamContext:
        """JetStream of the ledger."""
        return super().jetstream(**{"prefix": self.api_prefix} | options)

    def witness(self, **options: Any) -> JetStreamContext:
        """JetStream of those who keep the heads of the seals."""
        return super().jetstream(**{"prefix": self._witness_prefix} | options)


def _may_be_answered(subject: str, reply: str) -> bool:
    """False for a request to us whose answer would go where nobody may have us publish."""
    if not reply or not subject.startswith(_ANSWERED):
        return True
    try:
        checked_reply_subject(reply)
    except UnusableSubject as error:
        shown = reply[:MAX_REPLY_SUBJECT_LENGTH]
        _log.debug("request_not_answered", subject=subject, reply=shown, reason=str(error))
        return False
    return True


def servers(url: str) -> list[str]:
    """The servers that a URL names, separated by commas."""
    return [one.strip() for one in url.split(",") if one.strip()]


async def connect_once(
    url: str, name: str, *, security: BusSecurity, timeout: float = CONNECT_TIMEOUT_SECONDS
) -> Connection:
    """A connection to one of the servers, or an error if none is there (nats.errors.Error,
    OSError). It is not looked for again when it is lost. Raises UnusableCredentials."""

    async def ignore(_: Exception) -> None:
        """The error is raised as well."""

    connection = Connection(security)
    await connection.connect(
        servers(url),
        name=name,
        allow_reconnect=False,
        connect_timeout=timeout,
        error_cb=ignore,
        **security.options(),
    )
    return connection


async def connect(
    url: str,
    name: str,
    *,
    security: BusSecurity,
    retry_wait: float,
    on_disconnect: Callback | None = None,
    on_reconnect: Callback | None = None,
    on_error: Callable[[str], None] | None = None,
) -> Connection:
    """A connection that looks for its server for ever, now and whenever it is lost. `url` may name
    several servers, separated by commas. Raises UnusableCredentials."""

    connection = Connection(security)
    told: set[str] = set()

    async def failed(error: Exception) -> None:
        # Each attempt to connect that fails ends up here: one line says it as well as hundreds.
        text = str(error) or type(error).__name__
        tell = _log.debug if text in told else _log.warning
        told.add(text)
        if on_error is not None:
            on_error(text)
        tell("nats_error", error=text, url=url, connection=name)

    async def disconnected() -> None:
        if not connection.is_closed:  # by ourselves
            _log.warning("nats_disconnected", url=url, connection=name)
        if on_disconnect is not None:
            await on_disconnect()

    async def reconnected() -> None:
        told.clear()
        _log.info("nats_reconnected", url=url, connection=name)
        if on_reconnect is not None:
            await on_reconnect()

    await connection.connect(
        servers(url),
        name=name,
        max_reconnect_attempts=-1,
        reconnect_time_wait=retry_wait,
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        ping_interval=PING_INTERVAL_SECONDS,
        error_cb=failed,
        disconnected_cb=disconnected,
        reconnected_cb=reconnected,
        **security.options(),
    )
    return connection


def checked_reply_subject(subject: str, of: str | None = None) -> str:
    """The subject, if an answer may be published to it: to an inbox `of` the user, where the
    server vouches for users.

    Raises UnusableSubject for what is no subject, and for those with which a sender would have
    the ledger speak to the server, to itself, or to somebody else in its own name.
    """
    usual = len(subject) <= MAX_REPLY_SUBJECT_LENGTH and _USUAL_INBOX.fullmatch(subject)
    if of is not None and not subject.startswith(f"{inbox_prefix(of)}."):
        raise UnusableSubject(f"is not an inbox of {of}: {inbox_prefix(of)}.…")
    if usual:
        return subject
    if len(subject) > MAX_REPLY_SUBJECT_LENGTH:
        raise UnusableSubject(
            f"has {len(subject)} characters, at most {MAX_REPLY_SUBJECT_LENGTH} are possible"
        )
    if subject.startswith(_RESERVED_REPLIES):
        raise UnusableSubject("belongs to the server or to the ledger: use an inbox of your own")
    if not all(is_subject_token(token) for token in subject.split(".")):
        raise UnusableSubject("is not a subject that can be published to")
    return subject


def is_subject_token(text: str) -> bool:
    """Whether the text can stand between two dots of a subject."""
    return _USUAL_TOKEN.fullmatch(text) is not None or (
        text.isprintable()
        and bool(text)
        and text not in ("*", ">")
        and not any(character in " ." for character in text)
    )
