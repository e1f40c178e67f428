"""The canonical form: RFC 8785, every column, and no two contents with one form."""

import json
from typing import Any

import orjson
import psycopg
import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.types.json import Json

from ledger.audit.prove.canonical import COLUMNS, DEEPEST, canonical, jcs, leaf_hash, values
from ledger.audit.prove.printed_events import rows
from tests.audit import history

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
ROW = (
    *("7", "id", "stream", "account", "account.opened", "1", "{}", "{}"),
    *(None, None, None, "2026-03-01 12:00:00+00", "2026-03-01 12:00:00.25+00"),
)


@given(VALUE)
@settings(max_examples=400, deadline=None, database=None)
def test_it_is_what_the_library_for_rfc_8785_writes(value: Any) -> None:
    assert jcs(value) == rfc8785.dumps(value)


def test_keys_are_ordered_by_utf_16_as_the_rfc_shows_it() -> None:
    keys = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    assert list(orjson.loads(jcs(dict.fromkeys(keys, 0)))) == [
        *("\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33")
    ]


def test_it_covers_every_column_of_the_log(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        cursor = connection.execute("SELECT * FROM event_store")
        columns = {column.name for column in cursor.description or ()}
    assert set(COLUMNS) == columns
    assert set(values(ROW)) == columns


def test_it_is_as_documented() -> None:
    data = '{"b": ["ö", true, null], "a": {"amount": "0.10"}, "n": 12}'
    row = (*ROW[:6], data, *ROW[7:])
    assert canonical(row).decode() == (
        '{"causation_id":null,"correlation_id":null,'
        '"event_data":{"a":{"amount":"0.10"},"b":["ö",true,null],"n":12},'
        '"event_type":"account.opened","event_version":1,"id":"id","metadata":{},'
        '"occurred_at":"2026-03-01T12:00:00Z","position":7,'
        '"recorded_at":"2026-03-01T12:00:00.25Z","stream_id":"stream","stream_type":"account",'
        '"user_id":null}'
    )


@pytest.mark.parametrize(
    "texts",
    [
        ("1", "1.0", "1.00", '"1"', '"1.0"'),
        ("0.1", "0.10", "0.1000000000000000000000001"),
        ("9007199254740991", "9007199254740992", "9007199254740993"),
        ("1" + "0" * 400, "1" + "0" * 401),
        ("[[]]", "[[[]]]", '"[[]]"', "[" * 300 + "]" * 300, "[" * 301 + "]" * 301),
        ("null", '"null"', "{}", '""'),
    ],
)
def test_no_two_contents_of_a_column_have_one_form(
    database_url: str, texts: tuple[str, ...]
) -> None:
    """PostgreSQL's own idea of what is the same decides."""
    with psycopg.connect(database_url) as connection:
        printed = set()
        for text in texts:
            row = connection.execute(
                "SELECT %s::jsonb::text",
                [Json({"n": 0}, lambda _, t=text: f'{{"n": {t}}}')],  # type: ignore[misc]
            ).fetchone()
            assert row is not None
            printed.add(row[0])
    assert len(printed) == len(texts)
    leaves = {leaf_hash((*ROW[:6], text, *ROW[7:])) for text in printed}
    # An object that enters as its text is not the text in an object's place.
    leaves |= {leaf_hash((*ROW[:6], json.dumps(text), *ROW[7:])) for text in printed}
    assert len(leaves) == 2 * len(texts)


def test_nesting_is_counted_without_what_is_in_strings() -> None:
    flat = orjson.dumps({"text": "[" * 2 * DEEPEST}).decode()
    assert values((*ROW[:6], flat, *ROW[7:]))["event_data"] == {"text": "[" * 2 * DEEPEST}
    deep = '{"deep": ' + "[" * DEEPEST + "]" * DEEPEST + "}"
    assert values((*ROW[:6], deep, *ROW[7:]))["event_data"] == deep


def test_the_form_does_not_depend_on_the_settings_of_the_session(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        history.append(connection, 3)
        forms = set()
        for zone, style in (
            ("UTC", "ISO"),
            ("Asia/Kolkata", "SQL, DMY"),
            ("America/St_Johns", "German"),
        ):
            connection.execute("SELECT set_config('timezone', %s, false)", [zone])
            connection.execute("SELECT set_config('datestyle', %s, false)", [style])
            with connection.transaction():
                forms.add(b"\n".join(canonical(row) for row in rows(connection, 1, 3)))
        assert len(forms) == 1
