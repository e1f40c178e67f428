"""The postings of the log as a Beancount ledger, with every balance asserted at its end.

    sub-account `main`           Assets:<account>:Main
    another sub-account          Assets:<account>:S-<name>
    external                     Equity:<account>:External
    venue:<exchange>             Equity:<account>:V-<exchange>
    fees:<exchange>              Expenses:<account>:F-<exchange>
    rounding:<exchange>          Expenses:<account>:R-<exchange>
    income:<kind>                Income:<account>:I-<kind>
    transit:<transfer>           Assets:<account>:T-<transfer>
    what rounding leaves         Equity:<account>:Rounding

<account> is the account's id in upper case. Characters that Beancount does not allow in a name are
written as `-` and two hexadecimal digits. An asset that is no Beancount commodity (1INCH, usdt) is
written as `X-` and its name, escaped the same way; a `commodity` directive tells its own name.

The text follows from the events and the balances before them alone, so that an exported file can be
made again from the exported events and compared. What is locked for orders moves nothing and is not
in it. Dates are those of occurred_at.

Beancount reckons with 28 digits, the ledger with as many as it takes. Where an asset has balances
and decimals for more, its amounts are rounded half to even to the decimals that fit (`places`), in
this file only. What that leaves of a transaction is posted to Rounding; the `commodity` says so.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from itertools import chain
from types import MappingProxyType

from ledger.audit.export.files import CannotExport, Values
from ledger.kernel import money
from ledger.kernel.text import visible

Book = tuple[str, str, str]
"""Account id, book, asset."""
Balances = Mapping[Book, Decimal]
Move = tuple[Book, Decimal]

_COMMODITY = re.compile(r"[A-Z][A-Z0-9]*")
_OTHER_SIDES = {
    "venue": ("Equity", "V"),
    "fees": ("Expenses", "F"),
    "rounding": ("Expenses", "R"),
    "income": ("Income", "I"),
    "transit": ("Assets", "T"),
}
"""Where the books are that no sub-account is, by what stands before the colon."""
_EXTERNAL = "external"
_ROUNDING = "rounding:"
"""No book of the ledger: their names have something behind the colon."""
DIGITS = 27
"""That Beancount keeps, less one that rounding may carry into."""
NOT_ROUNDED: Mapping[str, int] = MappingProxyType({})
_ROUNDING_CONTEXT = Context(prec=100)
"""`money.exact` refuses to round. Enough for any amount."""


def places(events: Iterable[Values], opening: Balances) -> dict[str, int]:
    """The decimal places that fit, for each asset that has more. Inside `money.exact()`."""
    balances = dict(opening)
    largest: dict[str, Decimal] = {}
    needed: dict[str, int] = {}

    def note(moves: Iterable[Move]) -> None:
        moved: dict[str, Decimal] = {}
        for book, amount in moves:
            asset = book[2]
            moved[asset] = moved.get(asset, Decimal(0)) + abs(amount)
            largest[asset] = max(
                largest.get(asset, Decimal(0)), moved[asset], abs(balances.get(book, Decimal(0)))
            )
            needed[asset] = max(needed.get(asset, 0), _decimals(amount))

    for moves in _opening_moves(opening).values():
        note(moves)
    for event in events:
        moves = _moves(event)
        for book, amount in moves:
            balances[book] = balances.get(book, Decimal(0)) + amount
        note(moves)
    fitting = {asset: max(DIGITS - len(str(int(most))), 0) for asset, most in largest.items()}
    return {asset: fits for asset, fits in fitting.items() if needed[asset] > fits}


def _decimals(amount: Decimal) -> int:
    exponent = amount.normalize().as_tuple().exponent
    assert isinstance(exponent, int)  # amounts are finite
    return max(-exponent, 0)


def render(
    events: Iterable[Values], opening: Balances, rounded: Mapping[str, int] = NOT_ROUNDED
) -> Iterator[str]:
    """The lines of the ledger, with assets `rounded` to their places. Inside `money.exact()` of the
    caller."""
    balances: dict[Book, Decimal] = {}
    first_moves = {name: _round(moves, rounded) for name, moves in _opening_moves(opening).items()}
    _add(balances, chain.from_iterable(first_moves.values()))
    days: list[date] = []
    yield ";; Made from the events of a trading ledger: manifest.json says which.\n"
    yield 'option "title" "Trading ledger"\n\n'
    for event in events:
        moves = _round(_moves(event), rounded)
        if not moves:
            continue
        day = _day(event)
        days = [min([day, *days]), max([day, *days])]
        yield f"{day} * {_string(event['event_type'])}\n"
        yield f"  position: {event['position']}\n"
        yield f"  event: {_string(event['id'])}\n"
        _add(balances, moves)
        yield from map(_posting, moves)
        yield "\n"
    if days or balances:
        first, last = days or [date(1970, 1, 1)] * 2
        yield from _opened(first, balances, rounded)
        for moves in first_moves.values():
            yield f'{first} * "opening balances"\n'
            yield from map(_posting, moves)
            yield "\n"
        yield from _asserted(last + timedelta(days=1), balances)


def _round(moves: list[Move], rounded: Mapping[str, int]) -> list[Move]:
    """The moves of one transaction as they fit, and what is left."""
    if not rounded or not moves:
        return moves
    left: dict[str, Decimal] = {}
    fitting: list[Move] = []
    for book, amount in moves:
        fits = rounded.get(book[2])
        if fits is not None:
            amount = amount.quantize(Decimal(1).scaleb(-fits), ROUND_HALF_EVEN, _ROUNDING_CONTEXT)
            left[book[2]] = left.get(book[2], Decimal(0)) - amount
        fitting.append((book, amount))
    account_id = moves[0][0][0]
    fitting += [((account_id, _ROUNDING, asset), rest) for asset, rest in left.items() if rest]
    return fitting


def _add(balances: dict[Book, Decimal], moves: Iterable[Move]) -> None:
    for book, amount in moves:
        balances[book] = balances.get(book, Decimal(0)) + amount


def _posting(move: Move) -> str:
    book, amount = move
    return f"  {account(book)}  {money.plain(amount)} {commodity(book[2])}\n"


def _opening_moves(opening: Balances) -> dict[str, list[Move]]:
    """By account, what its books had."""
    moves: dict[str, list[Move]] = {}
    for book, amount in sorted(opening.items()):
        moves.setdefault(book[0], []).append((book, amount))
    return moves


def account(book: Book) -> str:
    """The Beancount account of a book."""
    account_id, name, _ = book
    root, sub = "Assets", f"S-{_escaped(name)}"
    if name == "main":
        sub = "Main"
    elif name == _EXTERNAL:
        root, sub = "Equity", "External"
    elif name == _ROUNDING:
        root, sub = "Equity", "Rounding"
    else:
        kind, colon, of = name.partition(":")
        if colon:
            root, letter = _OTHER_SIDES[kind]
            sub = f"{letter}-{_escaped(of)}"
    return f"{root}:{account_id.upper()}:{sub}"


def commodity(asset: str) -> str:
    """The Beancount commodity of an asset."""
    if _COMMODITY.fullmatch(asset):
        return asset
    return "X-" + re.sub(r"[^A-Z0-9]", lambda found: _hex(found[0]).upper(), asset)


def _string(text: str) -> str:
    shown = visible(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{shown}"'


def _escaped(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", lambda found: _hex(found[0]), name)


def _hex(character: str) -> str:
    return "".join(f"-{byte:02x}" for byte in character.encode())


def _moves(event: Values) -> list[Move]:
    if event["stream_type"] != "account":
        return []
    return [
        ((event["stream_id"], posting["book"], posting["asset"]), Decimal(posting["amount"]))
        for posting in event["event_data"].get("postings", [])
    ]


def _day(event: Values) -> date:
    try:
        return date.fromisoformat(event["occurred_at"][:10])
    except ValueError as error:
        raise CannotExport(
            f"event {event['id']} occurred at {event['occurred_at']}, which is no date to "
            "Beancount. Export as jsonl."
        ) from error


def _opened(day: date, balances: dict[Book, Decimal], rounded: Mapping[str, int]) -> Iterator[str]:
    for asset in sorted({asset for _, _, asset in balances}):
        if commodity(asset) != asset or asset in rounded:
            yield f"{day} commodity {commodity(asset)}\n  asset: {_string(asset)}\n"
        if asset in rounded:
            yield f"  rounded_to_places: {rounded[asset]}\n"
    for name in sorted({account(book) for book in balances}):
        yield f"{day} open {name}\n"
    yield "\n"


def _asserted(day: date, balances: Balances) -> Iterator[str]:
    for book, amount in sorted(balances.items()):
        yield f"{day} balance {account(book)}  {money.plain(amount)} ~ 0 {commodity(book[2])}\n"
