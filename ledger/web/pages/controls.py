"""Controls: what rules on market access ask, with what shows that it is so in this ledger.

Each line of docs/market-access.md (a test compares them), with its state now: the limits that are
in force for it and who set them, and the newest event that shows it at work. A limit that is set
and has never refused anything is not proven; a line that nothing shows is red, and stays so. Some
lines are held by how decisions are made and leave no event of their own: their tests show them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from typing import Any, NamedTuple

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response

from ledger.audit.ask.events import EventCriteria, find
from ledger.eventstore.reader import RecordedEvent
from ledger.nouns.breakers.events import BreakerKind
from ledger.nouns.limits.state import Limit, LimitBook, Version
from ledger.nouns.limits.terms import LimitMeasure, LimitScope
from ledger.web.answers import Reading
from ledger.web.database import elevated
from ledger.web.pages.files import csv_file
from ledger.web.pages.frame import show
from ledger.web.pages.risk import limit_books
from ledger.web.pages.shown import SHORT_ID
from ledger.web.viewer import PageViewer

NEWEST = 500
"""Events of a type that are looked through for one that shows something."""
UUID_LENGTH = 36
COLUMNS = (
    *("number", "asked", "done by", "state", "limits in force", "set by", "approved by"),
    *("evidence", "position", "recorded", "last refusal", "held by"),
)

router = APIRouter()
_M = LimitMeasure
_SUMS = (LimitScope.USER, LimitScope.STRATEGY, LimitScope.INSTRUMENT, LimitScope.SYSTEM)


class ControlState(StrEnum):
    """How a line stands."""

    SHOWN = "shown"
    UNTRIED = "set, untried"
    BY_TEST = "by its test"
    UNSET = "no limit set"
    MISSING = "no evidence"


TONES = {
    ControlState.SHOWN: "good",
    ControlState.UNTRIED: "warn",
    ControlState.BY_TEST: "off",
    ControlState.UNSET: "bad",
    ControlState.MISSING: "bad",
}


@dataclass(frozen=True)
class ControlLimit:
    """A limit, its book and what is in force of it."""

    book: LimitBook
    limit: Limit
    version: Version

    @property
    def name(self) -> str:
        return self._named(self.book.reference)

    @property
    def short_name(self) -> str:
        """With the end of an id only."""
        reference = self.book.reference
        is_id = reference is not None and len(reference) == UUID_LENGTH
        return self._named(reference[-SHORT_ID:] if reference and is_id else reference)

    def _named(self, reference: str | None) -> str:
        terms = self.version.terms
        of = " ".join(filter(None, (self.book.scope.value.lower(), reference)))
        return f"{self.limit.measure.value} {terms.value:f} {terms.unit or ''} of {of}"


@dataclass
class ControlEvidence:
    """What the log has that shows controls at work, read once for a page."""

    reading: Reading
    position: int
    moment: datetime
    _newest: dict[str, list[RecordedEvent]] = field(default_factory=dict)

    @cached_property
    def limits(self) -> list[ControlLimit]:
        """All that are in force at the moment."""
        found = []
        for book in limit_books(self.reading, self.position):
            for limit in book.limits.values():
                version = limit.at(self.moment)
                if version is not None:
                    found.append(ControlLimit(book, limit, version))
        return found

    def newest(self, event_type: str) -> list[RecordedEvent]:
        """The newest events of a type, the newest first."""
        if event_type not in self._newest:
            criteria = EventCriteria(event_types=(event_type,), before=self.position + 1)
            with elevated(self.reading.connection):
                found = find(self.reading.connection, criteria, newest_first=True, limit=NEWEST)
                self._newest[event_type] = list(found)
        return self._newest[event_type]

    @cached_property
    def decisions(self) -> list[tuple[RecordedEvent, Mapping[str, Any], Mapping[str, Any]]]:
        """Orders that limits were asked about, with their data and what was decided."""
        found = []
        for one in sorted(
            (*self.newest("order.denied"), *self.newest("order.submitted")),
            key=lambda event: event.position,
            reverse=True,
        ):
            data = orjson.loads(one.data)
            if data.get("risk"):
                found.append((one, data, data["risk"]))
        return found

    def refusal(self, *measures: LimitMeasure) -> RecordedEvent | None:
        """The last that one of these measures refused."""
        wanted = {one.value for one in measures}
        for event, _, risk in self.decisions:
            if any(one["measure"] in wanted for one in risk.get("failed", ())):
                return event
        return None

    def decision(self, shows: Callable[[Mapping[str, Any], Mapping[str, Any]], bool]) -> Any:
        """The last decision, refused or not, that shows something."""
        return next((event for event, data, risk in self.decisions if shows(data, risk)), None)

    def event(
        self, event_type: str, shows: Callable[[Mapping[str, Any]], bool] = lambda _: True
    ) -> RecordedEvent | None:
        """The last event of a type that shows something."""
        return next((one for one in self.newest(event_type) if shows(orjson.loads(one.data))), None)


Shows = Callable[[ControlEvidence], RecordedEvent | None]


@dataclass(frozen=True)
class Control:
    """A line of the checklist. `measures` are the limits that do it, of `scopes`; `shows` finds the
    event that shows it. A line with neither is held by how decisions are made."""

    number: int
    asked: str
    done_by: str
    held_by: str
    measures: tuple[LimitMeasure, ...] = ()
    scopes: tuple[LimitScope, ...] = tuple(LimitScope)
    only_zero: bool = False
    shows: Shows | None = None

    def limits(self, evidence: ControlEvidence) -> list[ControlLimit]:
        """Those in force that do it."""
        return [
            one
            for one in evidence.limits
            if one.limit.measure in self.measures
            and one.book.scope in self.scopes
            and not (self.only_zero and one.version.terms.value)
        ]


class ControlLine(NamedTuple):
    """A control as the page shows it."""

    control: Control
    state: ControlState
    tone: str
    limits: Sequence[ControlLimit]
    evidence: RecordedEvent | None
    refusal: RecordedEvent | None


def _inputs(name: str) -> Shows:
    """A decision for which these numbers were looked at."""
    return lambda found: found.decision(lambda _, risk: bool(risk.get("inputs", {}).get(name)))


def _rests(_: Mapping[str, Any], risk: Mapping[str, Any]) -> bool:
    """That what is open was counted with what is held."""
    return any(
        one.get("buy_quantity") or one.get("sell_quantity")
        for one in risk.get("inputs", {}).get("exposures", ())
    )


def _reduces(data: Mapping[str, Any]) -> bool:
    return bool(data.get("reduce_only")) or data.get("purpose") in ("EXIT", "STOP_LOSS")


def _cancelled_with_a_halt(found: ControlEvidence) -> RecordedEvent | None:
    """A cancel that was asked for with the reason of a halt, as `--cancel-all` does."""
    halts = {orjson.loads(one.data).get("reason") for one in found.newest("limits.halted")}
    return found.event("order.cancel_requested", lambda data: data.get("reason") in halts)


def _is_repeated_execution(tripped: Mapping[str, Any]) -> bool:
    return bool(tripped["terms"]["kind"] == BreakerKind.REPEATED_EXECUTION)


_TESTS = "tests/limits/"
_DECISION, _RECOMPUTED = f"{_TESTS}test_decision.py::", f"{_TESTS}test_recomputed.py::"
_CHECKS, _SWITCH = f"{_TESTS}test_risk_checks.py::", f"{_TESTS}test_kill_switch.py::"
CONTROLS = (
    Control(
        1,
        "A hard limit on credit or capital for each customer, with all working orders",
        "MAX_EXPOSURE, MAX_LEVERAGE, worst case, in the decision",
        _DECISION
        + "test_of_five_orders_that_fit_one_by_one_the_fifth_is_refused_until_one_is_cancelled",
        measures=(_M.MAX_EXPOSURE, _M.MAX_LEVERAGE),
        scopes=(LimitScope.ACCOUNT, LimitScope.SYSTEM),
    ),
    Control(
        2,
        "And in the aggregate: user, strategy, firm",
        "the same of USER, STRATEGY, INSTRUMENT, SYSTEM",
        _DECISION + "test_accounts_of_one_user_are_limited_together",
        measures=(_M.MAX_EXPOSURE,),
        scopes=_SUMS,
    ),
    Control(
        3,
        "Unexecuted orders count from acceptance on, also changes",
        "what rests, and what was asked for in its place",
        _DECISION + "test_a_replace_is_checked_as_the_order_that_it_becomes",
        shows=lambda found: found.decision(_rests),
    ),
    Control(
        4,
        "Several orders at once do not get past it together",
        "decided in order, on the state that the one before left",
        _DECISION + "test_two_orders_of_one_batch_that_fit_alone_and_not_together",
        shows=lambda found: found.refusal(_M.MAX_EXPOSURE, _M.MAX_POSITION, _M.MAX_OPEN_ORDERS),
    ),
    Control(
        5,
        "Erroneous size",
        "MAX_ORDER_QUANTITY, MAX_ORDER_NOTIONAL",
        _RECOMPUTED + "test_refusals_by_every_measure_come_out_again",
        measures=(_M.MAX_ORDER_QUANTITY, _M.MAX_ORDER_NOTIONAL),
    ),
    Control(
        6,
        "A market order has a value",
        "the mark, never nothing",
        _DECISION + "test_a_market_order_is_valued_at_the_price_and_never_at_nothing",
        shows=lambda found: found.decision(
            lambda data, risk: (
                data.get("order_type") == "MARKET" and bool(risk.get("inputs", {}).get("prices"))
            )
        ),
    ),
    Control(
        7,
        "Erroneous price",
        "PRICE_BAND, of price and stop, on changes too",
        _RECOMPUTED + "test_refusals_by_every_measure_come_out_again",
        measures=(_M.PRICE_BAND,),
    ),
    Control(
        8,
        "Missing or old market data refuses",
        "what is needed and not known refuses, and is named",
        _DECISION + "test_without_a_price_or_with_a_stale_one_what_raises_is_refused",
        shows=lambda found: found.decision(
            lambda _, risk: any(one.get("missing") for one in risk.get("failed", ()))
        ),
    ),
    Control(
        9,
        "Duplicative orders",
        "DUPLICATE_ORDER",
        _DECISION + "test_a_bot_gone_wild_is_refused_by_duplicates_first_and_by_its_rate_then",
        measures=(_M.DUPLICATE_ORDER,),
    ),
    Control(
        10,
        "Order and message throttles",
        "ORDER_RATE, MESSAGE_RATE, NOTIONAL_RATE; cancels are never refused",
        _DECISION + "test_a_bot_gone_wild_is_refused_by_duplicates_first_and_by_its_rate_then",
        measures=(_M.ORDER_RATE, _M.MESSAGE_RATE, _M.NOTIONAL_RATE),
    ),
    Control(
        11,
        "Largest position, buys and sells apart",
        "MAX_POSITION",
        _DECISION + "test_buys_and_sells_that_rest_are_not_netted",
        measures=(_M.MAX_POSITION,),
    ),
    Control(
        12,
        "Getting out stays possible",
        "what reduces is accepted always",
        _DECISION + "test_what_reduces_passes_whatever_is_exceeded_or_missing",
        shows=lambda found: found.event("order.submitted", _reduces),
    ),
    Control(
        13,
        "Restricted instruments",
        "a MAX_POSITION of 0",
        _DECISION + "test_zero_means_none_at_all",
        measures=(_M.MAX_POSITION,),
        only_zero=True,
    ),
    Control(
        14,
        "Loss limits that restarts do not forget",
        "MAX_DAILY_LOSS, MAX_DRAWDOWN, MIN_EQUITY",
        _DECISION + "test_a_loss_of_the_day_stays_tripped_through_restarts_until_the_next_day",
        measures=(_M.MAX_DAILY_LOSS, _M.MAX_DRAWDOWN, _M.MIN_EQUITY),
    ),
    Control(
        15,
        "Money that is paid in is no profit",
        "flows are taken out",
        _DECISION + "test_a_deposit_on_a_day_of_loss_is_no_profit",
        shows=_inputs("baselines"),
    ),
    Control(
        16,
        "Kill switch, by scope, outside of the strategy",
        "Halt: no order behind its position",
        _SWITCH + "test_no_order_is_accepted_behind_the_place_of_a_halt",
        shows=lambda found: found.event("limits.halted"),
    ),
    Control(
        17,
        "And the cancel of everything that rests",
        "--cancel-all, without read models",
        _CHECKS + "test_a_halt_asks_for_the_cancel_of_every_open_order_and_needs_no_read_model",
        shows=_cancelled_with_a_halt,
    ),
    Control(
        18,
        "Limits changed by two people",
        "what allows more waits for another",
        _DECISION + "test_a_loosened_limit_waits_for_somebody_else",
        shows=lambda found: found.event("limits.set", lambda data: bool(data.get("approved_by"))),
    ),
    Control(
        19,
        "Overrides that end by themselves",
        "effective_until",
        _DECISION + "test_a_change_for_a_while_ends_by_itself",
        shows=lambda found: found.event(
            "limits.set", lambda data: bool(data["terms"].get("effective_until"))
        ),
    ),
    Control(
        20,
        "Approvals and their audit trail",
        "limits.set with who set and who approved; asked as it was known",
        _TESTS + "test_read_model.py::test_which_limits_held_at_a_trade_can_be_asked_later",
        shows=lambda found: found.event("limits.set"),
    ),
    Control(
        21,
        "Every refusal can be explained",
        "all numbers in its event",
        _RECOMPUTED + "test_refusals_by_every_measure_come_out_again",
        shows=lambda found: found.decision(
            lambda _, risk: bool(risk.get("failed") and risk.get("inputs"))
        ),
    ),
    Control(
        22,
        "Nothing gets past, in whatever order",
        "all measures against orders, changes, fills, prices, restarts",
        f"{_TESTS}test_limits_machine.py::"
        "test_nothing_gets_past_a_limit_and_nothing_is_kept_from_getting_out",
    ),
    Control(
        23,
        "No way round",
        "there is no setting to bypass it; the check is in the decision of every order and change",
        _SWITCH + "test_a_halt_is_heeded_when_it_comes_into_a_batch_that_is_decided_already",
    ),
    Control(
        24,
        "Immediate view after the trade",
        "what limits are at, from the state that decides",
        _CHECKS + "test_what_limits_are_at_is_told",
    ),
    Control(
        25,
        "A question before the trade",
        "risk-check: the answer that the order would get",
        _CHECKS + "test_what_is_answered_is_what_the_order_then_gets",
    ),
    Control(
        26,
        "A strategy that is executed again and again is disabled until a person resumes",
        "the breaker REPEATED_EXECUTION: its halt is an event, so restarts keep it",
        "tests/risk/test_repeated_execution.py::"
        "test_a_strategy_that_trades_again_and_again_trips_at_its_number",
        shows=lambda found: found.event("breaker.tripped", _is_repeated_execution),
    ),
    Control(
        27,
        "Self-match prevention, over all accounts of one owner",
        "SELF_MATCH: refused with whose orders are in reach",
        _DECISION + "test_an_order_that_would_trade_with_ones_own_is_refused",
        measures=(_M.SELF_MATCH,),
    ),
    Control(
        28,
        "A dynamic collar over a short time: no ladder of orders that each fit",
        "PRICE_WALK, orders and changes",
        _DECISION + "test_a_ladder_of_orders_walks_no_farther_than_the_collar",
        measures=(_M.PRICE_WALK,),
    ),
    Control(
        29,
        "Dead man's switch: cancel when the one who looks after orders is gone",
        "heartbeats, by the clock",
        "tests/clock/test_missed_heartbeats.py::"
        "test_the_cancel_of_what_rests_is_asked_for_once_nothing_is_heard",
        shows=lambda found: found.event("heartbeat.missed"),
    ),
)
"""The checklist, in the order of the page."""


@router.get("/controls")
def controls(
    request: Request,
    viewer: PageViewer,
    known_at: str | None = None,
    format: str = "page",  # noqa: A002
) -> Response:
    """The checklist as a page, or as CSV. Raises Problem, InvalidMoment."""
    viewer.require("read_log")
    with viewer.reading() as reading:
        standing = reading.standing(reading.position_of(known_at) if known_at else None)
        moment = standing.known_at_time or datetime.now(UTC)
        evidence = ControlEvidence(reading, standing.position, moment)
        lines = [_line(one, evidence) for one in CONTROLS]
        newest = {
            "Last refusal": evidence.event("order.denied"),
            "Last halt": evidence.event("limits.halted"),
            "Last alert that arrived": evidence.event(
                "alert.delivery_ended", lambda data: data.get("status") == "SENT"
            ),
        }
    if format == "csv":
        return csv_file("controls", COLUMNS, _as_rows(lines), standing)
    counts = {tone: sum(one.tone == tone for one in lines) for tone in ("good", "warn", "bad")}
    values = {"lines": lines, "newest": newest, "counts": counts, "limits": evidence.limits}
    return show(request, viewer, "controls.html", values, standing=standing)


def _line(control: Control, evidence: ControlEvidence) -> ControlLine:
    limits = control.limits(evidence)
    refusal = evidence.refusal(*control.measures) if control.measures else None
    shown = control.shows(evidence) if control.shows is not None else refusal
    if control.measures:
        state = (
            ControlState.UNSET
            if not limits
            else ControlState.SHOWN
            if refusal is not None
            else ControlState.UNTRIED
        )
    elif control.shows is None:
        state = ControlState.BY_TEST
    else:
        state = ControlState.SHOWN if shown is not None else ControlState.MISSING
    return ControlLine(control, state, TONES[state], limits, shown, refusal)


def _as_rows(lines: Iterable[ControlLine]) -> Iterable[Sequence[Any]]:
    for one in lines:
        event = one.evidence
        yield (
            one.control.number,
            one.control.asked,
            one.control.done_by,
            one.state.value,
            "; ".join(limit.name for limit in one.limits),
            _names(limit.version.by for limit in one.limits),
            _names(limit.version.approved_by for limit in one.limits),
            None if event is None else event.id,
            None if event is None else event.position,
            None if event is None else event.recorded_at,
            None if one.refusal is None else one.refusal.recorded_at,
            one.control.held_by,
        )


def _names(names: Iterable[str | None]) -> str:
    return ", ".join(sorted({name for name in names if name}))
