"""The tear sheet: figures that are those of the queries, on a page that needs nothing else."""

import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any

import orjson
import pytest
from uuid_utils.compat import uuid7

from ledger.eventstore.session import reading
from ledger.operate import browser
from projections.questions.catalogue import questions
from projections.reports import charts, page
from projections.reports.tear_sheet import NothingToReport, TearSheet, tear_sheet
from tests.databases import temporary_database
from tests.reports.weeks import ACCOUNT, trade_some_weeks

OCTOBER = datetime(2026, 10, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def database_url(postgres_url: str) -> Iterator[str]:
    with temporary_database(postgres_url, template="ledger_template") as url:
        trade_some_weeks(url)
        yield url


@pytest.fixture(scope="module")
def sheet(database_url: str) -> TearSheet:
    return sheet_of(database_url)


def sheet_of(database_url: str, *span: datetime) -> TearSheet:
    with reading(database_url) as connection:
        made: TearSheet = tear_sheet(connection, ACCOUNT, *span)
    return made


def row(database_url: str, period: str, time: datetime) -> Any:
    with reading(database_url) as connection:
        (found,) = questions()["performance"].find(
            connection,
            account_id=ACCOUNT,
            scope="ACCOUNT",
            period_type=period,
            from_time=time.isoformat(),
            to_time=(time + timedelta(seconds=1)).isoformat(),
        )
    return found


@pytest.mark.parametrize(
    ("period", "begin", "end"),
    [
        ("MONTHLY", datetime(2026, 9, 1, tzinfo=UTC), OCTOBER),
        ("YEARLY", datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
    ],
)
def test_figures_of_a_month_and_a_year_are_those_of_their_rows(
    database_url: str, period: str, begin: datetime, end: datetime
) -> None:
    sheet, told = sheet_of(database_url, begin, end), row(database_url, period, begin)
    compared = 0
    for name, measure in sheet.measures.items():
        if not hasattr(told, name) or name == "var_95":
            continue
        expected = getattr(told, name)
        if expected is None or measure.value is None:
            assert measure.value == expected, name
            continue
        assert abs(measure.value - expected) <= Decimal("1e-14") * max(1, abs(expected)), name
        compared += 1
    assert compared >= 20


def test_figures_on_the_page_are_those_of_the_sheet(sheet: TearSheet) -> None:
    text = _Text.of(sheet.html())
    for one in sheet.all_figures():
        assert one.title in text
        assert one.says in text
        assert page.shown(one) in text
    told = orjson.loads(sheet.json())
    named = {one["name"]: one for one in told["figures"]}
    assert Decimal(named["total_pnl"]["value"]) == sheet.measures["total_pnl"].value
    assert named["correlation_risk"]["reason"] == "it takes two holdings"


def test_the_page_loads_nothing_and_runs_nothing(sheet: TearSheet) -> None:
    html = sheet.html()
    assert re.findall(r"https?://|<script|<link|<img|src=|url\(|@import|\son\w+=", html) == []
    assert "default-src 'none'" in html
    assert "prefers-color-scheme: dark" in html


def test_a_name_that_is_written_like_markup_is_text(sheet: TearSheet) -> None:
    from msgspec.structs import replace

    hostile = replace(sheet.account, account_name='<script>alert("x")</script>')
    html = replace(sheet, account=hostile).html()
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_what_is_drawn_keeps_the_highest_and_the_lowest_of_many(sheet: TearSheet) -> None:
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    points = [(begin + timedelta(minutes=one), Decimal(one % 7)) for one in range(50_000)]
    points[31_007] = (points[31_007][0], Decimal(900))
    drawn = charts.thinned(points, charts.span_of(points))
    assert len(drawn) < 2 * charts.WIDTH
    assert {max(value for _, value in drawn), min(value for _, value in drawn)} == {0, 900}


@pytest.mark.parametrize(("low", "high"), [("-1.2", "0"), ("99", "104"), ("0", "0.0003")])
def test_an_axis_has_a_few_round_values(low: str, high: str) -> None:
    found = charts.round_values(Decimal(low), Decimal(high))
    assert 2 <= len(found) <= 6
    assert all(Decimal(low) <= one <= Decimal(high) for one in found)


def test_who_was_never_seen_has_no_sheet(database_url: str) -> None:
    with reading(database_url) as connection:
        with pytest.raises(NothingToReport, match="there is no account"):
            tear_sheet(connection, uuid7())
        with pytest.raises(NothingToReport, match="nothing was seen"):
            tear_sheet(
                connection, ACCOUNT, datetime(2020, 1, 1, tzinfo=UTC), OCTOBER.replace(year=2020)
            )


@pytest.mark.skipif(
    not any(map(shutil.which, browser.BROWSERS)), reason="no Chromium is installed here"
)
def test_it_is_printed_on_one_page(sheet: TearSheet) -> None:
    printed = browser.pdf(sheet.html())
    assert printed.startswith(b"%PDF")
    assert len(re.findall(rb"/Type /Page\b[^s]", printed)) == 1
    assert len(printed) < 500_000


def test_a_browser_that_there_is_not_is_named(sheet: TearSheet) -> None:
    with pytest.raises(browser.NoBrowser, match=r"nonesuch.*LEDGER_BROWSER"):
        browser.pdf("<p>", "nonesuch")


class _Text(HTMLParser):
    """What a page says, without how it looks."""

    @classmethod
    def of(cls, html: str) -> str:
        reader = cls()
        reader.feed(html)
        return "".join(reader.parts)

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []

    def handle_data(self, data: str) -> None:
        self.parts.append(data)
