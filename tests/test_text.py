"""Text of others made safe for where it is shown, and still told apart."""

import json
import threading
from html import unescape
from unicodedata import category

import orjson
import pytest
import structlog
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ledger.kernel.text import csv_cell, html, json_of, json_text, original, quoted, visible
from ledger.operate import table
from ledger.operate.logging import configure
from tests.logs import logs_to_stderr

UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
HOSTILE = st.text(
    st.one_of(
        st.characters(),
        st.characters(categories=("Cc", "Cf", "Cs", "Zl", "Zp")),
        st.sampled_from("\\\\\\'\"x0u1fUba=+-@<>&,; \u3164\ufe0f"),
    )
)
TEXTS = st.one_of(st.text(), HOSTILE)


def is_safe(text: str) -> bool:
    return not any(category(one) in UNSEEN for one in text) and text.isprintable()


@settings(max_examples=10_000, deadline=None)
@given(TEXTS)
@example("\\x1b")
@example("\\\x1b")
@example("\\\\x1b")
@example("\x1b]0;pwned\x07\u202e\u2066\u200b\u2028\ud800\x7f\x9b\n\U000e0041")
@example("=cmd|' /C calc'!A0")
@example("\t=1")
@example("  @SUM(1)")
@example("'=1")
@example("  a  \\  x20 \\x20 ")
@example('<script>"&amp;')
def test_what_is_shown_is_safe_and_only_this_text_is_shown_so(text: str) -> None:
    shown = visible(text)
    assert is_safe(shown)
    assert original(shown) == text
    assert original(table.cell(text)) == text
    assert "  " not in table.cell(text)
    _check_cell(text)
    _check_html(text)
    _check_json(text)


def _check_cell(text: str) -> None:
    cell = csv_cell(text)
    assert is_safe(cell)
    assert not cell.lstrip().startswith(("=", "+", "-", "@")), "it would be a formula"
    assert original(cell.removeprefix("'")) == text


def _check_html(text: str) -> None:
    piece = html(text)
    assert is_safe(piece)
    assert not set(piece) & set("<>\"'")
    assert original(unescape(piece)) == text


def _check_json(text: str) -> None:
    for pretty in (False, True):
        written = json_of({text: [text, 1]}, pretty=pretty)
        assert json.loads(written) == {text: [text, 1]}
        assert all(is_safe(line) for line in written.decode().split("\n"))
        assert json_text(written) == written


@settings(max_examples=1_000, deadline=None)
@given(TEXTS, TEXTS)
def test_a_text_within_a_line_is_seen_to_begin_and_end(one: str, other: str) -> None:
    line = visible(f"from {quoted(one)}, reason {quoted(other)}")
    assert is_safe(line)
    read = json.JSONDecoder(strict=False)
    behind = original(line).removeprefix("from ")
    if behind.startswith('"'):
        found, end = read.raw_decode(behind)
        assert found == one
        assert behind[end:].startswith(", reason ")
    else:
        assert behind.startswith(f"{one}, reason ")
        assert " " not in one


def test_a_value_that_json_does_not_know_is_written_all_the_same() -> None:
    value = {"path": "\udcff", "number": 2**70}
    assert json.loads(json_of(value)) == value


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(TEXTS, TEXTS, TEXTS), max_size=5), st.integers(40, 120))
def test_a_row_is_a_line_however_wide_the_table_may_be(
    rows: list[tuple[str, str, str]], width: int
) -> None:
    names = ("id", "message", "amount")
    whole = list(table.lines(names, rows))
    assert len(whole) == 1 + len(rows)
    assert all(is_safe(line) for line in whole)
    fitting = list(table.lines(names, rows, width=width))
    assert fitting[0].startswith("id")
    for row, line in zip(rows, fitting[1:], strict=False):
        assert line.startswith(table.cell(row[0]).rstrip()), "the first column is always whole"


def test_columns_are_left_out_by_importance_and_never_cut_but_for_free_text() -> None:
    names = ("id", "time", "amount", "message")
    rows = [("a" * 36, "t" * 27, "1234567.000000001", "because " * 9)]
    assert list(table.lines(names, rows, width=60)) == [
        f"{'id':<36}  amount",
        f"{'a' * 36}  1234567.000000001",
        "(time, message: no room here)",
    ]
    header, row = table.lines(names, rows, width=110)
    assert header.split() == list(names)
    assert row.endswith("  because because because…")
    assert len(row) == 110


def test_a_log_line_commands_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    said = "\x1b[2J\x9b\u202e\n\x7f"
    configure("test")
    try:
        try:
            raise ValueError(said)
        except ValueError:
            structlog.get_logger().error(said, reason=said, exc_info=True)
    finally:
        logs_to_stderr()
    (line,) = capsys.readouterr().err.splitlines()
    assert is_safe(line)
    assert orjson.loads(line)["reason"] == said
    assert said in orjson.loads(line)["exception"]


def test_a_thread_that_ends_with_an_error_is_a_log_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading, "excepthook", threading.__excepthook__)
    configure("test")
    try:
        thread = threading.Thread(target=int, args=("\x1b",), name="one")
        thread.start()
        thread.join()
    finally:
        logs_to_stderr()
    (line,) = capsys.readouterr().err.splitlines()
    assert is_safe(line)
    assert orjson.loads(line)["thread"] == "one"
    assert "ValueError" in orjson.loads(line)["exception"]
