"""The desk: the people who look after the accounts, as one service.

at the start    list instruments, open accounts, deposit, set leverage, assign strategies,
                rebalance;
                then tell the strategies the accounts' ids (demo.desk.<run>.accounts)
in between      deposit, transfer, withdraw, correct; and now and then ask for what cannot be
at the end      when the exchange has closed: rebalance once more, and have it taken down what
                accounts are worth
"""

import asyncio
from typing import Any

import orjson
from nats.aio.msg import Msg
from uuid_utils.compat import uuid7

from ledger.demo.plan import (
    ACCOUNTS,
    BASE_CURRENCY,
    CONTRACTS,
    LEVERAGE,
    LISTINGS,
    RETIRED_STRATEGY,
    VENUE,
    DemoAccount,
)
from ledger.demo.service import Service, check, main
from ledger.nouns.accounts.events import AccountType

ERRANDS = 5
"""Rounds of errands on each account while the strategies trade."""


class Desk:
    """Knows the accounts by name."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._ids = {account.name: str(uuid7()) for account in ACCOUNTS}

    async def work(self) -> None:
        bus, closed = self._service.bus, asyncio.Event()

        async def note_closed(_: Msg) -> None:
            closed.set()

        async def answer(message: Msg) -> None:
            await message.respond(orjson.dumps({"accounts": self._ids}))

        await bus.subscribe(self._service.subject("exchange", "closed"), cb=note_closed)
        await self._list_instruments()
        await asyncio.gather(*(self._set_up(account) for account in ACCOUNTS))
        await bus.subscribe(self._service.subject("desk", "accounts"), cb=answer)
        await asyncio.gather(*(self._run_errands(account) for account in ACCOUNTS))
        await closed.wait()
        for account in ACCOUNTS:
            await self._do(account, "RebalanceAllocations")
        sender = self._service.sender
        taken = {"time": sender.now().isoformat(), "kind": "MANUAL"}
        check(await sender.submit("TakeSnapshots", taken), "TakeSnapshots", None)

    async def _list_instruments(self) -> None:
        """On a ledger that an earlier demo has used they are listed already."""
        for listing in LISTINGS:
            outcome = await self._service.sender.submit(
                "ListInstrument",
                {
                    "instrument": listing.instrument,
                    "base_asset": listing.base_asset,
                    "quote_asset": listing.quote_asset,
                    "tick_size": str(listing.tick_size),
                    "step_size": str(listing.step_size),
                    "max_quantity": str(listing.max_quantity),
                    "kind": listing.kind.value,
                },
            )
            check(outcome, "ListInstrument", None, "INSTRUMENT_ALREADY_LISTED")

    async def _set_up(self, account: DemoAccount) -> None:
        opened = {
            "account_id": self._ids[account.name],
            "user_id": str(uuid7()),
            "exchange": VENUE,
            "name": account.name,
            "account_type": account.account_type.value,
            "environment": "PAPER",
            "base_currency": BASE_CURRENCY,
        }
        await self._do(account, "OpenAccount", **opened)
        await self._do(account, "OpenAccount", "ACCOUNT_ALREADY_EXISTS", **opened)
        for asset, amount in account.deposits.items():
            await self._do(account, "Deposit", asset=asset, amount=amount, reference="first")
        if account.account_type is AccountType.MARGIN:
            for contract in CONTRACTS:
                terms = {"instrument": contract.instrument, "leverage": str(LEVERAGE)}
                await self._do(account, "SetLeverage", **terms)
        retired = {"strategy_id": RETIRED_STRATEGY}
        await self._do(account, "AssignStrategy", **retired, allocation_percent="5")
        await self._do(account, "DeactivateStrategy", **retired)
        for strategy, percent in account.shares.items():
            await self._do(
                account, "AssignStrategy", strategy_id=strategy, allocation_percent=percent
            )
        strategy = next(iter(account.shares))
        greedy = {"strategy_id": strategy, "allocation_percent": "99"}
        await self._do(account, "ChangeAllocation", "ALLOCATION_EXCEEDED", **greedy)
        await self._do(account, "RebalanceAllocations")

    async def _run_errands(self, account: DemoAccount) -> None:
        money = {"asset": BASE_CURRENCY}
        to = {"from_sub_account": "main", "to_sub_account": next(iter(account.shares))}
        for errand in range(ERRANDS):
            amount = f"{1_000 + errand}.{errand:02}"
            await self._do(account, "Deposit", **money, amount=amount, reference=f"no. {errand}")
            await self._do(account, "Transfer", **money, **to, amount="250.5")
            await self._do(account, "Withdraw", **money, amount="100.25")
            nowhere = to | {"to_sub_account": "nobody"}
            await self._do(
                account, "Transfer", "UNKNOWN_SUB_ACCOUNT", **money, **nowhere, amount="1"
            )
        person = {"reason": "found in a reconciliation", "actor": "desk"}
        await self._do(account, "AdjustBalance", **money, amount="-0.01", **person)

    async def _do(
        self, account: DemoAccount, command_type: str, code: str | None = None, /, **data: Any
    ) -> None:
        account_id = self._ids[account.name]
        outcome = await self._service.sender.submit(command_type, data, account_id)
        check(outcome, command_type, code)


async def _work(service: Service) -> None:
    await Desk(service).work()


if __name__ == "__main__":
    main(_work)
