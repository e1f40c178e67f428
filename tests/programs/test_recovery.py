"""After a restore to an earlier moment every acknowledged command has its one outcome and effect
again, and whoever had seen what was lost is told."""

import asyncio
from contextlib import aclosing
from pathlib import Path
from uuid import UUID

import orjson
import pytest

from ledger.bus.connection import Connection
from ledger.client.client import LedgerClient
from ledger.client.event_feed import LogRestored
from ledger.kernel.command import Outcome
from ledger.kernel.incarnation import Lineage
from ledger.operate.settings import Settings
from ledger.programs.recovery import Plan, Recovered, Recovery
from tests.conftest import TEMPLATE
from tests.databases import temporary_database
from tests.programs.publishing import connected, in_stream, published_up_to, running_publisher
from tests.programs.restoring import copied
from tests.programs.services import client, open_account, rows, running_worker

WHO = {"by": "ada", "reason": "the disk broke"}


async def deposits(ledger: LedgerClient, account_id: UUID, count: int) -> list[Outcome]:
    sent = [
        await ledger.send("Deposit", {"asset": "USDT", "amount": "1"}, account_id=account_id)
        for _ in range(count)
    ]
    return [await one for one in sent]


async def lived_and_restored(
    postgres_url: str, database_url: str, nats_url: str, partitions: int = 1
) -> tuple[str, list[Outcome]]:
    """A ledger that had lived on behind the moment that its database is restored to; the URL of
    that, and the outcomes since."""
    options = {"command_partitions": partitions}
    async with (
        running_worker(database_url, nats_url, **options),
        running_publisher(database_url, nats_url),
        await client(nats_url) as ledger,
    ):
        accounts = [await open_account(ledger) for _ in range(2)]
        first = await deposits(ledger, accounts[0], 5)
        await published_up_to(database_url, first[-1].position or 0)
    restored = copied(postgres_url, database_url)
    async with (
        running_worker(database_url, nats_url, **options),
        running_publisher(database_url, nats_url),
        await client(nats_url) as ledger,
    ):
        outcomes = [
            *await deposits(ledger, accounts[0], 20),
            *await deposits(ledger, accounts[1], 20),
            await ledger.submit(
                "Withdraw", {"asset": "USDT", "amount": "1000"}, account_id=accounts[0]
            ),
        ]
        await published_up_to(database_url, max(one.position or 0 for one in outcomes))
        async with aclosing(ledger.events(name="risk", after=0)) as followed:
            async for event in followed:
                if event.position == 40:
                    break
    return restored, outcomes


async def recovered(
    database_url: str, nats_url: str, lost_file: Path
) -> tuple[Plan, Recovered, Plan]:
    """What was planned, what came of it, and what is to be done then."""
    recovery = Recovery(database_url, nats_url, Settings())
    async with connected(nats_url) as connection:
        assert isinstance(connection, Connection)
        try:
            plan = await recovery.plan(connection)
            done = await recovery.run(
                connection, plan, **WHO, lost_file=lost_file, tell=lambda _: None
            )
            return plan, done, await recovery.plan(connection)
        finally:
            recovery.close()


@pytest.mark.parametrize("partitions", [1, 3])
async def test_acknowledged_commands_are_decided_again_and_followers_are_told(
    postgres_url: str, database_url: str, nats_url: str, tmp_path: Path, partitions: int
) -> None:
    restored, outcomes = await lived_and_restored(postgres_url, database_url, nats_url, partitions)
    lost = tmp_path / "lost.jsonl"
    plan, done, after = await recovered(restored, nats_url, lost)
    assert (plan.head, plan.common, plan.begun) == (7, 7, False)
    assert len(plan.lost_commands) >= len(outcomes)
    assert len(plan.lost_events) == 40
    assert [(one.name, one.place) for one in plan.too_far] == [("risk", 39)]
    assert not after.needed
    assert (done.after, done.differing, done.head) == (7, (), 48)

    # Each has its outcome, and the log tells its own story in one sequence.
    known: dict[UUID, str] = dict(rows(restored, "SELECT command_id, status FROM command_inbox"))
    assert [known[one.command_id] for one in outcomes if one.command_id] == [
        one.status for one in outcomes
    ]
    assert rows(restored, "SELECT count(*), max(position) FROM event_store") == [(48, 48)]
    assert rows(
        restored,
        'SELECT begun_position, "after", begun_by, reason FROM log_incarnations ORDER BY 1',
    ) == [(1, 0, None, None), (8, 7, "ada", "the disk broke")]
    assert len(lost.read_bytes().splitlines()) == 40
    assert lost.stat().st_mode & 0o077 == 0

    async with (
        running_worker(restored, nats_url),
        running_publisher(restored, nats_url),
        await client(nats_url) as ledger,
    ):
        await published_up_to(restored, 48)
        with pytest.raises(LogRestored) as told:
            await anext(ledger.events(name="risk"))
        assert (told.value.position, told.value.incarnation) == (7, done.incarnation)
        again = await ledger.outcome(outcomes[0].command_id)  # type: ignore[arg-type]
        assert again.accepted
    positions = [int((one.headers or {})["Ledger-Position"]) for one in await in_stream(nats_url)]
    assert positions == [*range(1, 49)]


