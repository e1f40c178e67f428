"""The example as a person runs it, on a file with all the dirt there is."""

import csv
import json
import lzma
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from examples import replay_bitstamp

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = ("id", "timestamp", "exchange.timestamp", "price", "volume", "action", "direction")
BEGIN = 1_600_000_000_000
PATIENCE_SECONDS = 100

Told = tuple[int, str, int] | tuple[int, str, int, str]
"""Seconds, action, volume, and the price if it is another."""

ORDERS: dict[str, tuple[str, str, Sequence[Told]]] = {
    "filled at once": ("bid", "100.00", [(1, "created", 7), (2, "deleted", 0)]),
    "filled in parts": ("ask", "100.50", [(1, "created", 9), (3, "changed", 4), (5, "deleted", 0)]),
    "cancelled whole": ("bid", "99.10", [(1, "created", 5), (4, "deleted", 5)]),
    "filled and cancelled": (
        "bid",
        "99.90",
        [(2, "created", 8), (3, "changed", 6), (9, "deleted", 6)],
    ),
    "new": ("ask", "140.00", [(2, "created", 3)]),
    "open and filled": ("bid", "98.00", [(2, "created", 6), (4, "changed", 5), (6, "changed", 2)]),
    "deleted twice": ("ask", "101.00", [(3, "created", 4), (5, "deleted", 4), (5, "deleted", 4)]),
    "out of order": ("bid", "97.77", [(9, "created", 5), (4, "changed", 3), (2, "deleted", 3)]),
    "deleted before created": ("ask", "102.00", [(6, "deleted", 2), (6, "created", 2)]),
    "older message last": (
        "bid",
        "100.20",
        [(5, "created", 9), (6, "deleted", 0), (6, "changed", 4)],
    ),
    "never created, cancelled": ("bid", "90.00", [(7, "deleted", 11)]),
    "never created, filled": ("ask", "103.00", [(7, "deleted", 0)]),
    "never created, changed": ("ask", "104.00", [(7, "changed", 5), (8, "deleted", 1)]),
    "another price": (
        "ask",
        "105.00",
        [(3, "created", 6), (5, "changed", 6, "104.10"), (6, "changed", 1, "104.05")],
    ),
}


@pytest.fixture
def order_file(tmp_path: Path) -> Path:
    """The orders' rows, one of each in turn, as the feed mixes them."""
    path = tmp_path / "orders.csv.xz"
    longest = max(len(rows) for _, _, rows in ORDERS.values())
    with lzma.open(path, "wt", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(COLUMNS)
        for turn in range(longest):
            for number, (direction, price, rows) in enumerate(ORDERS.values(), 5_001):
                if turn < len(rows):
                    seconds, action, volume, *other = rows[turn]
                    time = BEGIN + seconds * 1_000
                    told = [other[0] if other else price, volume * 10_000_000]
                    writer.writerow([number, time + turn, time, *told, action, direction])
    return path


def replay(
    *arguments: str | Path, database_url: str, nats_url: str
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "examples.replay_bitstamp", *arguments],
        cwd=ROOT,
        env=os.environ | {"LEDGER_DATABASE_URL": database_url, "LEDGER_NATS_URL": nats_url},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def test_the_ledger_shows_what_the_file_says_dirt_included_and_a_second_replay_holds_too(
    order_file: Path, database_url: str, nats_url: str
) -> None:
    """The second on the same ledger, and limited."""
    servers = {"database_url": database_url, "nats_url": nats_url}
    done = replay(order_file, "--json", **servers)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["holds"] is True
    assert report["orders_created"] == 11
    assert report["orders_by_status"]["ledger"] == {
        "CANCELLED": 7,
        "FILLED": 3,
        "PARTIALLY_FILLED": 2,
        "NEW": 1,
    }
    assert report["outcomes"]["REJECTED UNKNOWN_ORDER"] == 1
    assert report["outcomes"]["REJECTED ORDER_ALREADY_EXISTS"] == 1
    assert done.stderr == ""
    second = replay(order_file, "--limit", "9", **servers)
    assert second.returncode == 0, second.stdout + second.stderr
    assert "All of it holds." in second.stdout
    assert "9 rows about 9 orders" in second.stdout


def test_a_file_that_is_no_order_file_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "prices.csv").write_text("date,price\n2020-02-02,100\n")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "plain.xz").write_text("id,timestamp\n")
    lines = []
    for name, told in {
        "prices.csv": "row 1 ",
        "empty.csv": "no rows",
        "plain.xz": "cannot be read",
        "none.csv": "No such file",
    }.items():
        with pytest.raises((ValueError, OSError), match=told) as refused:
            replay_bitstamp.read(tmp_path / name, None)
        line = replay_bitstamp.explained(refused.value)
        lines.append(line)
        assert told in line
        assert "\n" not in line
    unused = {"database_url": "postgresql://127.0.0.1:1/x", "nats_url": "nats://127.0.0.1:1"}
    done = replay(tmp_path / "none.csv", **unused)
    assert (done.returncode, done.stderr) == (1, f"error: {lines[-1]}\n")
