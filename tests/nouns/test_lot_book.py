"""What an event of an account does to its lots."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from ledger.kernel.event import Event
from ledger.nouns.accounts.events import (
    AccountDeposited,
    CorporateAction,
    CorporateActionRecorded,
    Posting,
    Reason,
)
from ledger.nouns.positions.lot_book import LotBook, LotOccasion
from ledger.nouns.positions.lots import CostBasis, Disposal, LotPool
from ledger.nouns.positions.position import Position

D = Decimal
AT = datetime(2026, 3, 2, tzinfo=UTC)


class Account:
    """Whose lots are kept by FIFO, in USDT."""

    def __init__(self) -> None:
        self.pools: dict[str, LotPool] = {}
        self.disposals: list[Disposal] = []
        self._book = LotBook(
            CostBasis.FIFO, "USDT", lambda asset: self.pools.setdefault(asset, LotPool())
        )
        self._number = 0

    def told(self, event: Event) -> None:
        self._number += 1
        occasion = LotOccasion(self._number, UUID(int=self._number), AT)
        for _, moved in self._book.follow(event, occasion):
            self.disposals += moved.disposals

    def lots(self, asset: str) -> list[tuple[Decimal, Decimal | None]]:
        """(quantity, cost) of what is open."""
        return [(lot.left, lot.left_amount) for lot in self.pools[asset].lots]


def deposited(amount: str, cost: str) -> AccountDeposited:
    return AccountDeposited(
        asset="ACME",
        amount=D(amount),
        sub_account="main",
        cost=D(cost),
        postings=moved("ACME", amount),
    )


def moved(asset: str, amount: str) -> tuple[Posting, ...]:
    legs = (("main", D(amount)), ("external", -D(amount)))
    return tuple(
        Posting(book=book, asset=asset, amount=leg, reason=Reason.DEPOSIT) for book, leg in legs
    )


def split(numerator: int, denominator: int, **more: Any) -> CorporateActionRecorded:
    held = Position(sub_account="main", instrument="NYSE:ACME", number=1, settlement_asset="USDT")
    return CorporateActionRecorded(
        action_id="a-1",
        instrument="NYSE:ACME",
        action=CorporateAction.SPLIT,
        numerator=numerator,
        denominator=denominator,
        positions=(held,),
        **more,
    )


def test_a_split_leaves_each_lot_its_cost() -> None:
    account = Account()
    account.told(deposited("3", "30"))
    account.told(deposited("1", "14"))
    account.told(split(2, 1, postings=moved("ACME", "4")))
    assert account.lots("ACME") == [(D(6), D(30)), (D(2), D(14))]
    assert account.disposals == []


def test_the_fraction_that_is_paid_for_is_sold_for_that() -> None:
    account = Account()
    account.told(deposited("3", "30"))
    paid = (*moved("ACME", "-2"), *moved("USDT", "12"))
    account.told(
        split(1, 2, postings=paid, fraction=D("0.5"), cash_in_lieu=D(12), sub_account="main")
    )
    assert account.lots("ACME") == [(D(1), D(20))]
    (sold,) = account.disposals
    assert (sold.quantity, sold.cost, sold.gain) == (D("0.5"), D(10), D(2))


def test_another_name_takes_the_lots_along() -> None:
    account = Account()
    account.told(deposited("3", "30"))
    renamed = (*moved("ACME", "-3"), *moved("ACMI", "3"))
    account.told(split(1, 1, postings=renamed, new_instrument="NYSE:ACMI"))
    assert (account.lots("ACME"), account.lots("ACMI")) == ([], [(D(3), D(30))])


def test_an_action_that_contradicts_another_changes_nothing() -> None:
    account = Account()
    account.told(deposited("3", "30"))
    account.told(split(2, 1, conflicts=True))
    assert account.lots("ACME") == [(D(3), D(30))]
