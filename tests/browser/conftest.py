"""One Chromium for all tests of pages; skipped with a reason where there is none."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
"""Debian's and Ubuntu's Chromium, or Google's: Playwright's own is 200 MB to download."""
WAIT_MILLISECONDS = 10_000


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
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
