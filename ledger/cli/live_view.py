"""What `ledgerctl top` shows of two looks at the ledger: rows of text, and nothing of a screen."""

import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple, Self

from ledger.vitals.condition import PAGE
from ledger.vitals.examination import Vitals

FOLLOWS = ("follows", "position", "behind", "seconds", "events/s", "state")
NUMBERS = range(1, 5)
"""Columns of numbers."""
ALERTS = ("severity", "runbook", "what")
_RATED = ("head_position", "published_position", "projection_position")
"""Numbers whose growth is told by the second."""


class Look(NamedTuple):
    """How the ledger was at a moment of this machine's clock, and which programs did their work."""

    at: float
    vitals: Vitals
    programs: Mapping[str, bool]

    @classmethod
    def of(cls, vitals: Vitals, programs: Mapping[str, bool]) -> Self:
        return cls(time.monotonic(), vitals, programs)


class Rates:
    """How much grew in a second, from one look to the next."""

    def __init__(self, before: Look | None, now: Look) -> None:
        self._before = before.vitals if before is not None else None
        self._now = now.vitals
        self._seconds = now.at - before.at if before is not None else 0.0

    def of(self, name: str, label: str = "") -> float | None:
        """None at the first look, and where nobody told it."""
        assert name in _RATED
        if self._before is None or self._seconds <= 0:
            return None
        before, now = self._before.value(name, label), self._now.value(name, label)
        if before is None or now is None:
            return None
        return max(now - before, 0.0) / self._seconds


def verdict(look: Look) -> tuple[str, bool]:
    """In a line; and whether everything goes on."""
    alarms = look.vitals.alarms()
    pages = [message for alarm, message in alarms if alarm.condition.severity == PAGE]
    if pages:
        more = f" (and {len(pages) - 1} more)" if len(pages) > 1 else ""
        return f"does not go on: {pages[0]}{more}", False
    if alarms:
        return f"goes on; {len(alarms)} to look at by day: {alarms[0][1]}", True
    return "all is well", True


def numbers(look: Look, rates: Rates) -> Iterator[tuple[str, str]]:
    """Programs, the log, commands, seals and servers, a line each."""
    told = look.vitals.value
    yield "programs", _programs(look.programs)
    if told("database_up"):
        yield (
            "log",
            f"position {_number(told('head_position'))}, {_rate(rates.of('head_position'))}",
        )
        yield (
            "seals",
            f"{_number(told('unsealed_events'))} wait, the oldest for "
            f"{_number(told('unsealed_seconds'))} s",
        )
        yield (
            "database",
            f"{told('database_connections_ratio') or 0:.0%} of connections, "
            f"{(told('database_bytes') or 0) / 1024**3:,.2f} GiB",
        )
    else:
        yield "database", "does not answer"
    if not told("bus_up"):
        yield "bus", "does not answer"
        return
    waiting, in_work = (
        sum(one.value for one in look.vitals.samples if one.name == name)
        for name in ("commands_waiting", "commands_in_work")
    )
    yield (
        "commands",
        f"{waiting:,.0f} waiting, {in_work:,.0f} in work, the oldest for "
        f"{_number(told('commands_oldest_seconds'))} s; "
        f"{_number(told('failed_commands_waiting'))} failed",
    )
    yield (
        "published",
        f"position {_number(told('published_position'))}, {_rate(rates.of('published_position'))}",
    )


def follows(look: Look, rates: Rates) -> list[tuple[str, ...]]:
    """A row for each read model and subscription, the furthest behind first."""
    told: dict[str, dict[str, float]] = {}
    for one in look.vitals.samples:
        kind, _, name = one.name.partition("_")
        if kind == "projection":
            told.setdefault(one.label, {})[name] = one.value
    return [
        (
            label,
            f"{of['position']:,.0f}",
            f"{of['lag_events']:,.0f}",
            f"{of['lag_seconds']:,.1f}",
            _growth(rates.of("projection_position", label)),
            state(of),
        )
        for label, of in sorted(told.items(), key=lambda one: (-one[1]["lag_events"], one[0]))
    ]


def alerts(look: Look) -> list[tuple[str, ...]]:
    """What needs a person."""
    return [
        (alarm.condition.severity, alarm.condition.runbook, message)
        for alarm, message in look.vitals.alarms()
    ]


def state(told: Mapping[str, float]) -> str:
    """Of a read model or subscription, in a word or two."""
    if told["paused"]:
        return "paused"
    if told["failing"]:
        return "error"
    if not told["owned"]:
        return "no owner"
    return f"{told['parked_keys']:,.0f} parked" if told["parked_keys"] else "at work"


def _programs(programs: Mapping[str, bool]) -> str:
    working = ", ".join(name for name, works in programs.items() if works)
    missing = ", ".join(name for name, works in programs.items() if not works)
    told = (f"at work: {working}" if working else "", f"not at work: {missing}" if missing else "")
    return "; ".join(filter(None, told)) or "none is known"


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:,.0f}"


def _growth(rate: float | None) -> str:
    return "" if rate is None else f"{rate:,.0f}"


def _rate(rate: float | None) -> str:
    return "…/s" if rate is None else f"{rate:,.0f}/s"
