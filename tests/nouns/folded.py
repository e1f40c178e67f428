"""One aggregate at a time: decide, fold, look at the state."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from ledger.kernel.event import Event
from ledger.kernel.rejection import Rejection
from ledger.nouns.accounts import rules as account_rules
from ledger.nouns.accounts import settlement as account_settlement
from ledger.nouns.accounts import state as account_state
from ledger.nouns.accounts.events import AccountType, Environment
from ledger.nouns.accounts.state import AccountState
from ledger.nouns.orders import facts as order_facts
from ledger.nouns.orders import rules as order_rules
from ledger.nouns.orders import state as order_state
from ledger.nouns.orders.events import OrderType, Side
from ledger.nouns.orders.state import OrderState

D = Decimal
BTCUSDT = "BINANCE:BTCUSDT"


class FoldedOrder:
    """An order and all that was decided about it. Terms are those of a LIMIT BUY of 1 at 100
    unless given."""

    def __init__(self, *, begin: Callable[..., Any] = order_rules.submit, **terms: Any) -> None:
        self.id = uuid4()
        self.account_id = uuid4()
        self.events: list[Event] = []
        self._state: OrderState | None = None
        chosen: dict[str, Any] = {
            "account_id": self.account_id,
            "instrument": BTCUSDT,
            "base_asset": "BTC",
            "quote_asset": "USDT",
            "side": Side.BUY,
            "order_type": OrderType.LIMIT,
            "sub_account": "main",
            "quantity": D(1),
            "price": D(100),
        } | terms
        if begin is order_facts.report:
            self._fold(order_facts.report(**chosen))
        else:
            self._fold(begin(None, order_id=self.id, **chosen))

    @property
    def state(self) -> OrderState:
        assert self._state is not None
        return self._state

    @property
    def status(self) -> str:
        return self.state.status.value

    def tell(self, decision: Callable[..., tuple[Event, ...]], **arguments: Any) -> Any:
        """Decides and folds. Returns the event, None when there was none."""
        events = decision(self.state, **arguments)
        self._fold(events)
        assert len(events) <= 1
        return events[0] if events else None

    def fill(self, trade_id: str, last_qty: str, last_px: str = "100", **more: Any) -> Any:
        return self.tell(
            order_facts.fill, trade_id=trade_id, last_qty=D(last_qty), last_px=D(last_px), **more
        )

    def _fold(self, events: tuple[Event, ...]) -> None:
        for event in events:
            self._state = order_state.evolve(self._state, event, self.id)
            self.events.append(event)


class FoldedAccount:
    """An account on BINANCE and all that was decided about it."""

    def __init__(
        self,
        account_type: AccountType = AccountType.CASH,
        **deposits: str,
    ) -> None:
        self.id = uuid4()
        self.events: list[Event] = []
        self._state: AccountState | None = None
        opened = account_rules.open_account(
            None,
            account_id=self.id,
            user_id=uuid4(),
            exchange="BINANCE",
            name="trading",
            account_type=account_type,
            environment=Environment.LIVE,
            base_currency="USDT",
        )
        self._fold(opened)
        for asset, amount in deposits.items():
            self.tell(account_rules.deposit, asset=asset, amount=D(amount))

    @property
    def state(self) -> AccountState:
        assert self._state is not None
        return self._state

    def tell(self, decision: Callable[..., tuple[Event, ...]], **arguments: Any) -> Any:
        """Decides and folds. Returns the event, None when there was none."""
        events = decision(self.state, **arguments)
        self._fold(events)
        assert len(events) <= 1
        return events[0] if events else None

    def hold(self, order_id: UUID, asset: str, amount: str) -> Any:
        return self.tell(account_settlement.hold, required=required(order_id, asset, amount))

    def available(self, asset: str, sub_account: str = "main") -> Decimal:
        return self.state.balance(sub_account, asset).available

    def locked(self, asset: str, sub_account: str = "main") -> Decimal:
        return self.state.balance(sub_account, asset).locked

    def total(self, asset: str, sub_account: str = "main") -> Decimal:
        return self.state.balance(sub_account, asset).total

    def _fold(self, events: tuple[Event, ...]) -> None:
        for event in events:
            self._state = account_state.evolve(self._state, event, self.id)
            self.events.append(event)


def required(
    order_id: UUID, asset: str, amount: str, sub_account: str = "main"
) -> order_state.RequiredHold:
    """What an open BUY asks its account to hold."""
    return order_state.RequiredHold(
        order_id=order_id,
        sub_account=sub_account,
        asset=asset,
        side=Side.BUY,
        amount=D(amount),
        is_open=True,
    )


def refused(code: str, decision: Callable[..., Any], *given: Any, **arguments: Any) -> str:
    """Checks that a request is rejected with this code; returns the message."""
    with pytest.raises(Rejection) as caught:
        decision(*given, **arguments)
    assert caught.value.code == code
    return caught.value.message
