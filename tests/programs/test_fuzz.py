"""Messages without end, drawn from the schema of every command and from no schema at all.

Each is sent over the bus to a real worker and must get one outcome: a refusal with a code, or, for
the few that make sense, an acceptance that names its events. Nothing else may be written, nothing
may be FAILED, and the worker must live to answer the next. `make faults` sends 100,000.
"""

import asyncio
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import nats
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nats.aio.client import Client
from nats.aio.msg import Msg
from uuid_utils.compat import uuid7

from ledger.bus.connection import REPLY_TO
from ledger.kernel.command import Outcome
from ledger.nouns import COMMAND_DATA
from ledger.operate.embedded.servers import EmbeddedNats
from tests.conftest import TEMPLATE
from tests.databases import temporary_database
from tests.programs.services import (
    client,
    list_instrument,
    open_account,
    rows,
    running_worker,
    sent_to,
)

MESSAGES = int(os.environ.get("LEDGER_TEST_MESSAGES", "1000"))
AT_ONCE = 40
"""Messages in one example: the worker decides them in few batches."""
ANSWER_SECONDS = 30.0

ACCOUNT, ORDER = str(uuid7()), str(uuid7())
INSTRUMENT = "BINANCE:BTCUSDT"
"""What is there, so that some messages get as far as a decision."""

