"""Positions: how much greater than what they lock they may be, and what may be borrowed."""

from decimal import Decimal

from msgspec.structs import replace

from ledger.kernel.money import ZERO, shown
from ledger.kernel.rejection import GeneralRejection, Rejection
from ledger.nouns.accounts.events import (
    AccountEvent,
    AccountType,
    BorrowingLimitSet,
    HoldChange,
    LeverageSet,
)
from ledger.nouns.accounts.state import (
    AccountState,
    check_active,
    check_free,
    check_not_closed,
)
from ledger.nouns.instruments.contract import ONE
from ledger.nouns.instruments.state import InstrumentState
from ledger.nouns.positions.margin import MarginMode, initial_margin, margin_rate
from ledger.nouns.positions.position import Position, margin_hold_id
from ledger.nouns.positions.rejections import PositionRejection


def set_leverage(
    state: AccountState, listed: InstrumentState, *, leverage: Decimal, mode: MarginMode
) -> tuple[AccountEvent, ...]:
    """Open positions lock by it from now on, so the funds must be there. Open orders keep the rate
    that they were placed with."""
    check_active(state)
    check_may_have_contracts(state)
    terms = listed.terms
    if listed.contract is None:
        raise Rejection(
            PositionRejection.NOT_A_CONTRACT,
            f"{terms.instrument} is {terms.kind}: it has no leverage",
        )
    if leverage < ONE:
        raise Rejection(
            GeneralRejection.INVALID_COMMAND, f"leverage {shown(leverage)} is less than 1"
        )
    if terms.max_leverage is not None and leverage > terms.max_leverage:
        raise Rejection(
            PositionRejection.LEVERAGE_TOO_HIGH,
            f"leverage {shown(leverage)} is above the {shown(terms.max_leverage)} of "
            f"{terms.instrument}",
        )
    rate = margin_rate(leverage, terms.initial_margin_rate)
    positions = tuple(
        replace(position, margin_rate=rate)
        for position in state.positions.values()
        if position.instrument == terms.instrument and position.is_open
    )
    holds = margin_holds(state, positions)
    for change in holds:
        if change.amount > 0:
            check_free(state, change.sub_account, change.asset, change.amount, "its positions lock")
    return (
        LeverageSet(
            instrument=terms.instrument,
            leverage=leverage,
            mode=mode,
            margin_rate=rate,
            positions=positions,
            holds=holds,
        ),
    )


def set_borrowing_limit(
    state: AccountState, *, asset: str, limit: Decimal | None
) -> tuple[AccountEvent, ...]:
    check_not_closed(state)
    if state.account_type is not AccountType.MARGIN:
        raise Rejection(
            PositionRejection.MARGIN_ACCOUNT_REQUIRED,
            f"account {state.account_id} is {state.account_type} and borrows nothing",
        )
    return (BorrowingLimitSet(asset=asset, limit=limit),)


def check_may_have_contracts(state: AccountState) -> None:
    if state.account_type is not AccountType.MARGIN:
        raise Rejection(
            PositionRejection.MARGIN_ACCOUNT_REQUIRED,
            f"account {state.account_id} is {state.account_type} and trades no contracts",
        )


def margin_rate_of(state: AccountState, listed: InstrumentState) -> Decimal | None:
    """The share of its value that a position opened now would lock; None of what is no contract."""
    if listed.contract is None:
        return None
    chosen = state.leverages.get(listed.terms.instrument)
    return margin_rate(ONE if chosen is None else chosen.leverage, listed.terms.initial_margin_rate)


def margin_rate_in_force(
    state: AccountState, instrument: str, ordered_at: Decimal | None
) -> Decimal | None:
    """The share that a position of an instrument locks now: as leverage was set last, or, where it
    never was, as its order was placed."""
    chosen = state.leverages.get(instrument)
    return ordered_at if chosen is None else chosen.margin_rate


def margin_holds(state: AccountState, positions: tuple[Position, ...]) -> tuple[HoldChange, ...]:
    """From what each position of the account locks to what it locks when these are told."""
    assets = {p.key: p.settlement_asset for p in positions if p.contract is not None}
    changes = []
    for key, newest in state.newest_after(positions):
        if key not in assets:
            continue
        hold_id = margin_hold_id(state.account_id, key)
        change = (ZERO if newest is None else initial_margin(newest)) - state.held(hold_id)
        if change:
            changes.append(
                HoldChange(
                    order_id=hold_id,
                    sub_account=key.sub_account,
                    asset=assets[key],
                    amount=change,
                )
            )
    return tuple(changes)
