"""Accounts: what decisions know of an account, and how events change it."""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from uuid import UUID

import msgspec
from msgspec.structs import replace

from ledger.kernel.event import Event
from ledger.kernel.money import ZERO, shown
from ledger.kernel.rejection import Rejection
from ledger.kernel.state import EvolvingState
from ledger.nouns.accounts.books import changes
from ledger.nouns.accounts.events import (
    AccountClosed,
    AccountEvent,
    AccountHalted,
    AccountOpened,
    AccountReactivated,
    AccountStatus,
    AccountSuspended,
    AccountType,
    BorrowingLimitSet,
    ClosingOrder,
    CorporateActionRecorded,
    Environment,
    HoldChange,
    LeverageSet,
    MoneyEvent,
    OcoGroup,
    OrderMoney,
    PositionMode,
    Posting,
    TradeSettled,
    TradeVoided,
    is_outside,
    is_own_book,
)
from ledger.nouns.accounts.rejections import AccountRejection
from ledger.nouns.instruments.contract import share
from ledger.nouns.orders.events import Side
from ledger.nouns.positions import rules as position_rules
from ledger.nouns.positions.margin import MarginMode
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
    """What one order, or one position, has locked. `closing` is what an open order closes."""

    sub_account: str
    asset: str
    amount: Decimal
    closing: ClosingOrder | None = None


class EarlierTrade(msgspec.Struct, gc=False):
    """A trade of a log from before positions."""

    order_id: UUID
    trade_id: str
    trade: position_rules.PositionTrade


class Leverage(msgspec.Struct, gc=False):
    """Of one instrument, as it was set."""

    leverage: Decimal
    mode: MarginMode
    margin_rate: Decimal


class AccountState(EvolvingState, gc=False, kw_only=True):
    """What decisions about an account need to know."""

    account_id: UUID
    user_id: UUID
    exchange: str
    account_type: AccountType
    position_mode: PositionMode = PositionMode.ONE_WAY
    environment: Environment
    base_currency: str
    status: AccountStatus = AccountStatus.ACTIVE
    balances: dict[str, dict[str, BookBalance]] = msgspec.field(default_factory=dict)
    """By sub-account, then asset."""
    flows: dict[str, Decimal] = msgspec.field(default_factory=dict)
    """By asset, what has come in from outside and not gone out again: no profit, and no loss."""
    holds: dict[UUID, Hold] = msgspec.field(default_factory=dict)
    """By order, of all that are open: also of those that hold nothing."""
    oco_groups: dict[UUID, list[OcoGroup]] = msgspec.field(default_factory=dict)
    """By `oco_group`: the groups of one with open orders."""
    positions: dict[str, Position] = msgspec.field(default_factory=dict)
    """The newest of each key, by its text: what is open, and what was closed last."""
    leverages: dict[str, Leverage] = msgspec.field(default_factory=dict)
    """By instrument, where it was set."""
    borrowing_limits: dict[str, Decimal] = msgspec.field(default_factory=dict)
    """By asset, where there is one."""
    corporate_actions: dict[str, str] = msgspec.field(default_factory=dict)
    """By id, what was told of it."""
    renamed: dict[str, str] = msgspec.field(default_factory=dict)
    """By the name that an instrument had, the one that it has had since."""
    renamed_assets: dict[str, str] = msgspec.field(default_factory=dict)
    """By the new name of a SPOT instrument, its base asset."""
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

    def names_of(self, instrument: str) -> set[str]:
        """Those that an instrument has had, and has."""
        names, found = {instrument}, True
        while found:
            links = {pair for pair in self.renamed.items() if names.intersection(pair)}
            found = not names.issuperset(linked := {name for pair in links for name in pair})
            names |= linked
        return names

    def newest_after(
        self, positions: tuple[Position, ...]
    ) -> Iterator[tuple[PositionKey, Position | None]]:
        """The newest of each key that an event tells positions of, once it has."""
        if len(positions) == 1 and not positions[0].withdrawn:
            (only,) = positions
            known = self.positions.get(only.key.text)
            yield only.key, only if known is None or known.number <= only.number else known
            return
        for key in dict.fromkeys(position.key for position in positions):
            told = [position for position in positions if position.key == key]
            yield key, position_rules.newest(told, self.position(key))

    def position(self, key: PositionKey) -> Position | None:
        """The newest of this key, open or closed."""
        return self.positions.get(key.text)


_NOTHING: dict[str, BookBalance] = {}
_ZERO_BALANCE = BookBalance()


