"""The console in a browser: what is seen, by keys alone and by who sees with other means."""

import gzip
import re
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Page, expect

from ledger.audit.prove.proofs import proof_text, prove
from tests.audit import history
from tests.browser.conftest import PICTURES, Opening
from tests.browser.desk import DESK
from tests.web.serving import Served, served

AXE = Path(__file__).parent / "axe.min.js.gz"
GRAVE = ("serious", "critical")
PAGES = (
    *("/", "/positions?status=ALL", "/orders?view=all", "/chart", "/log", "/projections"),
    *("/overview", "/commands", "/integrity", "/explain", "/statement", "/questions/fills"),
    *("/calendar", "/differences?first=60&second=300", "/controls", "/who?first=1", "/users"),
    *(
        "/settings?view=all",
        "/performance",
        "/risk",
        "/kill",
        "/alerts",
        "/dead-letters",
        "/preferences",
        "/notices",
    ),
)
WIDTHS, THEMES = (1280, 1920, 390), ("light", "dark")


@cache
def axe() -> str:
    return gzip.decompress(AXE.read_bytes()).decode()


ROWS = 6
"""Of a table that axe-core looks at: all others are made by the same lines of the same template,
and looking at each takes it seconds."""


def grave_findings(page: Page) -> list[Any]:
    """What axe-core calls serious or worse."""
    page.evaluate(
        "most => document.querySelectorAll('tbody').forEach("
        "body => [...body.rows].slice(most).forEach(row => row.remove()))",
        ROWS,
    )
    page.evaluate(axe())
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        (one["id"], one["help"], [node["html"][:160] for node in one["nodes"][:3]])
        for one in found["violations"]
        if one["impact"] in GRAVE
    ]


def order_of(desk_url: str) -> str:
    """The order that things went wrong with."""
    with psycopg.connect(desk_url) as connection:
        row = connection.execute(
            "SELECT order_id FROM order_fills WHERE late AND trade_id = '91777002'"
        ).fetchone()
    assert row is not None
    return str(row[0])


@pytest.mark.parametrize("theme", THEMES)
def test_no_page_keeps_anybody_out(opening: Opening, desk_url: str, theme: str) -> None:
    """In the default suite half of the pages, a quarter in each theme; all with `make pictures`."""
    every = [*PAGES, f"/orders/{order_of(desk_url)}"]
    paths = every if PICTURES else every[THEMES.index(theme) :: 4]
    page = opening(paths[0], theme=theme)
    for path in paths:
        page.goto(page.url.partition("/")[0] + "//" + page.url.split("/")[2] + path)
        assert grave_findings(page) == [], path


@pytest.mark.skipif(not PICTURES, reason="pictures are made by `make pictures`")
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("theme", THEMES)
def test_every_page_fits_its_width_and_has_its_picture(
    opening: Opening, desk: Served, desk_url: str, width: int, theme: str
) -> None:
    directory = Path(str(PICTURES))
    directory.mkdir(parents=True, exist_ok=True)
    page = opening("/", width=width, theme=theme)
    for path in (*PAGES, f"/orders/{order_of(desk_url)}"):
        page.goto(desk.url + path)
        if path.startswith(("/chart", "/performance")):
            page.locator(".chart canvas").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        name = re.sub(r"\W+", "-", path.partition("?")[0].strip("/")) or "home"
        page.screenshot(path=directory / f"{name}-{width}-{theme}.png", full_page=True)


