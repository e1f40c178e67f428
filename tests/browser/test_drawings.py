"""What is drawn can be kept: as a picture with its title and footer, and as exact numbers."""

import csv
import io
import struct
from decimal import Decimal

from tests.browser.conftest import Opening
from tests.browser.desk import DESK
from tests.web.serving import Served

PNG = b"\x89PNG\r\n\x1a\n"


def test_a_drawing_is_kept_as_a_picture(opening: Opening) -> None:
    """Both curves of a figure in one, beneath its title; candles by themselves."""
    for path, curves in ((f"/performance?account_id={DESK}", 2), (f"/chart?account_id={DESK}", 1)):
        page = opening(path)
        page.locator(".chart canvas").nth(curves - 1).wait_for()
        heights = page.locator(".chart").evaluate_all("all => all.map((one) => one.clientHeight)")
        assert len(heights) == curves
        with page.expect_download() as saved:
            page.get_by_role("button", name="PNG").click()
        assert saved.value.suggested_filename.endswith(".png")
        data = saved.value.path().read_bytes()
        assert data.startswith(PNG)
        width, height = struct.unpack(">II", data[16:24])
        assert width > 600
        assert height > sum(heights) * 0.7


def test_the_numbers_of_a_drawing_are_exact(desk: Served) -> None:
    client = desk.client("ada")
    told = client.get(f"/performance/data?account_id={DESK}&format=csv")
    assert told.headers["content-disposition"].endswith('.csv"')
    assert int(told.headers["ledger-position"]) > 0
    rows = list(csv.DictReader(io.StringIO(told.text)))
    newest = client.get(f"/api/v1/snapshots?account_id={DESK}&limit=1").json()["rows"][0]
    assert Decimal(rows[-1]["equity"]) == Decimal(newest["equity"])
    assert min(Decimal(row["drawdown"]) for row in rows) <= 0
    asked = f"/chart/data?account_id={DESK}&instrument=BINANCE:BTCUSDT&format=csv"
    candles = list(csv.DictReader(io.StringIO(client.get(asked).text)))
    assert all(Decimal(one["low"]) <= Decimal(one["high"]) for one in candles)
    assert {one["time"][-1] for one in candles} == {"Z"}
