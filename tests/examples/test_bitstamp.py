"""How the rows of an order file are read: told row by row, and counted all at once."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid5

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from examples.bitstamp import (
    Expected,
    Message,
    Row,
    Translator,
    UnreadableRow,
    btc,
    expected,
    funds_needed,
    read_row,
    refusals,
)
from ledger.kernel.event import Event
from ledger.kernel.money import exact
from ledger.nouns.orders import facts as order_facts
from ledger.nouns.orders import rules as order_rules
from ledger.nouns.orders import state as order_state
from ledger.nouns.orders.events import OrderType, Side, SubmitTerms
from ledger.nouns.orders.state import OrderState

BEGIN = datetime(2020, 2, 2, tzinfo=UTC)
ACCOUNT = UUID("018f0000-0000-7000-8000-0000000000aa")


def rows(*told: tuple[str, int] | tuple[str, int, int], side: str = "BUY") -> list[Row]:
    """Rows of order 7: action and volume, and the price in cents if it is not 100."""
    return [
        Row(
            number=number,
            order="7",
            time=BEGIN + timedelta(seconds=number),
            price=rest[0] if rest else 100,
            volume=volume,
            action=action,
            side=side,
        )
        for number, (action, volume, *rest) in enumerate(told, 1)
    ]


def messages(history: list[Row]) -> list[Message]:
    translator = Translator()
    return [message for row in history for message in translator.messages(row)]


def types(history: list[Row]) -> list[str]:
    return [message.type for message in messages(history)]


def test_a_line_is_read_in_cents_and_satoshi() -> None:
    row = read_row(
        3,
        {
            "id": "12",
            "timestamp": "1580601601250",
            "exchange.timestamp": "1580601600000",
            "price": "9876.50",
            "volume": "150000000",
            "action": "created",
            "direction": "ask",
        },
    )
    assert row == Row(3, "12", BEGIN, 987_650, 150_000_000, "created", "SELL")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("price", "cheap"),
        ("price", "0"),
        ("volume", "-1"),
        ("volume", "0"),
        ("action", "bought"),
        ("direction", "up"),
        ("exchange.timestamp", "noon"),
        ("id", "x"),
    ],
)
def test_a_line_of_another_kind_is_refused_by_its_number(column: str, value: str) -> None:
    line = {
        "id": "12",
        "exchange.timestamp": "1580601600000",
        "price": "1.00",
        "volume": "5",
        "action": "created",
        "direction": "bid",
    }
    with pytest.raises(UnreadableRow, match="row 9 "):
        read_row(9, line | {column: value})


def test_what_is_missing_since_the_last_row_is_a_fill_at_the_orders_price() -> None:
    told = messages(rows(("created", 500), ("changed", 300), ("deleted", 0)))
    assert [message.type for message in told] == [
        "SubmitOrder",
        "AcceptOrder",
        "RecordFill",
        "RecordFill",
    ]
    assert [message.data.get("last_qty") for message in told[2:]] == ["0.00000200", "0.00000300"]
    assert {message.data["last_px"] for message in told[2:]} == {"1.00"}


def test_each_fill_of_an_order_has_a_trade_id_that_is_the_same_in_every_replay() -> None:
    history = rows(("created", 500), ("changed", 300), ("deleted", 0))
    ids = [message.data["trade_id"] for message in messages(history) if "trade_id" in message.data]
    assert ids == ["7-1", "7-2"]


def test_an_order_deleted_with_something_left_is_cancelled_twice_if_it_is_told_twice() -> None:
    assert types(rows(("created", 500), ("deleted", 500), ("deleted", 500))) == [
        "SubmitOrder",
        "AcceptOrder",
        "CancelOrder",
        "CancelOrder",
    ]


def test_another_price_is_a_replace_before_the_fill() -> None:
    history = rows(("created", 500), ("changed", 400, 102))
    assert types(history)[2:] == ["ReplaceOrder", "RecordFill"]
    assert messages(history)[3].data["last_px"] == "1.02"


def test_an_order_that_was_never_created_is_told_with_what_the_row_knows_of_it() -> None:
    [cancelled] = messages(rows(("deleted", 500)))
    assert cancelled.type == "CancelOrder"
    assert cancelled.data["quantity"] == "0.00000500"
    assert cancelled.data["side"] == "BUY"


def test_an_order_whose_size_no_row_tells_cannot_be_counted() -> None:
    history = rows(("deleted", 0))
    assert messages(history)[0].data == {}
    assert refusals(history) == {"UNKNOWN_ORDER": 1}
    assert expected(history) == {}


def test_the_funds_are_enough_for_everything_to_be_filled_at_its_highest_price() -> None:
    bid = rows(("created", 200_000_000), ("changed", 200_000_000, 150))
    ask = [row._replace(order="8", side="SELL") for row in rows(("created", 300_000_000))]
    assert [Decimal(amount) for amount in funds_needed(bid + ask)] == [3, 3]


# --- both readings agree --------------------------------------------------------------

histories = st.lists(
    st.one_of(
        st.tuples(st.just("created"), st.integers(1, 5), st.sampled_from((100, 101))),
        st.tuples(
            st.sampled_from(("changed", "deleted")),
            st.integers(0, 5),
            st.sampled_from((100, 101)),
        ),
    ),
    min_size=1,
    max_size=6,
)


@given(histories)
@example([("created", 5, 100), ("deleted", 0, 100), ("changed", 3, 100)])
@example([("deleted", 4, 100), ("created", 4, 100)])
@example([("deleted", 0, 100), ("created", 4, 100)])
@example([("created", 5, 100), ("deleted", 5, 100), ("deleted", 2, 100)])
def test_what_is_told_row_by_row_ends_as_counted_all_at_once(
    told: list[tuple[str, int, int]],
) -> None:
    history = rows(*told)
    with exact():
        state, refused = folded(messages(history))
    counted = expected(history).get("7")
    assert refused == refusals(history)
    assert (state is None) == (counted is None)
    if state is not None and counted is not None:
        assert summary(state) == (
            counted.status,
            *(Decimal(btc(amount)) for amount in (counted.quantity, counted.filled)),
            Decimal(btc(counted.cancelled + counted.open)),
        )
        assert (counted.open > 0) == (not state.status.is_terminal)
        assert counted.cancelled == 0 or counted.open == 0
        assert_costs(state, counted)


def folded(told: list[Message]) -> tuple[OrderState | None, dict[str, int]]:
    """The order as the ledger's rules make it of the messages, and the refusals."""
    state: OrderState | None = None
    refused: dict[str, int] = {}
    for message in told:
        data = message.data
        code = None
        if message.type == "SubmitOrder" and state is not None:
            code = "ORDER_ALREADY_EXISTS"
        elif message.type != "SubmitOrder" and state is None and "quantity" not in data:
            code = "UNKNOWN_ORDER"
        if code is not None:
            refused[code] = refused.get(code, 0) + 1
            continue
        if state is None:
            state = evolved(None, begun(data, external=message.type != "SubmitOrder"))
        state = evolved(state, follows(state, message))
    return state, refused


