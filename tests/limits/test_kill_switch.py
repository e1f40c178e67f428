"""After a halt nothing that raises exposure is accepted, whoever decides it."""

import os
import threading
from uuid import UUID

import psycopg
import pytest
from uuid_utils.compat import uuid7

from ledger.write.ledger import Ledger
from tests.commands import USER, command
from tests.limits.desk import Desk

ROUNDS = int(os.environ.get("LEDGER_TEST_ROUNDS", "0")) or 3
WORKERS = 4
BATCH = 20


class Trading(threading.Thread):
    """A worker that has orders of its own account decided, batch after batch, as fast as it can."""

    def __init__(self, desk: Desk, account: UUID) -> None:
        super().__init__(daemon=True)
        self.desk = Desk.of(desk, account)
        self.enough = threading.Event()
        self.begun = threading.Event()
        self.accepted = 0
        self.refused_since_halt = threading.Event()

    def run(self) -> None:
        with Ledger(self.desk.url) as ledger:
            while not self.enough.is_set():
                orders = [self.desk.order("BUY", "0.01") for _ in range(BATCH)]
                outcomes = ledger.execute(orders, self.desk.now)
                self.accepted += sum(one.accepted for one in outcomes)
                self.begun.set()
                if any(one.code == "TRADING_HALTED" for one in outcomes):
                    self.refused_since_halt.set()


@pytest.mark.parametrize("scope", ["SYSTEM", "USER", "INSTRUMENT"])
def test_no_order_is_accepted_behind_the_place_of_a_halt(database_url: str, scope: str) -> None:
    desk = Desk(database_url)
    accounts = [uuid7() for _ in range(WORKERS)]
    desk.accepted(*(desk.opened(account) for account in accounts))
    for account in accounts:
        desk.deposit("1000000", account=account)
    traders = [Trading(desk, account) for account in accounts]
    for trader in traders:
        trader.start()
    reference = {"SYSTEM": None, "USER": str(USER), "INSTRUMENT": "BINANCE:BTCUSDT"}[scope]
    spans = []
    for _ in range(ROUNDS):
        for trader in traders:
            trader.begun.clear()
            trader.refused_since_halt.clear()
        assert all(trader.begun.wait(30) for trader in traders)
        halted = desk.halt(scope, reference)
        assert halted.accepted, halted
        assert all(trader.refused_since_halt.wait(30) for trader in traders)
        named = {} if reference is None else {"reference": reference}
        (resumed,) = desk.accepted(command("Resume", "limits", scope=scope, reason="on", **named))
        spans.append((halted.events[-1].position, resumed.events[-1].position))
    for trader in traders:
        trader.enough.set()
    for trader in traders:
        trader.join(30)
    desk.ledger.close()
    assert sum(trader.accepted for trader in traders) > 0
    with psycopg.connect(database_url) as connection:
        for halted_at, resumed_at in spans:
            found = connection.execute(
                "SELECT count(*) FROM event_store WHERE event_type = 'order.submitted' "
                "AND position > %s AND position < %s",
                [halted_at, resumed_at],
            ).fetchone()
            assert found == (0,)


def test_a_halt_is_heeded_when_it_comes_into_a_batch_that_is_decided_already(
    database_url: str,
) -> None:
    desk = Desk(database_url)
    desk.deposit("10000")
    desk.buy("1")
    decision = desk.ledger.decide([desk.order("BUY", "1")], desk.now)
    with Ledger(database_url) as beside:
        (halted,) = beside.execute([command("Halt", "limits", scope="SYSTEM", reason="enough")])
    assert halted.accepted
    (outcome,) = desk.ledger.commit(decision)
    assert outcome.code == "TRADING_HALTED"
    desk.ledger.close()
