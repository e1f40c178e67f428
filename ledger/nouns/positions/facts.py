"""Positions: what happens to all that an account has of an instrument, and is always recorded."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from msgspec.structs import replace

from ledger.kernel.money import ZERO
from ledger.kernel.rejection import GeneralRejection, Rejection
from ledger.nouns.accounts.events import (
    AccountStatus,
    CorporateAction,
    CorporateActionRecorded,
    Posting,
    Reason,
    venue_book,
)
from ledger.nouns.accounts.state import AccountState, overdraws
from ledger.nouns.instruments.contract import share
from ledger.nouns.instruments.state import InstrumentState
from ledger.nouns.positions import corporate_actions
from ledger.nouns.positions.leverage import margin_holds
from ledger.nouns.positions.rules import realized


class Told(NamedTuple):
    """What the venue tells of a split or a new name."""

    action_id: str
    action: CorporateAction
    numerator: int
    denominator: int
    cash_in_lieu: Decimal | None


class _Fraction(NamedTuple):
    """What of the last one is paid for with cash, and in which sub-account it is."""

    sub_account: str
    quantity: Decimal


def record_corporate_action(
    state: AccountState,
    listed: InstrumentState,
    new: InstrumentState | None,
    told: Told,
    at: datetime,
) -> tuple[CorporateActionRecorded, ...]:
    """Balances and positions, n for m. Told again it does nothing; told otherwise under the same id
    it is recorded, and nothing changes."""
    _check_is_the_same_thing(listed, new)
    event = CorporateActionRecorded(
        action_id=told.action_id,
        instrument=listed.terms.instrument,
        action=told.action,
        numerator=told.numerator,
        denominator=told.denominator,
        new_instrument=None if new is None else new.terms.instrument,
        new_base_asset=None if new is None or new.contract is not None else new.base_asset,
        cash_in_lieu=told.cash_in_lieu,
        account_closed=state.status is AccountStatus.CLOSED,
    )
    known = state.corporate_actions.get(told.action_id)
    if known is not None:
        return () if known == event.content else (replace(event, conflicts=True),)
    quantities = dict(_quantities(state, listed, event))
    fraction = None if told.cash_in_lieu is None else _fraction(quantities)
    if fraction is not None:
        event = replace(event, sub_account=fraction.sub_account, fraction=fraction.quantity)
    newest = {position.key: position for position in state.positions.values()}
    positions = tuple(corporate_actions.followed(newest, event, at))
    if listed.contract is None:
        asset = listed.base_asset if new is None else new.base_asset
        postings = tuple(_coins(state, listed, asset, quantities, event))
    else:
        before = [newest[p.key] for p in positions if p.key in newest]
        won = realized(p for p in positions if p.key in newest) - realized(before)
        postings = tuple(_cash(state, event, listed.contract.settlement_asset, won))
    return (
        replace(
            event,
            positions=positions,
            postings=postings,
            holds=margin_holds(state, positions),
            overdrawn=overdraws(state, postings),
        ),
    )


def _check_is_the_same_thing(listed: InstrumentState, new: InstrumentState | None) -> None:
    if new is None or (listed.contract, listed.quote_asset) == (new.contract, new.quote_asset):
        return
    raise Rejection(
        GeneralRejection.INVALID_COMMAND,
        f"{listed.terms.instrument} and {new.terms.instrument} are not traded for the same",
        "list the new name with the same terms",
    )


def _quantities(
    state: AccountState, listed: InstrumentState, event: CorporateActionRecorded
) -> Iterator[tuple[str, Decimal]]:
    """What each sub-account has after it: of coins what is there, of contracts what is held."""
    numerator, denominator = Decimal(event.numerator), Decimal(event.denominator)
    if listed.contract is None:
        for sub_account, assets in sorted(state.balances.items()):
            balance = assets.get(listed.base_asset)
            if balance is not None and balance.total:
                yield sub_account, share(balance.total, numerator, denominator)
        return
    for position in state.positions.values():
        if position.instrument == event.instrument and position.is_open:
            yield position.sub_account, share(position.quantity, numerator, denominator)


def _fraction(quantities: dict[str, Decimal]) -> _Fraction | None:
    """Of all sub-accounts together, taken where most is."""
    left = sum(quantities.values(), ZERO) % 1
    if not left:
        return None
    most = max(quantities, key=lambda sub_account: (abs(quantities[sub_account]), sub_account))
    return _Fraction(most, left)


def _coins(
    state: AccountState,
    listed: InstrumentState,
    asset: str,
    quantities: dict[str, Decimal],
    event: CorporateActionRecorded,
) -> Iterator[Posting]:
    """From what was there to what is there after it."""
    for sub_account, quantity in quantities.items():
        after = quantity
        if event.fraction and sub_account == event.sub_account:
            after -= event.fraction
        before = state.balance(sub_account, listed.base_asset).total
        if asset == listed.base_asset:
            yield from _between(state, sub_account, asset, after - before)
            continue
        yield from _between(state, sub_account, listed.base_asset, -before)
        yield from _between(state, sub_account, asset, after)
    if event.fraction and event.cash_in_lieu:
        paid = event.cash_in_lieu if event.fraction > 0 else -event.cash_in_lieu
        yield from _cash(state, event, listed.quote_asset, paid)


def _cash(
    state: AccountState, event: CorporateActionRecorded, asset: str, amount: Decimal
) -> Iterator[Posting]:
    if amount and event.sub_account is not None:
        yield from _between(state, event.sub_account, asset, amount)


def _between(
    state: AccountState, sub_account: str, asset: str, amount: Decimal
) -> Iterator[Posting]:
    if not amount:
        return
    reason = Reason.CORPORATE_ACTION
    yield Posting(book=sub_account, asset=asset, amount=amount, reason=reason)
    yield Posting(book=venue_book(state.exchange), asset=asset, amount=-amount, reason=reason)