_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from([ACCOUNT, ORDER, INSTRUMENT, "USDT", "1e5", "NaN", "-0", "9" * 60, "\x00"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=5,
)


def _of_schema(schema: dict[str, Any], definitions: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that the schema of a field permits."""
    if "$ref" in schema:
        return _of_schema(definitions[schema["$ref"].rsplit("/", 1)[1]], definitions)
    if "anyOf" in schema:
        return st.one_of(*(_of_schema(one, definitions) for one in schema["anyOf"]))
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema.get("format") == "uuid":
        return st.sampled_from([ACCOUNT, ORDER]) | st.uuids().map(str)
    if schema.get("format") == "date-time":
        return st.datetimes(timezones=st.timezones()).map(lambda time: time.isoformat())
    if "pattern" in schema:
        known = [text for text in (INSTRUMENT, "USDT", "BTC", "main") if schema["type"] == "string"]
        return st.sampled_from(known) | st.from_regex(schema["pattern"], fullmatch=True)
    return {
        "string": st.text(min_size=1, max_size=30),
        "boolean": st.booleans(),
        "null": st.none(),
    }.get(schema.get("type", ""), _json)


@cache
def _fields(command: str) -> st.SearchStrategy[dict[str, Any]]:
    """Data of the command as its schema permits it."""
    schema = COMMAND_DATA[command].model_json_schema()
    definitions = schema.get("$defs", {})
    fields = {name: _of_schema(field, definitions) for name, field in schema["properties"].items()}
    required = {name: fields.pop(name) for name in schema.get("required", ())}
    return st.fixed_dictionaries(required, optional=fields)


@st.composite
def _data(draw: st.DrawFn, command: str) -> dict[str, Any]:
    """Data of the command, with a field missing, strange or too many now and then."""
    data = dict(draw(_fields(command)))
    if draw(st.integers(0, 2)) == 0:
        data[draw(st.sampled_from([*data, "surplus"]))] = draw(_json)
    return data


@st.composite
def _envelope(draw: st.DrawFn) -> bytes:
    command = draw(st.sampled_from(sorted(COMMAND_DATA)))
    envelope: dict[str, Any] = {
        "specversion": "1.0",
        "id": str(draw(st.uuids())),
        "source": "fuzz",
        "type": command,
        "subject": ACCOUNT,
        "data": draw(_data(command)),
    }
    for name in draw(st.lists(st.sampled_from([*envelope, "userid", "time"]), max_size=1)):
        envelope[name] = draw(_json)
    return orjson.dumps(_encodable(envelope))


def _encodable(value: Any) -> Any:
    """Without what no JSON can say."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**63 - 1:
        return float(value)
    if isinstance(value, list):
        return [_encodable(one) for one in value]
    if isinstance(value, dict):
        return {_encodable(name): _encodable(one) for name, one in value.items()}
    return value


@st.composite
def _damaged(draw: st.DrawFn) -> bytes:
    """A message with a hole in it, or something put in."""
    body = draw(_envelope())
    start = draw(st.integers(0, len(body)))
    return body[:start] + draw(st.binary(max_size=4)) + body[start + draw(st.integers(0, 9)) :]


MESSAGE = st.tuples(
    st.sampled_from([ACCOUNT, ACCOUNT, ACCOUNT, "instruments", "nobody"]),
    _envelope()
    | _envelope()
    | _damaged()
    | st.binary(max_size=200)
    | _json.map(repr).map(str.encode),
)


class Fuzzed(NamedTuple):
    """A ledger that is spoken to from this thread, whenever the loop runs."""

    loop: asyncio.AbstractEventLoop
    bus: Client
    database_url: str


@pytest.fixture(scope="module")
def fuzzed(postgres_url: str, session_directory: Path) -> Iterator[Fuzzed]:
    with (
        temporary_database(postgres_url, template=TEMPLATE) as database_url,
        EmbeddedNats(session_directory / "fuzz") as server,
        asyncio.Runner() as runner,
    ):
        loop = runner.get_loop()
        worker = running_worker(database_url, server.url)
        runner.run(worker.__aenter__())
        bus = runner.run(_scene(server.url))
        yield Fuzzed(loop, bus, database_url)
        runner.run(bus.close())
        runner.run(worker.__aexit__(None, None, None))


async def _scene(url: str) -> Client:
    async with await client(url) as ledger:
        await open_account(ledger, account_id=ACCOUNT)
        instrument = {"instrument": INSTRUMENT, "base_asset": "BTC", "quote_asset": "USDT"}
        await ledger.submit("ListInstrument", instrument | {"tick_size": "1", "step_size": "1"})
        await list_instrument(ledger)
    return await nats.connect(url)


@pytest.mark.timeout(1_800)
@settings(
    max_examples=max(MESSAGES // AT_ONCE, 1),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.lists(MESSAGE, min_size=AT_ONCE, max_size=AT_ONCE))
def test_every_message_gets_one_outcome_and_nothing_else_is_written(
    fuzzed: Fuzzed, messages: list[tuple[str, bytes]]
) -> None:
    before = _written(fuzzed.database_url)
    outcomes = fuzzed.loop.run_until_complete(_exchange(fuzzed.bus, messages))
    accepted = {event.id for one in outcomes if not one.replayed for event in one.events}
    for outcome in outcomes:
        assert outcome.status in ("ACCEPTED", "REJECTED"), outcome
        assert outcome.status == "ACCEPTED" or (outcome.code and outcome.message), outcome
    assert _written(fuzzed.database_url) == before + len(accepted)


async def _exchange(bus: Client, messages: list[tuple[str, bytes]]) -> list[Outcome]:
    """The outcome of each message, in order. Fails when one is not answered."""
    answers: dict[int, Outcome] = {}
    all_there = asyncio.Event()
    inbox = bus.new_inbox()

    async def answered(message: Msg) -> None:
        answers[int(message.subject.rsplit(".", 1)[1])] = Outcome.from_json(message.data)
        if len(answers) == len(messages):
            all_there.set()

    subscription = await bus.subscribe(f"{inbox}.*", cb=answered)
    for number, (subject, body) in enumerate(messages):
        headers = {REPLY_TO: f"{inbox}.{number}"}
        await bus.publish(sent_to(subject, body), body, headers=headers)
    async with asyncio.timeout(ANSWER_SECONDS):
        await all_there.wait()
    await subscription.unsubscribe()
    return [answers[number] for number in range(len(messages))]


def _written(database_url: str) -> int:
    return int(rows(database_url, "SELECT count(*) FROM event_store")[0][0])
