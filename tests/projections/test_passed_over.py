"""What an operator passes over in a stream that decisions could not read, no read model shows."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from ledger.audit.ask.explain import explain_balance
from ledger.eventstore.moments import Moment
from ledger.eventstore.session import reading
from ledger.kernel import read_side
from ledger.nouns.instruments import state as instruments_state
from ledger.nouns.instruments.events import InstrumentListed
from ledger.write import held_streams
from projections.engine.builds.candidate import Limits
from projections.engine.builds.rebuild import rebuild, verify
from projections.engine.builds.rollback import PreviousNotWhole, rollback
from projections.engine.connection import connect
from projections.engine.letters import dead_letters
from projections.engine.projection import Projection
from projections.read_models import balances, instruments
from tests.projections import harness
from tests.projections import log as events
from tests.projections.log import ACCOUNT, Log, opened_log
from tests.projections.workers import caught_up, running, statuses, wait_until
from tests.write.damage import appended, rows

BY: dict[str, Any] = {"by": "olga", "reason": "no version wrote it"}
INSTRUMENT = "A:B"
LIMITS = Limits(batch_positions=500, rows_in_memory=1_000)


@pytest.fixture
def log(database_url: str) -> Iterator[Log]:
    with opened_log(database_url) as log:
        log.append(
            instruments_state.stream_id(INSTRUMENT),
            InstrumentListed(
                instrument=INSTRUMENT,
                base_asset="A",
                quote_asset="B",
                tick_size=Decimal("0.1"),
                step_size=Decimal("0.1"),
                min_quantity=Decimal("0.1"),
            ),
        )
        log.account(events.account_opened(), events.deposited("USDT", "100", "wire 1"))
        yield log


def unreadable(log: Log, database_url: str) -> int:
    """An event of the account that nobody can decode; its version."""
    log._versions[ACCOUNT] += 1
    return appended(database_url, ACCOUNT, data='{"amount": []}')


def astray(log: Log, database_url: str) -> int:
    """An event that a read model folds, and that no account can take."""
    log._versions[ACCOUNT] += 1
    data = f'{{"instrument": "{INSTRUMENT}"}}'
    return appended(database_url, ACCOUNT, "instrument.delisted", data=data)


def repaired(database_url: str, version: int) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        held_streams.repair(connection, ACCOUNT, version, **BY)


def letters(database_url: str, *statuses: str) -> list[tuple[str, str, str | None]]:
    with connect(database_url, "test") as connection:
        found = dead_letters.find(connection, statuses=statuses)
    return [(one.projection_name, one.kind, one.skipped_by) for one in found]


def total(database_url: str) -> str:
    return str(rows(database_url, "SELECT total::text FROM balances WHERE asset = 'USDT'")[0][0])


def is_listed(database_url: str) -> bool:
    return rows(database_url, "SELECT is_active FROM symbols") == [(True,)]


def check_whole(database_url: str, projection: Projection) -> None:
    assert not statuses(database_url)[projection.name].needs_person
    harness.check_rebuild(database_url, projection)


@pytest.mark.parametrize("stops", [False, True], ids=["parks", "stops"])
def test_what_was_held_up_by_it_goes_on_without_it(
    database_url: str, log: Log, stops: bool
) -> None:
    with running(database_url, [balances.PROJECTION], stop_at_poison=stops):
        caught_up(database_url, balances.PROJECTION.name)
        version = unreadable(log, database_url)
        log.account(events.deposited("USDT", "1", "wire 2"))
        wait_until(lambda: letters(database_url, dead_letters.PARKED) != [], "a parked event")
        assert total(database_url) == "100"
        repaired(database_url, version)
        log.account(events.deposited("USDT", "2", "wire 3"))
        wait_until(lambda: total(database_url) == "103", "the deposits behind it")
        caught_up(database_url, balances.PROJECTION.name)
        assert letters(database_url, dead_letters.PARKED) == []
        assert letters(database_url, dead_letters.SKIPPED) == [("balances", "decode", "olga")]
        check_whole(database_url, balances.PROJECTION)
    # … and so do questions about the past, and explanations.
    with reading(database_url) as connection:
        head = max(one[0] for one in connection.execute("SELECT max(position) FROM event_store"))
        (then,) = read_side.question("balances").at(
            connection, Moment(head), account_id=ACCOUNT, asset="USDT"
        )
        assert str(then.total) == "103"
        explained = explain_balance(connection, ACCOUNT, "USDT")
        assert len(list(explained.lines(connection))) == 3
        assert explained.equal


def test_what_was_told_before_its_turn_is_never_folded(database_url: str, log: Log) -> None:
    version = astray(log, database_url)
    repaired(database_url, version)
    with running(database_url, [instruments.PROJECTION], batch_positions=1):
        caught_up(database_url, instruments.PROJECTION.name)
    assert letters(database_url, dead_letters.SKIPPED) == [("symbols", "passed over", "olga")]
    assert is_listed(database_url)
    check_whole(database_url, instruments.PROJECTION)


def test_a_read_model_that_folded_it_says_so_until_it_is_made_anew(
    database_url: str, log: Log
) -> None:
    name = instruments.PROJECTION.name
    with running(database_url, [instruments.PROJECTION]):
        version = astray(log, database_url)
        caught_up(database_url, name)
        assert not is_listed(database_url)
        repaired(database_url, version)
        wait_until(lambda: statuses(database_url)[name].unwanted_events == 1, "it to say so")
        caught_up(database_url, name)
        status = statuses(database_url)[name]
        assert status.needs_person
        assert "passed over since: ledgerctl projections rebuild symbols" in (status.why or "")
        assert not verify(database_url, instruments.PROJECTION, LIMITS).equal
        rebuild(database_url, instruments.PROJECTION, LIMITS, accept_differences=True)
        assert is_listed(database_url)
        caught_up(database_url, name)
        check_whole(database_url, instruments.PROJECTION)


def test_nobody_goes_back_to_a_generation_that_folded_it(database_url: str, log: Log) -> None:
    with running(database_url, [instruments.PROJECTION]):
        version = astray(log, database_url)
        caught_up(database_url, instruments.PROJECTION.name)
        assert rebuild(database_url, instruments.PROJECTION, LIMITS).equal
        repaired(database_url, version)
        wait_until(
            lambda: statuses(database_url)[instruments.PROJECTION.name].unwanted_events == 1,
            "it to say so",
        )
        with pytest.raises(PreviousNotWhole, match="passed over since"):
            rollback(database_url, instruments.PROJECTION, LIMITS)


def test_other_read_models_and_streams_do_not_care(database_url: str, log: Log) -> None:
    """The event is of a stream that they fold, and of a type that they do not."""
    version = astray(log, database_url)
    with running(database_url, [balances.PROJECTION]):
        caught_up(database_url, balances.PROJECTION.name)
        repaired(database_url, version)
        log.account(events.deposited("USDT", "1", "wire 2"))
        caught_up(database_url, balances.PROJECTION.name)
    assert letters(database_url, *dead_letters.STATUSES) == []
    assert total(database_url) == "101"
