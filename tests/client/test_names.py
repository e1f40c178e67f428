"""What a service imports is in `ledger`, for the interpreter and for type checkers."""

import ast
from pathlib import Path

import pytest

import ledger
from ledger.bus.security import BusSecurity
from ledger.nouns import COMMAND_DATA, NOUNS
from ledger.operate.settings import Settings

SOURCE = Path(ledger.__file__)


def _for_type_checkers() -> list[ast.ImportFrom]:
    (block,) = [one for one in ast.parse(SOURCE.read_text()).body if isinstance(one, ast.If)]
    return [one for one in block.body if isinstance(one, ast.ImportFrom)]


def test_every_name_is_where_it_is_said_to_be() -> None:
    for name in ledger.HOMES:
        assert getattr(ledger, name).__name__ == name
    for name, model in COMMAND_DATA.items():
        assert getattr(ledger, name) is model
    assert {*ledger.HOMES, *COMMAND_DATA} <= set(dir(ledger))


def test_type_checkers_see_the_same_names() -> None:
    seen = _for_type_checkers()
    named = {(alias.name, one.module) for one in seen for alias in one.names if alias.name != "*"}
    assert named == set(ledger.HOMES.items())
    nouns = {one.module for one in seen if one.names[0].name == "*"}
    assert nouns == {f"ledger.nouns.{noun.name}.commands" for noun in NOUNS if noun.commands}


def test_what_is_not_there_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Fortune'"):
        _ = ledger.Fortune


def test_a_client_finds_its_credentials_in_the_environment_as_the_servers_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert BusSecurity.from_environment() == BusSecurity() == BusSecurity.of(Settings())
    monkeypatch.setenv("LEDGER_NATS_USER", "strategy-7")
    for name in ("NKEY_SEED_FILE", "TLS_CA_FILE", "TLS_CERT_FILE", "TLS_KEY_FILE"):
        monkeypatch.setenv(f"LEDGER_NATS_{name}", f"/run/{name}")
    assert BusSecurity.from_environment() == BusSecurity.of(Settings())
    assert BusSecurity.from_environment().user == "strategy-7"
