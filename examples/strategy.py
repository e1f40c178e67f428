"""A strategy: `LEDGER_NATS_URL=nats://… python -m examples.strategy ACCOUNT`.

It buys once, keeps its eyes on its account's events until the order is filled, then shows what it
owns. Whatever breaks in between, each command has one effect and no event is missed.
"""

import asyncio
import os
import sys
from contextlib import aclosing
from uuid import UUID, uuid4

from ledger import LedgerClient, SubmitOrder
from ledger.nouns.orders.events import OrderFilled
from ledger.nouns.orders.status import OrderStatus


async def trade(ledger: LedgerClient, account_id: UUID) -> None:
    order = SubmitOrder(
        order_id=uuid4(),
        instrument="BINANCE:BTCUSDT",
        side="BUY",
        order_type="LIMIT",
        quantity="0.02",
        price="50000",
    )
    outcome = await ledger.submit(order, account_id=account_id)
    print(outcome.status, outcome.code or "")
    if not outcome.accepted:
        return
    async with aclosing(ledger.events(account_id=account_id, after=outcome.position)) as events:
        async for event in events:
            if isinstance(event.data, OrderFilled) and event.stream_id == order.order_id:
                print("filled", event.data.last_qty, "at", event.data.last_px)
                if event.data.status is OrderStatus.FILLED:
                    break
    answer = await ledger.queries.balances(account_id, min_position=event.position)
    for row in answer.rows:
        print(row.sub_account, row.asset, row.total, "of which locked", row.locked)


async def main() -> None:
    url = os.environ["LEDGER_NATS_URL"]
    async with await LedgerClient.connect(url, source="strategy-1") as ledger:
        await trade(ledger, UUID(sys.argv[1]))


if __name__ == "__main__":
    asyncio.run(main())
