"""Settings: documented, checked at the start, and from the environment or `.env`."""

import re
from pathlib import Path

import pytest
from pydantic_settings import BaseSettings

from ledger.operate.settings import InvalidSettings, Settings, load
from projections.settings import ProjectionSettings
from tests.settings_page import page

DOCUMENT = Path(__file__).parent.parent / "docs" / "settings.md"


def test_the_page_of_settings_says_what_the_code_says() -> None:
    assert DOCUMENT.read_text() == page(), "run: python -m tests.settings_page > docs/settings.md"


@pytest.mark.parametrize("model", [Settings, ProjectionSettings])
def test_every_setting_has_a_default_and_a_reason(model: type[BaseSettings]) -> None:
    for name, field in model.model_fields.items():
        assert not field.is_required(), name
        assert field.description, name
        assert len(field.description) > 60, f"{name}: say what it limits and why the default is it"


@pytest.mark.parametrize("model", [Settings, ProjectionSettings])
def test_numbers_say_their_unit(model: type[BaseSettings]) -> None:
    units = re.compile(
        r"_(seconds?|bytes|events|commands|positions|partitions|days|weeks|months|years|rows|size"
        r"|deliver|port)(_|$)"
    )
    for name, field in model.model_fields.items():
        if isinstance(field.default, int | float) and not isinstance(field.default, bool):
            assert units.search(name), name


def test_settings_come_from_the_environment_before_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("LEDGER_COMMAND_BATCH_SIZE=7\nLEDGER_LOG_LEVEL=DEBUG\nOTHER=1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LEDGER_LOG_LEVEL", "ERROR")

    settings = load()

    assert (settings.command_batch_size, settings.log_level) == (7, "ERROR")
    assert settings.database_url is None


def test_a_setting_that_cannot_be_is_named_with_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGER_COMMAND_BATCH_SIZE", "many")

    with pytest.raises(InvalidSettings, match="LEDGER_COMMAND_BATCH_SIZE is 'many'"):
        load()


def test_a_password_in_a_url_that_cannot_be_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGER_DATABASE_URL", "postgres//ledger:secret@host/ledger")

    with pytest.raises(InvalidSettings, match="LEDGER_DATABASE_URL") as refusal:
        load()
    assert "secret" not in str(refusal.value)


def test_a_url_of_another_form_is_refused_with_the_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGER_DATABASE_URL", "host=/tmp dbname=ledger password=secret")
    with pytest.raises(InvalidSettings, match="postgresql://login@host/database") as refused:
        load()
    assert "secret" not in str(refused.value)