STATUS_AFTER: dict[type[AccountEvent], AccountStatus] = {
    AccountSuspended: AccountStatus.SUSPENDED,
    AccountHalted: AccountStatus.HALTED,
    AccountReactivated: AccountStatus.ACTIVE,
    AccountClosed: AccountStatus.CLOSED,
}
"""What an account may do after each event that changes that."""


def evolve(state: AccountState | None, event: Event, stream_id: UUID) -> AccountState:
    """The state after an event."""
    if isinstance(event, AccountOpened):
        return AccountState(
            account_id=stream_id,
            user_id=event.user_id,
            exchange=event.exchange,
            account_type=event.account_type,
            position_mode=event.position_mode,
            environment=event.environment,
            base_currency=event.base_currency,
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
        elif is_outside(book):
            state.flows[asset] = state.flows.get(asset, ZERO) - change.total
    for hold in event.holds:
        _change_hold(state, hold)
    if isinstance(event, MoneyEvent) and event.positions:
        _follow_positions(state, event.positions)
    elif isinstance(event, TradeSettled | TradeVoided):
        _follow_earlier_trade(state, event)
    if isinstance(event, OrderMoney) and event.group is not None:
        _change_group(state, event.group)
    _change_terms(state, event)
    return state


def _change_terms(state: AccountState, event: AccountEvent) -> None:
    """What is no money: whether the account may trade, and on which terms."""
    match event:
        case AccountSuspended() | AccountHalted() | AccountReactivated() | AccountClosed():
            state.status = STATUS_AFTER[type(event)]
        case LeverageSet():
            state.leverages[event.instrument] = Leverage(
                event.leverage, event.mode, event.margin_rate
            )
        case BorrowingLimitSet():
            _limit_borrowing(state, event)
        case CorporateActionRecorded() if not event.conflicts:
            state.corporate_actions[event.action_id] = event.content
            _follow_corporate_action(state, event)
        case _:
            pass  # what else happens is money, and that is in the postings and holds


def _follow_corporate_action(state: AccountState, event: CorporateActionRecorded) -> None:
    """What groups of orders have traded counts as so many more; names are known by each other."""
    ratio = Decimal(event.numerator), Decimal(event.denominator)
    for groups in state.oco_groups.values():
        groups[:] = [
            replace(group, traded=share(group.traded, *ratio))
            if any(one.instrument == event.instrument for one in group.members)
            else group
            for group in groups
        ]
    if event.new_instrument is not None:
        state.renamed[event.instrument] = event.new_instrument
        if event.new_base_asset is not None:
            state.renamed_assets[event.new_instrument] = event.new_base_asset


def _limit_borrowing(state: AccountState, event: BorrowingLimitSet) -> None:
    if event.limit is None:
        state.borrowing_limits.pop(event.asset, None)
    else:
        state.borrowing_limits[event.asset] = event.limit


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
        state.holds[change.order_id] = Hold(
            change.sub_account, change.asset, change.amount, change.closing
        )
        return
    hold.amount += change.amount
    hold.closing = change.closing
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
    for key, newest in state.newest_after(positions):
        if newest is not None:
            state.positions[key.text] = newest
        else:
            state.positions.pop(key.text, None)


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
    """Whether a request finds its funds. A CASH account has what is available, a MARGIN account
    what it may borrow besides; without a limit it lacks nothing."""
    if state.account_type is AccountType.CASH or asset in state.borrowing_limits:
        check_free(state, sub_account, asset, amount, purpose, remedy)


def check_free(
    state: AccountState,
    sub_account: str,
    asset: str,
    amount: Decimal,
    purpose: str,
    remedy: str | None = None,
) -> None:
    """Whether so much is available, or may be borrowed."""
    available = state.balance(sub_account, asset).available
    if amount <= max(available, ZERO):
        return
    borrowing = ""
    limit = state.borrowing_limits.get(asset)
    if limit is not None:
        most = limit - borrowed(state, asset) + max(available, ZERO)
        if amount <= most:
            return
        borrowing = f" and the {shown(limit)} {asset} that may be borrowed in all"
    raise Rejection(
        AccountRejection.INSUFFICIENT_FUNDS,
        f"available {shown(available)} {asset} in {sub_account}{borrowing} is less than the "
        f"{shown(amount)} {asset} {purpose}",
        remedy,
    )


def borrowed(state: AccountState, asset: str) -> Decimal:
    """How much of an asset is taken beyond what is there, in all sub-accounts."""
    return sum(
        (
            -assets[asset].available
            for assets in state.balances.values()
            if asset in assets and assets[asset].available < 0
        ),
        ZERO,
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
