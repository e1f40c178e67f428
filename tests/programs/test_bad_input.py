"""Whatever arrives, the sender gets a clear outcome, no event is written, the worker lives on."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import nats
import orjson
import psycopg
import pytest
import pytest_asyncio
from nats.aio.client import Client
from uuid_utils.compat import uuid7

from ledger.client.client import LedgerClient
from ledger.kernel.command import Outcome
from ledger.operate.embedded.servers import EmbeddedNats
from ledger.programs import unreadable_messages
from ledger.programs.unreadable_messages import UnreadableMessage
from tests.conftest import TEMPLATE
from tests.databases import temporary_database
from tests.programs.services import (
    client,
    count,
    exchange,
    list_instrument,
    message,
    open_account,
    rows,
    running_worker,
    sent_to,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Desk(NamedTuple):
    """A ledger with two accounts, the first with an order."""

    ledger: LedgerClient
    nats: Client
    database_url: str
    account: UUID
    other_account: UUID
    order: UUID
    instrument: str


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(postgres_url: str, session_directory: Path) -> AsyncIterator[Desk]:
    """One for all tests of this file: each compares what is there before and after."""
    with (
        temporary_database(postgres_url, template=TEMPLATE) as database_url,
        EmbeddedNats(session_directory / "bad-input") as server,
    ):
        async with serving(database_url, server.url) as desk:
            yield desk


@asynccontextmanager
async def serving(database_url: str, nats_url: str) -> AsyncIterator[Desk]:
    async with (
        running_worker(database_url, nats_url),
        await client(nats_url) as ledger,
        await nats.connect(nats_url) as connection,
    ):
        instrument = await list_instrument(ledger)
        account, other_account = await open_account(ledger), await open_account(ledger)
        order = uuid7()
        deposit = await ledger.submit(
            "Deposit", {"asset": "USDT", "amount": "1000"}, account_id=account
        )
        submitted = await ledger.submit(
            "SubmitOrder", limit_order(instrument, order), account_id=account
        )
        assert (deposit.status, submitted.status) == ("ACCEPTED", "ACCEPTED")
        yield Desk(ledger, connection, database_url, account, other_account, order, instrument)


def limit_order(instrument: str, order_id: UUID, **changes: Any) -> dict[str, Any]:
    order = {
        "order_id": str(order_id),
        "instrument": instrument,
        "side": "BUY",
        "order_type": "LIMIT",
        "quantity": "1",
        "price": "100",
    }
    return order | changes


def fill(order_id: UUID, **changes: Any) -> dict[str, Any]:
    values = {"order_id": str(order_id), "trade_id": "t1", "last_qty": "1", "last_px": "100"}
    return values | changes


def deposit(amount: Any, asset: str = "USDT", **changes: Any) -> dict[str, Any]:
    return {"asset": asset, "amount": amount} | changes


def text(body: bytes, old: str, new: str) -> bytes:
    """The body with something in it that no JSON library would write."""
    assert old.encode() in body
    return body.replace(old.encode(), new.encode())


Sent = tuple[object, bytes | dict[str, Any]]
"""The last token of the NATS subject, and the body."""


def _spelled(account: str) -> tuple[str, dict[str, Any]]:
    return account, message("Deposit", account, deposit("1"))


INVALID: dict[str, tuple[Callable[[Desk], Sent], str]] = {
    "not JSON": (lambda d: (d.account, b"buy me some bitcoin"), "is not JSON"),
    "no bytes at all": (lambda d: (d.account, b""), "is not JSON"),
    "bytes that are no text": (lambda d: (d.account, b"\xff\xfe\x00"), "is not JSON"),
    "a list": (lambda d: (d.account, b"[1, 2]"), "list, not an object"),
    "a string": (lambda d: (d.account, b'"Deposit"'), "str, not an object"),
    "an empty object": (lambda d: (d.account, b"{}"), "id must be a UUID"),
    "an id that is no UUID": (
        lambda d: (d.account, message("Deposit", d.account, deposit("1"), id=7)),
        "id must be a UUID",
    ),
    "another specversion": (
        lambda d: (d.account, message("Deposit", d.account, deposit("1"), specversion="0.3")),
        "specversion must be '1.0'",
    ),
    "no source": (
        lambda d: (d.account, message("Deposit", d.account, deposit("1"), source="")),
        "source is missing",
    ),
    "data that is no object": (
        lambda d: (d.account, message("Deposit", d.account, [])),
        "data must",
    ),
    "an unknown type": (
        lambda d: (d.account, message("PrintMoney", d.account, {})),
        "'PrintMoney' is no command; there are: OpenAccount",
    ),
    "an unknown field": (
        lambda d: (d.account, message("Deposit", d.account, deposit("1", ammount="1"))),
        "data.ammount",
    ),
    "a float amount": (
        lambda d: (d.account, message("Deposit", d.account, deposit(0.1))),
        "a float is not exact: send the amount as a string",
    ),
    "NaN as JSON has it": (
        lambda d: (
            d.account,
            text(orjson.dumps(message("Deposit", d.account, deposit("1"))), '"1"', "NaN"),
        ),
        "is not JSON",
    ),
    "NaN as text": (
        lambda d: (d.account, message("Deposit", d.account, deposit("NaN"))),
        "'NaN' is not an amount",
    ),
    "infinity": (
        lambda d: (d.account, message("Deposit", d.account, deposit("Infinity"))),
        "is not an amount",
    ),
    "an exponent": (
        lambda d: (d.account, message("Deposit", d.account, deposit("1e3"))),
        "is not an amount",
    ),
    "a negative amount": (
        lambda d: (d.account, message("Deposit", d.account, deposit("-1"))),
        "must be greater than zero",
    ),
    "zero": (
        lambda d: (d.account, message("Deposit", d.account, deposit("0.00"))),
        "must be greater than zero",
    ),
    "60 digits": (
        lambda d: (d.account, message("Deposit", d.account, deposit("9" * 60))),
        "is not an amount",
    ),
    "60 digits as a number": (
        lambda d: (
            d.account,
            text(orjson.dumps(message("Deposit", d.account, deposit("1"))), '"1"', "9" * 60),
        ),
        "data.amount",
    ),
    "91 decimal places": (
        lambda d: (d.account, message("Deposit", d.account, deposit("0." + "1" * 91))),
        "is not an amount",
    ),
    "a key that stands twice": (
        lambda d: (
            d.account,
            text(
                orjson.dumps(message("Deposit", d.account, deposit("1"))),
                '"amount":"1"',
                '"amount":"1","amount":"500"',
            ),
        ),
        "the key 'amount' stands twice in one object",
    ),
    "a time of nobody's clock": (
        lambda d: (
            d.account,
            message("Deposit", d.account, deposit("1", occurred_at="1970-01-01T00:00:00Z")),
        ),
        "data.occurred_at: '1970-01-01T00:00:00Z' is before 1971",
    ),
    "a time of the year 1": (
        lambda d: (
            d.account,
            message("Deposit", d.account, deposit("1"), time="0001-01-01T00:00:00+01:00"),
        ),
        "is before 1971",
    ),
    "an asset of 10,000 characters": (
        lambda d: (d.account, message("Deposit", d.account, deposit("1", "A" * 10_000))),
        "data.asset",
    ),
    "a text with a NUL": (
        lambda d: (d.account, message("Deposit", d.account, deposit("1", reference="a\0b"))),
        "NUL",
    ),
    "data nested 500 deep": (
        lambda d: (
            d.account,
            text(
                orjson.dumps(message("Deposit", d.account, {"asset": "X"})),
                '"X"',
                "[" * 500 + "]" * 500,
            ),
        ),
        "data.asset",
    ),
    "the subject of another account": (
        lambda d: (d.other_account, message("Deposit", d.account, deposit("1"))),
        "is not the",
    ),
    "data of another account": (
        lambda d: (
            d.account,
            message("Deposit", d.account, deposit("1", account_id=str(d.other_account))),
        ),
        "is not the subject",
    ),
    "a subject that is no account": (
        lambda d: ("everyone", message("Deposit", "everyone", deposit("1"))),
        "subject must be the account's id",
    ),
    "an account in capitals": (
        lambda d: _spelled(str(d.account).upper()),
        "in the usual form",
    ),
    "an account in braces": (lambda d: _spelled(f"{{{d.account}}}"), "in the usual form"),
    "an account as a URN": (lambda d: _spelled(d.account.urn), "in the usual form"),
    "an account without hyphens": (lambda d: _spelled(d.account.hex), "in the usual form"),
    "an instrument's command on an account's subject": (
        lambda d: (d.account, message("DelistInstrument", d.account, {"instrument": d.instrument})),
        "subject 'instruments'",
    ),
    "nearly a megabyte of payload": (
        lambda d: (
            d.account,
            message("Deposit", d.account, deposit("1", reference="x" * 1_000_000)),
        ),
        "bytes, at most 65536",
    ),
    "a time without zone": (
        lambda d: (
            d.account,
            message("Deposit", d.account, deposit("1", occurred_at="2026-01-01T10:00:00")),
        ),
        "has no time zone",
    ),
    "a zone by name": (
        lambda d: (
            d.account,
            message("Deposit", d.account, deposit("1", occurred_at="2026-01-01T10:00:00 CET")),
        ),
        "is not an ISO 8601 time",
    ),
    "a message time without zone": (
        lambda d: (
            d.account,
            message("Deposit", d.account, deposit("1"), time="2026-01-01T10:00:00"),
        ),
        "has no time zone",
    ),
}


@pytest.mark.parametrize("name", INVALID)
async def test_what_cannot_be_a_command_is_answered_invalid(desk: Desk, name: str) -> None:
    make, reason = INVALID[name]
    subject, body = make(desk)
    outcome = await _refused(desk, subject, body)
    assert outcome.code == "INVALID_COMMAND"
    assert reason in (outcome.message or "")
    if isinstance(body, dict) and isinstance(body.get("id"), str):
        assert str(outcome.command_id) == body["id"]


REFUSED: dict[str, tuple[Callable[[Desk], Sent], str]] = {
    "an unknown account": (
        lambda d: (nobody := uuid7(), message("Deposit", nobody, deposit("1"))),
        "UNKNOWN_ACCOUNT",
    ),
    "an unknown order": (
        lambda d: (d.account, message("RequestCancel", d.account, {"order_id": str(uuid7())})),
        "UNKNOWN_ORDER",
    ),
    "a fill on an unknown order that says nothing about it": (
        lambda d: (d.account, message("RecordFill", d.account, fill(uuid7()))),
        "UNKNOWN_ORDER",
    ),
    "an unknown instrument": (
        lambda d: (
            "instruments",
            message("DelistInstrument", "instruments", {"instrument": "NOWHERE:NOTHING"}),
        ),
        "UNKNOWN_INSTRUMENT",
    ),
    "an order for an unknown instrument": (
        lambda d: (
            d.account,
            message("SubmitOrder", d.account, limit_order("NOWHERE:NOTHING", uuid7())),
        ),
        "UNKNOWN_INSTRUMENT",
    ),
    "a fill on an order of another account": (
        lambda d: (d.other_account, message("RecordFill", d.other_account, fill(d.order))),
        "ORDER_OF_ANOTHER_ACCOUNT",
    ),
    "a time that is yet to come": (
        lambda d: (
            d.account,
            message("Deposit", d.account, deposit("1", occurred_at="2999-01-01T00:00:00Z")),
        ),
        "OCCURRED_IN_FUTURE",
    ),
    "more money than there is": (
        lambda d: (d.account, message("Withdraw", d.account, deposit("100000"))),
        "INSUFFICIENT_FUNDS",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_the_rules_do_not_allow_is_refused_with_its_code(desk: Desk, name: str) -> None:
    make, code = REFUSED[name]
    outcome = await _refused(desk, *make(desk))
    assert outcome.code == code
    assert outcome.message


async def test_a_used_id_is_refused_for_another_content(desk: Desk) -> None:
    first = message("Deposit", desk.account, deposit("1"))
    await exchange(desk.nats, desk.account, first)
    other = message("Deposit", desk.account, deposit("2"), id=first["id"])
    assert (await _refused(desk, desk.account, other)).code == "COMMAND_ID_REUSED"


async def test_a_message_without_an_id_is_kept_for_a_person(desk: Desk) -> None:
    await exchange(desk.nats, desk.account, b"x" * 5_000)
    kept = rows(
        desk.database_url,
        "SELECT subject, reason, length(body), body_bytes, now() - received_at < '1 minute'"
        " FROM unreadable_messages ORDER BY id DESC LIMIT 1",
    )[0]
    subject, reason, body, body_bytes, recent = kept
    assert subject == sent_to(desk.account, body)
    assert "is not JSON" in reason
    assert (body, body_bytes, recent) == (4_096, 5_000, True)


async def test_bad_messages_among_good_ones_spoil_nothing(desk: Desk) -> None:
    jetstream = desk.nats.jetstream()
    before = count(desk.database_url, "unreadable_messages")
    sent = []
    for _ in range(20):
        await jetstream.publish(sent_to(desk.account, b"{"), b"{")
        sent.append(await desk.ledger.send("Deposit", deposit("1"), account_id=desk.account))
    assert {(await command).status for command in sent} == {"ACCEPTED"}
    assert count(desk.database_url, "unreadable_messages") == before + 20


async def _refused(desk: Desk, subject: object, body: bytes | dict[str, Any]) -> Outcome:
    """The outcome of something that must write nothing and must not harm the worker."""
    events = count(desk.database_url, "event_store")
    outcome = await exchange(desk.nats, subject, body)
    assert (outcome.status, outcome.events) == ("REJECTED", ())
    assert count(desk.database_url, "event_store") == events
    after = await desk.ledger.submit("Deposit", deposit("1"), account_id=desk.account)
    assert after.status == "ACCEPTED"
    return outcome


async def test_a_message_that_comes_again_is_kept_once(desk: Desk) -> None:
    received_at = datetime.now(UTC)
    before = count(desk.database_url, "unreadable_messages")
    kept = [
        UnreadableMessage(received_at, "ledger.commands.x", "no id", body) for body in (b"a", b"b")
    ]
    for _ in range(3):
        with psycopg.connect(desk.database_url) as connection:
            unreadable_messages.keep(connection, kept)
    assert count(desk.database_url, "unreadable_messages") == before + 2
