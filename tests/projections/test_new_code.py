"""A rebuild by other code: more columns, other rows; and the way back to what was before."""

import shutil
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ledger.nouns.accounts.events import AccountDeposited
from projections.engine.builds import candidate, generations
from projections.engine.builds.rebuild import RebuildDiffers, rebuild
from projections.engine.builds.rollback import rollback
from projections.engine.connection import connect
from projections.engine.live.rows import RowSet
from projections.engine.projection import Projection, Recorded, Row, Table
from projections.install import _install
from tests.projections import log as events
from tests.projections.log import opened_log
from tests.projections.workers import caught_up, running, statuses

LIMITS = candidate.Limits(batch_positions=100, rows_in_memory=100)
SQL = "CREATE TABLE deposits (asset text PRIMARY KEY, total numeric NOT NULL"


class Deposits(Row):
    asset: str
    total: Decimal


class CountedDeposits(Row):
    asset: str
    total: Decimal
    count: int


def _projection(version: int, row: type[Row], *first: Any) -> Projection:
    """Sums the deposits of each asset; `first` are further columns of a new row."""
    table = Table("deposits", row, key=("asset",))

    def deposited(recorded: Recorded, event: AccountDeposited, rows: RowSet) -> None:
        found: Any = rows[table].change(event.asset)
        if found is None:
            rows[table].insert(row(event.asset, event.amount, *first))
        else:
            found.total += event.amount
            if first:
                found.count += 1

    return Projection(
        name="deposits",
        version=version,
        tables=(table,),
        folds={AccountDeposited: deposited},
        keys=lambda recorded, event: [(table, event.asset)],
    )


OLD = _projection(1, Deposits)
NEW = _projection(2, CountedDeposits, 1)


@pytest.fixture
def deploy(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], None]:
    """Writes and installs the SQL of this projection, with further columns."""
    directory = tmp_path / "read_models"
    shutil.copytree(generations.read_models_directory(), directory)
    monkeypatch.setattr(generations, "read_models_directory", lambda: directory)

    def write(columns: str) -> None:
        (directory / "deposits.sql").write_text(f"{SQL}{columns});")
        (directory / "deposits.indexes.sql").write_text("CREATE INDEX ON deposits (total);")
        with connect(database_url, "test") as connection:
            generations.define(connection, NEW if columns else OLD)

    write("")
    return write


@pytest.fixture
def live_url(database_url: str, deploy: Callable[[str], None]) -> str:
    """Two deposits, folded by the old code."""
    with connect(database_url, "test") as connection:
        _install(connection, OLD)
    with opened_log(database_url) as log:
        log.account(events.deposited("USDT", "5"), events.deposited("USDT", "6"))
    with running(database_url, [OLD]):
        caught_up(database_url, "deposits")
    return database_url


def _rows(database_url: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database_url) as connection:
        return connection.execute("SELECT * FROM deposits").fetchall()


def test_new_columns_are_named_and_what_both_have_is_compared(
    live_url: str, deploy: Callable[[str], None]
) -> None:
    deploy(", count integer NOT NULL")
    report = rebuild(live_url, NEW, LIMITS)
    assert report.equal
    assert report.comparison.notes == ("column deposits.count is new: not compared",)
    assert _rows(live_url) == [("USDT", 11, 2)]
    assert statuses(live_url)["deposits"].code_version == 2


def test_rolling_back_to_older_code_shows_its_rows_and_lets_that_code_go_on(
    live_url: str, deploy: Callable[[str], None]
) -> None:
    deploy(", count integer NOT NULL")
    rebuild(live_url, NEW, LIMITS)
    with opened_log(live_url) as log:
        log._versions[events.ACCOUNT] = 2
        log.account(events.deposited("USDT", "1"))
    with running(live_url, [NEW]):
        caught_up(live_url, "deposits")
    assert _rows(live_url) == [("USDT", 12, 3)]
    assert rollback(live_url, NEW, LIMITS).other_code == 1
    assert _rows(live_url) == [("USDT", 11, None)]
    deploy("")
    with running(live_url, [OLD]):
        caught_up(live_url, "deposits")
    assert _rows(live_url) == [("USDT", 12, None)]
    deploy(", count integer NOT NULL")
    assert rollback(live_url, NEW, LIMITS).other_code is None
    assert _rows(live_url) == [("USDT", 12, 3)]


def test_a_difference_in_a_table_without_positions_names_the_event_all_the_same(
    live_url: str,
) -> None:
    with psycopg.connect(live_url, autocommit=True) as connection:
        connection.execute("UPDATE deposits_1.deposits SET total = 11.0")
    with pytest.raises(RebuildDiffers) as raised:
        rebuild(live_url, OLD, LIMITS)
    (difference,) = raised.value.report.comparison.differences
    assert difference.columns == {"total": ("11.0", "11")}
    assert difference.event is not None
    assert (difference.event.position, difference.event.type) == (2, "account.deposited")
