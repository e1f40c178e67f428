"""What tables and charts keep to, point by point, each looked for in the pages themselves."""

import json
import re
from decimal import Decimal

import httpx2
import pytest

from ledger.web.page import STATIC
from ledger.web.pages import performance, shown
from ledger.web.pages.performance import CurvePoint
from tests.browser.desk import DESK
from tests.browser.test_assets import CSS
from tests.browser.test_why import asking
from tests.web.serving import Served

CHARTS = (STATIC / "charts.js").read_text()
CONSOLE = (STATIC / "console.js").read_text()


@pytest.fixture(scope="module")
def client(desk: Served) -> httpx2.Client:
    return asking(desk)


def table_of(text: str, name: str) -> str:
    found = re.search(rf'aria-label="{name}">.*?</table>', text, re.S)
    assert found is not None, name
    return found[0]


def columns(table: str, at: int) -> list[str]:
    """The texts of a column."""
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", table.partition("<tbody>")[2], re.S)
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row, re.S) for row in rows]
    return [re.sub(r"<[^>]+>", "", row[at]) for row in cells if len(row) > at]


# --- tables -----------------------------------------------------------------------------------


def test_1_numbers_stand_right_with_their_points_in_one_line(client: httpx2.Client) -> None:
    table = table_of(client.get(f"/positions?account_id={DESK}").text, "Positions")
    assert '<th scope="col" class="num">Quantity</th>' in table
    for at in range(1, 9):
        places = {len(one.partition(".")[2]) for one in columns(table, at) if "." in one}
        assert len(places) == 1, (at, places)
    assert "tabular-nums lining-nums" in CSS


def test_2_numbers_are_grouped_with_a_minus_of_their_own_and_never_odd(
    client: httpx2.Client,
) -> None:
    assert shown.digits(Decimal("-1234567.5"), 2) == "\u22121,234,567.50"
    assert shown.digits(Decimal("0E-18"), 2) == "0.00"
    assert 'value="0"' in shown.number(Decimal("-0"))
    assert "n/a" in shown.number(None, missing="no price was told")
    assert "no price was told" in shown.number(None, missing="no price was told")
    assert "0.00000000000012" in shown.number(Decimal("0.00000000000012"), 2)
    for path in ("/", f"/positions?account_id={DESK}", "/performance"):
        text = client.get(path).text
        assert not re.search(r">[^<]*(NaN|Infinity|-0\.0+<|\dE[-+]?\d)", text), path


def test_3_units_are_said_and_signs_are_not_told_by_colour_alone(client: httpx2.Client) -> None:
    text = client.get(f"/?account_id={DESK}").text
    assert '<span class="unit">USDT</span>' in text
    assert re.search(r'class="n pos"[^>]*>\+', text)
    assert re.search(r'class="n neg"[^>]*>\u2212', text)


def test_4_times_are_iso_to_the_millisecond_in_one_zone_that_is_said(
    client: httpx2.Client,
) -> None:
    text = client.get("/orders?view=all").text
    times = re.findall(r"<time[^>]*>(.*?)</time>", text)
    assert times
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}", one) for one in times)
    assert "times in UTC" in text
    other = client.get("/orders?view=all", headers={"Cookie": "look_zone=Asia/Tokyo"}).text
    assert "times in Asia/Tokyo" in other
    assert re.findall(r"<time[^>]*>(.*?)</time>", other) != times


def test_5_rows_are_dense_and_headers_stay(client: httpx2.Client) -> None:
    assert "--row: 30px" in CSS
    assert re.search(r"th \{[^}]*position: sticky", CSS)
    assert re.search(r"th:first-child, td:first-child \{ position: sticky", CSS)
    assert "nth-child(even)" not in CSS
    assert "columns=" not in client.get("/orders").text
    fewer = client.get("/questions/orders?columns=order_id,status").text
    assert fewer.count('<th scope="col"') == 2


def test_6_a_page_says_how_much_of_what_it_shows_and_pages_by_key(client: httpx2.Client) -> None:
    text = client.get(f"/questions/transactions?account_id={DESK}").text
    assert "50 rows shown, there are more" in text
    following = re.search(r'href="([^"]+)" rel="next"', text)
    assert following is not None
    assert "offset" not in following[1]
    assert client.get(following[1].replace("&amp;", "&")).status_code == 200


def test_7_what_changes_flashes_and_holds_still_under_the_pointer() -> None:
    assert "animation: changed .3s" in CSS
    assert "prefers-reduced-motion: reduce" in CSS
    assert "[data-live]:hover" in CONSOLE


def test_8_what_is_copied_is_exact(client: httpx2.Client) -> None:
    text = client.get(f"/positions?account_id={DESK}").text
    exact = re.findall(r'<data class="[^"]*" value="([^"]*)"', text)
    assert any(len(one.partition(".")[2]) > 8 for one in exact)
    assert all(re.fullmatch(r"-?\d+(\.\d+)?", one) for one in exact)


