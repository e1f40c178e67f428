"""Accounts: what decisions know of an account, and how events change it."""

from collections.abc import Iterable
from decimal import Decimal
from uuid import UUID

import msgspec

from ledger.kernel.event import Event
from ledger.kernel.money import ZERO, shown
from ledger.kernel.rejection import Rejection
from ledger.kernel.state import EvolvingState
from ledger.nouns.accounts.books import changes
from ledger.nouns.accounts.events import (
    AccountClosed,
    AccountEvent,
    AccountOpened,
    AccountReactivated,
    AccountStatus,
    AccountSuspended,
    AccountType,
    Environment,
    HoldChange,
    MoneyEvent,
    OcoGroup,
    OrderMoney,
    Posting,
    TradeSettled,
    TradeVoided,
    is_own_book,
)
from ledger.nouns.accounts.rejections import AccountRejection
from ledger.nouns.orders.events import Side
from ledger.nouns.positions import rules as position_rules
from ledger.nouns.positions.position import Position, PositionKey
from ledger.nouns.positions.trades import trade_of


class BookBalance(msgspec.Struct, gc=False):
    """Of one asset in one sub-account."""

    total: Decimal = ZERO
    locked: Decimal = ZERO

    @property
    def available(self) -> Decimal:
        return self.total - self.locked


class Hold(msgspec.Struct, gc=False):
    """What one order has locked."""

    sub_account: str
    asset: str
    amount: Decimal


class EarlierTrade(msgspec.Struct, gc=False):
    """A trade of a log from before positions."""

    order_id: UUID
    trade_id: str
    trade: position_rules.PositionTrade


class AccountState(EvolvingState, gc=False, kw_only=True):
    """What decisions about an account need to know."""

    account_id: UUID
    user_id: UUID
    exchange: str
    account_type: AccountType
    environment: Environment
    status: AccountStatus = AccountStatus.ACTIVE
    balances: dict[str, dict[str, BookBalance]] = msgspec.field(default_factory=dict)
    """By sub-account, then asset."""
    holds: dict[UUID, Hold] = msgspec.field(default_factory=dict)
    """By order, of all that are open: also of those that hold nothing."""
    oco_groups: dict[UUID, list[OcoGroup]] = msgspec.field(default_factory=dict)
    """By `oco_group`: the groups of one with open orders."""
    positions: dict[str, Position] = msgspec.field(default_factory=dict)
    """The newest of each key, by its text: what is open, and what was closed last."""
    earlier_trades: dict[str, list[EarlierTrade]] = msgspec.field(default_factory=dict)
    """By key, of events that do not tell positions, in case that such an event takes one back.
    Forgotten at the first event that does: none of the older ones follows it."""

    def balance(self, sub_account: str, asset: str) -> BookBalance:
        """A balance to read. Nothing was ever there: zero."""
        return self.balances.get(sub_account, _NOTHING).get(asset, _ZERO_BALANCE)

    def oco_group(
        self, oco_group: UUID, sub_account: str, asset: str, side: Side
    ) -> OcoGroup | None:
        """The open orders of a group; None if there are none."""
        key = (sub_account, asset, side)
        for group in self.oco_groups.get(oco_group, ()):
            if (group.sub_account, group.asset, group.side) == key:
                return group
        return None

    def held(self, order_id: UUID) -> Decimal:
        hold = self.holds.get(order_id)
        return ZERO if hold is None else hold.amount

    def position(self, key: PositionKey) -> Position | None:
        """The newest of this key, open or closed."""
        return self.positions.get(key.text)


_NOTHING: dict[str, BookBalance] = {}
_ZERO_BALANCE = BookBalance()


def evolve(state: AccountState | None, event: Event, stream_id: UUID) -> AccountState:
    """The state after an event."""
    if isinstance(event, AccountOpened):
        return AccountState(
            account_id=stream_id,
            user_id=event.user_id,
            exchange=event.exchange,
            account_type=event.account_type,
            environment=event.environment,
        )
    if state is None or not isinstance(event, AccountEvent):
        raise TypeError(
            f"{type(event).__name__} is not how the account {stream_id} can begin or go on"
        )
    for (book, asset), change in changes(event.postings, event.holds).items():
        if is_own_book(book):
            balance = _own_balance(state, book, asset)
            balance.total += change.total
            balance.locked += change.locked
    for hold in event.holds:
        _change_hold(state, hold)
    if isinstance(event, OrderMoney) and event.group is not None:
        _change_group(state, event.group)
    match event:
        case AccountSuspended():
            state.status = AccountStatus.SUSPENDED
        case AccountReactivated():
            state.status = AccountStatus.ACTIVE
        case AccountClosed():
            state.status = AccountStatus.CLOSED
        case MoneyEvent() if event.positions:
            _follow_positions(state, event.positions)
        case TradeSettled() | TradeVoided():
            _follow_earlier_trade(state, event)
        case _:
            pass  # what else happens is money, and that is in the postings and holds
    return state


