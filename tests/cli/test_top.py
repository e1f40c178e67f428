"""`ledgerctl top`: live, and nothing is changed by it."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import psycopg
from rich.text import Text
from textual.widgets import DataTable, Static

from ledger.cli.live_screen import LiveScreen
from ledger.cli.live_view import Look, Rates, follows, verdict
from ledger.cli.status import examined
from ledger.operate.settings import Settings
from ledger.vitals.examination import Vitals
from ledger.vitals.measure import Sample
from tests.cli.running import run

HOSTILE = "\x1b[2J[red]not red[/red]"
WELL = {"database_up": 1.0, "bus_up": 1.0, "command_workers": 1.0, "seals_signed": 1.0}


def look(at: float, *, position: float = 100, lag: float = 0, **told: float) -> Look:
    samples = [Sample(name, "", value) for name, value in (WELL | told).items()]
    samples.append(Sample("head_position", "", position))
    of_projection = {"position": position - lag, "lag_events": lag, "owned": 1.0}
    for name in ("lag_seconds", "paused", "failing", "parked_keys", "stalled_seconds"):
        of_projection[name] = 0.0
    samples += [Sample(f"projection_{name}", HOSTILE, one) for name, one in of_projection.items()]
    return Look(at, Vitals(samples), {"commands": True, "seals": False})


def cells(screen: LiveScreen, name: str) -> list[list[str]]:
    table = screen.query_one(f"#{name}", DataTable)
    rows = [table.get_row_at(row) for row in range(table.row_count)]
    return [[one.plain if isinstance(one, Text) else one for one in row] for row in rows]


def lines(screen: LiveScreen) -> str:
    return str(screen.query_one("#numbers", Static).content)


def said(screen: LiveScreen) -> str:
    return str(screen.query_one("#verdict", Static).content)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - the screen tells nobody
            await asyncio.sleep(0.02)


def test_what_grows_is_told_by_the_second() -> None:
    before, now = look(10.0), look(12.0, position=1_100, lag=30)
    assert follows(now, Rates(None, now))[0][4] == ""
    assert follows(now, Rates(before, now))[0][1:5] == ("1,070", "30", "0.0", "485")


def test_the_verdict_is_that_of_the_alerts() -> None:
    assert verdict(look(1.0)) == ("all is well", True)
    text, well = verdict(look(1.0, commands_stalled_seconds=99))
    assert (text, well) == (
        "does not go on: commands wait and nothing was decided for 99 s",
        False,
    )


async def test_it_looks_again_and_shows_programs_rates_and_alerts_as_text() -> None:
    looks = iter((look(1.0), look(2.0, position=350, lag=5, failed_commands_waiting=3)))
    screen = LiveScreen(lambda: next(looks), seconds=60)
    async with screen.run_test(size=(80, 24)) as pilot:
        await until(lambda: screen.query_one("#follows", DataTable).row_count == 1)
        assert said(screen) == "all is well"
        assert "at work: commands; not at work: seals" in lines(screen)
        await pilot.press("r")
        await until(lambda: bool(cells(screen, "alerts")))
        (row,) = cells(screen, "follows")
        assert row[1:5] == ["345", "5", "0.0", "245"]
        assert "\x1b" not in row[0]
        assert "[red]" in row[0]
        assert cells(screen, "alerts")[0][0] == "ticket"
        assert "250/s" in lines(screen)


async def test_it_stands_still_while_paused_and_ends_with_q() -> None:
    asked = 0

    def ask() -> Look:
        nonlocal asked
        asked += 1
        return look(float(asked))

    screen = LiveScreen(ask, seconds=0.05)
    async with screen.run_test(size=(80, 24)) as pilot:
        await until(lambda: asked > 2)
        await pilot.press("p")
        await pilot.pause()
        await asyncio.sleep(0.1)  # a look that was under way
        then = asked
        await asyncio.sleep(0.3)
        assert asked == then
        await pilot.press("q")
    assert screen.return_code == 0


async def test_it_shows_a_real_ledger_and_changes_nothing(
    tmp_path: Path, database_url: str
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on".encode())
    settings = Settings(database_url=database_url, data_dir=tmp_path)
    screen = LiveScreen(lambda: Look.of(examined(settings), {}), seconds=60)
    async with screen.run_test(size=(80, 24)):
        await until(lambda: screen.query_one("#follows", DataTable).row_count > 5)
        assert said(screen).startswith("does not go on: NATS does not answer")


async def test_a_wrong_pace_is_refused(tmp_path: Path) -> None:
    done = await run("top", "--seconds", "0", cwd=tmp_path)
    assert (done.exit_code, "0.5" in done.stderr) == (2, True)
