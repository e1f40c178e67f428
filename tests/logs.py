"""Where log lines of tests go."""

import sys
from typing import Any

import structlog


def logs_to_stderr() -> None:
    """To stderr, as those of every program: stdout is what a command says. To whatever is stderr
    when a line is written, since a test may have put another one in its place for a while."""
    structlog.reset_defaults()
    structlog.configure(logger_factory=_current)


def _current(*_: Any) -> structlog.PrintLogger:
    return structlog.PrintLogger(sys.stderr)
