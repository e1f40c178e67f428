"""ledgerctl serve: which programs there are, how they begin and end."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from ledger.programs.registry import ALL, names
from tests.cli.running import run
from tests.programs.services import answering, client


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
async def test_the_command_service_serves_until_a_signal_and_ends_well(
    tmp_path: Path, database_url: str, nats_url: str, how: signal.Signals
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ledger", "serve", "commands"),
        cwd=tmp_path,
        env=os.environ | {"LEDGER_DATABASE_URL": database_url, "LEDGER_NATS_URL": nats_url},
        stderr=asyncio.subprocess.PIPE,
    )
    async with await client(nats_url) as ledger:
        await answering(ledger)
    process.send_signal(how)
    _, log = await asyncio.wait_for(process.communicate(), 10)
    assert process.returncode == 0
    assert b'"event":"batch_committed"' in log
    assert b"Traceback" not in log


async def test_an_unknown_service_is_answered_with_those_there_are(tmp_path: Path) -> None:
    finished = await run("serve", "dinner", cwd=tmp_path, TERM="dumb", COLUMNS="200")
    assert finished.exit_code == 2
    assert "there is no program 'dinner'" in finished.stderr
    assert (
        "clock, commands, prices, projections, publisher, queries, risk, seals, web, all"
        in finished.stderr
    )


async def test_a_database_without_the_schema_is_refused_with_the_remedy(
    tmp_path: Path, empty_database_url: str, nats_url: str
) -> None:
    for program in (*names(), ALL):
        finished = await run(
            "serve",
            program,
            cwd=tmp_path,
            LEDGER_DATABASE_URL=empty_database_url,
            LEDGER_NATS_URL=nats_url,
        )
        assert finished.exit_code == 1
        assert "ledgerctl migrate" in finished.stderr
        assert "Traceback" not in finished.stderr


async def test_without_servers_it_says_how_to_start_them(tmp_path: Path) -> None:
    finished = await run("serve", "commands", cwd=tmp_path)
    assert finished.exit_code == 1
    assert "ledgerctl up" in finished.stderr
