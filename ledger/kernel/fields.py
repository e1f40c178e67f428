"""The fields of command data: how an amount, a time, a name must be written.

Amounts are strings (or JSON integers), never floats; times carry their zone; texts are bounded and
free of what PostgreSQL cannot store.

A field is read as one type and given as whatever can be taken for it: a quantity is a `Decimal`,
and "1" is as good when a command is made. Type checkers know that as `Given[what is read, what may
be given]`, without any plugin; `default` is how such a field gets a value that nobody gave.
"""

import re
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Generic, NamedTuple, TypeAlias, TypeVar
from uuid import UUID

from pydantic import Field, PlainValidator
from pydantic.json_schema import WithJsonSchema

from ledger.kernel import money
from ledger.kernel.text import is_plain
from ledger.kernel.time import parse_time

MAX_TEXT_LENGTH = 500
"""Characters of a reason, name or reference."""
MAX_SYMBOL_LENGTH = 64
"""Characters of an asset, and of an instrument's symbol at its venue: the longest that venues use,
of options and of tokens on chains, have about half of that."""
MAX_FEE_RATE = Decimal(1)
MAX_ALLOCATION_PERCENT = Decimal(100)
MAX_RISK_MULTIPLIER = Decimal(10)
MIN_LOSS_SHARE, MAX_LOSS_SHARE = Decimal("0.01"), Decimal("0.50")


class _Width(NamedTuple):
    """How many digits an amount may have before and after the point."""

    digits: int
    places: int


_ASKED = _Width(money.MAX_INTEGER_DIGITS, money.MAX_DECIMAL_PLACES)
_TOLD = _Width(money.MAX_INTEGER_DIGITS, money.MAX_TOLD_PLACES)
_MOVED = _Width(money.MAX_MOVED_DIGITS, money.MAX_MOVED_PLACES)


def _amount(value: object, width: _Width = _ASKED) -> Decimal:
    if isinstance(value, str):
        return money.parse(value, *width)
    if isinstance(value, int) and not isinstance(value, bool):
        return money.parse(str(value), *width)
    if isinstance(value, Decimal) and value.is_finite():  # from Python; JSON has none
        return money.parse(money.plain(value), *width)
    if isinstance(value, float):
        raise ValueError("a float is not exact: send the amount as a string")
    raise ValueError("send the amount as a string, like '0.5'")


def _positive(value: object, width: _Width = _ASKED) -> Decimal:
    amount = _amount(value, width)
    if amount <= 0:
        raise ValueError("must be greater than zero")
    return amount


def _not_negative(value: object) -> Decimal:
    amount = _amount(value)
    if amount < 0:
        raise ValueError("must not be negative")
    return amount


def _not_zero(value: object, width: _Width) -> Decimal:
    amount = _amount(value, width)
    if amount == 0:
        raise ValueError("must not be zero")
    return amount


def _told(value: object) -> Decimal:
    return _amount(value, _TOLD)


def _told_positive(value: object) -> Decimal:
    return _positive(value, _TOLD)


def _moved(value: object) -> Decimal:
    return _not_zero(value, _MOVED)


def _moved_positive(value: object) -> Decimal:
    return _positive(value, _MOVED)


def _cost(value: object) -> Decimal:
    amount = _amount(value, _MOVED)
    if amount < 0:
        raise ValueError("must not be negative")
    return amount


