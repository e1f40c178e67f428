"""One Chromium for all tests of pages, skipped with a reason where there is none; and one desk."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.audit import history
from tests.browser.desk import seed_desk
from tests.conftest import TEMPLATE
from tests.databases import temporary_database
from tests.web.serving import Served, served

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
"""Debian's and Ubuntu's Chromium, or Google's: Playwright's own is 200 MB to download."""
WAIT_MILLISECONDS = 10_000
PICTURES = os.environ.get("LEDGER_TEST_PICTURES")
"""A directory for pictures of all pages; without it there are none, and less is looked at."""
DAYS = 10 if PICTURES or int(os.environ.get("LEDGER_TEST_ROUNDS", "0")) else 3

Opening = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Of a file of tests and no longer: Playwright keeps an event loop running in this thread, in
    which no other test could begin one."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip("no Chromium here: `make browser` installs Debian's")
    with sync_playwright() as playwright:
        # Not in its sandbox: in containers root has no rights for one. It sees our own pages only.
        opened = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of a browser that is cut off from any network."""
    context = browser.new_context(offline=True)
    context.set_default_timeout(WAIT_MILLISECONDS)
    yield context.new_page()
    context.close()


@pytest.fixture(scope="session")
def desk_url(postgres_url: str) -> Iterator[str]:
    """A database with a small desk in it, folded and sealed but for its last event."""
    with temporary_database(postgres_url, template=TEMPLATE) as url:
        seed_desk(url, days=DAYS)
        if PICTURES:  # as it is a moment later
            with psycopg.connect(url, autocommit=True) as connection:
                history.seal(connection)
        yield url


@pytest.fixture(scope="session")
def desk(desk_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The server on it."""
    directory: Path = tmp_path_factory.mktemp("desk")
    with served(desk_url, directory, web_environment="Paper") as server:
        yield server


@pytest.fixture
def opening(browser: Browser, desk: Served) -> Iterator[Opening]:
    """Opens a page of the console as somebody; whatever is asked of another host fails the test."""
    contexts = []

    def opened(path: str, name: str = "ada", *, width: int = 1280, theme: str = "light") -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if theme == "dark" else "light",
            extra_http_headers={"Authorization": f"Bearer {desk.token(name)}"},
            reduced_motion="reduce",
        )
        contexts.append(context)
        context.set_default_timeout(WAIT_MILLISECONDS)
        found = context.new_page()
        found.on("request", lambda request: _own_only(request.url, desk.url))
        found.on("pageerror", lambda error: pytest.fail(f"{path}: {error}"))
        found.on("console", lambda said: _no_refusal(said.text))
        answer = found.goto(desk.url + path)
        assert answer is not None
        assert answer.status == 200, path
        return found

    yield opened
    for context in contexts:
        context.close()


def _own_only(asked: str, own: str) -> None:
    assert asked.startswith((own, "data:")), asked


def _no_refusal(text: str) -> None:
    """What the content security policy refuses is told on the console of the browser."""
    assert "Content Security Policy" not in text, text
