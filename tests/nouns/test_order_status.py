"""The table of an order's life."""

from itertools import product

import pytest

from ledger.nouns.orders.status import TRANSITIONS, Happening, OrderStatus


@pytest.mark.parametrize(("status", "happening"), list(product(OrderStatus, Happening)))
def test_nothing_leads_out_of_a_terminal_status(status: OrderStatus, happening: Happening) -> None:
    if status.is_terminal:
        assert (status, happening) not in TRANSITIONS


@pytest.mark.parametrize("status", [s for s in OrderStatus if not s.is_terminal])
@pytest.mark.parametrize(
    ("happening", "follows"),
    [
        (Happening.WHOLLY_FILLED, {OrderStatus.FILLED}),
        (Happening.PARTLY_FILLED, {OrderStatus.PARTIALLY_FILLED}),
        (Happening.CANCELLED, {OrderStatus.CANCELLED}),
        (Happening.EXPIRED, {OrderStatus.EXPIRED}),
        (Happening.REJECTED, {OrderStatus.REJECTED, OrderStatus.CANCELLED}),
    ],
)
def test_every_open_order_can_trade_and_end(
    status: OrderStatus, happening: Happening, follows: set[OrderStatus]
) -> None:
    assert TRANSITIONS[status, happening] in follows


def test_nothing_leads_back_to_pending() -> None:
    assert OrderStatus.PENDING not in TRANSITIONS.values()


def test_both_spellings_of_cancelled_are_read_and_one_is_written() -> None:
    assert OrderStatus("CANCELED") is OrderStatus.CANCELLED
    assert OrderStatus("CANCELED").value == "CANCELLED"
