"""The fields of command data: how an amount, a time, a name must be written.

Amounts are strings (or JSON integers), never floats; times carry their zone; texts are bounded and
free of what PostgreSQL cannot store.

A field is read as one type and given as whatever can be taken for it: a quantity is a `Decimal`,
and "1" is as good when a command is made. Type checkers know that as `Given[what is read, what may
be given]`, without any plugin; `default` is how such a field gets a value that nobody gave.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeAlias, TypeVar
from uuid import UUID

from pydantic import Field, PlainValidator
from pydantic.json_schema import WithJsonSchema

from ledger.kernel import money
from ledger.kernel.time import parse_time

MAX_TEXT_LENGTH = 500
"""Characters of a reason, name or reference."""
MAX_FEE_RATE = Decimal(1)
MAX_ALLOCATION_PERCENT = Decimal(100)
MAX_RISK_MULTIPLIER = Decimal(10)

_AMOUNT_SCHEMA = {
    "type": "string",
    "pattern": rf"^-?[0-9]{{1,{money.MAX_INTEGER_DIGITS}}}"
    rf"(\.[0-9]{{1,{money.MAX_DECIMAL_PLACES}}})?$",
}


def _amount(value: object) -> Decimal:
    if isinstance(value, str):
        return money.parse(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return money.parse(str(value))
    if isinstance(value, Decimal) and value.is_finite():  # from Python; JSON has none
        return money.parse(money.plain(value))
    if isinstance(value, float):
        raise ValueError("a float is not exact: send the amount as a string")
    raise ValueError("send the amount as a string, like '0.5'")


def _positive(value: object) -> Decimal:
    amount = _amount(value)
    if amount <= 0:
        raise ValueError("must be greater than zero")
    return amount


def _not_negative(value: object) -> Decimal:
    amount = _amount(value)
    if amount < 0:
        raise ValueError("must not be negative")
    return amount


def _not_zero(value: object) -> Decimal:
    amount = _amount(value)
    if amount == 0:
        raise ValueError("must not be zero")
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


def _schema(**schema: Any) -> WithJsonSchema:
    return WithJsonSchema(schema)


Text = Annotated[
    str, PlainValidator(_text), _schema(type="string", minLength=1, maxLength=MAX_TEXT_LENGTH)
]
Asset = Annotated[str, Field(strict=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9._\-]{0,31}$")]
Exchange = Annotated[str, Field(strict=True, pattern=r"^[A-Za-z0-9_\-]{1,32}$")]
Instrument = Annotated[
    str, Field(strict=True, pattern=r"^[A-Za-z0-9_\-]{1,32}:[A-Za-z0-9._/:\-]{1,64}$")
]
"""`VENUE:SYMBOL`."""
StrategyId = Annotated[str, Field(strict=True, pattern=r"^[A-Za-z0-9._\-]{1,64}$")]
SubAccount = StrategyId
SourceName = StrategyId
"""Of who says something: a feed of a venue."""
VenueId = Annotated[str, PlainValidator(_text), _schema(type="string", minLength=1)]
"""An id that a venue or service made up: any text."""


def percent(value: object) -> Decimal:
    """A share in percent. Raises ValueError."""
    share = _positive(value)
    if share > MAX_ALLOCATION_PERCENT:
        raise ValueError(f"must be at most {MAX_ALLOCATION_PERCENT}")
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
    Commission: TypeAlias = Amount
    Rate: TypeAlias = Amount
    Percent: TypeAlias = Amount
    PercentOrNone: TypeAlias = AmountOrNone
    Multiplier: TypeAlias = Amount
    MultiplierOrNone: TypeAlias = AmountOrNone
    Prices: TypeAlias = Given[dict[str, Decimal], Mapping[str, Decimal | int | str]]
    Time: TypeAlias = Given[datetime, datetime | str]
    TimeOrNone: TypeAlias = Given[datetime | None, datetime | str | None]
    Id: TypeAlias = Given[UUID, UUID | str]
    IdOrNone: TypeAlias = Given[UUID | None, UUID | str | None]
    Choice: TypeAlias = Given[Choice_, Choice_ | str]
    ChoiceOrNone: TypeAlias = Given[Choice_ | None, Choice_ | str | None]
else:
    _AS_TEXT = WithJsonSchema(_AMOUNT_SCHEMA)
    _TIME_SCHEMA = _schema(type="string", format="date-time")

    Amount = Annotated[Decimal, PlainValidator(_not_zero), _AS_TEXT]
    PositiveAmount = Annotated[Decimal, PlainValidator(_positive), _AS_TEXT]
    PositiveAmountOrNone = PositiveAmount | None
    Commission = Annotated[Decimal, PlainValidator(_amount), _AS_TEXT]
    """May be negative: a maker's rebate."""
    Rate = Annotated[Decimal, PlainValidator(_not_negative), _AS_TEXT]
    Percent = Annotated[Decimal, PlainValidator(percent), _AS_TEXT]
    PercentOrNone = Percent | None
    Multiplier = Annotated[Decimal, PlainValidator(multiplier), _AS_TEXT]
    MultiplierOrNone = Multiplier | None
    Price = Annotated[Decimal, PlainValidator(_amount), _AS_TEXT]
    """Any number: what must be paid to be rid of has a price below zero."""
    Prices = dict[Instrument, Price]
    Time = Annotated[datetime, PlainValidator(_time), _TIME_SCHEMA]
    TimeOrNone = Time | None
    Id = UUID
    IdOrNone = UUID | None
    Choice = Annotated[Choice_, "a member, or its value as text"]
    ChoiceOrNone = Choice_ | None
