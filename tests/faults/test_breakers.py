"""One trip is one halt is one message, whenever `serve risk` and `serve alerts` are killed."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from uuid import UUID, uuid4

from ledger.sync import LedgerClient
from tests.alerting.receiving import Webhook, webhook
from tests.programs.services import client, open_account, rows, running_worker
from tests.projections.workers import wait_until

ROUNDS = int(os.environ.get("LEDGER_TEST_ROUNDS", "1"))
INSTRUMENT = "BINANCE:BTCUSDT"
PATIENCE_SECONDS = 90.0


class Killed:
    """A program that is killed again and again, and started again at once."""

    def __init__(self, name: str, directory: Path, env: dict[str, str], seed: int) -> None:
        self._random = random.Random(seed)
        self._stop = threading.Event()
        self._command = [sys.executable, "-m", "ledger", "serve", name]
        self._directory, self._env = directory, env
        self.kills = 0
        self._process = self._start()
        self._thread = threading.Thread(target=self._kill)
        self._thread.start()

    def _start(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            self._command, cwd=self._directory, env=self._env, stderr=subprocess.DEVNULL
        )

    def _kill(self) -> None:
        """Lets it live for longer and longer, so that what it does is cut off everywhere, and done
        in the end."""
        while not self._stop.wait(1.0 + self._random.expovariate(1 / (1.5 + self.kills))):
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self.kills += 1
            self._process = self._start()

    def end(self) -> None:
        self._stop.set()
        self._thread.join()
        self._process.kill()
        self._process.wait()


@contextmanager
def killed(directory: Path, database_url: str, nats_url: str, hook: Webhook) -> Iterator[None]:
    env = os.environ | {
        "LEDGER_DATABASE_URL": database_url,
        "LEDGER_NATS_URL": nats_url,
        "LEDGER_METRICS_PORT": "0",
        "LEDGER_ALERT_CHANNELS": f"ops={hook.address}",
        "LEDGER_ALERT_LOOK_SECONDS": "3600",
        "LEDGER_ALERT_ANSWER_SECONDS": "2",
        "LEDGER_ALERT_RETRY_WAIT_SECONDS": "0.1",
    }
    programs = [Killed(name, directory, env, ROUNDS) for name in ("risk", "alerts")]
    try:
        yield
    finally:
        for one in programs:
            one.end()


def falls(ledger: LedgerClient, account_id: UUID, breaker_id: str, minute: int) -> None:
    """The account's breaker trips: it lost two positions in a row."""
    began = datetime.now(UTC) - timedelta(hours=1) + timedelta(minutes=minute)
    data = {"kind": "LOSS_STREAK", "scope": "ACCOUNT", "reference": str(account_id)}
    set_breaker = data | {"breaker_id": breaker_id, "threshold": "2"}
    assert ledger.submit("SetBreaker", set_breaker).accepted
    ledger.submit("Deposit", {"asset": "USDT", "amount": "1000"}, account_id=account_id)
    for number, (side, price) in enumerate((("BUY", "100"), ("SELL", "90")) * 2):
        fill = {
            "order_id": str(uuid4()),
            "trade_id": str(uuid4()),
            "instrument": INSTRUMENT,
            "side": side,
            "last_qty": "1",
            "last_px": price,
            "occurred_at": (began + timedelta(seconds=number)).isoformat(),
        }
        assert ledger.submit("RecordFill", fill, account_id=account_id).accepted


async def test_one_trip_is_one_halt_is_one_message_whoever_is_killed(
    tmp_path: Path, database_url: str, nats_url: str
) -> None:
    def count(event_type: str, field: str, value: str) -> int:
        asked = "SELECT count(*) FROM event_store WHERE event_type = %s AND event_data->>%s = %s"
        found: int = rows(database_url, asked, event_type, field, value)[0][0]
        return found

    def told(account_id: UUID) -> bool:
        asked = (
            "SELECT count(*) FROM event_store AS ended, event_store AS raised "
            "WHERE raised.event_type = 'alert.raised' AND ended.stream_id = raised.stream_id "
            "AND raised.event_data->>'rule' = 'breaker-tripped' "
            "AND raised.event_data->>'entity_id' = %s "
            "AND ended.event_type = 'alert.delivery_ended' "
            "AND ended.event_data->>'status' = 'SENT'"
        )
        return bool(rows(database_url, asked, str(account_id))[0][0])

    listing = {"instrument": INSTRUMENT, "base_asset": "BTC", "quote_asset": "USDT"}
    with webhook() as hook:
        async with running_worker(database_url, nats_url), await client(nats_url) as ledger:
            await ledger.submit("ListInstrument", listing)
            accounts = [await open_account(ledger) for _ in range(ROUNDS)]
            with killed(tmp_path, database_url, nats_url, hook):
                follows = "SELECT count(*) FROM event_projections WHERE projection_name IN "
                follows += "('risk', 'alerting')"

                async def until(holds: Callable[[], bool], what: str) -> None:
                    await asyncio.to_thread(wait_until, holds, what, seconds=PATIENCE_SECONDS)

                await until(lambda: rows(database_url, follows) == [(2,)], "both to follow the log")
                for minute, account_id in enumerate(accounts):
                    await asyncio.to_thread(_fall, nats_url, account_id, minute)
                    await until(partial(told, account_id), "its message")
        for account_id in accounts:
            assert count("breaker.tripped", "reference", str(account_id)) == 1
            assert count("limits.halted", "reference", str(account_id)) == 1
            assert count("breaker.acted", "reference", str(account_id)) == 1
            words = f"A breaker has stopped ACCOUNT {account_id}"
            heard = sum(one["title"].count(words) for one in hook.told)
            repeated = rows(
                database_url,
                "SELECT count(*) FROM event_store AS begun, event_store AS raised "
                "WHERE raised.event_type = 'alert.raised' AND begun.stream_id = raised.stream_id "
                "AND raised.event_data->>'rule' = 'breaker-tripped' "
                "AND raised.event_data->>'entity_id' = %s "
                "AND begun.event_type = 'alert.delivery_begun' "
                "AND (begun.event_data->>'repeated')::boolean",
                str(account_id),
            )[0][0]
            assert 1 <= heard <= 1 + repeated


def _fall(nats_url: str, account_id: UUID, minute: int) -> None:
    with LedgerClient.connect(nats_url, source="desk") as ledger:
        falls(ledger, account_id, str(uuid4()), minute)
