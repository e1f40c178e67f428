"""The postings of the log as a Beancount ledger, with every balance asserted at its end.

    sub-account `main`           Assets:<account>:Main
    another sub-account          Assets:<account>:S-<name>
    external                     Equity:<account>:External
    venue:<exchange>             Equity:<account>:V-<exchange>
    fees:<exchange>              Expenses:<account>:F-<exchange>

<account> is the account's id in upper case. Characters that Beancount does not allow in a name are
written as `-` and two hexadecimal digits. An asset that is no Beancount commodity (1INCH, usdt) is
written as `X-` and its name, escaped the same way; a `commodity` directive tells its own name.

The text follows from the events and the balances before them alone, so that an exported file can be
made again from the exported events and compared. What is locked for orders moves nothing and is not
in it. Dates are those of occurred_at.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from ledger.audit.export.files import CannotExport, Values
from ledger.kernel import money

Book = tuple[str, str, str]
"""Account id, book, asset."""
Balances = Mapping[Book, Decimal]

_COMMODITY = re.compile(r"[A-Z][A-Z0-9]*")
_EXTERNAL = "external"


def render(events: Iterable[Values], opening: Balances) -> Iterator[str]:
    """The lines of the ledger. Inside `money.exact()` of the caller."""
    balances = dict(opening)
    days: list[date] = []
    yield ";; Made from the events of a trading ledger: manifest.json says which.\n"
    yield 'option "title" "Trading ledger"\n\n'
    for event in events:
        postings = _postings(event)
        if not postings:
            continue
        day = _day(event)
        days = [min([day, *days]), max([day, *days])]
        yield f'{day} * "{event["event_type"]}"\n'
        yield f"  position: {event['position']}\n"
        yield f'  event: "{event["id"]}"\n'
        for posting in postings:
            book = (event["stream_id"], posting["book"], posting["asset"])
            amount = Decimal(posting["amount"])
            balances[book] = balances.get(book, Decimal(0)) + amount
            yield f"  {account(book)}  {money.plain(amount)} {commodity(book[2])}\n"
        yield "\n"
    if days or balances:
        first, last = days or [date(1970, 1, 1)] * 2
        yield from _opened(first, balances, opening)
        yield from _asserted(last + timedelta(days=1), balances)


def account(book: Book) -> str:
    """The Beancount account of a book."""
    account_id, name, _ = book
    root, sub = "Assets", f"S-{_escaped(name)}"
    if name == "main":
        sub = "Main"
    elif name == _EXTERNAL:
        root, sub = "Equity", "External"
    elif name.startswith("venue:"):
        root, sub = "Equity", f"V-{_escaped(name.removeprefix('venue:'))}"
    elif name.startswith("fees:"):
        root, sub = "Expenses", f"F-{_escaped(name.removeprefix('fees:'))}"
    return f"{root}:{account_id.upper()}:{sub}"


def commodity(asset: str) -> str:
    """The Beancount commodity of an asset."""
    if _COMMODITY.fullmatch(asset):
        return asset
    return "X-" + re.sub(r"[^A-Z0-9]", lambda found: _hex(found[0]).upper(), asset)


def _escaped(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", lambda found: _hex(found[0]), name)


def _hex(character: str) -> str:
    return "".join(f"-{byte:02x}" for byte in character.encode())


def _postings(event: Values) -> list[dict[str, Any]]:
    data = event["event_data"]
    return data.get("postings", []) if event["stream_type"] == "account" else []


def _day(event: Values) -> date:
    try:
        return date.fromisoformat(event["occurred_at"][:10])
    except ValueError as error:
        raise CannotExport(
            f"event {event['id']} occurred at {event['occurred_at']}, which is no date to "
            "Beancount. Export as jsonl."
        ) from error


def _opened(day: date, balances: Balances, opening: Balances) -> Iterator[str]:
    for asset in sorted({asset for _, _, asset in balances}):
        if commodity(asset) != asset:
            yield f'{day} commodity {commodity(asset)}\n  asset: "{asset}"\n'
    for name in sorted({account(book) for book in balances}):
        yield f"{day} open {name}\n"
    yield "\n"
    for account_id in sorted({book[0] for book in opening}):
        yield f'{day} * "opening balances"\n'
        for book, amount in sorted(opening.items()):
            if book[0] == account_id:
                yield f"  {account(book)}  {money.plain(amount)} {commodity(book[2])}\n"
        yield "\n"


def _asserted(day: date, balances: Balances) -> Iterator[str]:
    for book, amount in sorted(balances.items()):
        yield f"{day} balance {account(book)}  {money.plain(amount)} ~ 0 {commodity(book[2])}\n"
