"""How the ledger is, in numbers: what waits, what stands still, and who is in the way."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ledger.bus import connection as bus
from ledger.bus.security import BusSecurity
from ledger.operate.roles import AUDITOR, OPERATOR, PROJECTOR, as_role
from ledger.operate.settings import Settings
from ledger.vitals import bus as bus_vitals
from ledger.vitals import collector, database
from ledger.vitals.condition import CONDITIONS, alarms
from ledger.vitals.examination import Vitals, examine
from ledger.vitals.measure import MEASURES, Sample
from tests.cli.running import run
from tests.programs.services import client, open_account, running_worker
from tests.projections import log as events
from tests.projections.log import opened_log
from tests.roles.acting import acting_as

DEPOSIT = {"asset": "USDT", "amount": "1"}
AWAY_DATABASE, AWAY_BUS = "postgresql://127.0.0.1:1/none", "nats://127.0.0.1:1"
ROOT = Path(__file__).parent.parent.parent


def of_database(database_url: str) -> Vitals:
    return Vitals(database.ask(database_url), reasons=database.reasons(database_url))


async def of_bus(nats_url: str) -> Vitals:
    return Vitals(await bus_vitals.ask(nats_url, BusSecurity.of(Settings()), as_program=True))


def alerts(vitals: Vitals) -> set[str]:
    return {alarm.condition.alert for alarm, _ in vitals.alarms()}


def told(vitals: Vitals, alert: str) -> str:
    (message,) = (text for one, text in vitals.alarms() if one.condition.alert == alert)
    return message


def test_every_role_is_told_the_same_numbers_and_each_has_a_meaning(database_url: str) -> None:
    for role in ("writer", "projector", "sealer", "auditor", "operator", "monitor"):
        with acting_as(database_url, f"ledger_{role}") as connection:
            names = {name for (name,) in connection.execute("SELECT name FROM public.vitals()")}
        assert names <= MEASURES.keys()
        assert {"head_position", "projection_stalled_seconds", "command_workers"} <= names


@pytest.mark.parametrize("role", [PROJECTOR, AUDITOR, OPERATOR, "ledger_monitor"])
def test_whoever_watches_may_ask_why_as_well(database_url: str, role: str) -> None:
    """The program of alerts among them: it would take the database for one that is away."""
    found = examine(Settings(), as_role(database_url, role, "a test"), None, why=True)
    assert found.database_error is None


def test_each_condition_is_of_a_measure_and_has_a_runbook() -> None:
    for condition in CONDITIONS:
        assert condition.measure in MEASURES
        assert (ROOT / "docs" / "runbooks" / condition.runbook).exists(), condition.runbook


def test_of_a_ledger_that_is_new_only_that_is_told_which_is_missing(database_url: str) -> None:
    """Who works, and a key: nothing that would have had to happen."""
    missing = {"LedgerNoCommandService", "LedgerSealsUnsigned", "LedgerProjectionNeedsPerson"}
    assert alerts(of_database(database_url)) <= missing


def test_servers_that_are_away_are_told_and_not_raised() -> None:
    found = examine(Settings(), AWAY_DATABASE, AWAY_BUS, why=True)
    assert {"LedgerDatabaseAway", "LedgerBusAway"} <= alerts(found)
    assert "127.0.0.1" in told(found, "LedgerDatabaseAway")


async def test_commands_that_nobody_decides_are_told_at_once_and_with_their_age(
    database_url: str, nats_url: str
) -> None:
    async with await client(nats_url) as ledger:
        async with running_worker(database_url, nats_url):
            account_id = await open_account(ledger)
            working = await of_bus(nats_url)
            assert working.value("commands_stalled_seconds") == 0
            assert working.value("bus_stores") == 1
        sent = [await ledger.send("Deposit", DEPOSIT, account_id=account_id) for _ in range(3)]
        await asyncio.gather(*(one.received() for one in sent))
        await asyncio.sleep(0.05)  # so that there is an age
        waiting = await of_bus(nats_url)
        assert waiting.value("commands_waiting", "ledger-worker") == 3
        oldest, stalled = (waiting.value(f"commands_{of}_seconds") for of in ("oldest", "stalled"))
        assert oldest is not None
        assert stalled is not None
        assert 0.05 <= stalled <= oldest < 30
        async with running_worker(database_url, nats_url):
            for one in sent:
                await one
            done = await of_bus(nats_url)
    assert done.value("commands_waiting", "ledger-worker") == 0
    assert done.value("commands_oldest_seconds") == 0


async def test_a_command_service_is_counted_as_long_as_it_lives(
    database_url: str, nats_url: str
) -> None:
    assert "LedgerNoCommandService" in alerts(of_database(database_url))
    async with running_worker(database_url, nats_url):
        found = await asyncio.to_thread(of_database, database_url)
        assert found.value("command_workers") == 1
        assert "LedgerNoCommandService" not in alerts(found)


@contextmanager
def holding(database_url: str) -> Iterator[int]:
    """A session that has locked the log, as making an index does; its number."""
    with psycopg.connect(database_url, application_name="reindex by hand") as connection:
        connection.execute("LOCK TABLE event_store IN SHARE MODE")
        yield connection.info.backend_pid


def test_who_holds_up_appends_is_named(database_url: str) -> None:
    with holding(database_url) as session:
        deadline = time.monotonic() + 10
        while not database.reasons(database_url).of_commands:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        found = of_database(database_url)
        held = found.value("append_held_seconds")
        assert held is not None
        assert held > 2
        (reason,) = found.reasons.of_commands
        assert f"session {session}" in reason
        assert "reindex by hand" in reason
        assert "ShareLock on public.event_store" in reason
        stuck = found._replace(samples=[Sample("commands_stalled_seconds", "", 20.0)])
        assert reason in told(stuck, "LedgerCommandsStalled")
    assert of_database(database_url).value("append_held_seconds") == 0


def test_a_time_of_recording_far_ahead_is_told_and_hides_no_standstill(database_url: str) -> None:
    with opened_log(database_url) as log:
        head = log.account(events.account_opened())
    well = of_database(database_url)
    assert "LedgerClockAhead" not in alerts(well)
    with psycopg.connect(database_url) as connection:
        connection.execute(
            """UPDATE event_projections SET created_at = now() - interval '1 minute',
                   last_processed_position = %s WHERE projection_name = 'balances'""",
            [head],
        )
        columns = "stream_type, event_type, event_data, metadata, occurred_at"
        connection.execute(
            f"""INSERT INTO event_store (position, id, stream_id, event_version, recorded_at,
                    {columns})
                SELECT position + 1, gen_random_uuid(), gen_random_uuid(), 1,
                    recorded_at + interval '1 year', {columns} FROM event_store""".encode()
        )
    found = of_database(database_url)
    assert found.value("projection_lag_seconds", "balances") == 0  # which is why it is not enough
    assert {"LedgerClockAhead", "LedgerProjectionStalled"} <= alerts(found)


def test_what_a_follower_says_of_its_error_is_told_with_its_name(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(
            """UPDATE event_projections SET status = 'ERROR', error_message = 'the disk is full',
                   owner = 'x' WHERE projection_name = 'orders'"""
        )
    found = of_database(database_url)
    said = [text for one, text in found.alarms() if one.sample.label == "orders"]
    assert said == ["orders does not go on by itself: the disk is full"]


def test_a_scrape_asks_the_servers_once_for_all_who_come_at_the_same_time() -> None:
    asked: list[int] = []

    def ask() -> Vitals:
        asked.append(1)
        return Vitals([Sample("head_position", "", 7.0)])

    told_by = collector.VitalsCollector(ask)
    for _ in range(20):
        (family,) = told_by.collect()
        assert family.samples[0].value == 7
    assert len(asked) == 1


def test_nothing_is_found_where_all_is_well() -> None:
    well = [Sample(one.measure, "x", one.limit + (1 if one.below else 0)) for one in CONDITIONS]
    assert list(alarms(well)) == []


async def test_status_tells_both_sides_on_a_page_that_fits_80_columns(
    tmp_path: Path, database_url: str, nats_url: str
) -> None:
    async with running_worker(database_url, nats_url):
        answer = await run(
            "status", cwd=tmp_path, LEDGER_DATABASE_URL=database_url, LEDGER_NATS_URL=nats_url
        )
    assert answer.exit_code == 1  # nobody keeps the read models
    assert "commands   0 waiting, 0 in work" in answer.stdout
    assert "balances does not go on by itself" in answer.stdout
    assert "docs/runbooks/stuck-projection.md" in answer.stdout
    assert max(map(len, answer.stdout.splitlines())) <= 80


def test_a_bus_without_streams_is_no_error(nats_url: str) -> None:
    async def ask() -> list[Sample]:
        connection = await bus.connect_once(nats_url, "test", security=BusSecurity.of(Settings()))
        try:
            return await bus_vitals.of_connection(connection, as_program=True)
        finally:
            await connection.close()

    assert asyncio.run(ask()) == []


def test_a_certificate_is_told_before_it_ends(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "nats")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=13))
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "ca.pem"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    vitals = examine(Settings(nats_tls_ca_file=file, data_dir=tmp_path), None, None)
    assert "LedgerCertificateExpires" in [one.condition.alert for one, _ in vitals.alarms()]
    (told,) = [one for one in vitals.samples if one.name == "certificate_valid_seconds"]
    assert told.label == "nats_tls_ca_file"
    assert 12 * 86_400 < told.value < 13 * 86_400
