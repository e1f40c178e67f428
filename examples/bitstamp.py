"""The feed of `replay_bitstamp`, and what follows from it. Pure; the two halves know nothing of
each other:

    Translator      row by row, as the feed comes: what a gateway would tell the ledger
    expected        the whole file at once, order by order: what the ledger must show in the end

A row is an order's state at a moment: `created` with its volume, `changed` with what remains after
a partial fill (or with another price), `deleted` when it left the book: with volume 0 because it
was filled, with more because that much was cancelled.

The dirt, and how it is read:

- deleted twice: the second is reported too. If nothing more was filled meanwhile it changes
  nothing, and the ledger flags it as late.
- first seen when it is changed or deleted: an order placed before the file began. The row tells
  instrument, side, price and what is left of the order, so the ledger records it as an external
  order of that size; how large it once was is not in the file. If it was deleted with volume 0 the
  row tells no size at all, and the ledger answers UNKNOWN_ORDER.
- created after it was deleted (the feed overtook itself): the ledger knows the order from the
  deletion and refuses the submission: ORDER_ALREADY_EXISTS. If the deletion told no size, the
  order is submitted, and filled at once.
- more remaining than was told before: an older message. What remains never grows, so there is
  nothing in it to report.
- times out of order: `occurred_at` is the exchange's time as it is; positions give the order.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import accumulate, pairwise
from typing import NamedTuple

INSTRUMENT = "BITSTAMP:BTCUSD"
VOLUME_PLACES = 8
"""The file's volumes are in 1e-8 BTC."""
PRICE_PLACES = 2


class UnreadableRow(ValueError):
    """A row is not as the format says."""


class Row(NamedTuple):
    """One line of the file. `number` counts from 1; `price` is in cents, `volume` in satoshi."""

    number: int
    order: str
    time: datetime
    price: int
    volume: int
    action: str
    side: str


class Message(NamedTuple):
    """A command to send about an order of the file."""

    order: str
    type: str
    time: datetime
    data: dict[str, str]


_SIDES = {"bid": "BUY", "ask": "SELL"}
_ACTIONS = {"created", "changed", "deleted"}


def read_row(number: int, line: dict[str, str]) -> Row:
    """The row of a line of the file. Raises UnreadableRow."""
    try:
        row = Row(
            number=number,
            order=line["id"],
            time=datetime.fromtimestamp(int(line["exchange.timestamp"]) / 1000, UTC),
            price=int(Decimal(line["price"]).scaleb(PRICE_PLACES)),
            volume=int(Decimal(line["volume"])),
            action=line["action"],
            side=_SIDES[line["direction"]],
        )
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise UnreadableRow(
            f"row {number} is not of an order file like Bitstamp's "
            f"({type(error).__name__}: {error}): {line}"
        ) from error
    told = row.volume > 0 or (row.volume == 0 and row.action != "created")
    if row.action not in _ACTIONS or not told or row.price <= 0 or not row.order.isdecimal():
        raise UnreadableRow(f"row {number} has an id, action, volume or price that is none: {line}")
    return row


def btc(volume: int) -> str:
    return format(Decimal(volume).scaleb(-VOLUME_PLACES), "f")


def usd(price: int) -> str:
    return format(Decimal(price).scaleb(-PRICE_PLACES), "f")


# --- row by row -----------------------------------------------------------------------


@dataclass
class _Known:
    """What the feed has told of an order so far. `size_known` is whether the ledger could
    record it."""

    price: int
    remaining: int
    size_known: bool
    fills: int = 0


