"""The engine: fence, checkpoint, wake-up, errors."""

from collections.abc import Iterable
from typing import Any

import psycopg
import pytest
from msgspec.structs import astuple

from ledger.nouns.accounts.events import AccountDeposited, FundsHeld
from ledger.operate.embedded.servers import EmbeddedPostgres
from ledger.operate.plugins import migrate_all
from ledger.subscriptions import checkpoint, lease
from ledger.subscriptions.checkpoint import Fenced, NotInstalled
from projections.engine.connection import connect
from projections.engine.live import source
from projections.engine.live.build import Build
from projections.engine.live.rows import DuplicateRow, Rows, RowSet, UndeclaredKey
from projections.engine.live.writer import FEW_ROWS, TableMismatch, TableWriter, copy_lines
from projections.engine.projection import Key, Projection, Recorded, Row, Table
from projections.read_models import balances, instruments
from tests.projections import log as events
from tests.projections.log import opened_log
from tests.projections.workers import caught_up, running, statuses, wait_until


def _claim(connection: psycopg.Connection[Any], owner: str) -> checkpoint.Checkpoint:
    # As if whoever has it were gone, without ending that one's connection: the fence must do.
    connection.execute("UPDATE projection_leases SET backend_pid = NULL")
    claimed = lease.claim(connection, "balances", owner, lease_seconds=60)
    assert claimed is not None
    return claimed


def _balance_rows(database_url: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database_url) as connection:
        return connection.execute("SELECT asset, total FROM balances ORDER BY asset").fetchall()


def test_of_two_workers_with_one_batch_only_the_owner_commits(database_url: str) -> None:
    with opened_log(database_url) as log:
        log.account(events.account_opened(), events.deposited("USDT", "5"))
    with connect(database_url, "old") as old, connect(database_url, "new") as new:
        claims = [_claim(old, "old"), _claim(new, "new")]
        for connection, claimed in zip((old, new), claims, strict=True):
            build = Build(
                balances.PROJECTION, "balances_1", connection, rows_in_memory=100, empty=True
            )
            build.fold(
                source.read(
                    connection, after=0, up_to=2, event_types=balances.PROJECTION.event_types
                )
            )
            try:
                with connection.transaction():
                    checkpoint.advance(
                        connection, claimed, to=2, handled=1, event_id=None, rate=None
                    )
                    build.write()
            except Fenced:
                assert connection is old
            else:
                assert connection is new
    assert _balance_rows(database_url) == [("USDT", 5)]


@pytest.mark.parametrize("wrong", ["position", "owner", "epoch", "generation"])
def test_the_checkpoint_moves_only_from_the_known_position_owner_epoch_and_generation(
    database_url: str, wrong: str
) -> None:
    with connect(database_url, "test") as connection:
        claimed = vars(_claim(connection, "me"))
        changed = claimed | {wrong: "you" if wrong == "owner" else claimed[wrong] + 1}
        with pytest.raises(Fenced, match="balances"):
            checkpoint.advance(
                connection,
                checkpoint.Checkpoint(**changed),
                to=9,
                handled=0,
                event_id=None,
                rate=None,
            )


def test_a_projection_that_is_not_installed_is_named_with_the_remedy(database_url: str) -> None:
    with (
        connect(database_url, "test") as connection,
        pytest.raises(NotInstalled, match=r"nonsense.*ledgerctl migrate"),
    ):
        lease.claim(connection, "nonsense", "me", lease_seconds=60)


def test_the_checkpoint_passes_events_that_the_projection_does_not_fold(database_url: str) -> None:
    with opened_log(database_url) as log:
        head = log.account(events.account_opened(), events.deposited("USDT", "5"))
    with running(database_url, [instruments.PROJECTION]):
        caught_up(database_url, "symbols")
        status = statuses(database_url)["symbols"]
    assert (status.position, status.total_events_processed) == (head, 0)


def test_a_notification_wakes_a_worker_that_would_otherwise_sleep(database_url: str) -> None:
    with (
        opened_log(database_url) as log,
        running(database_url, [balances.PROJECTION], poll_seconds=3_600),
    ):
        wait_until(lambda: _is_listening(database_url), "the listener")
        log.account(events.account_opened())
        caught_up(database_url, "balances")
        log.account(events.deposited("USDT", "5"))
        caught_up(database_url, "balances")
    assert _balance_rows(database_url) == [("USDT", 5)]