def begun(data: dict[str, str], *, external: bool) -> tuple[Event, ...]:
    terms: SubmitTerms = {
        "account_id": ACCOUNT,
        "instrument": "X:BTCUSD",
        "base_asset": "BTC",
        "quote_asset": "USD",
        "side": Side(data["side"]),
        "order_type": OrderType.LIMIT,
        "sub_account": "main",
        "quantity": Decimal(data["quantity"]),
        "price": Decimal(data["price"]),
    }
    return (
        order_facts.report(**terms)
        if external
        else order_rules.submit(None, order_id=ACCOUNT, **terms)
    )


def follows(state: OrderState, message: Message) -> tuple[Event, ...]:
    data = message.data
    match message.type:
        case "AcceptOrder":
            return order_facts.accept(state)
        case "CancelOrder":
            return order_facts.cancel(state)
        case "ReplaceOrder":
            return order_facts.replace(state, price=Decimal(data["price"]))
        case "RecordFill":
            return order_facts.fill(
                state,
                trade_id=data["trade_id"],
                last_qty=Decimal(data["last_qty"]),
                last_px=Decimal(data["last_px"]),
            )
        case _:
            return ()


def evolved(state: OrderState | None, events: tuple[Event, ...]) -> OrderState:
    for event in events:
        state = order_state.evolve(state, event, uuid5(ACCOUNT, "7"))
    assert state is not None
    return state


def summary(state: OrderState) -> tuple[str, Decimal, Decimal, Decimal]:
    """Status, quantity, filled, and the rest."""
    assert state.quantity is not None
    return (state.status.value, state.quantity, state.cum_qty, state.quantity - state.cum_qty)


def assert_costs(state: OrderState, counted: Expected) -> None:
    assert state.cum_quote == Decimal(counted.cost).scaleb(-10)
    if counted.open:
        assert state.price == Decimal(counted.price).scaleb(-2)
