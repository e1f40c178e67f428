"""The virtual exchange: takes orders from strategies and reports to the ledger what became of them.

    demo.exchange.<run>.quote      the price of an instrument at a step
    demo.exchange.<run>.place      an order arrives
    demo.exchange.<run>.cancel     its owner wants it cancelled
    demo.exchange.<run>.replace    …or changed
    demo.exchange.<run>.closing    a strategy is done; after the last one the market closes
    demo.exchange.<run>.closed     said to all when it has

It has the clock of its market (simulated_time.py): every few hours of it all marks are told, and
what accounts are worth is taken down; each midnight ends a day. An order's owner is answered
{"open": …} when the ledger has recorded what the venue reports. What the venue does is decided in
`venue_rules`; here it is only carried out. Orders that rest at the end stay open, as they would. At
the end it tells marks once more, and the funding of each strategy's contracts.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson
from nats.aio.msg import Msg

from ledger.demo import venue_rules
from ledger.demo.market import Walk
from ledger.demo.plan import (
    BASE_CURRENCY,
    CONTRACTS,
    FUNDING_RATE,
    LISTINGS,
    SEED,
    STRATEGIES,
    listing,
)
from ledger.demo.service import Service, check, main
from ledger.demo.simulated_time import FASTER
from ledger.demo.venue_rules import VenueOrder, VenueReport
from ledger.nouns.orders.events import OrderType, Side, TimeInForce

SNAPSHOTS_EVERY = timedelta(hours=4)
"""Of the market's time."""
SOURCE = "demo.exchange"

Question = dict[str, Any]
Answer = dict[str, Any]


class Exchange:
    """The venue's state: prices, and the orders it has seen."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._walks = {one.instrument: Walk(one, SEED) for one in LISTINGS}
        self._orders: dict[str, VenueOrder] = {}
        self._trading = set(STRATEGIES)
        self._step = 0
        self._closed = asyncio.Event()
        self._answers: dict[str, Callable[[Question], Awaitable[Answer]]] = {
            "quote": self._quote,
            "place": self._place,
            "cancel": self._cancel,
            "replace": self._replace,
            "closing": self._close,
        }

    async def serve(self) -> None:
        """Until every strategy is done."""
        bus = self._service.bus
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_time())

            async def asked(message: Msg) -> None:
                tasks.create_task(self._answer(message))

            await bus.subscribe(self._service.subject("exchange", "*"), cb=asked)
            await self._closed.wait()
        await bus.publish(self._service.subject("exchange", "closed"))
        await bus.flush()

    async def _answer(self, message: Msg) -> None:
        what = message.subject.rpartition(".")[2]
        answer = await self._answers[what](orjson.loads(message.data))
        await message.respond(orjson.dumps(answer))

    async def _quote(self, question: Question) -> Answer:
        self._step = max(self._step, question["step"])
        return {"price": str(self._walks[question["instrument"]].price(question["step"]))}

    async def _place(self, question: Question) -> Answer:
        order = _arrived(question)
        self._orders[order.order_id] = order
        market = self._walks[order.listing.instrument].price(question["step"])
        return await self._report(order, venue_rules.place(order, market))

    async def _cancel(self, question: Question) -> Answer:
        order = self._orders[question["order_id"]]
        return await self._report(order, venue_rules.cancel(order))

    async def _replace(self, question: Question) -> Answer:
        order = self._orders[question["order_id"]]
        terms = Decimal(question["quantity"]), Decimal(question["price"])
        return await self._report(order, venue_rules.replace(order, *terms))

    async def _close(self, question: Question) -> Answer:
        self._trading.discard(question["strategy"])
        if not self._trading:
            self._closed.set()
            await self._tell_funding()
            await self._tell_marks(self._service.sender.now())
        return {}

    async def _keep_time(self) -> None:
        """As the clock of the ledger does, at the market's time."""
        sender = self._service.sender
        due = _midnight(sender.now())
        while not self._closed.is_set():
            if sender.now() < due:
                await asyncio.sleep(SNAPSHOTS_EVERY.total_seconds() / FASTER / 4)
                continue
            await self._tell_marks(due)
            taken = {"time": due.isoformat(), "kind": "SCHEDULED"}
            check(await sender.submit("TakeSnapshots", taken), "TakeSnapshots", None)
            if due == _midnight(due):
                ended = await sender.submit("EndPeriods", {"time": due.isoformat()})
                check(ended, "EndPeriods", None)
            due += SNAPSHOTS_EVERY

    async def _tell_marks(self, time: datetime) -> None:
        """What everything is worth now."""
        prices = {name: str(walk.price(self._step)) for name, walk in self._walks.items()}
        told = {"source": SOURCE, "kind": "MARK", "time": time.isoformat(), "prices": prices}
        check(await self._service.sender.submit("RecordPrices", told), "RecordPrices", None)

    async def _tell_funding(self) -> None:
        """Of each strategy's contracts on each account, once."""
        held: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
        for order in self._orders.values():
            if order.listing in CONTRACTS:
                strategy, _, _ = order.client_order_id.partition("-")
                signed = order.traded if order.side is Side.BUY else -order.traded
                held[order.account_id, strategy, order.listing.instrument] += signed
        for (account_id, strategy, instrument), quantity in sorted(held.items()):
            paid = -quantity * self._walks[instrument].price(self._step) * FUNDING_RATE
            flow = {"kind": "FUNDING", "asset": BASE_CURRENCY, "amount": str(paid)}
            flow |= {"flow_id": f"{self._service.run}-{strategy}-{instrument}"}
            flow |= {"instrument": instrument, "sub_account": strategy}
            told = await self._service.sender.submit("RecordCashFlow", flow, account_id)
            check(told, f"funding of {strategy}", None)

    async def _report(self, order: VenueOrder, reports: list[VenueReport]) -> Answer:
        """Tells the ledger, in order but without waiting in between, and waits for all of it."""
        sender = self._service.sender
        pending = [await sender.send(type_, data, order.account_id) for type_, data in reports]
        for one, report in zip(pending, reports, strict=True):
            what = f"{report.type} of {order.client_order_id}"
            check(await one.outcome(), what, None, "FILL_CONFLICT")
        return {"open": order.open}


def _midnight(time: datetime) -> datetime:
    return time.replace(hour=0, minute=0, second=0, microsecond=0)


def _arrived(data: Question) -> VenueOrder:
    def amount(name: str) -> Decimal | None:
        return Decimal(data[name]) if data.get(name) is not None else None

    return VenueOrder(
        order_id=data["order_id"],
        account_id=data["account_id"],
        client_order_id=data["client_order_id"],
        listing=listing(data["instrument"]),
        side=Side(data["side"]),
        order_type=OrderType(data["order_type"]),
        time_in_force=TimeInForce(data.get("time_in_force", "GTC")),
        chance=random.Random(f"{SEED}:{data['client_order_id']}"),
        quantity=amount("quantity"),
        quote_quantity=amount("quote_quantity"),
        price=amount("price"),
    )


async def _serve(service: Service) -> None:
    await Exchange(service).serve()


if __name__ == "__main__":
    main(_serve)
