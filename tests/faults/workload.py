"""A day at several accounts, squeezed into seconds: the same seed sends the same commands.

Most go through a LedgerClient, which asks and repeats until it knows the outcome. Some are only
told to the bus and never looked after: what the bus has confirmed must be decided all the same.

Each account has a task of its own that sends without waiting for one outcome before the next
command, so that batches have many in them and a fault finds some at every stage. The mix has what
goes wrong without any fault too: withdrawals of what is not there, fills that come twice, too late
or are taken back, the same command again, a clock that is off.
"""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

from nats.errors import Error as NatsError
from nats.js import JetStreamContext

from ledger.bus import envelope
from ledger.bus.command_subjects import ANONYMOUS
from ledger.client.client import LedgerClient, LedgerUnavailable, Sent
from ledger.kernel.command import UNKNOWN
from tests.faults.books import Books, Command, Effect

INSTRUMENT = "BINANCE:BTCUSDT"
PAUSE_SECONDS = 0.02
"""Between two steps of an account: faults of some tenths of a second fall into the middle."""
DEADLINE_SECONDS = 90.0
"""Longer than anything is away, hung workers and recovery of the database included."""
DECIDED_SECONDS = 30.0
"""In this time, with everything back, the bus has delivered whatever it had."""


class Account:
    """One account's commands, in the order of sending."""

    def __init__(
        self, client: LedgerClient, bus: JetStreamContext, books: Books, random: Random
    ) -> None:
        self._client = client
        self._bus = bus
        self._books = books
        self._random = random
        self._waiting: list[asyncio.Task[None]] = []
        self._trades = 0
        self._sent: list[Command] = []
        self._told: list[Command] = []
        self.id = self._uuid()
        self.clock = timedelta()
        """How far the sender's clock is off."""

    async def run(self, steps: int) -> None:
        """Opens the account, takes the steps, and returns when all that was looked after has an
        outcome."""
        await self._open()
        choices = (self._deposit, self._withdraw, self._order, self._order, self._again, self._tell)
        for _ in range(steps):
            await self._random.choice(choices)()
            await asyncio.sleep(PAUSE_SECONDS)
        await asyncio.gather(*self._waiting)

    async def settle(self, *, bus_forgot: bool) -> None:
        """Learns the outcomes of what was only told. Where the bus has lost what it had confirmed,
        it is sent once more, as the only way to know."""
        for command in self._told:
            if bus_forgot:
                await self._dispatch(command)
            else:
                self._waiting.append(asyncio.create_task(self._ask(command)))
        await asyncio.gather(*self._waiting)

    async def _tell(self) -> None:
        amount = Decimal(self._random.randint(1, 10**6)).scaleb(-4)
        data = {"asset": "USDT", "amount": str(amount), "occurred_at": self._now()}
        effect = {(self.id, "USDT"): amount}
        command = Command(self._uuid(), "Deposit", self.id, data, self._now(), effect)
        self._books.add(command)
        self._told.append(command)
        whole = envelope.completed(command.envelope(), "told")
        subject, body = envelope.nats_subject(whole, ANONYMOUS), envelope.encoded(whole)
        while True:
            try:
                await self._bus.publish(subject, body)
            except NatsError:
                await asyncio.sleep(PAUSE_SECONDS)  # not confirmed: not yet the bus's
            else:
                return

    async def _ask(self, command: Command) -> None:
        # A command that stays without an outcome is for the books to name.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DECIDED_SECONDS):
                while not command.outcomes:
                    with contextlib.suppress(LedgerUnavailable):
                        outcome = await self._client.outcome(command.id)
                        if outcome.status != UNKNOWN:
                            command.outcomes.append(outcome)
                    await asyncio.sleep(PAUSE_SECONDS)

    async def _open(self) -> None:
        account = {"account_id": str(self.id), "user_id": str(self._uuid())}
        kind = self._random.choice(("CASH", "MARGIN"))
        account |= {"exchange": "BINANCE", "name": "faults", "account_type": kind}
        account |= {"environment": "PAPER", "base_currency": "USDT"}
        await self._send("OpenAccount", account)
        await self._deposit()

    async def _deposit(self) -> None:
        amount = Decimal(self._random.randint(1, 10**9)).scaleb(-4)
        data = {"asset": "USDT", "amount": str(amount), "occurred_at": self._now()}
        await self._send("Deposit", data, {(self.id, "USDT"): amount})

    async def _withdraw(self) -> None:
        # More than is there, now and then: refused, but on a MARGIN account.
        amount = Decimal(self._random.randint(1, 2 * 10**9)).scaleb(-4)
        data = {"asset": "USDT", "amount": str(amount)}
        await self._send("Withdraw", data, {(self.id, "USDT"): -amount})

    async def _again(self) -> None:
        """A command that was sent before, as a sender repeats it that lost the reply."""
        command = self._random.choice(self._sent)
        await self._dispatch(command)

    async def _order(self) -> None:
        """An order's whole life, or what comes through of it."""
        order = {"order_id": str(self._uuid()), "account_id": str(self.id)}
        side = self._random.choice(("BUY", "SELL"))
        quantity = Decimal(self._random.randint(2, 900)).scaleb(-3)
        price = Decimal(self._random.randint(4_000_000, 6_000_000)).scaleb(-2)
        terms = {"instrument": INSTRUMENT, "side": side, "quantity": str(quantity)}
        limit = {"order_type": "LIMIT", "price": str(price), "fee_rate": "0.001"}
        await self._send("SubmitOrder", order | terms | limit)
        await self._send("AcceptOrder", order | terms | {"occurred_at": self._now()})
        half = (quantity / 2).quantize(Decimal("0.001"))
        first = await self._fill(order | terms, side, half, price)
        if self._random.random() < 0.3:
            # The same trade under another command id: whichever is decided first has the effect.
            amounts = (Decimal(first[name]) for name in ("last_qty", "last_px", "commission"))
            await self._send("RecordFill", first, self._traded(side, *amounts))
        ending = self._random.choice(("fill", "cancel", "late fill", "void"))
        if ending == "fill":
            await self._fill(order | terms, side, quantity - half, price)
            return
        if ending == "void":
            await self._void(order | terms, first, side)
        await self._send("CancelOrder", order | terms | {"occurred_at": self._now()})
        if ending == "late fill":
            await self._fill(order | terms, side, quantity - half, price)

    async def _fill(
        self, order: dict[str, Any], side: str, quantity: Decimal, price: Decimal
    ) -> dict[str, Any]:
        self._trades += 1
        fee = (quantity * price / 1000).quantize(Decimal("0.00000001"))
        trade = {"trade_id": f"t{self._trades}", "last_qty": str(quantity), "last_px": str(price)}
        trade |= {"commission": str(fee), "commission_asset": "USDT", "occurred_at": self._now()}
        effect = self._traded(side, quantity, price, fee)
        await self._send("RecordFill", order | trade, effect)
        return order | trade

    async def _void(self, order: dict[str, Any], fill: dict[str, Any], side: str) -> None:
        amounts = (Decimal(fill[name]) for name in ("last_qty", "last_px", "commission"))
        taken_back = {key: -amount for key, amount in self._traded(side, *amounts).items()}
        await self._send("VoidFill", order | {"trade_id": fill["trade_id"]}, taken_back)

    def _traded(self, side: str, quantity: Decimal, price: Decimal, fee: Decimal) -> Effect:
        sign = 1 if side == "BUY" else -1
        return {
            (self.id, "BTC"): sign * quantity,
            (self.id, "USDT"): -sign * quantity * price - fee,
        }

    async def _send(self, kind: str, data: dict[str, Any], effect: Effect | None = None) -> None:
        command = Command(self._uuid(), kind, self.id, data, self._now(), effect or {})
        self._books.add(command)
        self._sent.append(command)
        await self._dispatch(command)

    async def _dispatch(self, command: Command) -> None:
        sent = await self._client.send_envelope(command.envelope(), timeout=DEADLINE_SECONDS)
        self._waiting.append(asyncio.create_task(_note(command, sent)))

    def _now(self) -> str:
        return (datetime.now(UTC) + self.clock).isoformat()

    def _uuid(self) -> UUID:
        """Of the seed, so that the same run has the same ids."""
        return UUID(int=self._random.getrandbits(128), version=4)


async def _note(command: Command, sent: Sent) -> None:
    command.outcomes.append(await sent)


async def list_instrument(client: LedgerClient) -> None:
    """What all accounts trade."""
    data = {"instrument": INSTRUMENT, "base_asset": "BTC", "quote_asset": "USDT"}
    outcome = await client.submit(
        "ListInstrument", data | {"tick_size": "0.01", "step_size": "0.001"}
    )
    assert outcome.status == "ACCEPTED" or outcome.code == "INSTRUMENT_ALREADY_LISTED", outcome
