"""A strategy: asks for what it intends, on each account it is assigned to, several at a time.

    quote ─▶ SubmitOrder ─▶ place at the exchange ─▶ still open? ─▶ RequestReplace ─▶ replace there
      (ledger says no: done)                                    └▶ RequestCancel ──▶ cancel there

The ledger is always asked first, and the exchange hears of it only if the ledger agrees.
"""

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from uuid_utils.compat import uuid7

from ledger.demo.plan import accounts_of, orders_per_account
from ledger.demo.service import Service, check, main
from ledger.demo.strategy_rules import Intention, Mistake, intentions, new_terms, order_data

ORDERS_AT_A_TIME = 12
"""Orders that a strategy is busy with at once, per account."""


async def _trade(service: Service) -> None:
    """Everything that the strategy intends."""
    accounts = (await service.ask("desk", "accounts", {}))["accounts"]
    async with asyncio.TaskGroup() as tasks:
        for account in accounts_of(service.name):
            orders = orders_per_account(service.commands)
            wanted = intentions(service.name, account.name, account.account_type, orders)
            for _ in range(ORDERS_AT_A_TIME):
                tasks.create_task(_carry_out_all(service, accounts[account.name], wanted))
    await service.ask("exchange", "closing", {"strategy": service.name})


async def _carry_out_all(service: Service, account_id: str, wanted: Iterator[Intention]) -> None:
    for intention in wanted:  # shared with the others of the same account
        await _carry_out(service, account_id, intention)


async def _carry_out(service: Service, account_id: str, intention: Intention) -> None:
    seen = {"instrument": intention.instrument, "step": intention.step}
    price = Decimal((await service.ask("exchange", "quote", seen))["price"])
    order = order_data(intention, str(uuid7()), price)
    what = f"order {intention.client_order_id}"
    outcome = await service.sender.submit("SubmitOrder", order, account_id)
    if intention.mistake is Mistake.REUSED_ID:
        check(outcome, what, None)
        assert outcome.command_id is not None
        other = order | {"order_id": str(uuid7())}
        reused = await service.sender.reuse_id(outcome.command_id, "SubmitOrder", other, account_id)
        check(reused, what, intention.mistake)
    else:
        check(outcome, what, intention.mistake)
        if intention.mistake is not None:
            return
    arriving = order | {"account_id": account_id, "step": intention.step}
    placed = await service.ask("exchange", "place", arriving)
    if placed["open"] and intention.replaces:
        placed = await _replace(service, account_id, intention, order)
    if placed["open"] and intention.cancels:
        await _cancel(service, account_id, order["order_id"])


async def _replace(
    service: Service, account_id: str, intention: Intention, order: dict[str, Any]
) -> dict[str, Any]:
    terms = {"order_id": order["order_id"], **new_terms(intention, order)}
    outcome = await service.sender.submit("RequestReplace", terms, account_id)
    check(outcome, f"replacing {intention.client_order_id}", None)
    return await service.ask("exchange", "replace", terms)


async def _cancel(service: Service, account_id: str, order_id: str) -> None:
    wish = {"order_id": order_id, "reason": "no longer wanted"}
    outcome = await service.sender.submit("RequestCancel", wish, account_id)
    check(outcome, f"cancelling {order_id}", None)
    await service.ask("exchange", "cancel", {"order_id": order_id})


if __name__ == "__main__":
    main(_trade)