async def test_a_recovery_that_was_broken_off_is_gone_on_with(
    postgres_url: str, database_url: str, nats_url: str, tmp_path: Path
) -> None:
    restored, outcomes = await lived_and_restored(postgres_url, database_url, nats_url)
    recovery = Recovery(restored, nats_url, Settings())
    said: list[str] = []

    async with connected(nats_url) as connection:
        assert isinstance(connection, Connection)

        async def broken_off_at(word: str) -> Plan:
            plan = await recovery.plan(connection)

            def tell(text: str) -> None:
                said.append(text)
                if text.startswith(word):
                    raise asyncio.CancelledError

            with pytest.raises(asyncio.CancelledError):
                await recovery.run(
                    connection, plan, **WHO, lost_file=tmp_path / "lost.jsonl", tell=tell
                )
            return await recovery.plan(connection)

        begun = await broken_off_at("begun")
        assert begun.begun
        assert begun.lost_commands
        rewound = await broken_off_at("deciding")
        assert rewound.begun
        assert not rewound.lost_commands
        assert rewound.undecided
        decided = await broken_off_at("the 40 events")
        assert (decided.lost_commands, decided.undecided) == ((), False)
        assert len(decided.lost_events) == 40
    recovery.close()
    _, done, after = await recovered(restored, nats_url, tmp_path / "lost.jsonl")
    assert (done.after, done.differing, after.needed) == (7, (), False)
    assert rows(restored, "SELECT count(*), max(position) FROM event_store") == [(48, 48)]
    assert rows(restored, "SELECT count(*) FROM log_incarnations") == [(2,)]
    assert sum(text.startswith("begun") for text in said) == 1
    assert len(outcomes) == 41


async def test_a_command_that_the_bus_has_no_more_is_named(
    postgres_url: str, database_url: str, nats_url: str, tmp_path: Path
) -> None:
    restored, _ = await lived_and_restored(postgres_url, database_url, nats_url)
    async with connected(nats_url) as connection:
        await connection.jetstream().purge_stream("LEDGER_COMMANDS", keep=10)
    lost = tmp_path / "lost.jsonl"
    _, done, after = await recovered(restored, nats_url, lost)
    assert not after.needed
    assert len(done.differing) == 31
    assert {one.why for one in done.differing} == {"the bus does not keep its command any more"}
    first = orjson.loads(lost.read_bytes().splitlines()[0])
    assert (first["again_at"], first["event"]["position"]) == (None, 8)


async def test_of_an_empty_database_everything_is_recovered_and_followers_are_told(
    postgres_url: str, database_url: str, nats_url: str, tmp_path: Path
) -> None:
    _, outcomes = await lived_and_restored(postgres_url, database_url, nats_url)
    with temporary_database(postgres_url, template=TEMPLATE) as empty:
        _, done, after = await recovered(empty, nats_url, tmp_path / "lost.jsonl")
        assert (done.after, done.differing, after.needed) == (0, (), False)
        assert len(rows(empty, "SELECT FROM log_incarnations")) == 2
        known = rows(empty, "SELECT command_id FROM command_inbox")
        assert {one.command_id for one in outcomes} <= {row[0] for row in known}
        async with running_publisher(empty, nats_url), await client(nats_url) as ledger:
            await published_up_to(empty, done.head)
            with pytest.raises(LogRestored) as told:
                await anext(ledger.events(name="risk"))
            assert told.value.position == 0


@pytest.mark.parametrize("left", ["a moment before", "nothing"])
async def test_events_that_do_not_say_which_life_they_are_of_are_recovered_too(
    postgres_url: str,
    database_url: str,
    nats_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    left: str,
) -> None:
    with monkeypatch.context() as before:  # a publisher of a version before
        before.setattr(Lineage, "at", lambda *_: None)
        restored, _ = await lived_and_restored(postgres_url, database_url, nats_url)
    with temporary_database(postgres_url, template=TEMPLATE) as empty:
        url = restored if left == "a moment before" else empty
        async with asyncio.timeout(60):
            plan, done, after = await recovered(url, nats_url, tmp_path / "lost.jsonl")
        assert plan.lost_events
        assert (done.after, done.differing, after.needed) == (plan.head, (), False)
        assert len(rows(url, "SELECT FROM log_incarnations")) == 2


async def test_a_ledger_that_lost_nothing_needs_no_recovery(
    database_url: str, nats_url: str
) -> None:
    async with (
        running_worker(database_url, nats_url),
        running_publisher(database_url, nats_url),
        await client(nats_url) as ledger,
    ):
        account_id = await open_account(ledger)
        last = (await deposits(ledger, account_id, 5))[-1]
        await published_up_to(database_url, last.position or 0)
        recovery = Recovery(database_url, nats_url, Settings())
        async with connected(nats_url) as connection:
            assert isinstance(connection, Connection)
            plan = await recovery.plan(connection)
        recovery.close()
    assert not plan.needed
    assert plan.too_far == ()
