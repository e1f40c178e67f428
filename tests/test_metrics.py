"""What a service tells Prometheus, and where."""

import asyncio
import contextlib
import os
import signal
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ledger.operate import http
from ledger.operate.settings import Settings
from tests.ports import free_port
from tests.projections import log as events
from tests.projections.log import opened_log


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return str(answer.read().decode())


def samples(text: str) -> dict[tuple[str, str], float]:
    """(name, projection) -> value."""
    return {
        (sample.name, sample.labels.get("projection", "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.parametrize("host", ["::1", "::"])
def test_pages_are_served_where_addresses_are_of_version_6(host: str) -> None:
    with http.served(Settings(metrics_host=host, metrics_port=free_port())) as url:
        assert url is not None
        assert url.startswith(f"http://[{host}]:")
        assert "alive" in get(f"{url}/health")


def test_a_port_that_was_set_and_is_taken_ends_the_program() -> None:
    settings = Settings(metrics_port=free_port())
    with http.served(settings) as url:
        assert "python_info" in get(f"{url}/metrics")
        with (
            pytest.raises(http.PortTaken, match=rf":{settings.metrics_port}: .*METRICS_PORT"),
            http.served(settings),
        ):
            pass
    with pytest.raises(urllib.error.URLError):
        get(f"{url}/metrics")


def test_where_none_was_set_a_program_has_its_own_and_works_without_if_that_is_taken() -> None:
    port = free_port()
    with http.served(Settings(), port=port) as one, http.served(Settings(), port=port) as two:
        assert one == f"http://127.0.0.1:{port}"
        assert two is None
    with http.served(Settings()) as none:
        assert none is None


def test_another_path_is_answered_with_those_there_are() -> None:
    with http.served(Settings(metrics_port=free_port())) as url:
        with pytest.raises(urllib.error.HTTPError) as refusal:
            get(f"{url}/")
        assert refusal.value.code == 404
        assert b"/metrics" in refusal.value.read()
        refusal.value.close()


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refusal:
        refusal.close()
        return refusal.code


def test_a_process_can_be_alive_and_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "READY_SECONDS", 0.0)
    does_its_work = True
    settings = Settings(metrics_port=free_port())
    with http.served(settings, ready=lambda: does_its_work) as url:
        assert (status(f"{url}/health"), status(f"{url}/ready")) == (200, 200)
        does_its_work = False
        assert (status(f"{url}/health"), status(f"{url}/ready")) == (200, 503)


def test_who_asks_often_whether_it_is_ready_costs_the_service_nothing() -> None:
    asked: list[bool] = []

    def ready() -> bool:
        asked.append(True)
        return True

    with http.served(Settings(metrics_port=free_port()), ready) as url:
        for _ in range(20):
            assert status(f"{url}/ready") == 200
    assert len(asked) <= 3  # once a second


def test_port_0_means_no_metrics() -> None:
    with http.served(Settings(metrics_port=0)) as url:
        assert url is None


def test_a_host_that_is_not_ours_is_told_with_the_settings_name() -> None:
    settings = Settings(metrics_host="192.0.2.1", metrics_port=free_port())
    with pytest.raises(http.PortTaken, match="LEDGER_METRICS_HOST"), http.served(settings):
        pass


async def test_a_projection_service_tells_lag_batches_and_leases(
    tmp_path: Path, database_url: str
) -> None:
    port = free_port()
    with opened_log(database_url) as log:
        head = log.account(events.account_opened(), events.deposited("USDT", "5"))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ledger", "serve", "projections"),
        cwd=tmp_path,
        env=os.environ | {"LEDGER_DATABASE_URL": database_url, "LEDGER_METRICS_PORT": str(port)},
        stderr=asyncio.subprocess.DEVNULL,
    )
    # A page is not of one moment: counters are read before the rows of the database.
    expected = {
        "ledger_projection_position": head,
        "ledger_projection_lag_events": 0,
        "ledger_projection_parked_keys": 0,
        "ledger_projection_owned": 1,
        "ledger_projection_events_total": 1,
        "ledger_projection_batch_events_sum": 1,
        "ledger_projection_batch_seconds_count": 1,
        "ledger_projection_lease_changes_total": 1,
        "ledger_projection_claims_total": 1,
    }
    found: dict[str, float | None] = {}
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(30):
                while found != expected:
                    await asyncio.sleep(0.05)
                    try:
                        page = await asyncio.to_thread(get, f"http://127.0.0.1:{port}/metrics")
                    except OSError:
                        continue
                    told = samples(page)
                    found = {name: told.get((name, "balances")) for name in expected}
        assert found == expected
        for page in ("health", "ready"):
            url = f"http://127.0.0.1:{port}/{page}"
            assert await asyncio.to_thread(status, url) == 200
    finally:
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 10) == 0
