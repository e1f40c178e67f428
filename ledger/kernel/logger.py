"""Logging of what services import, too: by the standard library's, and silent by default.

A service's output is its own. Whoever wants to hear of lost connections and the like configures
`logging.getLogger("ledger")`. A line is an event with fields; in the ledger's own programs it is
JSON like all others (`operate/logging.py`), with the fields as they were given.
"""

import logging

from ledger.kernel.masking import masked

FIELDS = "ledger_fields"
"""Attribute of a record: its event and fields."""

# Without a handler anywhere, the standard library would write warnings of ours to stderr.
logging.getLogger("ledger").addHandler(logging.NullHandler())


class EventLogger:
    """Writes an event with its fields, secrets masked."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, event: str, **fields: object) -> None:
        self._write(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: object) -> None:
        self._write(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        self._write(logging.WARNING, event, fields)

    def _write(self, level: int, event: str, fields: dict[str, object]) -> None:
        if self._logger.isEnabledFor(level):
            line = " ".join([event, *(f"{name}={value!r}" for name, value in fields.items())])
            whole = {"event": event, **fields}
            self._logger.log(level, "%s", masked(line), extra={FIELDS: whole})
