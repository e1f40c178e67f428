"""A batch that cannot be recorded is halved until what is at fault is alone."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

import psycopg
from uuid_utils.compat import uuid7

from ledger.bus.delivery import Delivery
from ledger.bus.wire import Message
from ledger.kernel.command import Command, Outcome
from ledger.kernel.rejection import GeneralRejection
from ledger.programs.decision_runner import Decisions
from ledger.subscriptions.retry import Patience
from ledger.write.ledger import Ledger
from tests.commands import command

BATCH = 512


class Refusing:
    """A ledger whose database refuses some commands, and whatever batch they are in."""

    def __init__(self, refused: set[UUID]) -> None:
        self._refused = refused
        self.tries = 0

    def execute(self, commands: Sequence[Command], *_: Any) -> list[Outcome]:
        self.tries += 1
        if self._refused & {one.id for one in commands}:
            raise psycopg.DataError("cannot be stored")
        return [Outcome(command_id=one.id, status="ACCEPTED", position=1) for one in commands]


async def test_one_command_at_fault_costs_the_others_little_and_order_is_kept() -> None:
    account_id = uuid7()
    message = Message("", "", b"", b"")
    batch = [
        Delivery(message, command("Deposit", account_id, asset="USDT", amount="1"), 1)
        for _ in range(BATCH)
    ]
    at_fault = batch[77].command.id
    assert at_fault is not None
    ledger = Refusing({at_fault})
    decisions = Decisions(cast(Ledger, ledger), Patience(asyncio.Event(), 1.0), 5, lambda *_: None)
    outcomes = await decisions.commit(batch, None, lambda _: None)
    assert outcomes is not None
    assert [one.command_id for one in outcomes] == [one.command.id for one in batch]
    assert [n for n, one in enumerate(outcomes) if one.status == "FAILED"] == [77]
    assert outcomes[77].code == GeneralRejection.NOT_RECORDED
    assert ledger.tries == 1 + 2 * 9  # each of nine halvings tries two halves
