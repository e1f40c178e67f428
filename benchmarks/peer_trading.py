# ruff: noqa: ARG002 - the library stores a method's arguments as the event's fields
"""The same order life, written for the stock `eventsourcing` library as its documentation does:
two aggregates with event-sourced methods, both saved in one call for each command that touches
both. It does what the ledger does for these commands and no more: statuses, holds, postings by
sub-account, the same fields in its events; no inbox, no outcome, no bus.
"""

from decimal import Decimal
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event


class PeerAccount(Aggregate):
    @event("Opened")
    def __init__(self, user_id: UUID, exchange: str) -> None:
        self.user_id = user_id
        self.exchange = exchange
        self.total: dict[str, Decimal] = {}
        self.locked: dict[str, Decimal] = {}
        self.holds: dict[UUID, tuple[str, Decimal]] = {}

    @event("Deposited")
    def deposit(self, asset: str, amount: Decimal) -> None:
        self.total[asset] = self.total.get(asset, Decimal(0)) + amount

    def hold(self, order_id: UUID, asset: str, amount: Decimal) -> None:
        available = self.total.get(asset, Decimal(0)) - self.locked.get(asset, Decimal(0))
        if available < amount:
            raise ValueError("insufficient funds")
        self._change_hold(order_id, asset, amount)

    def release(self, order_id: UUID) -> None:
        asset, amount = self.holds[order_id]
        self._change_hold(order_id, asset, -amount)

    @event("HoldChanged")
    def _change_hold(self, order_id: UUID, asset: str, amount: Decimal) -> None:
        self._hold(order_id, asset, amount)

    @event("TradeSettled")
    def settle(
        self,
        order_id: UUID,
        trade_id: str,
        base_asset: str,
        base: Decimal,
        quote_asset: str,
        quote: Decimal,
        commission_asset: str,
        commission: Decimal,
        hold_change: Decimal,
    ) -> None:
        self.total[base_asset] = self.total.get(base_asset, Decimal(0)) + base
        self.total[quote_asset] = self.total.get(quote_asset, Decimal(0)) + quote
        self.total[commission_asset] -= commission
        self._hold(order_id, quote_asset, hold_change)

    def _hold(self, order_id: UUID, asset: str, amount: Decimal) -> None:
        self.locked[asset] = self.locked.get(asset, Decimal(0)) + amount
        held = self.holds.get(order_id, (asset, Decimal(0)))[1] + amount
        self.holds[order_id] = (asset, held)
        if held == 0:
            del self.holds[order_id]


class PeerOrder(Aggregate):
    @event("Submitted")
    def __init__(
        self,
        account_id: UUID,
        instrument: str,
        base_asset: str,
        quote_asset: str,
        side: str,
        order_type: str,
        quantity: Decimal,
        price: Decimal,
    ) -> None:
        self.account_id = account_id
        self.base_asset = base_asset
        self.quote_asset = quote_asset
        self.quantity = quantity
        self.price = price
        self.status = "PENDING"
        self.cum_qty = Decimal(0)
        self.cum_quote = Decimal(0)
        self.trades: dict[str, tuple[Decimal, Decimal]] = {}

    @event("Accepted")
    def accept(self, venue_order_id: str) -> None:
        self.status = "NEW"

    @event("Filled")
    def fill(self, trade_id: str, last_qty: Decimal, last_px: Decimal, commission: Decimal) -> None:
        self.trades[trade_id] = (last_qty, last_px)
        self.cum_qty += last_qty
        self.cum_quote += last_qty * last_px
        self.status = "FILLED" if self.cum_qty >= self.quantity else "PARTIALLY_FILLED"

    @event("Cancelled")
    def cancel(self) -> None:
        self.status = "CANCELLED"


class PeerTrading(Application[UUID]):
    """One method per command; each loads what it needs and saves what it changed."""

    def open_account(self, user_id: UUID) -> UUID:
        account = PeerAccount(user_id, "BINANCE")
        account.deposit("USDT", Decimal(10) ** 12)
        self.save(account)
        return account.id

    def submit(self, account_id: UUID, quantity: Decimal, price: Decimal) -> UUID:
        account: PeerAccount = self.repository.get(account_id)
        order = PeerOrder(
            account_id, "BINANCE:BTCUSDT", "BTC", "USDT", "BUY", "LIMIT", quantity, price
        )
        account.hold(order.id, "USDT", quantity * price)
        self.save(order, account)
        return order.id

    def accept(self, order_id: UUID, venue_order_id: str) -> None:
        order: PeerOrder = self.repository.get(order_id)
        order.accept(venue_order_id)
        self.save(order)

    def fill(
        self, order_id: UUID, trade_id: str, qty: Decimal, px: Decimal, commission: Decimal
    ) -> None:
        order: PeerOrder = self.repository.get(order_id)
        account: PeerAccount = self.repository.get(order.account_id)
        order.fill(trade_id, qty, px, commission)
        account.settle(
            order.id,
            trade_id,
            "BTC",
            qty,
            "USDT",
            -qty * px,
            "USDT",
            commission,
            -qty * order.price,
        )
        self.save(order, account)

    def cancel(self, order_id: UUID) -> None:
        order: PeerOrder = self.repository.get(order_id)
        account: PeerAccount = self.repository.get(order.account_id)
        order.cancel()
        account.release(order.id)
        self.save(order, account)
