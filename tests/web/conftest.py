"""One ledger with something of everything, and the HTTP server on it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from projections.registry import all_projections
from projections.settings import ProjectionSettings
from tests.conftest import TEMPLATE
from tests.databases import temporary_database
from tests.projections.everything import append_everything
from tests.projections.workers import caught_up, running
from tests.web.serving import Served, served

AT_ONCE = 2_000
"""Events that are folded at once where nothing of the folding is looked at."""


@pytest.fixture(scope="session")
def everything_url(postgres_url: str) -> Iterator[str]:
    """A database with events of every type, all folded."""
    with temporary_database(postgres_url, template=TEMPLATE) as url:
        append_everything(url)
        with running(url, all_projections(ProjectionSettings()), batch_positions=AT_ONCE):
            caught_up(url)
        yield url


@pytest.fixture(scope="session")
def web(everything_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The server that all tests share which change nothing of each other."""
    with served(everything_url, tmp_path_factory.mktemp("web")) as running_server:
        yield running_server


@pytest.fixture
def own_web(everything_url: str, tmp_path: Path) -> Iterator[Served]:
    """A server of one test's own, with its own users, tokens and limits."""
    with served(everything_url, tmp_path) as running_server:
        yield running_server
