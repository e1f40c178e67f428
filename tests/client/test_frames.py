"""Answers as DataFrames, with all digits."""

import importlib
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec
import pytest

from ledger.client.frames import FramesMissing, frame

polars = pytest.importorskip("polars")


class Colour(StrEnum):
    RED = "RED"


class Told(msgspec.Struct):
    at: datetime
    who: UUID
    amount: Decimal
    maybe: Decimal | None
    colour: Colour
    count: int
    is_so: bool
    parts: dict[str, Decimal]


AT = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


def told(amount: str, maybe: str | None = None) -> Told:
    known = None if maybe is None else Decimal(maybe)
    parts = {"a": Decimal("0.5")}
    return Told(AT, UUID(int=7), Decimal(amount), known, Colour.RED, 3, True, parts)


def test_amounts_keep_every_digit_they_have() -> None:
    made = frame([told("0.000000000000000001"), told("12345678901234567890", "-7.25")], Told)
    assert made["amount"].to_list() == [
        Decimal("0.000000000000000001"),
        Decimal(12345678901234567890),
    ]
    assert made["maybe"].to_list() == [None, Decimal("-7.25")]
    assert made["amount"].sum() == Decimal("12345678901234567890.000000000000000001")


def test_what_has_more_digits_than_a_column_takes_is_text_and_loses_none() -> None:
    long = "12345678901234567890.1234567890123456789012345678901"
    assert frame([told(long)], Told)["amount"].to_list() == [long]


def test_times_are_utc_and_ids_words_and_parts_are_texts() -> None:
    made = frame([told("1")], Told)
    assert made["at"].to_list() == [AT]
    row: dict[str, Any] = made.drop("at", "amount", "maybe").row(0, named=True)
    assert row == {
        "who": str(UUID(int=7)),
        "colour": "RED",
        "count": 3,
        "is_so": True,
        "parts": '{"a":"0.5"}',
    }


def test_no_rows_are_a_frame_with_the_columns() -> None:
    made = frame([], Told)
    assert made.columns == list(Told.__struct_fields__)
    assert made.schema["amount"] == polars.Decimal(38, 0)


def test_without_the_library_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(FramesMissing, match=r"trading-ledger\[frames\]"):
        frame([], Told)
