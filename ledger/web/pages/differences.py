"""Differences: what was known of an account at one moment, against what was known at another.

    rows       of a question that has a past, at both moments, held against each other by their
               keys: each value that differs, with before and after
    because    the events recorded between that are about the row; of a balance they add up to the
               difference, or the page says that they do not
    restated   those of them that changed what had been told already: facts that came late, trades
               that were taken back, corrections

With a time that it is about (`effective_at`) nothing is left but restatements: what was the same
moment's business, as it was told at first and as it was told later.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from ledger.audit.ask.events import EventCriteria, find
from ledger.audit.ask.trace import effects
from ledger.eventstore.reader import RecordedEvent
from ledger.kernel import read_side
from ledger.kernel.money import ZERO, exact
from ledger.kernel.read_side import InvalidQuestion
from ledger.nouns.accounts.events import AccountEvent
from ledger.web.answers import LogStanding, Reading
from ledger.web.pages import shown, tables
from ledger.web.pages.accounts_of import choose
from ledger.web.pages.files import csv_file
from ledger.web.pages.frame import show
from ledger.web.pages.log import who_did
from ledger.web.pages.why_links import why_link
from ledger.web.viewer import PageViewer

if TYPE_CHECKING:
    from projections.questions.question import Question

USUAL = ("balances", "positions", "snapshots")
"""Offered first, `snapshots` being the equity; then every other that has a past of an account."""
MOST_ROWS = 500
"""Of each side. Beyond them the page says that there are more."""
MOST_EVENTS = 1_000
"""Recorded between, that are held against the rows."""
SHOWN_CAUSES = 4
SHOWN_EVENTS = 50
WRITTEN = ("updated_at", "last_position", "position")
"""What a row says of its own writing, which differs with everything else."""
TAKEN_BACK = ("voided", "void_reported", "conflicted", "corrected", "adjusted")
"""How the types of events end that change what was told before."""
NO_BUSINESS = ("reference",)
"""Kinds of streams that keep what the ledger finds things by, and say nothing of an account."""
COLUMNS = ("row", "column", "before", "after", "change", "events")

router = APIRouter()
Row = Mapping[str, Any]


class KnownSide(NamedTuple):
    """One of the two moments."""

    text: str
    standing: LogStanding
    position: int


class BetweenEvent(NamedTuple):
    """An event recorded between; `restates` says how it changes what was told, if it does."""

    event: RecordedEvent
    decoded: Any
    data: Mapping[str, Any]
    restates: str
    by: str
    effects: Sequence[str]


@dataclass
class ValueDifference:
    """A value that differs. `adds_up` is None where nothing adds up to such values."""

    label: str
    column: str
    before: Any
    after: Any
    why_before: str | None = None
    why_after: str | None = None
    is_new: bool = False
    is_gone: bool = False
    causes: Sequence[BetweenEvent] = ()
    adds_up: bool | None = None
    change: Decimal | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        if isinstance(self.before, Decimal) and isinstance(self.after, Decimal):
            with exact():
                self.change = self.after - self.before


@router.get("/differences")
def differences(
    request: Request,
    viewer: PageViewer,
    account_id: UUID | None = None,
    question: str = "balances",
    first: str | None = None,
    second: str | None = None,
    effective_at: str | None = None,
    known_at: str | None = None,
    format: str = "page",  # noqa: A002
) -> Response:
    """Raises NotVisible, InvalidMoment, InvalidQuestion."""
    asked = _question(question)
    with viewer.reading() as reading:
        accounts = choose(reading, account_id)
        later = _side(reading, second or known_at)
        earlier = _side(reading, first or _day_before(later))
        values: dict[str, Any] = {"accounts": accounts, "first": earlier, "second": later}
        standing = later.standing if known_at else reading.standing()
        # Snapshots that were taken do not change: asked is what was so at the first moment.
        moment = effective_at or (_time_of(earlier) if question == "snapshots" else None)
        found: Sequence[ValueDifference] = ()
        if accounts.account_id is not None and earlier.position < later.position:
            sides = [_rows(reading, asked, accounts.account_id, one, moment) for one in
                     (earlier, later)]  # fmt: skip
            events, more = _between(reading, accounts.account_id, earlier, later, moment)
            values |= {"cut": max(map(len, sides)) >= MOST_ROWS, "more_events": more}
            values["events"] = events
            restated = [one for one in events if one.restates]
            values["restated"], values["restated_count"] = restated[:SHOWN_EVENTS], len(restated)
            known = (str(earlier.position), str(later.position)) if moment is None else None
            found = compared(asked, sides[0], sides[1], events, known, whole=not more)
    if format == "csv":
        return csv_file(f"differences-{question}-{earlier.position}", COLUMNS,
                        _as_rows(found), later.standing)  # fmt: skip
    values |= {"differences": found, "question": question, "effective_at": effective_at or ""}
    values |= {"questions": _offered(), "label": tables.label, "moment": moment}
    numbers = [value for one in found for value in (one.before, one.after)]
    values |= {"places": shown.places_of(numbers)}
    values |= {"causes_shown": SHOWN_CAUSES, "most_events": MOST_EVENTS, "most_rows": MOST_ROWS}
    return _page(request, viewer, values, standing)


def _page(
    request: Request, viewer: PageViewer, values: dict[str, Any], standing: LogStanding
) -> HTMLResponse:
    usual = {"events": [], "restated": [], "restated_count": 0, "cut": False, "more_events": False}
    return show(request, viewer, "differences.html", usual | values, standing=standing)


def _offered() -> list[str]:
    of_accounts = [
        name
        for name, one in read_side.questions().items()
        if one.past is not None and one.past.by_time and one.first == "account_id"
    ]
    return [*USUAL, *sorted(set(of_accounts) - set(USUAL))]


def _question(name: str) -> "Question[Any]":
    """Raises UnknownQuestion, InvalidQuestion."""
    if name not in _offered():
        read_side.question(name)
        raise InvalidQuestion(f"{name} have no past of an account: choose {', '.join(USUAL)}")
    return read_side.question(name)


def _side(reading: Reading, text: str | None) -> KnownSide:
    """Raises InvalidMoment."""
    standing = reading.standing()
    position = reading.position_of(text) if text else standing.head
    return KnownSide(text or "", reading.standing(position), position)


def _day_before(later: KnownSide) -> str:
    moment = later.standing.known_at_time or datetime.now(UTC)
    return (moment - timedelta(days=1)).isoformat()


def _time_of(side: KnownSide) -> str:
    return (side.standing.known_at_time or datetime.now(UTC)).isoformat()


def _rows(
    reading: Reading,
    question: "Question[Any]",
    account_id: UUID,
    side: KnownSide,
    moment: str | None,
) -> Sequence[Row]:
    return reading.ask(
        question.name,
        {"account_id": account_id},
        known_at=str(side.position),
        effective_at=moment,
        limit=MOST_ROWS,
    ).rows


def _between(
    reading: Reading, account_id: UUID, earlier: KnownSide, later: KnownSide, moment: str | None
) -> tuple[list[BetweenEvent], bool]:
    """What was recorded about the account between, and whether there is more of it."""
    told_by = datetime.fromisoformat(moment) if moment else earlier.standing.known_at_time
    criteria = EventCriteria(
        account_id=account_id, after=earlier.position, before=later.position + 1
    )
    with reading.of_account(account_id) as connection:
        found = list(islice(find(connection, criteria, limit=MOST_EVENTS + 1), MOST_EVENTS + 1))
    events = [_event(one, told_by) for one in found[:MOST_EVENTS]]
    return events, len(found) > MOST_EVENTS


def _event(recorded: RecordedEvent, told_by: datetime | None) -> BetweenEvent:
    return BetweenEvent(
        recorded,
        recorded.decoded(),
        orjson.loads(recorded.data),
        restates(recorded, told_by),
        who_did(recorded),
        effects(recorded),
    )


def restates(recorded: RecordedEvent, told_by: datetime | None) -> str:
    """How an event changes what had been told by a time, in words; nothing if it only goes on."""
    if recorded.stream_type in NO_BUSINESS:
        return ""
    if recorded.event_type.endswith(TAKEN_BACK):
        return recorded.event_type.rpartition(".")[2].replace("_", " ")
    if told_by is not None and recorded.occurred_at <= told_by:
        return "came late"
    return ""


# --- rows against rows ------------------------------------------------------------------------


def compared(
    question: "Question[Any]",
    before: Sequence[Row],
    after: Sequence[Row],
    events: Sequence[BetweenEvent],
    known: tuple[str, str] | None,
    *,
    whole: bool,
) -> list[ValueDifference]:
    """Every value that differs, row by row in the order of what was known later. `known` are the
    moments of both sides, where their numbers can be explained; `whole` says that `events` are all
    there are."""
    keys = [name for name in question.table.key if name not in WRITTEN]

    def keyed(rows: Sequence[Row]) -> dict[tuple[Any, ...], Row]:
        return {tuple(row[name] for name in keys): row for row in rows}

    of_before, of_after = keyed(before), keyed(after)
    found: list[ValueDifference] = []
    for key in [*of_after, *(one for one in of_before if one not in of_after)]:
        old, new = of_before.get(key), of_after.get(key)
        row = new if new is not None else old
        assert row is not None
        causes = [one for one in events if _is_about(one, row)]
        for name in _columns(question, old, new):
            one = ValueDifference(
                _label(row),
                name,
                None if old is None else old[name],
                None if new is None else new[name],
                why_before=_why(question.name, name, old, known and known[0]),
                why_after=_why(question.name, name, new, known and known[1]),
                is_new=old is None,
                is_gone=new is None,
                causes=causes,
            )
            if name == "total" and known is not None and whole:
                one.adds_up = _adds_up(one, causes, row)
            found.append(one)
    return found


def _columns(question: "Question[Any]", old: Row | None, new: Row | None) -> Iterable[str]:
    """Those that differ; of a row that is not on both sides, the amounts that people look at."""
    names = [name for name in question.table.columns if name not in WRITTEN]
    if old is not None and new is not None:
        return [name for name in names if old[name] != new[name]]
    row: Row = old or new or {}
    return [name for name in question.shown if isinstance(row.get(name), Decimal) and row[name]]


def _why(question: str, column: str, row: Row | None, known_at: str | None) -> str | None:
    if row is None or known_at is None or not isinstance(row[column], Decimal):
        return None
    return why_link(question, column, row, known_at)


def _label(row: Row) -> str:
    """What a person calls the row."""
    if row.get("instrument") is not None:
        parts = [row["instrument"], row.get("side"), row.get("sub_account")]
    elif row.get("asset") is not None:
        parts = [row["asset"], row.get("sub_account")]
    else:
        parts = [row.get("order_id") or row.get("time")]
    return " · ".join(str(one) for one in parts if one is not None)


def _is_about(one: BetweenEvent, row: Row) -> bool:
    if "asset" in row and "sub_account" in row and "instrument" not in row:
        return isinstance(one.decoded, AccountEvent) and any(
            (book, asset) == (row["sub_account"], row["asset"]) for book, asset in _books(one)
        )
    if row.get("order_id") is not None:
        return str(row["order_id"]) in (str(one.event.stream_id), str(one.data.get("order_id")))
    if row.get("instrument") is not None:
        moves = isinstance(one.decoded, AccountEvent) and one.decoded.postings
        books = {book for book, _ in _books(one)} if moves else set()
        same = one.data.get("instrument") == row["instrument"]
        return bool(same and row.get("sub_account") in (None, *books))
    if "equity" in row:
        return bool(one.restates) and bool(one.effects)
    return False


def _books(one: BetweenEvent) -> set[tuple[str, str]]:
    moved = {(each.book, each.asset) for each in one.decoded.postings}
    return moved | {(each.sub_account, each.asset) for each in one.decoded.holds}


def _adds_up(one: ValueDifference, causes: Sequence[BetweenEvent], row: Row) -> bool:
    with exact():
        moved = sum(
            (
                posting.amount
                for cause in causes
                for posting in cause.decoded.postings
                if (posting.book, posting.asset) == (row["sub_account"], row["asset"])
            ),
            ZERO,
        )
        return bool((one.after or ZERO) - (one.before or ZERO) == moved)


def _as_rows(found: Sequence[ValueDifference]) -> Iterable[Sequence[Any]]:
    for one in found:
        positions = " ".join(str(cause.event.position) for cause in one.causes)
        yield one.label, one.column, one.before, one.after, one.change, positions
