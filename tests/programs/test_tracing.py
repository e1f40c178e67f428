"""Trace context: from the command's message to its events, and spans in between."""

import asyncio
import builtins
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from uuid import UUID

import nats
import orjson
import psycopg
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ledger.bus.events import published
from ledger.bus.wire import Message
from ledger.eventstore import reader
from ledger.operate.settings import Settings
from ledger.programs.tracing import Tracing, TracingUnavailable, context_of
from tests.programs.services import (
    ANSWER_SECONDS,
    client,
    exchange,
    message,
    open_account,
    rows,
    running_worker,
)

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CONTEXT = f"00-{TRACE}-00f067aa0ba902b7-01"
OTHER = f"00-{TRACE}-00f067aa0ba902b8-01"
DEPOSIT = {"asset": "USDT", "amount": "1"}


def received(header: str | None, body: bytes) -> Message:
    headers = b"" if header is None else f"NATS/1.0\r\ntraceparent: {header}\r\n\r\n".encode()
    return Message("ledger.commands.a", "", headers, body)


def test_the_header_counts_before_the_attribute() -> None:
    body = orjson.dumps({"traceparent": OTHER})
    assert context_of(received(CONTEXT, body)) == CONTEXT
    assert context_of(received(None, body)) == OTHER
    assert context_of(received(None, b"{}")) is None


@pytest.mark.parametrize(
    "given",
    [
        "", "x", CONTEXT + "0", CONTEXT.upper(), CONTEXT.replace("00-", "ff-", 1),
        f"00-{'0' * 32}-00f067aa0ba902b7-01", f"00-{TRACE}-{'0' * 16}-01", 'a"},{"b',
    ],
)  # fmt: skip
def test_what_is_no_context_is_left_out(given: str) -> None:
    assert context_of(received(given, b"{}")) is None
    assert context_of(received(None, orjson.dumps({"traceparent": given}))) is None


@pytest.mark.parametrize("body", [b'"traceparent"', b'["traceparent"]', b'{"traceparent":', b""])
def test_no_body_is_too_odd_to_be_looked_at(body: bytes) -> None:
    assert context_of(received(None, body)) is None


async def deposit(nats_url: str, account_id: UUID, **attributes: Any) -> None:
    async with await nats.connect(nats_url) as connection:
        sent = message("Deposit", account_id, DEPOSIT, **attributes)
        assert (await exchange(connection, account_id, sent)).status == "ACCEPTED"


def contexts(database_url: str) -> list[str | None]:
    found = rows(
        database_url,
        "SELECT metadata->>'traceparent' FROM event_store WHERE event_type = 'account.deposited'"
        " ORDER BY position",
    )
    return [context for (context,) in found]


async def test_events_carry_the_context_of_their_command_to_who_follows_them(
    database_url: str, nats_url: str
) -> None:
    async with (
        running_worker(database_url, nats_url, trace_context=True),
        await client(nats_url) as ledger,
    ):
        account_id = await open_account(ledger)
        await deposit(nats_url, account_id, traceparent=CONTEXT)
        await deposit(nats_url, account_id)
    assert contexts(database_url) == [CONTEXT, None]
    with psycopg.connect(database_url) as connection:
        events = reader.read(connection, after=0, up_to=reader.head(connection))
    sent = [orjson.loads(published(event).body).get("traceparent") for event in events]
    assert sent == [None, CONTEXT, None]


async def test_nothing_is_carried_unless_it_is_asked_for(database_url: str, nats_url: str) -> None:
    async with running_worker(database_url, nats_url), await client(nats_url) as ledger:
        account_id = await open_account(ledger)
        await deposit(nats_url, account_id, traceparent=CONTEXT)
    assert contexts(database_url) == [None]
    assert Tracing.of(Settings()) is None


class Collector:
    """A collector of OpenTelemetry, as far as it takes spans."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                request = ExportTraceServiceRequest.FromString(body)
                for resource in request.resource_spans:
                    for scope in resource.scope_spans:
                        collector.spans += scope.spans
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Says nothing."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1/traces"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()


async def test_a_command_is_a_span_between_its_sender_and_its_events(
    database_url: str, nats_url: str, collector: Collector
) -> None:
    async with (
        running_worker(database_url, nats_url, otel_traces_endpoint=collector.url),
        await client(nats_url) as ledger,
    ):
        account_id = await open_account(ledger)
        await deposit(nats_url, account_id, traceparent=CONTEXT)
    (span,) = collector.spans  # the others had no context
    assert span.name == "ledger Deposit"
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, "00f067aa0ba902b7")
    assert contexts(database_url) == [f"00-{TRACE}-{span.span_id.hex()}-01"]
    told = {one.key: one.value.string_value or one.value.int_value for one in span.attributes}
    assert told["ledger.status"] == "ACCEPTED"
    assert told["ledger.position"] == 2


async def test_a_collector_that_is_away_holds_up_nobody(database_url: str, nats_url: str) -> None:
    began = time.monotonic()
    async with (
        running_worker(database_url, nats_url, otel_traces_endpoint="http://127.0.0.1:9/v1/traces"),
        await client(nats_url) as ledger,
    ):
        account_id = await open_account(ledger)
        await asyncio.wait_for(deposit(nats_url, account_id, traceparent=CONTEXT), ANSWER_SECONDS)
    assert time.monotonic() - began < ANSWER_SECONDS


def test_spans_without_opentelemetry_are_refused_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import_module = builtins.__import__

    def lacking(name: str, *arguments: Any, **named: Any) -> Any:
        if name.startswith("opentelemetry"):
            raise ImportError("No module named 'opentelemetry'")
        return import_module(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", lacking)
    assert Tracing.of(Settings(trace_context=True)) is not None
    with pytest.raises(TracingUnavailable, match=r"trading-ledger\[otel\]"):
        Tracing.of(Settings(otel_traces_endpoint="http://collector:4318/v1/traces"))
