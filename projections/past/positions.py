"""Positions, round trips, lots and gains as they were: the account's events, folded again.

Known at a moment, the events up to it are folded as they were recorded, with the prices that were
told by then. With a time of the venue's, what was taken back is left out, the others are put into
the order in which they happened, and the same rules say what each made in that order: a purchase
that was heard of last is then the first.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from ledger.eventstore import repairs
from ledger.eventstore.moments import Moment
from ledger.eventstore.reader import COLUMNS, RecordedEvent, where_streams_are
from ledger.kernel.event import Event
from ledger.kernel.money import exact
from ledger.nouns.accounts.events import AccountOpened
from ledger.nouns.positions import restatement
from ledger.nouns.prices.events import PricesRecorded
from projections.engine.projection import Recorded
from projections.past.fold import fold_told, recorded_of
from projections.questions.answers import Row
from projections.questions.question import Asked
from projections.read_models.position_lots import GAINS, LOTS
from projections.read_models.position_lots import PROJECTION as LOTS_PROJECTION
from projections.read_models.positions import POSITIONS, ROUND_TRIPS

_OF_ACCOUNT = f"""
    SELECT {COLUMNS} FROM public.event_store
    WHERE stream_id = %(account_id)s AND position <= %(known_at)s AND event_type = ANY(%(types)s)
        AND {where_streams_are("ARRAY[%(account_id)s::uuid]")}
    ORDER BY event_version"""
_OF_MARKETS = f"""
    SELECT {COLUMNS} FROM public.event_store
    WHERE event_type IN ('instrument.listed', 'instrument.updated', 'prices.recorded')
          AND position <= %(known_at)s
    ORDER BY position"""

Told = tuple[Recorded, Event]


def positions_at(
    connection: psycopg.Connection[Any], moment: Moment, asked: Asked
) -> Iterator[Row]:
    """Rows of `positions` of an account, in the order of the question."""
    told = merged_until(connection, moment, asked)
    return _newest_first(fold_told(POSITIONS, told), "opened_at", "position_id")


def round_trips_at(
    connection: psycopg.Connection[Any], moment: Moment, asked: Asked
) -> Iterator[Row]:
    """Rows of `round_trips` of an account."""
    told = merged_until(connection, moment, asked)
    return _newest_first(fold_told(ROUND_TRIPS, told), "closed_at", "position_id")


def lots_at(connection: psycopg.Connection[Any], moment: Moment, asked: Asked) -> Iterator[Row]:
    """Rows of `position_lots` of an account."""
    told = _of_account(connection, moment, asked)
    return _newest_first(fold_told(LOTS, told), "acquired_at", "asset", "lot")


def gains_at(connection: psycopg.Connection[Any], moment: Moment, asked: Asked) -> Iterator[Row]:
    """Rows of `realized_gains` of an account."""
    told = _of_account(connection, moment, asked)
    return _newest_first(fold_told(GAINS, told), "disposed_at", "position", "line")


def merged_until(
    connection: psycopg.Connection[Any], moment: Moment, asked: Asked
) -> Sequence[Told]:
    """What happened to an account and to markets, in order."""
    return _merged(_of_account(connection, moment, asked), _of_markets(connection, moment), moment)


def _of_account(
    connection: psycopg.Connection[Any], moment: Moment, asked: Asked
) -> Sequence[Told]:
    account_id: UUID = asked["account_id"]
    given = {
        "account_id": account_id,
        "known_at": moment.known_at,
        "types": LOTS_PROJECTION.event_types,  # all that move money, and how the account began
    }
    told = _events(connection, _OF_ACCOUNT, given)
    if moment.effective_at is None:
        return told
    happened = [
        one
        for one in told
        if one[0].occurred_at <= moment.effective_at or isinstance(one[1], AccountOpened)
    ]
    in_order = sorted(restatement.standing(happened), key=_when)
    with exact():
        return list(restatement.retold(in_order))


def _of_markets(connection: psycopg.Connection[Any], moment: Moment) -> Sequence[Told]:
    told = _events(connection, _OF_MARKETS, {"known_at": moment.known_at})
    until = moment.effective_at
    if until is None:
        return told
    return [one for one in told if not isinstance(one[1], PricesRecorded) or one[1].time <= until]


def _merged(
    of_account: Sequence[Told], of_markets: Sequence[Told], moment: Moment
) -> Sequence[Told]:
    """In the order in which all was heard of, or has happened."""
    if moment.effective_at is None:
        return sorted((*of_account, *of_markets), key=lambda one: one[0].position)
    return sorted((*of_account, *of_markets), key=_when)


def _when(told: Told) -> tuple[bool, datetime, int]:
    """An account and an instrument are there before all that happens with them, whatever the clock
    of the venue says; at one time, what was recorded first has happened first."""
    recorded, event = told
    if isinstance(event, PricesRecorded):
        return (True, event.time, recorded.position)
    begins = recorded.event_type in ("account.opened", "instrument.listed", "instrument.updated")
    return (not begins, recorded.occurred_at, recorded.position)


def _events(
    connection: psycopg.Connection[Any], statement: str, given: dict[str, Any]
) -> Sequence[Told]:
    with connection.cursor(binary=True) as cursor:
        found = [RecordedEvent(*row) for row in cursor.execute(statement.encode(), given)]
    counted = repairs.counted(connection, {event.stream_id for event in found}, found)
    return [(recorded_of(event), event.decoded()) for event in counted]


def _newest_first(rows: list[dict[str, Any]], *order: str) -> Iterator[Row]:
    rows.sort(key=lambda row: tuple(row[column] for column in order), reverse=True)
    for row in rows:
        yield {name: _as_stored(value) for name, value in row.items()}


def _as_stored(value: Any) -> Any:
    """Amounts inside JSON are texts."""
    if isinstance(value, dict):
        return {name: str(amount) for name, amount in value.items()}
    return value