@pytest.mark.skipif(not PICTURES, reason="pictures are made by `make pictures`")
def test_the_tour_has_its_pictures(
    opening: Opening, desk: Served, desk_url: str, tmp_path: Path
) -> None:
    """Those of docs/tour.md, as they are seen without scrolling."""
    directory = Path(str(PICTURES)) / "tour"
    directory.mkdir(parents=True, exist_ok=True)
    page = opening("/", theme="dark")
    page.set_viewport_size({"width": 1280, "height": 800})

    def picture(name: str) -> None:
        page.wait_for_load_state("load")
        page.screenshot(path=directory / f"{name}.png")

    picture("home")
    page.goto(f"{desk.url}/positions?account_id={DESK}")
    page.locator("a.why[href*='part=net_pnl']").first.click()
    expect(page.locator("#drawer")).to_contain_text("adds up")
    picture("why")
    page.goto(f"{desk.url}/orders/{order_of(desk_url)}")
    picture("order")
    page.goto(f"{desk.url}/chart?account_id={DESK}&instrument=BINANCE:BTCUSDT")
    expect(page.locator(".chart canvas").first).to_be_visible()
    picture("chart")
    page.goto(f"{desk.url}/performance?account_id={DESK}")
    expect(page.locator(".chart canvas").first).to_be_visible()
    picture("performance")
    page.goto(f"{desk.url}/positions?known_at=200")
    picture("past")
    page.goto(f"{desk.url}/log")
    picture("log")
    page.goto(f"{desk.url}/proof-page")
    with psycopg.connect(desk_url) as connection:
        row = connection.execute("SELECT id FROM event_store WHERE position = 60").fetchone()
        assert row is not None
        proof = tmp_path / "event.proof.json"
        proof.write_bytes(proof_text(prove(connection, row[0])))
    page.get_by_label("A proof").set_input_files(proof)
    page.get_by_label("Public key").fill(history.PUBLIC_KEY.hex())
    expect(page.locator("#verdict")).to_contain_text("Held")
    picture("proof")


def test_a_number_opens_to_what_it_is_made_of_and_on_to_its_events(opening: Opening) -> None:
    page = opening(f"/positions?account_id={DESK}")
    number = page.locator("a.why[href*='part=net_pnl']").first
    exact = number.locator("data").get_attribute("value")
    number.click()
    drawer = page.locator("#drawer")
    expect(drawer).to_contain_text("Net P&L of")
    expect(drawer).to_contain_text("adds up to the last digit")
    assert drawer.locator(".why-value data").get_attribute("value") == exact
    drawer.get_by_role("link", name="fees").click()
    expect(drawer).to_contain_text("the sum over its trades and flows")
    page.keyboard.press("Escape")
    expect(drawer).to_be_empty()
    assert page.evaluate("document.activeElement.closest('a.why') !== null")


def test_all_is_reached_by_keys(opening: Opening) -> None:
    page = opening("/")
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("o")
    page.wait_for_url("**/orders")
    page.goto(f"{page.url}?view=all")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    expect(page.locator("tr.at")).to_have_count(1)
    page.keyboard.press("w")
    expect(page.locator("#drawer")).not_to_be_empty()
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/orders/*")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "search"
    page.keyboard.press("Tab")
    visible = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(visible) != "none"


def test_what_is_copied_is_exact_and_tab_by_tab(opening: Opening) -> None:
    page = opening(f"/positions?account_id={DESK}")
    copied = page.evaluate(
        """() => {
            const rows = document.querySelector("table tbody");
            getSelection().selectAllChildren(rows);
            const given = new DataTransfer();
            const event = new ClipboardEvent("copy", {clipboardData: given, bubbles: true});
            rows.dispatchEvent(event);
            return given.getData("text/plain");
        }"""
    )
    assert "\t" in copied
    assert "−" not in copied
    assert re.search(r"BINANCE:\w+", copied)
    exact = page.locator("tbody a.why data").first.get_attribute("value")
    assert exact is not None
    assert exact in copied


def test_in_the_past_a_page_is_amber_and_offers_nothing(opening: Opening) -> None:
    page = opening("/positions?known_at=200")
    expect(page.locator(".banner.past")).to_contain_text("position 200")
    assert page.locator("a[href^='/act/']").count() == 0
    page.get_by_role("link", name="Orders", exact=True).click()
    assert "known_at=200" in page.url
    page.get_by_role("link", name="Back to now").click()
    expect(page.locator(".banner.past")).to_have_count(0)


def test_a_page_says_when_what_it_shows_is_not_what_was_sealed(
    database_url: str, tmp_path: Path
) -> None:
    """A row was changed by somebody whom no right holds; who looks at it, sees it."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        history.append(connection, 120)
        history.seal(connection)
        connection.execute("SET session_replication_role = replica")
        connection.execute(
            'UPDATE event_store SET event_data = event_data || \'{"amount": "1"}\' '
            "WHERE position = 100"
        )
    with served(database_url, tmp_path) as server:
        client = server.client("ada")
        client.headers["Accept"] = "text/html"
        assert "not what was sealed" not in client.get("/").text
        assert 'class="altered"' in client.get("/log?before=110").text
        for path in ("/", "/orders"):
            text = client.get(path).text
            assert "The log is not what was sealed" in text
            assert "position 100" in text
            assert "seal 13" in text