def _time(value: object) -> datetime:
    return parse_time(value.isoformat() if isinstance(value, datetime) else value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a string")
    if not 1 <= len(value) <= MAX_TEXT_LENGTH:
        raise ValueError(f"must have 1 to {MAX_TEXT_LENGTH} characters")
    if "\x00" in value:
        raise ValueError("must not contain the NUL character")
    return value


def _name(value: object) -> str:
    """What a market calls something: whatever a person can see and tell from another."""
    if not isinstance(value, str):
        raise ValueError("must be a string")
    if not 1 <= len(value) <= MAX_SYMBOL_LENGTH:
        raise ValueError(f"must have 1 to {MAX_SYMBOL_LENGTH} characters")
    if not is_plain(value) or " " in value:
        raise ValueError("must have visible characters only, and no space")
    if unicodedata.normalize("NFC", value) != value:
        raise ValueError("must be composed (Unicode NFC): it would look like another")
    return value


def _asset(value: object) -> str:
    name = _name(value)
    if ":" in name:
        raise ValueError("must not contain ':'")
    return name


def _instrument(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a string")
    venue, colon, symbol = value.partition(":")
    if not colon or not _VENUE.fullmatch(venue):
        raise ValueError("must be VENUE:SYMBOL, like 'BINANCE:BTCUSDT'")
    _name(symbol)
    return value


def _schema(**schema: Any) -> WithJsonSchema:
    return WithJsonSchema(schema)


Text = Annotated[
    str, PlainValidator(_text), _schema(type="string", minLength=1, maxLength=MAX_TEXT_LENGTH)
]
Asset = Annotated[
    str,
    PlainValidator(_asset),
    _schema(type="string", pattern=rf"^[^\s:]{{1,{MAX_SYMBOL_LENGTH}}}$"),
]
"""Any visible text without spaces and colons: `BTC`, `$WIF`."""
_EXCHANGE = r"[A-Za-z0-9_\-]{1,32}"
_VENUE = re.compile(_EXCHANGE)
Exchange = Annotated[str, Field(strict=True, pattern=rf"^{_EXCHANGE}$")]
Instrument = Annotated[
    str,
    PlainValidator(_instrument),
    _schema(type="string", pattern=rf"^{_EXCHANGE}:[^\s]{{1,{MAX_SYMBOL_LENGTH}}}$"),
]
"""`VENUE:SYMBOL`; the symbol is any visible text without spaces."""
StrategyId = Annotated[str, Field(strict=True, pattern=r"^[A-Za-z0-9._\-]{1,64}$")]
SubAccount = StrategyId
SourceName = StrategyId
"""Of who says something: a feed of a venue."""
VenueId = Annotated[str, PlainValidator(_text), _schema(type="string", minLength=1)]
"""An id that a venue or service made up: any text."""


TransferId = Annotated[str, Field(strict=True, pattern=r"^[A-Za-z0-9._\-]{1,128}$")]
"""Of a transfer between accounts: a UUID, a venue's number, the hash of a transaction."""
MAX_INFO_ENTRIES = 32
"""What is said beside a fact: a few of the venue's own words for it, and not a document."""


def _info(value: object) -> dict[str, object]:
    if not isinstance(value, dict) or len(value) > MAX_INFO_ENTRIES:
        raise ValueError(f"must be an object of at most {MAX_INFO_ENTRIES} entries")
    for name, said in value.items():
        _text(name)
        if isinstance(said, str):
            _text(said)
        elif said is not None and not isinstance(said, int):
            raise ValueError(f"{name} must be a text, a whole number, true, false or null")
    return value


Info = Annotated[
    dict[str, Any],
    PlainValidator(_info),
    _schema(
        type="object",
        maxProperties=MAX_INFO_ENTRIES,
        additionalProperties={"type": ["string", "integer", "boolean", "null"]},
    ),
]


def percent(value: object) -> Decimal:
    """A share in percent. Raises ValueError."""
    share = _positive(value)
    if share > MAX_ALLOCATION_PERCENT:
        raise ValueError(f"must be at most {MAX_ALLOCATION_PERCENT}")
    return share


def _loss_share(value: object) -> Decimal:
    """A share of its equity that an account may lose."""
    share = _amount(value)
    if not MIN_LOSS_SHARE <= share <= MAX_LOSS_SHARE:
        raise ValueError(f"must be {MIN_LOSS_SHARE} to {MAX_LOSS_SHARE}: 5 % is 0.05")
    return share


def multiplier(value: object) -> Decimal:
    """A multiplier of risk. Raises ValueError."""
    factor = _positive(value)
    if factor > MAX_RISK_MULTIPLIER:
        raise ValueError(f"must be at most {MAX_RISK_MULTIPLIER}")
    return factor


def default(value: object) -> Any:
    """The value of a field that is not given, of the type that is read."""
    return value


Choice_ = TypeVar("Choice_", bound=Enum)

if TYPE_CHECKING:
    Read = TypeVar("Read", covariant=True)
    Write = TypeVar("Write", covariant=True)

    class Given(Generic[Read, Write]):
        """A field that is read as one type and made of others. Nobody sets it later, so that a
        subclass may narrow it."""

        def __get__(self, instance: object, owner: object) -> Read: ...
        def __set__(self, instance: object, value: Write) -> None: ...  # type: ignore[misc]

    Amount: TypeAlias = Given[Decimal, Decimal | int | str]
    AmountOrNone: TypeAlias = Given[Decimal | None, Decimal | int | str | None]
    PositiveAmount: TypeAlias = Amount
    PositiveAmountOrNone: TypeAlias = AmountOrNone
    ToldAmount: TypeAlias = Amount
    ToldAmountOrNone: TypeAlias = AmountOrNone
    ToldPositive: TypeAlias = Amount
    ToldPositiveOrNone: TypeAlias = AmountOrNone
    MovedAmount: TypeAlias = Amount
    MovedPositive: TypeAlias = Amount
    MovedPositiveOrNone: TypeAlias = AmountOrNone
    Cost: TypeAlias = Amount
    CostOrNone: TypeAlias = AmountOrNone
    Rate: TypeAlias = Amount
    Percent: TypeAlias = Amount
    PercentOrNone: TypeAlias = AmountOrNone
    Multiplier: TypeAlias = Amount
    MultiplierOrNone: TypeAlias = AmountOrNone
    LossShareOrNone: TypeAlias = AmountOrNone
    Prices: TypeAlias = Given[dict[str, Decimal], Mapping[str, Decimal | int | str]]
    Time: TypeAlias = Given[datetime, datetime | str]
    TimeOrNone: TypeAlias = Given[datetime | None, datetime | str | None]
    Id: TypeAlias = Given[UUID, UUID | str]
    IdOrNone: TypeAlias = Given[UUID | None, UUID | str | None]
    Choice: TypeAlias = Given[Choice_, Choice_ | str]
    ChoiceOrNone: TypeAlias = Given[Choice_ | None, Choice_ | str | None]
else:

    def _as_text(width: _Width) -> WithJsonSchema:
        places = rf"(\.[0-9]{{1,{width.places}}})?"
        return _schema(type="string", pattern=rf"^-?[0-9]{{1,{width.digits}}}{places}$")

    _AS_TEXT = _as_text(_ASKED)
    _TIME_SCHEMA = _schema(type="string", format="date-time")

    PositiveAmount = Annotated[Decimal, PlainValidator(_positive), _AS_TEXT]
    PositiveAmountOrNone = PositiveAmount | None
    ToldAmount = Annotated[Decimal, PlainValidator(_told), _as_text(_TOLD)]
    """What a venue tells, zero and below too: a price, a commission (below zero it is a rebate)."""
    ToldAmountOrNone = ToldAmount | None
    ToldPositive = Annotated[Decimal, PlainValidator(_told_positive), _as_text(_TOLD)]
    ToldPositiveOrNone = ToldPositive | None
    MovedAmount = Annotated[Decimal, PlainValidator(_moved), _as_text(_MOVED)]
    """Money that comes or goes, signed; never nothing."""
    MovedPositive = Annotated[Decimal, PlainValidator(_moved_positive), _as_text(_MOVED)]
    MovedPositiveOrNone = MovedPositive | None
    Cost = Annotated[Decimal, PlainValidator(_cost), _as_text(_MOVED)]
    CostOrNone = Cost | None
    Rate = Annotated[Decimal, PlainValidator(_not_negative), _AS_TEXT]
    Percent = Annotated[Decimal, PlainValidator(percent), _AS_TEXT]
    PercentOrNone = Percent | None
    Multiplier = Annotated[Decimal, PlainValidator(multiplier), _AS_TEXT]
    MultiplierOrNone = Multiplier | None
    LossShareOrNone = Annotated[Decimal, PlainValidator(_loss_share), _AS_TEXT] | None
    Prices = dict[Instrument, ToldAmount]
    Time = Annotated[datetime, PlainValidator(_time), _TIME_SCHEMA]
    TimeOrNone = Time | None
    Id = UUID
    IdOrNone = UUID | None
    Choice = Annotated[Choice_, "a member, or its value as text"]
    ChoiceOrNone = Choice_ | None
