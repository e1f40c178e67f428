"""Rows of answers as a DataFrame, every amount with all of its digits.

    rows = await ledger.queries.equity.frame(account_id, grain="DAY")
    rows.select("time", "equity", "profit")

Needs the extra `frames` (polars). Amounts become polars' Decimal, which has 38 digits; a column in
which one has more becomes text, and no digit is lost. Times are UTC; ids and members of closed sets
are texts, and so is what has parts (as JSON).
"""

import importlib
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from types import NoneType
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints
from uuid import UUID

import msgspec

from ledger.kernel.errors import LedgerError
from ledger.kernel.money import plain

if TYPE_CHECKING:
    import polars

DIGITS = 38
"""Of polars' Decimal."""


class FramesMissing(LedgerError):
    """The library for DataFrames is not installed."""


def frame(rows: Sequence[msgspec.Struct], row: type[Any]) -> "polars.DataFrame":
    """The rows, which are of the type `row`, with its fields as columns. Raises FramesMissing."""
    try:
        library: Any = importlib.import_module("polars")
    except ImportError as error:
        raise FramesMissing(
            "DataFrames need polars: pip install 'trading-ledger[frames]'"
        ) from error
    hints = get_type_hints(row)
    columns = {}
    for name in row.__struct_fields__:
        values = [getattr(one, name) for one in rows]
        columns[name] = _column(library, name, _kind(hints[name]), values)
    made: polars.DataFrame = library.DataFrame(columns)
    return made


def _kind(hint: Any) -> Any:
    kinds = [kind for kind in get_args(hint) if kind is not NoneType]
    if NoneType in get_args(hint) and len(kinds) == 1:
        return kinds[0]
    return get_origin(hint) or hint


def _column(library: Any, name: str, kind: Any, values: list[Any]) -> Any:
    if kind is Decimal:
        return _amounts(library, name, values)
    if kind is datetime:
        return library.Series(name, values, library.Datetime("us", "UTC"))
    for plain_kind, stored in ((bool, library.Boolean), (int, library.Int64)):
        if kind is plain_kind:
            return library.Series(name, values, stored)
    return library.Series(name, [_text(value) for value in values], library.String)


def _amounts(library: Any, name: str, values: list[Decimal | None]) -> Any:
    known = [value for value in values if value is not None]
    places = max((-int(value.as_tuple().exponent) for value in known), default=0)
    places = max(places, 0)
    whole = max((value.adjusted() + 1 for value in known if value), default=1)
    if places + max(whole, 1) > DIGITS:
        texts = [None if value is None else plain(value) for value in values]
        return library.Series(name, texts, library.String)
    return library.Series(name, values, library.Decimal(DIGITS, places))


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return str(value) if isinstance(value, str | UUID) else msgspec.json.encode(value).decode()
