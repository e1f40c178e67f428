"""Logs: one JSON object per line on stderr; stdout is for results.

The ids that lead from a log line to a command, its cause and its stream are bound once, where
they become known, and appear in every line until they are released.

What goes wrong again and again, the same way, is one line in QUIET_SECONDS, which says how often it
was, and one for each read model that it concerns: an outage is told, and does not fill the disk.
Lines that name a command, a stream or a session are each of their own and all written.

What services import, too, speaks by the standard library's logging (`kernel/logger.py`): here its
lines are JSON like all others.
"""

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, NamedTuple
from uuid import UUID

import structlog

from ledger.kernel.logger import FIELDS
from ledger.kernel.masking import masked
from ledger.kernel.text import json_of

QUIET_SECONDS = 10.0
"""Between two lines of one kind: often enough to see that it goes on."""
MOST_KINDS = 1_000
"""Kinds of lines that are remembered; beyond that all are forgotten, and told once more."""
_OF_THEIR_OWN = ("command_id", "stream_id", "position", "session", "exc_info", "epoch")
"""Fields of lines that are never left out."""


def configure(service: str, level: str = "INFO") -> None:
    """Makes every later log line a JSON object that names the service."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _Repeats(),
            _of(service),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_json),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.clear_contextvars()
    # Libraries speak the standard library's logging; their warnings belong in the same stream.
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.contextvars.merge_contextvars,
            _of(service),
            _with_fields,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_json),
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("ledger").setLevel(level)
    if threading.excepthook is threading.__excepthook__:  # which would write plain text between
        threading.excepthook = _log_end_of_thread


Line = MutableMapping[str, Any]


def _of(service: str) -> Callable[[Any, str, Line], Line]:
    """Names the service in every line, whichever thread writes it."""

    def named(_: Any, __: str, line: Line) -> Line:
        line.setdefault("service", service)
        return line

    return named


class _Kind(NamedTuple):
    """Of what is said again and again: until when it is left out, how often it was, and of whom it
    was said since it began."""

    until: float
    left_out: int
    named: frozenset[str]


class _Repeats:
    """Leaves out what was said a moment ago; the next line of its kind says how often that was.
    Whoever it concerns (a read model, a subscription) is named once, though, and again when it
    begins anew after a time of quiet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kinds: dict[tuple[str, str], _Kind] = {}

    def __call__(self, _: Any, level: str, line: Line) -> Line:
        if level not in ("warning", "error") or any(name in line for name in _OF_THEIR_OWN):
            return line
        kind = (str(line.get("event")), str(line.get("error") or line.get("reason") or line))
        concerned = str(line.get("projection") or line.get("subscription") or "")
        with self._lock:
            now = time.monotonic()
            known = self._kinds.get(kind)
            if known is None or now >= known.until + QUIET_SECONDS:  # it begins
                known = _Kind(0.0, known.left_out if known else 0, frozenset())
            if now < known.until and concerned in known.named:
                self._kinds[kind] = known._replace(left_out=known.left_out + 1)
                raise structlog.DropEvent
            if len(self._kinds) >= MOST_KINDS:
                self._kinds.clear()
            due = now >= known.until
            left_out = known.left_out if due else 0
            self._kinds[kind] = _Kind(
                now + QUIET_SECONDS if due else known.until,
                known.left_out - left_out,
                known.named | {concerned},
            )
        if left_out:
            line["left_out"] = left_out
        return line


def _with_fields(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The fields of an event that came by the standard library's logging, as they were given."""
    return {**line, **getattr(line["_record"], FIELDS, {})}


@contextmanager
def bound(
    *,
    command_id: UUID | str | None = None,
    correlation_id: UUID | str | None = None,
    stream_id: UUID | str | None = None,
) -> Iterator[None]:
    """Inside the block every log line carries the ids that are given."""
    given = {"command_id": command_id, "correlation_id": correlation_id, "stream_id": stream_id}
    ids = {name: str(value) for name, value in given.items() if value is not None}
    with structlog.contextvars.bound_contextvars(**ids):
        yield


def _log_end_of_thread(end: threading.ExceptHookArgs) -> None:
    exception = end.exc_value
    structlog.get_logger(__name__).error(
        "thread_ended",
        thread=end.thread.name if end.thread is not None else None,
        exc_info=exception if exception is not None else True,
    )


def _json(value: object, **_: object) -> str:
    """Read in a terminal, too: whatever a line quotes commands nothing there. Masked here, where
    every line comes by, so that nobody who logs a URL has to think of it."""
    return masked(json_of(value).decode())