def _own_balance(state: AccountState, sub_account: str, asset: str) -> BookBalance:
    """A balance to change."""
    assets = state.balances.get(sub_account)
    if assets is None:
        assets = state.balances[sub_account] = {}
    balance = assets.get(asset)
    if balance is None:
        balance = assets[asset] = BookBalance()
    return balance


def _change_hold(state: AccountState, change: HoldChange) -> None:
    hold = state.holds.get(change.order_id)
    if hold is None:
        state.holds[change.order_id] = Hold(change.sub_account, change.asset, change.amount)
        return
    hold.amount += change.amount
    if hold.amount == 0 and not change.is_open:
        del state.holds[change.order_id]


def _change_group(state: AccountState, group: OcoGroup) -> None:
    before = state.oco_group(group.oco_group, group.sub_account, group.asset, group.side)
    groups = state.oco_groups.setdefault(group.oco_group, [])
    if before is not None:
        groups.remove(before)
    if group.members:
        groups.append(group)
    elif not groups:
        del state.oco_groups[group.oco_group]


def _follow_positions(state: AccountState, positions: tuple[Position, ...]) -> None:
    state.earlier_trades.clear()
    for position in positions:
        key = position.key.text
        if not position.withdrawn:
            state.positions[key] = position
        elif key in state.positions and state.positions[key].number >= position.number:
            del state.positions[key]


def _follow_earlier_trade(state: AccountState, event: TradeSettled | TradeVoided) -> None:
    """What a trade did that was settled before events told it: the same rules tell it now."""
    trade = trade_of(event)
    key = trade.key.text
    trades = state.earlier_trades.setdefault(key, [])
    if isinstance(event, TradeSettled):
        trades.append(EarlierTrade(event.order_id, event.trade_id, trade))
        state.positions[key] = position_rules.trade(state.positions.get(key), trade)[-1]
        return
    name = (event.order_id, event.trade_id)
    trades[:] = [earlier for earlier in trades if (earlier.order_id, earlier.trade_id) != name]
    position: Position | None = None
    for earlier in trades:
        position = position_rules.trade(position, earlier.trade)[-1]
    if position is None:
        del state.positions[key]
    else:
        state.positions[key] = position


def overdraws(
    state: AccountState, postings: Iterable[Posting], holds: Iterable[HoldChange] = ()
) -> bool:
    """Whether some balance that these touch has less than nothing available after them. Only a
    CASH account can be overdrawn."""
    if state.account_type is not AccountType.CASH:
        return False
    return any(
        state.balance(book, asset).available + change.available < 0
        for (book, asset), change in changes(postings, holds).items()
        if is_own_book(book)
    )


def check_available(
    state: AccountState,
    sub_account: str,
    asset: str,
    amount: Decimal,
    purpose: str,
    remedy: str | None = None,
) -> None:
    """Whether a request finds its funds. Only a CASH account can lack them."""
    if state.account_type is not AccountType.CASH:
        return
    available = state.balance(sub_account, asset).available
    if available < amount:
        raise Rejection(
            AccountRejection.INSUFFICIENT_FUNDS,
            f"available {shown(available)} {asset} in {sub_account} is less than the "
            f"{shown(amount)} {asset} {purpose}",
            remedy,
        )


def check_active(state: AccountState) -> None:
    """Whether the account takes requests that use its money."""
    check_not_closed(state)
    if state.status is AccountStatus.SUSPENDED:
        raise Rejection(
            AccountRejection.ACCOUNT_SUSPENDED, f"account {state.account_id} is suspended"
        )


def check_not_closed(state: AccountState) -> None:
    if state.status is AccountStatus.CLOSED:
        raise Rejection(AccountRejection.ACCOUNT_CLOSED, f"account {state.account_id} is closed")
