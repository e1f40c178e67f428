"""A server that is away cannot be recorded: it is told at once, and recorded afterwards."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

from ledger.alerting.outage import Watchman
from ledger.alerting.rules import Rules, rules_of
from ledger.alerting.watch import Watched
from ledger.nouns.alerts.commands import RaiseAlert, ResolveAlert
from ledger.vitals.examination import Vitals
from ledger.vitals.measure import Sample
from tests.alerting.receiving import Webhook, webhook

AWAY = Vitals([Sample("bus_up", "", 0.0)], bus_error="connection refused")
THERE = Vitals([Sample("bus_up", "", 1.0)])


def quick(tmp_path: Path) -> Rules:
    path = tmp_path / "rules.toml"
    path.write_text('[[rule]]\nname = "LedgerBusAway"\nfor_seconds = 0.01\n')
    return rules_of(path)


def looked(
    tmp_path: Path, hook: Webhook, tell: list[Vitals], *, owner: bool
) -> tuple[Watchman, Callable[[], None]]:
    """A watchman that finds one after the other, and what lets it look once more."""
    looks = threading.Semaphore(0)
    found = threading.Semaphore(0)

    def examine() -> Vitals:
        looks.acquire()
        return tell.pop(0)

    channels = {"ops": hook.address}
    watchman = Watchman(examine, quick(tmp_path), channels, 0.02, found.release)
    if owner:
        watchman.is_owner()
    stop = threading.Event()
    thread = threading.Thread(target=watchman.watch, args=(stop,), daemon=True)
    thread.start()

    def look() -> None:
        looks.release()
        found.acquire()
        if not tell:
            stop.set()

    return watchman, look


def test_an_outage_is_told_once_and_recorded_when_it_is_over(tmp_path: Path) -> None:
    with webhook() as hook:
        watchman, look = looked(tmp_path, hook, [AWAY, AWAY, AWAY, THERE], owner=True)
        for _ in range(3):
            look()
            time.sleep(0.02)  # what it must hold for
        assert hook.titles == ["CRITICAL: NATS does not answer"]
        assert "connection refused" in hook.told[0]["message"]
        assert list(watchman.to_record(Watched())) == []
        look()
        ((outage, (opened, over)),) = watchman.to_record(Watched())
        assert isinstance(opened.data, RaiseAlert)
        assert opened.data.channels == ()
        assert opened.data.metadata["told"] == "ops"
        assert isinstance(over.data, ResolveAlert)
        ((_, again),) = watchman.to_record(Watched())
        assert [one.command_id for one in again] == [opened.command_id, over.command_id]
        watchman.recorded(outage)
        assert list(watchman.to_record(Watched())) == []


def test_who_stood_by_tells_of_no_outage(tmp_path: Path) -> None:
    with webhook() as hook:
        watchman, look = looked(tmp_path, hook, [AWAY, AWAY, THERE], owner=False)
        for _ in range(3):
            look()
            time.sleep(0.02)  # what it would have to hold for
        assert hook.told == []
        assert list(watchman.to_record(Watched())) == []
