"""The fields of command data: how an amount, a time, a name must be written.

Amounts are strings (or JSON integers), never floats; times carry their zone; texts are bounded and
free of what PostgreSQL cannot store.
"""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field, PlainValidator
from pydantic.json_schema import WithJsonSchema

from ledger.kernel import money
from ledger.kernel.time import parse_time

MAX_TEXT_LENGTH = 500
"""Characters of a reason, name or reference."""
MAX_FEE_RATE = Decimal(1)

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


Amount = Annotated[Decimal, PlainValidator(_not_zero), WithJsonSchema(_AMOUNT_SCHEMA)]
PositiveAmount = Annotated[Decimal, PlainValidator(_positive), WithJsonSchema(_AMOUNT_SCHEMA)]
Commission = Annotated[Decimal, PlainValidator(_amount), WithJsonSchema(_AMOUNT_SCHEMA)]
"""May be negative: a maker's rebate."""
Rate = Annotated[Decimal, PlainValidator(_not_negative), WithJsonSchema(_AMOUNT_SCHEMA)]
Time = Annotated[datetime, PlainValidator(parse_time), _schema(type="string", format="date-time")]
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
VenueId = Annotated[str, PlainValidator(_text), _schema(type="string", minLength=1)]
"""An id that a venue or service made up: any text."""
