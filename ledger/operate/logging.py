"""Logs: one JSON object per line on stderr; stdout is for results.

The ids that lead from a log line to a command, its cause and its stream are bound once, where
they become known, and appear in every line until they are released.

What services import, too, speaks by the standard library's logging (`kernel/logger.py`): here its
lines are JSON like all others.
"""

import logging
import sys
import threading
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import structlog

from ledger.kernel.logger import FIELDS
from ledger.kernel.masking import masked
from ledger.kernel.text import json_of


def configure(service: str, level: str = "INFO") -> None:
    """Makes every later log line a JSON object that names the service."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_json),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(service=service)
    # Libraries speak the standard library's logging; their warnings belong in the same stream.
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.contextvars.merge_contextvars,
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
