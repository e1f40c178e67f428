"""What postings and holds do to the books."""

from decimal import Decimal
from uuid import uuid4

from ledger.nouns.accounts.books import Change, changes, running
from ledger.nouns.accounts.events import HoldChange, Posting, Reason


def moved(book: str, asset: str, amount: str) -> Posting:
    return Posting(book=book, asset=asset, amount=Decimal(amount), reason=Reason.TRADE)


def held(sub_account: str, asset: str, amount: str) -> HoldChange:
    return HoldChange(
        order_id=uuid4(), sub_account=sub_account, asset=asset, amount=Decimal(amount)
    )


TRADE = (
    moved("main", "BTC", "2"),
    moved("venue:X", "BTC", "-2"),
    moved("main", "USDT", "-200"),
    moved("venue:X", "USDT", "200"),
    moved("main", "USDT", "-0.5"),
    moved("fees:X", "USDT", "0.5"),
)


def test_every_book_changes_once_however_often_it_is_touched() -> None:
    found = changes(TRADE, [held("main", "USDT", "-201"), held("grid", "USDT", "7")])
    assert found == {
        ("main", "BTC"): Change(Decimal(2), Decimal(0)),
        ("venue:X", "BTC"): Change(Decimal(-2), Decimal(0)),
        ("main", "USDT"): Change(Decimal("-200.5"), Decimal(-201)),
        ("venue:X", "USDT"): Change(Decimal(200), Decimal(0)),
        ("fees:X", "USDT"): Change(Decimal("0.5"), Decimal(0)),
        ("grid", "USDT"): Change(Decimal(0), Decimal(7)),
    }
    assert found["main", "USDT"].available == Decimal("0.5")


def test_each_posting_is_shown_with_what_its_book_holds_after_it() -> None:
    totals = {("main", "USDT"): Decimal(1000)}
    shown = [total for posting, total in running(TRADE, totals) if posting.book == "main"]
    assert shown == [Decimal(2), Decimal(800), Decimal("799.5")]
    assert totals["main", "USDT"] == Decimal("799.5")
    assert totals["fees:X", "USDT"] == Decimal("0.5")