def test_the_poll_finds_what_no_notification_told(database_url: str) -> None:
    with opened_log(database_url) as log, running(database_url, [balances.PROJECTION]):
        for _ in range(3):
            log.account(events.deposited("USDT", "5"))
            caught_up(database_url, "balances")
    assert _balance_rows(database_url) == [("USDT", 15)]


def _is_listening(database_url: str) -> bool:
    with psycopg.connect(database_url) as connection:
        return bool(
            connection.execute(
                """SELECT 1 FROM pg_stat_activity WHERE datname = current_database()
                   AND query LIKE 'LISTEN%' AND state = 'idle'"""
            ).fetchall()
        )


def _terminate(database_url: str, query: str) -> int:
    with psycopg.connect(database_url, autocommit=True) as connection:
        return len(
            connection.execute(
                f"""SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE datname = current_database() AND pid <> pg_backend_pid() AND {query}"""
            ).fetchall()
        )


def test_lost_connections_are_made_again(database_url: str) -> None:
    with (
        opened_log(database_url) as log,
        running(database_url, [balances.PROJECTION], poll_seconds=3_600),
    ):
        for _ in range(3):
            wait_until(lambda: _is_listening(database_url), "the listener")
            assert _terminate(database_url, "application_name LIKE 'ledger %'") >= 1
            log.account(events.deposited("USDT", "5"))
            caught_up(database_url, "balances")
    assert _balance_rows(database_url) == [("USDT", 15)]


def test_a_crash_of_the_database_is_survived(postgres_server: EmbeddedPostgres) -> None:
    migrate_all(postgres_server.url)
    with running(postgres_server.url, [balances.PROJECTION]):
        for round_number in range(1, 4):
            with opened_log(postgres_server.url) as log:
                log._versions[events.ACCOUNT] = round_number - 1
                log.account(events.deposited("USDT", "5"))
            postgres_server.stop("immediate")
            postgres_server.start()
            wait_until(
                lambda n=round_number: _total(postgres_server.url) == 5 * n,  # type: ignore[misc]
                f"round {round_number}",
            )


def _total(database_url: str) -> int:
    try:
        return int(sum(total for _, total in _balance_rows(database_url)))
    except psycopg.OperationalError:
        return -1


def test_tables_of_another_code_version_are_left_alone(database_url: str) -> None:
    with opened_log(database_url) as log:
        log.account(events.deposited("USDT", "5"))
    newer = Projection(
        "balances",
        balances.PROJECTION.version + 1,
        balances.PROJECTION.tables,
        balances.PROJECTION.folds,
        balances.PROJECTION.keys,
        by_stream=True,
    )
    with running(database_url, [newer]):
        wait_until(lambda: statuses(database_url)["balances"].error_count >= 1, "the refusal")
        message = statuses(database_url)["balances"].error_message
    assert "Run: ledgerctl projections rebuild balances" in str(message)
    assert _balance_rows(database_url) == []


# --- rows -----------------------------------------------------------------------------


class Thing(Row):
    name: str
    note: str | None
    extra: dict[str, str] | None = None


THINGS = Table("things", Thing, key=("name",))


def _things(*, limit: int = 100, complete: bool = False) -> Rows[Thing]:
    return RowSet([THINGS], limit=limit, complete=complete)[THINGS]


def test_a_lookup_that_keys_did_not_name_is_an_error_not_a_missing_row() -> None:
    things = _things()
    with pytest.raises(UndeclaredKey, match="things 'x'"):
        things.find("x")
    things.load(["x"], [])
    assert things.find("x") is None


def test_a_row_cannot_be_inserted_twice() -> None:
    things = _things()
    things.insert(Thing("x", None))
    with pytest.raises(DuplicateRow, match="'x'"):
        things.insert(Thing("x", None))


def test_rows_used_lately_stay_in_memory_and_others_are_let_go() -> None:
    things = _things(limit=10, complete=True)
    for number in range(30):
        things.find("0")
        things.insert(Thing(str(number), None))
        things.settle()
    assert things.missing(["0", "29"]) == []
    assert things.missing(["5"]) == ["5"]
    assert not things.complete


