"""One message to one channel, by apprise, and what the channel answered.

Nothing is tried again here: what is tried when, the log says (watch.py). An answer that did not
come is told from one that says no, because then the message may have arrived all the same. What
apprise says of its trouble is kept without any part of the address; of all else nothing is.
"""

import logging
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple
from urllib.parse import unquote

from ledger.kernel.errors import LedgerError
from ledger.kernel.fields import MAX_TEXT_LENGTH
from ledger.nouns.alerts.events import AlertSeverity

MISSING = "apprise is not installed: pip install 'trading-ledger[alerts]'"
_APPRISE = "apprise"
_BELOW = "urllib3"
"""Logs the path of every request."""
_IDEMPOTENT = ("json", "jsons", "xml", "xmls", "form", "forms")
"""Schemes whose receivers are programs: they get the delivery's id in a header."""
_REFUSED = re.compile(
    r"error=\d{3}|Connection refused|NewConnectionError|ConnectTimeout|Name or service not known"
    r"|getaddrinfo|No route to host|Network is unreachable|CERTIFICATE_VERIFY_FAILED"
    r"|\([45]\d\d, b['\"]"  # what a mail server has answered
)
"""What is said where the channel has not taken the message, and will not."""
_PARTS = re.compile(r"[/?&=+#,]+")
_SMALLER_PARTS = re.compile(r"[:@]+")
SHORTEST_SECRET = 4
"""A part of an address that is shorter hides nothing, and would hide parts of words."""


class AppriseMissing(LedgerError):
    """Channels are set, and the package that speaks to them is not there."""


class AlertMessage(NamedTuple):
    """`key` is the same for the same message: receivers can know a repetition by it."""

    title: str
    body: str
    severity: AlertSeverity
    key: str


class ChannelAnswer(NamedTuple):
    sent: bool
    error: str | None = None
    uncertain: bool = False
    """It failed, and may have arrived all the same."""


def check_installed() -> None:
    """Raises AppriseMissing."""
    try:
        import apprise  # noqa: F401
    except ImportError as error:
        raise AppriseMissing(MISSING) from error


def is_address(address: str) -> bool:
    """Whether apprise knows how to tell something there."""
    import apprise

    with _LISTENER.listening():
        return apprise.Apprise.instantiate(address) is not None


def send(address: str, message: AlertMessage) -> ChannelAnswer:
    """Tells the message. Takes as long as the channel does, seconds at most. What a plugin is at
    fault for is an answer that did not come."""
    try:
        return _send(address, message)
    except Exception as error:  # noqa: BLE001 - hundred plugins raise what they like
        return ChannelAnswer(False, f"apprise: {type(error).__name__}", uncertain=True)


def _send(address: str, message: AlertMessage) -> ChannelAnswer:
    import apprise

    with _LISTENER.listening() as said:
        service = apprise.Apprise.instantiate(_with_key(address, message.key))
        if service is None:
            return ChannelAnswer(False, "apprise does not know such an address")
        kinds = {
            AlertSeverity.INFO: apprise.NotifyType.INFO,
            AlertSeverity.WARNING: apprise.NotifyType.WARNING,
        }
        kind = kinds.get(message.severity, apprise.NotifyType.FAILURE)
        sent = bool(service.notify(body=message.body, title=message.title, notify_type=kind))
    if sent:
        return ChannelAnswer(True)
    everything = " ".join(text for _, text in said)
    told = "; ".join(text for level, text in said if level >= logging.WARNING)
    error = without_secrets(told or "the channel has not taken it", address)
    return ChannelAnswer(False, error[:MAX_TEXT_LENGTH], _REFUSED.search(everything) is None)


def without_secrets(text: str, address: str) -> str:
    """The text without any part of the address but its scheme, and on one line."""
    rest = address.partition("://")[2]
    whole = {one for part in _PARTS.split(rest) for one in (part, unquote(part))}
    parts = whole | {one for part in whole for one in _SMALLER_PARTS.split(part)}
    for part in sorted(parts, key=len, reverse=True):
        if len(part) >= SHORTEST_SECRET:
            text = text.replace(part, "***")
    return " ".join(text.split())


def _with_key(address: str, key: str) -> str:
    """With a header for receivers that are programs."""
    if address.partition("://")[0].lower() not in _IDEMPOTENT:
        return address
    return f"{address}{'&' if '?' in address else '?'}+Idempotency-Key={key}"


# --- what apprise says ----------------------------------------------------------------------


class _Listener(logging.Handler):
    """Keeps, for each thread, what apprise says in it. Nothing of it is written anywhere: it may
    quote an address."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self._of_thread = threading.local()

    @contextmanager
    def listening(self) -> Iterator[list[tuple[int, str]]]:
        """What is said inside the block, with how bad it is."""
        logger = logging.getLogger(_APPRISE)
        logger.propagate = False
        logger.setLevel(logging.DEBUG)
        logger.handlers = [self]
        logging.getLogger(_BELOW).setLevel(logging.ERROR)
        said: list[tuple[int, str]] = []
        self._of_thread.said = said
        try:
            yield said
        finally:
            self._of_thread.said = None

    def emit(self, record: logging.LogRecord) -> None:
        said = getattr(self._of_thread, "said", None)
        if said is not None:
            said.append((record.levelno, record.getMessage()))


_LISTENER = _Listener()


def together(messages: Iterable[AlertMessage], key: str) -> AlertMessage:
    """Several messages of one rule as one."""
    found = list(messages)
    if len(found) == 1:
        return found[0]
    worst = max(found, key=lambda one: list(AlertSeverity).index(one.severity))
    body = "\n\n".join(f"{one.title}\n{one.body}" for one in found)
    return AlertMessage(f"{len(found)} alerts: {found[0].title}", body, worst.severity, key)
