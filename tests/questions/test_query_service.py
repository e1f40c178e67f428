"""Queries over NATS: the rows of the read models, as of a position that the answer names."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import psycopg
import pytest
from jsonschema import Draft202012Validator
from uuid_utils.compat import uuid7

from ledger.bus.queries import QueryRefused
from ledger.bus.security import BusSecurity
from ledger.client.client import LedgerClient
from ledger.contract import schemas
from ledger.operate.settings import Settings
from ledger.programs.registry import Places
from projections.query_service import PROGRAM as QUERIES
from projections.query_service import QueryService
from projections.questions.catalogue import questions
from projections.questions.question import Question
from projections.questions.statement import relation
from projections.service import PROGRAM as PROJECTIONS
from tests.cli.running import run
from tests.programs.publishing import connected
from tests.programs.services import (
    ANSWER_SECONDS,
    client,
    list_instrument,
    open_account,
    rows,
    running_worker,
)
from tests.projections.everything import append_everything
from tests.projections.workers import wait_until

SOMEBODY = UUID(int=1)


@pytest.fixture
def projections(database_url: str) -> Iterator[None]:
    """The read models follow the log."""
    stop = threading.Event()
    working = threading.Thread(
        target=PROJECTIONS.run, args=(Places(Settings(), database_url), stop)
    )
    working.start()
    yield
    stop.set()
    working.join()


@asynccontextmanager
async def running_queries(
    database_url: str, nats_url: str, security: BusSecurity | None = None, **settings: Any
) -> AsyncIterator[None]:
    """A query service that answers inside the block."""
    service = QueryService(database_url, nats_url, Settings(**settings))
    running = asyncio.create_task(service.run())
    places = Places(Settings(nats_url=nats_url, **_of_bus(security)))
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            while not await asyncio.to_thread(QUERIES.ready, places):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        yield
    finally:
        service.stop()
        await asyncio.wait_for(running, ANSWER_SECONDS)


def _of_bus(security: BusSecurity | None) -> dict[str, Any]:
    """Settings that make this security."""
    return {
        f"nats_{name}": value
        for name, value in (vars(security) if security is not None else {}).items()
    }


@pytest.fixture
async def ledger(database_url: str, nats_url: str) -> AsyncIterator[LedgerClient]:
    async with (
        running_worker(database_url, nats_url),
        running_queries(database_url, nats_url),
        await client(nats_url) as ledger,
    ):
        yield ledger


async def asked(ledger: LedgerClient, subject: str, question: object) -> tuple[dict[str, str], Any]:
    """Headers and body of the answer to a question as any client might ask it."""
    body = question if isinstance(question, bytes) else orjson.dumps(question)
    answer = await ledger._nats.request(f"ledger.query.{subject}", body, timeout=ANSWER_SECONDS)
    return dict(answer.headers or {}), orjson.loads(answer.data)


@pytest.mark.usefixtures("projections")
async def test_a_service_reads_its_own_writes(
    ledger: LedgerClient, database_url: str, tmp_path: Path
) -> None:
    account_id, instrument = await open_account(ledger), await list_instrument(ledger)
    await ledger.submit("Deposit", {"asset": "USDT", "amount": "1000"}, account_id=account_id)
    order_id = uuid7()
    order = {
        "order_id": order_id,
        "instrument": instrument,
        "side": "BUY",
        "order_type": "LIMIT",
        "quantity": "2",
        "price": "100.50",
    }
    await ledger.submit("SubmitOrder", order, account_id=account_id)
    fill = {"order_id": order_id, "trade_id": "t-1", "last_qty": "1", "last_px": "100.50"}
    outcome = await ledger.submit("RecordFill", fill, account_id=account_id)
    seen = outcome.position
    assert seen is not None

    balances = await ledger.queries.balances(account_id, min_position=seen)
    assert balances.position >= seen
    assert {row.asset: (row.total, row.locked) for row in balances.rows} == {
        "USDT": (Decimal("899.5"), Decimal("100.5")),
        "BTC": (Decimal(1), Decimal(0)),
    }
    only = await ledger.queries.balances(account_id, asset="BTC")
    assert [row.asset for row in only.rows] == ["BTC"]
    (one,) = (await ledger.queries.order(order_id, min_position=seen)).rows
    assert (one.status, one.filled_quantity, one.price) == (
        "PARTIALLY_FILLED", Decimal(1), Decimal("100.5"),
    )  # fmt: skip
    orders = await ledger.queries.orders(account_id, status="partially_filled")
    assert orders.rows == [one]
    assert (await ledger.queries.orders(account_id, status="FILLED")).rows == []
    (trade,) = (await ledger.queries.fills(account_id, min_position=seen)).rows
    assert (trade.trade_id, trade.order_id) == ("t-1", order_id)
    first = await ledger.queries.transactions(account_id, limit=1, min_position=seen)
    assert first.more
    assert len(first.rows) == 1

    where = await ledger.queries.position_of(command_id=outcome.command_id)
    assert [row.position for row in where.rows] == [seen]
    where = await ledger.queries.position_of(event_id=outcome.events[0].id)
    assert [row.position for row in where.rows] == [outcome.events[0].position]
    everything = {row.of: row.position for row in (await ledger.queries.position_of()).rows}
    assert everything["log"] == seen
    assert everything["balances"] >= seen

    shown = await run(
        "query", "balances", "--account", str(account_id), "--min-position", str(seen), "--json",
        cwd=tmp_path, LEDGER_DATABASE_URL=database_url,
    )  # fmt: skip
    _, answer = await asked(ledger, "balances", {"account_id": str(account_id)})
    assert orjson.loads(shown.stdout) == answer["rows"]


async def test_a_position_that_is_not_reached_in_time_is_said(
    database_url: str, nats_url: str, tmp_path: Path
) -> None:
    async with (
        running_queries(database_url, nats_url, query_wait_seconds=0.2),
        await client(nats_url) as ledger,
    ):
        with pytest.raises(QueryRefused, match="balances is at position 0, not yet at 1") as told:
            await ledger.queries.balances(uuid7(), min_position=1)
        assert told.value.code == "POSITION_NOT_REACHED"
    shown = await run(
        "query", "orders", "--account", str(uuid7()), "--min-position", "7",
        cwd=tmp_path, LEDGER_DATABASE_URL=database_url, LEDGER_QUERY_WAIT_SECONDS="0.1",
    )  # fmt: skip
    assert shown.exit_code == 1
    assert "orders is at position 0, not yet at 7" in shown.stderr


async def test_one_that_waits_for_its_position_holds_up_no_other(
    database_url: str, nats_url: str
) -> None:
    async with running_queries(database_url, nats_url), await client(nats_url) as ledger:
        waiting = asyncio.create_task(ledger.queries.balances(uuid7(), min_position=1))
        for _ in range(20):
            assert (await ledger.queries.balances(uuid7())).rows == []
        assert not waiting.done()
        with psycopg.connect(database_url) as connection:
            connection.execute("UPDATE event_projections SET last_processed_position = 1")
        assert (await waiting).position == 1


@pytest.mark.parametrize(
    ("subject", "question", "told"),
    [
        ("balances", b"{", "not JSON"),
        ("balances", [1], "must be a JSON object"),
        ("balances", {}, "account_id is missing"),
        ("order", {"account_id": str(SOMEBODY)}, "order_id is missing"),
        ("balances", {"account_id": "me"}, "must be a UUID"),
        ("balances", {"account_id": str(SOMEBODY), "colour": "red"}, "'colour' is unknown here"),
        ("balances", {"account_id": str(SOMEBODY), "asset": 1}, "asset must be a text"),
        ("orders", {"account_id": str(SOMEBODY), "status": "GONE"}, "no order status"),
        ("orders", {"account_id": str(SOMEBODY), "limit": 0}, "limit must be 1 to 1000"),
        ("orders", {"account_id": str(SOMEBODY), "min_position": "7"}, "min_position must be"),
        (f"orders.{SOMEBODY}", {"account_id": str(UUID(int=2))}, "is not the subject's"),
        ("orders.me", {}, "the account in the subject must be a UUID"),
        (f"orders.{SOMEBODY.hex}", {}, "must be a UUID written like"),
        (f"order.{SOMEBODY}", {"order_id": str(SOMEBODY), "after": "x"}, "after must be"),
        ("balances", b'{"account_id":"x","account_id":"y"}', "'account_id' stands twice"),
        ("balances", {"account_id": str(SOMEBODY), "asset": "a\0"}, "asset must be a text"),
        (f"position-of.{SOMEBODY}", {"command_id": str(SOMEBODY)}, "takes one of"),
    ],
)
async def test_a_question_that_cannot_be_answered_is_told_why(
    database_url: str, nats_url: str, subject: str, question: object, told: str
) -> None:
    async with running_queries(database_url, nats_url), await client(nats_url) as ledger:
        headers, body = await asked(ledger, subject, question)
    assert headers["Nats-Service-Error-Code"] == body["code"] == "INVALID_QUERY"
    assert told in body["message"]
    assert told in headers["Nats-Service-Error"]


async def test_a_question_for_one_account_shows_no_order_of_another(
    database_url: str, nats_url: str
) -> None:
    mine, order_id = uuid7(), uuid7()
    with psycopg.connect(database_url) as connection:
        connection.execute(
            """INSERT INTO orders (order_id, account_id, sub_account, instrument, side,
                order_type, quantity, sized_by_quote, filled_quantity, cum_quote,
                leaves_quantity, cancelled_quantity, overfill_quantity, commission, status,
                time_in_force, reduce_only, post_only, origin, cancel_requested,
                replace_requested, created_at, updated_at, last_position)
            VALUES (%s, %s, 'main', 'BINANCE:BTCUSDT', 'BUY', 'LIMIT', 2, false, 0, 0, 2, 0, 0,
                0, 'NEW', 'GTC', false, false, 'LEDGER', false, false, now(), now(), 1)""",
            (order_id, mine),
        )
    async with running_queries(database_url, nats_url), await client(nats_url) as ledger:
        assert len((await ledger.queries.order(order_id, account_id=mine)).rows) == 1
        assert (await ledger.queries.order(order_id, account_id=uuid7())).rows == []


def put_balances(database_url: str, account_id: UUID, number: int) -> None:
    """Rows of so many assets, whoever folded them."""
    with psycopg.connect(database_url) as connection:
        connection.execute(
            """INSERT INTO balances
               SELECT %s, NULL, 'main', to_char(n, 'FM00000'), n, n, 0, now(), 1
               FROM generate_series(1, %s) AS n""",
            (account_id, number),
        )


async def test_any_number_of_rows_can_be_read_page_by_page(
    database_url: str, nats_url: str
) -> None:
    account_id, number = uuid7(), 2_500
    put_balances(database_url, account_id, number)
    async with running_queries(database_url, nats_url), await client(nats_url) as ledger:
        first = await ledger.queries.balances(account_id)
        assert (len(first.rows), first.more) == (1_000, True)
        second = await ledger.queries.balances(account_id, after=first.next, limit=3)
        assert [row.total for row in second.rows] == [1_001, 1_002, 1_003]
        every = [row.total async for row in ledger.queries.balances.all(account_id)]
        assert every == list(range(1, number + 1))
        small = ledger.queries.balances.all(account_id, page_rows=600, asset="00007")
        assert [row.total async for row in small] == [7]
        with pytest.raises(QueryRefused, match="after is the `next` of another"):
            await ledger.queries.transactions(account_id, after=first.next)


async def test_a_page_ends_where_the_bus_takes_no_more(database_url: str, nats_url: str) -> None:
    account_id, number = uuid7(), 30
    async with running_queries(database_url, nats_url), await client(nats_url) as ledger:
        with psycopg.connect(database_url) as connection:
            connection.execute(
                """INSERT INTO transactions
                   SELECT n, 1, gen_random_uuid(), %s, NULL, 'main', 'BTC', 'CREDIT', 'DEPOSIT',
                       n, n, NULL, NULL, NULL, NULL, repeat('x', %s), now(), now()
                   FROM generate_series(1, %s) AS n""",
                (account_id, ledger._nats.max_payload // 10, number),
            )
        first = await ledger.queries.transactions(account_id)
        assert len(first.rows) == 9
        assert first.more
        every = [row.position async for row in ledger.queries.transactions.all(account_id)]
        assert every == list(range(number, 0, -1))
        with psycopg.connect(database_url) as connection:
            connection.execute("UPDATE transactions SET reference = repeat(reference, 11)")
        with pytest.raises(QueryRefused, match="one row has") as told:
            await ledger.queries.transactions(account_id)
        assert told.value.code == "ANSWER_TOO_LARGE"


@pytest.mark.usefixtures("projections")
async def test_every_question_is_answered_over_the_bus_with_rows_that_fit_the_schemas(
    ledger: LedgerClient, database_url: str
) -> None:
    append_everything(database_url)
    head = rows(database_url, "SELECT max(position) FROM event_store")[0][0]
    folded = "SELECT min(last_processed_position) FROM event_projections"
    await asyncio.to_thread(
        wait_until, lambda: rows(database_url, folded)[0][0] >= head, "all read models"
    )
    for name, question in questions().items():
        (needed,) = some_value(database_url, question)
        headers, answer = await asked(ledger, name, {**needed, "min_position": head})
        assert "Nats-Service-Error" not in headers, answer
        assert answer["rows"], name
        schema = Draft202012Validator(schemas.row(name))
        for row in answer["rows"]:
            schema.validate(row)
            assert set(row) == set(question.row.__struct_fields__)
        Draft202012Validator(schemas.query(name)).validate(needed)
        typed = await getattr(ledger.queries, name)(**needed)
        assert [type(row) for row in typed.rows] == [question.row] * len(answer["rows"])
        with pytest.raises(QueryRefused, match="'colour' is unknown here"):
            await getattr(ledger.queries, name)(**needed, colour="red")


def some_value(database_url: str, question: Question[Any]) -> list[dict[str, str]]:
    """What the question's first path needs, of a row that there is."""
    by = question.paths[0].by
    if by is None:
        return [{}]
    some = f'SELECT "{by}" FROM {relation(question)} WHERE "{by}" IS NOT NULL LIMIT 1'
    with psycopg.connect(database_url) as connection:
        found = connection.execute(some.encode(), dict.fromkeys(question.within)).fetchall()
    return [{by: str(value)} for (value,) in found]