# --- charts -----------------------------------------------------------------------------------


def curve(client: httpx2.Client, of: str = "equity") -> dict[str, list[object]]:
    answer = client.get(f"/performance/data?account_id={DESK}&of={of}")
    found: dict[str, list[object]] = json.loads(answer.text)
    return found


def test_9_the_equity_curve_keeps_flows_out_of_the_return() -> None:
    rows = [
        {"time": time, "equity": Decimal(equity), "external_flows": Decimal(flows)}
        for time, equity, flows in zip(_times(3), (100, 250, 275), (100, 250, 250), strict=True)
    ]
    points = performance._of_snapshots(rows)
    assert [one.growth for one in points] == [1, 1, Decimal("1.1")]
    assert points[1].flow == 150


def test_10_the_drawdown_is_below_and_hangs_from_nothing(client: httpx2.Client) -> None:
    text = client.get(f"/performance?account_id={DESK}").text
    assert text.index('class="chart"') < text.index('class="chart low"')
    falls = curve(client, "drawdown")["curves"][0]["values"]  # type: ignore[index]
    assert max(falls) == 0
    points = [CurvePoint(at, Decimal(1), Decimal(n), Decimal(0)) for at, n in enumerate((1, 2, 1))]
    deepest = performance.deepest(points)
    assert deepest is not None
    assert (deepest.depth, deepest.peak_time, deepest.time) == (Decimal("-0.5"), 1, 2)


def test_11_fills_are_marked_at_their_price_with_how_many_there_are(client: httpx2.Client) -> None:
    asked = f"/chart/data?account_id={DESK}&instrument=BINANCE:BTCUSDT"
    found = client.get(asked).json()
    assert found["candles"]
    assert all(one["low"] <= one["close"] <= one["high"] for one in found["candles"])
    assert all(one["count"] >= 1 and one["order"].startswith("/orders/") for one in found["fills"])
    assert 'position: "atPriceMiddle"' in CHARTS
    assert any(one["late"] for one in found["fills"])


def test_12_a_story_has_lanes_and_says_how_long_idle_time_was(client: httpx2.Client) -> None:
    orders = re.findall(
        r"/orders/[0-9a-f-]{36}", client.get(f"/orders?view=all&account_id={DESK}").text
    )
    text = client.get(orders[0]).text
    for lane in ("service", "venue", "money"):
        assert f">{lane}</text>" in text
    assert re.search(r'text-anchor="middle">\d+ (ms|s|min|h|d)</text>', text)


def test_13_the_months_have_values_and_what_is_missing_is_hatched(client: httpx2.Client) -> None:
    text = client.get(f"/performance?account_id={DESK}").text
    assert 'class="missing"' in text
    assert re.search(r"\.heat \.missing \{[^}]*repeating-linear-gradient", CSS)
    rows = [
        {
            "time": time,
            "opening_equity": Decimal(100),
            "profit": Decimal(profit),
            "external_flows": 0,
        }
        for time, profit in zip(_times(2, days=31), (10, -10), strict=True)
    ]
    ((_, cells, whole),) = performance.months(rows)
    assert [one.tone for one in cells if one.result is not None] == ["h3u", "h3d"]
    assert whole == Decimal("-0.01")


def test_14_axes_are_plain_and_there_is_no_second_one() -> None:
    assert CHARTS.count("scale: ") == 0
    assert "toISOString" not in CHARTS


def test_15_thinning_keeps_the_peaks() -> None:
    assert "column[at] < column[least]" in CHARTS
    assert "column[at] > column[most]" in CHARTS


def test_16_tones_of_gain_and_loss_can_be_chosen(client: httpx2.Client) -> None:
    text = client.get("/preferences", headers={"Cookie": "look_tones=blue"}).text
    assert 'data-tones="blue"' in text
    assert "blue up, orange down" in text


def test_17_a_chart_says_what_it_is_of_when_and_how_far_sealed(client: httpx2.Client) -> None:
    for path in ("/chart", f"/performance?account_id={DESK}"):
        text = client.get(path).text
        caption = re.search(r"<figcaption>.*?</figcaption>", text, re.S)
        assert caption is not None
        assert "Position" in caption[0]
        assert "sealed to" in caption[0]
        assert 'role="img"' in text
        assert "<table" in text


def test_18_the_maker_of_the_candles_is_named_where_they_are_seen(client: httpx2.Client) -> None:
    text = client.get("/chart").text
    assert "https://www.tradingview.com/" in text
    assert "Lightweight Charts" in client.get("/notices").text


def _times(count: int, days: int = 1) -> list[object]:
    from datetime import UTC, datetime, timedelta

    return [datetime(2026, 1, 5, tzinfo=UTC) + timedelta(days=days * at) for at in range(count)]