def test_a_row_that_was_replaced_is_not_written_any_more() -> None:
    things = _things(complete=True)
    things.insert(Thing("x", "first"))
    things.change("x")
    things.put(Thing("x", "second"))
    assert things.take() == ([Thing("x", "second")], [], [])


def test_a_removed_row_is_not_there_any_more_and_may_come_again() -> None:
    things = _things()
    things.load(["written"], [Thing("written", None)])
    things.insert(Thing("new", None))
    for name in ("written", "new", "unseen"):
        things.remove(name)
    assert things.find("written") is None
    assert things.missing(["written"]) == []
    things.insert(Thing("written", "again"))
    assert things.take() == ([Thing("written", "again")], [], ["written", "unseen"])
    things.settle()
    assert things.take() == ([], [], [])


@pytest.mark.parametrize("rows", [1, FEW_ROWS + 1])
def test_removed_rows_leave_the_table_before_others_of_their_keys_come(
    database_url: str, rows: int
) -> None:
    names = [str(number) for number in range(rows)]
    with connect(database_url, "test") as connection:
        connection.execute("CREATE TABLE public.things (name text PRIMARY KEY, note text,"
                           " extra jsonb)")  # fmt: skip
        writer = TableWriter(connection, "public", THINGS)
        writer.write([Thing(name, None) for name in [*names, "stays"]], [], [])
        writer.write([Thing("0", "again")], [], names)
        assert sorted(map(astuple, writer.load_all())) == [
            ("0", "again", None),
            ("stays", None, None),
        ]


def test_a_fold_can_look_at_what_its_stream_told_before(database_url: str) -> None:
    seen: list[list[Any]] = []

    def fold(recorded: Recorded, _: Any, rows: RowSet) -> None:
        earlier: Iterable[tuple[Recorded, Any]] = rows.earlier(recorded)
        seen.append([event.amount for _, event in earlier])

    looking = Projection(
        "balances", 1, balances.PROJECTION.tables, {AccountDeposited: fold}, by_stream=True
    )
    with opened_log(database_url) as log:
        log.account(events.account_opened())
        head = log.account(*(events.deposited("USDT", amount) for amount in ("5", "7", "9")))
    with connect(database_url, "test") as connection:
        build = Build(looking, "balances_1", connection, rows_in_memory=10, empty=True)
        build.fold(source.read(connection, after=0, up_to=head, event_types=looking.event_types))
    assert seen == [[], [5], [5, 7]]


def test_text_of_any_kind_reaches_the_table_as_it_is(empty_database_url: str) -> None:
    quotes = ["plain", "null", 'quo"te', "[x]\n[y]", "ü€\x1f"]
    texts = [*quotes, "", "back\\slash", "\\n not a break", "a\nb\tc\r"]
    rows = [Thing(text, text) for text in texts] + [Thing("none", None)]
    with psycopg.connect(empty_database_url) as connection:
        connection.execute("CREATE TABLE things (name text, note text)")
        with connection.cursor().copy(
            "COPY things FROM STDIN (FORMAT csv, NULL 'null', ESCAPE '\\')"
        ) as copy:
            copy.write(copy_lines([[row.name, row.note] for row in rows]))
        found = connection.execute("SELECT name, note FROM things").fetchall()
    assert found == [(row.name, row.note) for row in rows]


def test_rows_that_do_not_fit_their_table_are_refused_with_both_column_lists(
    database_url: str,
) -> None:
    def fold(recorded: Recorded, event: Any, rows: RowSet) -> None: ...

    def keys(recorded: Recorded, event: Any) -> Iterable[tuple[Table[Any], Key]]:
        return ()

    wrong = Projection(
        "balances",
        1,
        (Table("balances", Thing, key=("name",)),),
        {FundsHeld: fold},
        keys,
    )
    with (
        connect(database_url, "test") as connection,
        pytest.raises(TableMismatch, match=r"account_id.*the code writes name, note"),
    ):
        Build(wrong, "balances_1", connection, rows_in_memory=10, empty=True)