async def test_the_account_in_the_subject_is_the_only_one_whose_rows_are_shown(
    database_url: str, nats_url: str
) -> None:
    """Whatever else is asked: this is what the bus grants a service."""
    append_everything(database_url)
    mine = uuid7()
    async with running_queries(database_url, nats_url), await client(nats_url) as ledger:
        for name, question in questions().items():
            if "account_id" not in question.filter_of:
                if not question.table.shared:
                    _, answer = await asked(ledger, f"{name}.{mine}", {})
                    assert "ask without an account" in str(answer), name
                continue
            for path in question.paths:
                given = {}
                if path.by not in {None, "account_id"}:
                    of_id = question.types[str(path.by)] is UUID
                    given = {path.by: str(SOMEBODY) if of_id else "a strategy"}
                _, answer = await asked(ledger, f"{name}.{mine}", given)
                shown = {row["account_id"] for row in answer.get("rows", ())}
                assert shown <= {str(mine)}, (name, given)


async def test_the_service_is_found_by_the_tools_of_nats(database_url: str, nats_url: str) -> None:
    async with (
        running_queries(database_url, nats_url),
        running_queries(database_url, nats_url),  # any number may run
        connected(nats_url) as connection,
    ):
        inbox = connection.new_inbox()
        answers = await connection.subscribe(inbox)
        found: dict[str, dict[str, Any]] = {}
        async with asyncio.timeout(ANSWER_SECONDS):
            while len(found) < 2:  # the second one may still be starting
                await connection.publish("$SRV.INFO.ledger-query", b"", reply=inbox)
                one = orjson.loads((await answers.next_msg(ANSWER_SECONDS)).data)
                found[one["id"]] = one
    assert {one["name"] for one in found.values()} == {"ledger-query"}
    subjects = {endpoint["subject"] for one in found.values() for endpoint in one["endpoints"]}
    names = (*questions(), "position-of")
    assert {f"ledger.query.{name}" for name in names} <= subjects
    assert {f"ledger.query.{name}.*" for name in names} <= subjects


@pytest.mark.parametrize("question", questions().values(), ids=lambda question: question.name)
def test_the_typed_rows_have_every_column(database_url: str, question: Question[Any]) -> None:
    with psycopg.connect(database_url) as connection:
        cursor = connection.execute(
            f"SELECT * FROM {relation(question)} LIMIT 0".encode(), dict.fromkeys(question.within)
        )
        assert cursor.description is not None
        columns = {column.name for column in cursor.description}
    assert set(question.row.__struct_fields__) == columns
