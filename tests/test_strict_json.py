"""JSON that can be understood in one way is read; what readers differ about is refused."""

import json
from typing import Any
from uuid import uuid4

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ledger.kernel import strict_json
from ledger.kernel.command import Command, InvalidCommand
from ledger.write.parser import parse
from tests.commands import message

KEYS = st.sampled_from(["a", "b", 'a":', "a :", "\\", '"', "", "\u0061\u00e9"])
SPACES = st.sampled_from(["", " ", "\n", "\t \r"])


def _object(pairs: list[tuple[str, str]], spaces: list[str]) -> str:
    parts = (
        f"{space}{json.dumps(key)}{space}:{space}{value}"
        for (key, value), space in zip(pairs, spaces, strict=True)
    )
    return "{" + ",".join(parts) + "}"


@st.composite
def texts(draw: st.DrawFn, depth: int = 2) -> str:
    """JSON with keys that are there once or twice, inside strings too, with and without spaces."""
    if depth == 0:
        return draw(st.one_of(KEYS.map(json.dumps), st.just("1"), st.just("null")))
    count = draw(st.integers(0, 4))
    parts = [draw(texts(depth=depth - draw(st.integers(1, depth)))) for _ in range(count)]
    if draw(st.booleans()):
        return f"[{','.join(parts)}]"
    keys = [draw(KEYS) for _ in parts]
    return _object(list(zip(keys, parts, strict=True)), [draw(SPACES) for _ in parts])


class _Twice(Exception):
    pass


def _strictly(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise _Twice
    return dict(pairs)


@settings(max_examples=2_000, deadline=None)
@given(texts())
@example('{"a":1,"a" :2}')
@example('{"a":"\\":","a" :2}')
@example('{"a":1,"\\u0061":2}')
def test_exactly_what_has_a_key_twice_is_refused(text: str) -> None:
    try:
        expected = json.loads(text, object_pairs_hook=_strictly)
    except _Twice:
        with pytest.raises(strict_json.Ambiguous, match="stands twice"):
            strict_json.loads(text.encode())
    else:
        assert strict_json.loads(text.encode()) == expected


def test_what_is_no_json_or_too_deep_is_refused_with_the_reason() -> None:
    with pytest.raises(strict_json.InvalidJson, match="unexpected"):
        strict_json.loads(b"{")
    with pytest.raises(strict_json.InvalidJson, match="deep"):
        strict_json.loads(b'{"a" :' * 1_000 + b"1" + b"}" * 1_000)
    assert strict_json.loads(b"1") == 1


@pytest.mark.parametrize("place", ["data", "envelope"])
def test_a_command_with_a_key_twice_is_answered_under_its_id_with_the_keys_name(
    place: str,
) -> None:
    sent = message("Deposit", uuid4(), asset="USD", amount="1")
    body = orjson.dumps(sent)
    assert isinstance(parse(body), Command)
    twice = {
        "data": (b'"amount":"1"', b'"amount":"1","amount":"500"', "amount"),
        "envelope": (b'"source":', b'"source":"a","source":', "source"),
    }[place]
    found = parse(body.replace(*twice[:2]))
    assert isinstance(found, InvalidCommand)
    assert (str(found.id), found.code) == (sent["id"], "INVALID_COMMAND")
    assert f"'{twice[2]}' stands twice" in found.message


def test_a_command_with_two_ids_has_none() -> None:
    body = orjson.dumps(message("Deposit", uuid4(), asset="USD", amount="1"))
    found = parse(body.replace(b'"id":', b'"id":"%s","id":' % str(uuid4()).encode()))
    assert isinstance(found, InvalidCommand)
    assert found.id is None
