"""How the ledger is: one line of verdict, then what it rests on, and what to do where it is not
well.

The verdict is that of `ledgerctl doctor` and of the alerts: the same numbers (public.vitals()) held
against the same conditions (ledger/vitals). The bus is not asked, so that the page costs one
statement; who watches the bus are doctor and Prometheus.
"""

from collections.abc import Sequence
from typing import NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from ledger.vitals.condition import PAGE, Alarm, AlertCondition, alarms
from ledger.vitals.measure import MEASURES, Sample
from ledger.web.pages.frame import show
from ledger.web.pages.shown import age
from ledger.web.viewer import PageViewer

_VITALS = "SELECT name, label, value FROM public.vitals()"
_MINUTE_AGO = "SELECT public.position_at(clock_timestamp() - interval '1 minute')"

router = APIRouter()


class Card(NamedTuple):
    """A number of the page, and the page where it is looked into."""

    name: str
    value: str
    note: str
    href: str


@router.get("/overview")
def overview(request: Request, viewer: PageViewer) -> HTMLResponse:
    """Raises Problem."""
    viewer.require("read_log")
    with viewer.reading() as reading:
        standing = reading.standing()
        samples = [Sample(*row) for row in reading.connection.execute(_VITALS)]
        row = reading.connection.execute(_MINUTE_AGO).fetchone()
    assert row is not None
    rate = max(standing.head - row[0], 0) / 60  # positions have no gaps
    found = list(alarms(samples))
    values = {
        "alarms": _grouped(found),
        "tone": _tone(found),
        "cards": _cards(samples, rate, standing.lag_seconds),
        "samples": sorted(one for one in samples if not one.label),
        "measures": MEASURES,
    }
    return show(request, viewer, "overview.html", values, standing=standing)


def _tone(found: Sequence[Alarm]) -> str:
    if any(one.condition.severity == PAGE for one in found):
        return "bad"
    return "warn" if found else "good"


class AlarmGroup(NamedTuple):
    """Alarms of one condition."""

    condition: AlertCondition
    message: str
    others: int
    means: str


def _grouped(found: Sequence[Alarm]) -> list[AlarmGroup]:
    """The first alarm of each condition, with how many more there are."""
    groups: dict[str, list[Alarm]] = {}
    for one in found:
        groups.setdefault(one.condition.alert, []).append(one)
    return [
        AlarmGroup(
            alarms[0].condition,
            alarms[0].message,
            len(alarms) - 1,
            MEASURES[alarms[0].sample.name].says if alarms[0].sample.name in MEASURES else "",
        )
        for alarms in groups.values()
    ]


def _cards(samples: Sequence[Sample], rate: float, lag_seconds: float) -> list[Card]:
    value = {one.name: one.value for one in samples if not one.label}

    def count(name: str) -> str:
        return f"{value.get(name, 0):,.0f}"

    unsealed = age(value.get("unsealed_seconds"))
    letters = sum(one.value for one in samples if one.name == "dead_letters_parked")
    return [
        Card("Events a second", f"{rate:.1f}", "over the last minute", "/log"),
        Card("Log position", count("head_position"), "the last event", "/log"),
        Card("Not sealed", count("unsealed_events"), unsealed, "/integrity"),
        Card("Read models behind", age(lag_seconds), "the slowest of them", "/projections"),
        Card("Dead letters", f"{letters:.0f}", "events set aside", "/dead-letters"),
        Card("Commands waiting for a person", count("failed_commands_waiting"), "failed",
             "/commands?status=FAILED"),
        Card("Streams held", count("streams_held"), "cannot be read", "/log"),
        Card("Unreadable messages", count("unreadable_messages"), "kept as they came", "/commands"),
    ]  # fmt: skip
