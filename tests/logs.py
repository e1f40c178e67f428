"""Where log lines of tests go."""

import os
import sys
from pathlib import Path
from typing import Any

import structlog

_NOWHERE = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - until the session ends
_AMONG_OTHERS = "PYTEST_XDIST_WORKER" in os.environ


def logs_to_stderr() -> None:
    """To stderr, as those of every program: stdout is what a command says. To whatever is stderr
    when a line is written, since a test may have put another one in its place for a while. What
    servers of many tests write between two of them is of no test: of several processes beside each
    other it would stand among the dots."""
    structlog.reset_defaults()
    structlog.configure(logger_factory=_current)


def _current(*_: Any) -> structlog.PrintLogger:
    between = _AMONG_OTHERS and sys.stderr is sys.__stderr__
    return structlog.PrintLogger(_NOWHERE if between else sys.stderr)
