"""ledgerctl submit: JSON lines in, outcomes out, in order."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
from uuid_utils.compat import uuid7

from tests.cli.running import Finished, run
from tests.programs.services import message, running_worker


def lines(*commands: object) -> bytes:
    return b"".join(
        command if isinstance(command, bytes) else orjson.dumps(command) + b"\n"
        for command in commands
    )


def outcomes(finished: Finished) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in finished.stdout.splitlines()]


def open_account(account_id: UUID) -> dict[str, Any]:
    data = {
        "account_id": str(account_id),
        "user_id": str(uuid7()),
        "exchange": "BINANCE",
        "name": "test",
        "account_type": "CASH",
        "environment": "PAPER",
        "base_currency": "USDT",
    }
    return {"type": "OpenAccount", "data": data}


def deposit(account_id: UUID, amount: object) -> dict[str, Any]:
    data = {"account_id": str(account_id), "asset": "USDT", "amount": amount}
    return {"type": "Deposit", "data": data}


INSTRUMENT = {
    "type": "ListInstrument",
    "data": {
        "instrument": "BINANCE:BTCUSDT",
        "base_asset": "BTC",
        "quote_asset": "USDT",
        "tick_size": "0.01",
        "step_size": "0.001",
    },
}


async def test_each_line_gets_its_outcome_in_order(
    tmp_path: Path, database_url: str, nats_url: str
) -> None:
    account_id = uuid7()
    whole = message("Deposit", account_id, {"asset": "USDT", "amount": "7"})
    file = tmp_path / "commands.jsonl"
    file.write_bytes(
        lines(
            INSTRUMENT,
            open_account(account_id),
            whole,
            b"\n",
            {
                "type": "Withdraw",
                "subject": str(account_id),
                "data": {"asset": "USDT", "amount": "9"},
            },
            whole,
            *(deposit(account_id, str(number)) for number in range(1, 300)),
        )
    )
    async with running_worker(database_url, nats_url):
        finished = await run("submit", file, cwd=tmp_path, LEDGER_NATS_URL=nats_url)
    answers = outcomes(finished)
    assert finished.exit_code == 0, finished.stderr
    assert len(answers) == 304
    assert [answer["status"] for answer in answers[:3]] == ["ACCEPTED"] * 3
    assert answers[3]["code"] == "INSUFFICIENT_FUNDS"
    assert answers[2]["command_id"] == answers[4]["command_id"] == whole["id"]
    assert (answers[2]["replayed"], answers[4]["replayed"]) == (False, True)
    versions = [answer["events"][0]["version"] for answer in answers[5:]]
    assert versions == list(range(3, 302))


async def test_a_line_that_cannot_be_sent_is_answered_in_its_place(
    tmp_path: Path, database_url: str, nats_url: str
) -> None:
    account_id = uuid7()
    async with running_worker(database_url, nats_url):
        finished = await run(
            "submit",
            "-",
            stdin=lines(
                open_account(account_id),
                b"this is no JSON\n",
                b"[1]\n",
                {"type": "Deposit", "data": {"asset": "USDT", "amount": "1"}},
                deposit(account_id, 0.5),
                {"type": "PrintMoney", "subject": str(account_id), "data": {}},
                deposit(account_id, "1"),
            ).rstrip(),
            cwd=tmp_path,
            LEDGER_NATS_URL=nats_url,
        )
    answers = outcomes(finished)
    assert finished.exit_code == 0, finished.stderr
    codes = [answer["code"] for answer in answers]
    assert codes == [None, *["INVALID_COMMAND"] * 5, None]
    told = ["line 2 is not JSON", "line 3", "names no account", "float", "'PrintMoney'"]
    for part, answer in zip(told, answers[1:6], strict=True):
        assert part in answer["message"]


async def test_outcomes_come_before_the_end_of_a_pipe(
    tmp_path: Path, database_url: str, nats_url: str
) -> None:
    async with running_worker(database_url, nats_url):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ledger", "submit", "-"),
            cwd=tmp_path,
            env=os.environ | {"LEDGER_NATS_URL": nats_url},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(3):
            process.stdin.write(lines(open_account(uuid7())))
            answer = await asyncio.wait_for(process.stdout.readline(), 20)
            assert orjson.loads(answer)["status"] == "ACCEPTED"
        process.stdin.close()
        assert await process.wait() == 0


async def test_without_a_worker_the_exit_code_is_1_and_the_line_says_why(
    tmp_path: Path, nats_url: str
) -> None:
    finished = await run(
        "submit",
        "-",
        stdin=lines(open_account(uuid7())),
        cwd=tmp_path,
        LEDGER_NATS_URL=nats_url,
        LEDGER_OUTCOME_DEADLINE_SECONDS="0.5",
    )
    (answer,) = outcomes(finished)
    assert finished.exit_code == 1
    assert (answer["status"], answer["code"]) == ("UNKNOWN", "LEDGER_UNAVAILABLE")
    assert "ledgerctl serve commands" in answer["message"]


async def test_what_stands_in_the_way_is_one_line_on_stderr(tmp_path: Path) -> None:
    nothing_there = await run("submit", "-", cwd=tmp_path, LEDGER_NATS_URL="nats://127.0.0.1:1")
    no_file = await run("submit", "nowhere.jsonl", cwd=tmp_path)
    assert (nothing_there.exit_code, no_file.exit_code) == (1, 2)
    assert "no NATS server answers at nats://127.0.0.1:1" in nothing_there.stderr
    assert "Traceback" not in nothing_there.stderr + no_file.stderr
