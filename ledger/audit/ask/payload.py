"""Conditions on payloads: `data.symbol == "BTCUSDT" and data.last_qty > 0.5`.

    condition   field operator value, several joined by `and`
    field       data.<name>.<name>… (the payload) or metadata.<name>…
    operator    == != < <= > >=
    value       a JSON string, number, true, false or null

A number compares with what is written as one, so amounts, which are stored as strings, are
compared as numbers. `== null` means that the field is absent; the other operators ask for a field
that is there. What was given reaches the database as parameters only.
"""

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

import orjson
from psycopg import sql

from ledger.kernel.errors import LedgerError

_FIELD = r"(?P<field>(?:data|metadata)(?:\.[A-Za-z_][A-Za-z0-9_]*)+)"
_VALUE = r'(?P<value>"(?:[^"\\]|\\.)*"|-?[0-9]+(?:\.[0-9]+)?|true|false|null)'
_CONDITION = re.compile(rf"\s*{_FIELD}\s*(?P<operator>==|!=|<=|>=|<|>)\s*{_VALUE}\s*")
_AND = re.compile(r"and\b")
_COLUMNS = {"data": "event_data", "metadata": "metadata"}
_NUMBER = r"^-?[0-9]+(\.[0-9]+)?$"
_SQL_OPERATORS = {
    "==": sql.SQL("="),
    "!=": sql.SQL("<>"),
    "<": sql.SQL("<"),
    "<=": sql.SQL("<="),
    ">": sql.SQL(">"),
    ">=": sql.SQL(">="),
}


class InvalidCondition(LedgerError, ValueError):
    """The text is not a condition."""


class Condition(NamedTuple):
    """One comparison. `value` is a string, a Decimal, a bool or None."""

    column: str
    path: tuple[str, ...]
    operator: str
    value: str | Decimal | bool | None


def parse(text: str) -> tuple[Condition, ...]:
    """The conditions, all of which must hold. Raises InvalidCondition."""
    return tuple(_conditions(text))


def _conditions(text: str) -> Iterator[Condition]:
    place = 0
    while True:
        match = _CONDITION.match(text, place)
        if match is None:
            raise InvalidCondition(
                f"{text[place:].strip() or text!r} is not a condition: write one like "
                'data.instrument == "BINANCE:BTCUSDT" and data.last_qty > 0.5'
            )
        root, *path = match["field"].split(".")
        value = _value(match["value"])
        if match["operator"] not in ("==", "!=") and isinstance(value, bool | None):
            raise InvalidCondition(f"{match['value']} has no order: compare it with == or !=")
        yield Condition(_COLUMNS[root], tuple(path), match["operator"], value)
        place = match.end()
        if place == len(text):
            return
        following = _AND.match(text, place)
        if following is None:
            raise InvalidCondition(f"`and` is missing before {text[place:]!r}")
        place = following.end()


def _value(text: str) -> str | Decimal | bool | None:
    if text[0] in "-0123456789":
        return Decimal(text)
    try:
        value: str | bool | None = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidCondition(f"{text} is not a JSON string: {error}") from error
    if isinstance(value, str) and "\x00" in value:
        raise InvalidCondition(f"{text} has the NUL character, which no event has")
    return value


def to_sql(condition: Condition, name: str, parameters: dict[str, Any]) -> sql.Composed:
    """The condition as SQL; what it compares with is put into `parameters` under names that
    begin with `name`."""
    column, path, operator, value = condition
    parameters[f"{name}_path"] = list(path)
    field = sql.SQL("({} #>> %({})s)").format(sql.Identifier(column), _name(name, "path"))
    if value is None:
        absent = sql.SQL("IS NULL") if operator == "==" else sql.SQL("IS NOT NULL")
        return sql.SQL("{} {}").format(field, absent)
    parameters[f"{name}_value"] = value
    if isinstance(value, Decimal):
        parameters[f"{name}_number"] = _NUMBER
        return sql.SQL(
            "CASE WHEN {0} ~ %({1})s THEN {0}::numeric {2} %({3})s ELSE false END"
        ).format(field, _name(name, "number"), _SQL_OPERATORS[operator], _name(name, "value"))
    if operator == "==":
        parameters[f"{name}_value"] = _nested(path, value)
        return sql.SQL("{} @> %({})s::jsonb").format(sql.Identifier(column), _name(name, "value"))
    if isinstance(value, bool):
        parameters[f"{name}_value"] = "true" if value else "false"
    return sql.SQL('{} COLLATE "C" {} %({})s').format(
        field, _SQL_OPERATORS[operator], _name(name, "value")
    )


def _name(prefix: str, suffix: str) -> sql.SQL:
    """The name of a parameter: ours, never what somebody wrote."""
    return sql.SQL(f"{prefix}_{suffix}")


def _nested(path: tuple[str, ...], value: str | bool) -> str:
    nested: Any = value
    for name in reversed(path):
        nested = {name: nested}
    return orjson.dumps(nested).decode()
