"""Positions: what a settled trade was to them, read from its event.

The event has all that it takes: what was paid and got is in its postings, and the contract, if it
is one, stands with the position that it made. Events older than positions tell of SPOT trades only.
"""

from datetime import datetime
from decimal import Decimal

from ledger.kernel.money import ZERO
from ledger.nouns.accounts.events import (
    Posting,
    Reason,
    TradeSettled,
    TradeVoided,
    is_own_book,
)
from ledger.nouns.orders.events import Side
from ledger.nouns.positions.position import PositionKey
from ledger.nouns.positions.rules import PositionTrade

_TRADES = frozenset({Reason.TRADE, Reason.TRADE_VOID})
_FEES = frozenset({Reason.FEE, Reason.FEE_VOID})


def trade_of(event: TradeSettled | TradeVoided, at: datetime | None = None) -> PositionTrade:
    """What the trade was: of one that was taken back, what it had been. `at` is when the trade
    happened (`occurred_at` of a TradeSettled)."""
    own = [posting for posting in event.postings if is_own_book(posting.book)]
    back = isinstance(event, TradeVoided)
    bought = event.side is Side.BUY
    fees: dict[str, Decimal] = {}
    for posting in own:
        if posting.reason in _FEES:
            paid = posting.amount if back else -posting.amount
            fees[posting.asset] = fees.get(posting.asset, ZERO) + paid
    quantity = event.last_qty if bought else -event.last_qty
    made = event.positions[0] if event.positions else None
    if made is not None and made.contract is not None:
        return PositionTrade(
            key=made.key,
            quantity=quantity,
            value=made.contract.value(event.last_qty, event.last_px),
            settlement_asset=made.settlement_asset,
            contract=made.contract,
            margin_rate=event.positions[-1].margin_rate,
            fees=fees,
            at=at,
        )
    base, quote = _base_and_quote(own)
    return PositionTrade(
        key=made.key if made is not None else PositionKey(base.book, event.instrument),
        quantity=quantity,
        value=quote.amount if bought is back else -quote.amount,
        settlement_asset=quote.asset,
        base_asset=base.asset,
        fees=fees,
        at=at,
    )


def turnover_of(event: TradeSettled) -> tuple[str, str, Decimal]:
    """(sub-account, asset, amount) of what a trade was worth, in the asset that it is settled in:
    what `trade_of` says, for whoever asks for nothing else."""
    made = event.positions[0] if event.positions else None
    if made is not None and made.contract is not None:
        value = made.contract.value(event.last_qty, event.last_px)
        return made.sub_account, made.settlement_asset, abs(value)
    quote: Posting | None = None
    for posting in event.postings:
        if posting.reason is Reason.TRADE and is_own_book(posting.book):
            quote = posting
    assert quote is not None
    sub_account = quote.book if made is None else made.sub_account
    return sub_account, quote.asset, abs(quote.amount)


def _base_and_quote(own: list[Posting]) -> tuple[Posting, Posting]:
    """What a SPOT trade has moved in the sub-account: first the base asset, then what it was
    paid with."""
    base, quote = (posting for posting in own if posting.reason in _TRADES)
    return base, quote
