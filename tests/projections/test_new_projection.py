"""The projection that docs/projections.md shows how to write, written as it is there."""

import importlib.util
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from projections import install
from projections.engine.builds import generations
from projections.engine.connection import connect
from projections.engine.projection import Projection
from tests.projections import harness
from tests.projections.everything import append_everything

PAGE = Path(__file__).resolve().parents[2] / "docs" / "projections.md"
LONGEST_LINES = 45
"""Of the whole file, with its imports: about thirty are the projection's own."""


def _block(language: str, containing: str) -> str:
    blocks: list[str] = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    (found,) = (block for block in blocks if containing in block)
    return found


def code_of_the_page() -> str:
    """Rows and folds, and what may be asked."""
    return _block("python", "class Volume") + "\n\n" + _block("python", "QUESTIONS = (")


def sql_of_the_page() -> str:
    return _block("postgresql", "TABLE volumes")


@pytest.fixture
def volumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Projection]:
    """The page's projection, its SQL where read models' SQL is."""
    code = tmp_path / "volumes_of_the_page.py"
    code.write_text(code_of_the_page(), encoding="utf-8")
    (tmp_path / "volumes.sql").write_text(sql_of_the_page(), encoding="utf-8")
    (tmp_path / "volumes.indexes.sql").write_text("", encoding="utf-8")
    monkeypatch.setattr(generations, "read_models_directory", lambda: tmp_path)
    spec = importlib.util.spec_from_file_location(code.stem, code)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[code.stem] = module  # where its classes' annotations are looked up
    spec.loader.exec_module(module)
    yield module.PROJECTION
    del sys.modules[code.stem]


def test_the_projection_of_the_page_passes_every_check(
    database_url: str, volumes: Projection
) -> None:
    append_everything(database_url)
    with connect(database_url, "test", by_key=False) as connection, connection.transaction():
        install._install(connection, volumes)
    harness.check_batch_boundaries(database_url, volumes)
    harness.check_parts(database_url, volumes)
    harness.check_crashes(database_url, volumes)
    harness.check_rebuild(database_url, volumes)


def test_a_projection_that_wrongly_folds_streams_apart_is_found_out(
    database_url: str, volumes: Projection
) -> None:
    append_everything(database_url)
    with connect(database_url, "test") as connection:
        generations.define(connection, volumes)
    with pytest.raises((psycopg.Error, AssertionError)):
        harness.check_parts(database_url, replace(volumes, by_stream=True), parts=7)


def test_the_page_shows_a_short_file() -> None:
    assert len(_block("python", "class Volume").splitlines()) <= LONGEST_LINES