class Translator:
    """Remembers what the feed told of each order."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}

    def messages(self, row: Row) -> Iterator[Message]:
        """What to tell the ledger because of the row."""
        known = self._known.get(row.order)
        if row.action == "created":
            yield from self._created(row, known)
        elif known is None or not known.size_known:
            yield from self._first_seen(row, gone=known is not None)
        else:
            yield from self._changed(row, known)

    def _created(self, row: Row, known: _Known | None) -> Iterator[Message]:
        yield _message(
            row,
            "SubmitOrder",
            instrument=INSTRUMENT,
            side=row.side,
            order_type="LIMIT",
            quantity=btc(row.volume),
            price=usd(row.price),
            client_order_id=row.order,
        )
        yield _message(row, "AcceptOrder", venue_order_id=row.order)
        if known is None:
            self._known[row.order] = _Known(row.price, row.volume, size_known=True)
        elif not known.size_known:  # told as filled, before it was told as created
            known = _Known(row.price, row.volume, size_known=True)
            self._known[row.order] = known
            yield from _filled_down_to(row, known, 0)

    def _first_seen(self, row: Row, *, gone: bool) -> Iterator[Message]:
        """`gone`: an earlier row told that nothing remains, but not of how much."""
        known = _Known(row.price, row.volume, size_known=row.volume > 0)
        self._known[row.order] = known
        command_type = "CancelOrder" if row.action == "deleted" and not gone else "AcceptOrder"
        if not known.size_known:
            yield _message(row, command_type)
            return
        yield _message(
            row,
            command_type,
            instrument=INSTRUMENT,
            side=row.side,
            quantity=btc(row.volume),
            price=usd(row.price),
            venue_order_id=row.order,
        )
        if gone:
            yield from _filled_down_to(row, known, 0)

    def _changed(self, row: Row, known: _Known) -> Iterator[Message]:
        if row.price != known.price:
            known.price = row.price
            yield _message(row, "ReplaceOrder", price=usd(row.price))
        yield from _filled_down_to(row, known, row.volume)
        if row.action == "deleted" and row.volume > 0:
            yield _message(row, "CancelOrder")


def _filled_down_to(row: Row, known: _Known, remaining: int) -> Iterator[Message]:
    """The fill that explains what remains, if it is less than before."""
    filled = known.remaining - remaining
    if filled <= 0:
        return
    known.remaining = remaining
    known.fills += 1
    yield _message(
        row,
        "RecordFill",
        trade_id=f"{row.order}-{known.fills}",
        last_qty=btc(filled),
        last_px=usd(row.price),
    )


def _message(row: Row, command_type: str, **data: str) -> Message:
    return Message(row.order, command_type, row.time, data)


# --- all at once ----------------------------------------------------------------------


class Expected(NamedTuple):
    """What the ledger must show of one order: amounts in satoshi, prices in cents."""

    side: str
    status: str
    quantity: int
    filled: int
    cancelled: int
    open: int
    price: int
    """Of what is open."""
    cost: int
    """Of what is filled, in cents × satoshi."""
    created: bool


def expected(rows: Iterable[Row]) -> dict[str, Expected]:
    """What must be, from the rows of each order taken together. Orders whose size no row tells
    are not in it."""
    by_order: dict[str, list[Row]] = {}
    for row in rows:
        by_order.setdefault(row.order, []).append(row)
    return {
        order: _expected(history)
        for order, history in by_order.items()
        if any(row.volume > 0 for row in history)
    }


def _expected(history: list[Row]) -> Expected:
    begin = next(place for place, row in enumerate(history) if row.volume > 0)
    first = history[begin]
    later = [row for row in history[begin + 1 :] if row.action != "created"]
    told = [first, *([first._replace(volume=0)] if begin else []), *later]
    lowest = list(accumulate((row.volume for row in told), min))
    deleted = next((place for place, row in enumerate(told) if row.action == "deleted"), None)
    left = lowest[-1]
    if lowest[-1 if deleted is None else deleted] == 0 or begin:
        status = "FILLED"
    elif deleted is not None:
        status = "CANCELLED"
    else:
        status = "PARTIALLY_FILLED" if left < first.volume else "NEW"
    return Expected(
        side=first.side,
        status=status,
        quantity=first.volume,
        filled=first.volume - left,
        cancelled=left if status == "CANCELLED" else 0,
        open=left if deleted is None else 0,
        price=told[-1].price,
        cost=sum(
            (before - after) * row.price
            for row, (before, after) in zip(told[1:], pairwise(lowest), strict=True)
        ),
        created=any(row.action == "created" for row in history),
    )


def refusals(rows: Iterable[Row]) -> Counter[str]:
    """The refusals that the dirt must lead to, by code."""
    codes: Counter[str] = Counter()
    size_known: dict[str, bool] = {}
    for row in rows:
        known = size_known.get(row.order, False)
        if row.action == "created":
            codes["ORDER_ALREADY_EXISTS"] += known
        elif not known:
            codes["UNKNOWN_ORDER"] += row.volume == 0
        size_known[row.order] = known or row.volume > 0
    return +codes


def funds_needed(rows: Iterable[Row]) -> tuple[str, str]:
    """BTC and USD that are enough for every order of the file to be filled."""
    largest: dict[str, tuple[str, int, int]] = {}
    for row in rows:
        _, volume, price = largest.get(row.order, ("", 0, 0))
        largest[row.order] = (row.side, max(volume, row.volume), max(price, row.price))
    sold = sum(volume for side, volume, _ in largest.values() if side == "SELL")
    spent = sum(volume * price for side, volume, price in largest.values() if side == "BUY")
    return btc(sold), format(Decimal(spent).scaleb(-VOLUME_PLACES - PRICE_PLACES), "f")
