"""A strategy that goes wild: it is refused, stopped by its breaker, and a person is told.

listening    a webhook of this machine, the one channel of alerts of the demo's ledger
go_wild      the same order again and again, then losses in a row, then one order more
story        what came of it, with the numbers of the log
"""

import json
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, LiteralString, NamedTuple
from uuid import UUID

import psycopg
from psycopg.rows import dict_row
from uuid_utils.compat import uuid7

from ledger.demo.proofs import Proof
from ledger.demo.temporary import Running
from ledger.kernel.command import Outcome
from ledger.operate import terminal
from ledger.sync import LedgerClient

SAME_ORDERS = 5
LOSSES = 3
PATIENCE_SECONDS = 30.0
"""From the last loss to the halt, and to the message: seconds, on a machine that does much else."""
_LOOK_SECONDS = 0.02
_VENUE = "WILD"
_INSTRUMENT = f"{_VENUE}:COINUSDT"
_TRIPPED: LiteralString = """
    SELECT tripped.position, tripped.event_data->>'measured' AS measured,
        (tripped.event_data->'terms'->>'threshold') AS threshold, halted.position AS halted_at,
        extract(epoch FROM halted.recorded_at - caused.recorded_at)::float8 AS seconds
    FROM event_store AS tripped
    JOIN event_store AS caused ON caused.id = (tripped.event_data->>'cause')::uuid
    JOIN event_store AS halted ON halted.event_type = 'limits.halted'
        AND halted.metadata->>'caused_by' = tripped.id::text
    WHERE tripped.event_type = 'breaker.tripped' AND tripped.event_data->>'reference' = %s"""


class Webhook(NamedTuple):
    """`told` has what was posted, as it comes."""

    address: str
    told: "queue.SimpleQueue[dict[str, Any]]"


@contextmanager
def listening() -> Iterator[Webhook]:
    told: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Webhook(f"json://127.0.0.1:{server.server_port}/", told)
    finally:
        server.shutdown()
        server.server_close()


class _Desk:
    def __init__(self, ledger: LedgerClient) -> None:
        self._ledger = ledger
        self.account: UUID = uuid7()

    def tell(self, command: str, **data: Any) -> Outcome:
        return self._ledger.submit(command, data)

    def of_account(self, command: str, **data: Any) -> Outcome:
        return self._ledger.submit(command, data, account_id=self.account)

    def prepare(self) -> None:
        listing = {"instrument": _INSTRUMENT, "base_asset": "COIN", "quote_asset": "USDT"}
        self.tell("ListInstrument", **listing)
        account = {"user_id": uuid7(), "exchange": _VENUE, "name": "wild", "account_type": "CASH"}
        more = {"environment": "PAPER", "base_currency": "USDT"}
        self.of_account("OpenAccount", **account, **more).raise_for_rejection()
        self.of_account("Deposit", asset="USDT", amount="10000").raise_for_rejection()
        scope = {"scope": "ACCOUNT", "reference": str(self.account)}
        limit = {"measure": "DUPLICATE_ORDER", "value": "1", "unit": "ORDERS", "window": "1m"}
        self.tell("SetLimit", limit_id=uuid7(), **scope, **limit).raise_for_rejection()
        breaker = {"kind": "LOSS_STREAK", "threshold": str(LOSSES), "actions": ["HALT", "CANCEL"]}
        self.tell("SetBreaker", breaker_id=uuid7(), **scope, **breaker).raise_for_rejection()

    def order(self, price: str = "10") -> Outcome:
        order = {"instrument": _INSTRUMENT, "side": "BUY", "order_type": "LIMIT"}
        more = {"order_id": uuid7(), "quantity": "1", "price": price}
        return self.of_account("SubmitOrder", **order, **more)

    def lose(self) -> None:
        for side, price in (("BUY", "100"), ("SELL", "90")):
            fill = {"order_id": uuid7(), "trade_id": uuid7().hex, "instrument": _INSTRUMENT}
            more = {"side": side, "last_qty": "1", "last_px": price}
            self.of_account("RecordFill", **fill, **more).raise_for_rejection()


def go_wild(
    ledger: Running, connection: psycopg.Connection[Any], webhook: Webhook
) -> tuple[dict[str, Any], Proof]:
    """What came of it, and that all of it did."""
    with LedgerClient.connect(ledger.nats_url, source="demo.wild") as client:
        desk = _Desk(client)
        desk.prepare()
        same = [desk.order() for _ in range(SAME_ORDERS)]
        for _ in range(LOSSES):
            desk.lose()
        began = time.monotonic()
        halt = _awaited(lambda: _halt(connection, desk.account))
        last = desk.order("11")
        message = _message(webhook, desk.account) if ledger.tells else None
        told_after = time.monotonic() - began
    refused = [one for one in same if one.rejected]
    claims = (
        len(refused) == SAME_ORDERS - 1,
        halt is not None,
        last.code == "TRADING_HALTED",
        message is not None or not ledger.tells,
    )
    story = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "same_orders": SAME_ORDERS,
        "refused": len(refused),
        "refusal": refused[-1].message if refused else None,
        "losses": LOSSES,
        "breaker": halt,
        "order_after": last.code,
        "message": message,
        "told_after_seconds": round(told_after, 1),
    }
    claim = "a strategy that went wild was refused, halted by its breaker, and told of"
    return story, Proof(claim, len(claims), "steps", claims.count(False))


def _awaited(found: Any) -> Any:
    """The first answer that is one, within a time that is long enough."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (answer := found()) is None and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
    return answer


def _halt(connection: psycopg.Connection[Any], account: UUID) -> dict[str, Any] | None:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_TRIPPED, [str(account)]).fetchone()


def _message(webhook: Webhook, account: UUID) -> str | None:
    """The one that tells of the breaker; others may come as well."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (left := deadline - time.monotonic()) > 0:
        try:
            title = str(webhook.told.get(timeout=left)["title"])
        except queue.Empty:
            return None
        if "breaker" in title and str(account) in title:
            return title
    return None


def show(story: dict[str, Any]) -> None:
    """A few lines."""
    halt = story["breaker"] or {}
    seconds = f"{halt.get('seconds', 0):.2f}"
    reached = f"{halt.get('measured', '–')} ≥ {halt.get('threshold', '–')}"
    for line in (
        f"A strategy went wild: {story['same_orders']} times the same order, {story['refused']} of "
        "them refused",
        f"  {story['refusal']}",
        f"  {story['losses']} losses in a row: the breaker tripped at position "
        f"{halt.get('position', '–')} ({reached}), halted {seconds} s after the last; "
        f"its next order: {story['order_after']}",
        f"  told the webhook after {story['told_after_seconds']} s: {story['message']}",
    ):
        terminal.say(line)
