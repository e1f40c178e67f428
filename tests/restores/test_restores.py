"""Backups at random moments, work that goes on, restores, recoveries: round after round.

    a round    accounts send commands; at a random moment a dump or a base backup is taken, work
               goes on, and the database is restored: the dump, the backup as it was, or the backup
               and the WAL up to a random position. The recovery is broken off at random
    after it   every acknowledged command has its one outcome and effect, positions are one
               sequence, the stream of events is the log, followers were told, and heads that were
               kept tell a restored log from one that was tampered with

`make restores ROUNDS=200` is the whole.
"""

import asyncio
import os
import secrets
import shutil
import sys
import threading
import time
from collections import Counter
from contextlib import aclosing
from pathlib import Path
from random import Random
from uuid import UUID

import orjson
import psycopg
import pytest

from ledger.audit.prove.seals import Seal
from ledger.audit.prove.verify import verify
from ledger.bus.connection import Connection
from ledger.bus.seal_stream import SEALS_SUBJECT, ensure_seals_stream
from ledger.client.client import LedgerClient
from ledger.client.event_feed import LogRestored
from ledger.operate.backups import creation
from ledger.operate.backups.catalogue import Backup, Catalogue
from ledger.operate.backups.restoration import RecoveryTarget
from ledger.operate.settings import Settings
from ledger.programs.recovery import Plan, Recovered, Recovery
from tests.audit import history
from tests.programs.publishing import connected, in_stream, published_up_to
from tests.restores.ledger_in_use import Books, Database, at_work, trade

ROUNDS = int(os.environ.get("LEDGER_TEST_ROUNDS", "1"))
SEED = os.environ.get("LEDGER_TEST_SEED") or secrets.token_hex(4)
ROUND_SECONDS = 120.0
STEPS = (30, 120)
RECOVERY_WORDS = ("begun", "deciding", "the ")
"""What the steps of a recovery are told with: where it can be broken off."""
WAYS = ("dump", "backup", "position")


class BrokenOff(BaseException):
    """As by kill -9: nobody heeds it."""


class Round:
    """One ledger, its books, and what was kept outside."""

    def __init__(self, database: Database, nats_url: str, directory: Path) -> None:
        self.database = database
        self.nats_url = nats_url
        self.directory = directory
        self.catalogue = Catalogue(directory / "backups")
        self.books = Books()
        self.heads: list[Seal] = []
        self.told: Counter[str] = Counter()

    async def play(self, number: int, random: Random) -> None:
        # The suite has one round, so its way is the cheapest; a campaign has them in turn.
        way = WAYS[(number - 1) % len(WAYS)]
        name = f"follower-{number}"
        restored, followed = await self._live_and_restore(way, name, number, random)
        before = self.database
        self.database = restored
        plan, done = await self._recover(random)
        self.told[f"{way}: rounds"] += 1
        self.told["commands decided again"] += len(plan.lost_commands)
        self.told["published events that were lost"] += done.lost_events if done else 0
        assert before is not restored
        async with at_work(restored, self.nats_url) as ledger:
            await trade(ledger, self.books, random, 10)
            head = restored.rows("SELECT max(position) FROM event_store")[0][0]
            await published_up_to(restored.url, head)
            await self._check_follower(ledger, name, followed, done)
        await self._check(head)

    # --- living and being restored --------------------------------------------------------

    async def _live_and_restore(
        self, way: str, name: str, number: int, random: Random
    ) -> tuple[Database, int]:
        """The restored database, and how far a follower had come before."""
        database, stop = self.database, threading.Event()
        receiving = threading.Thread(
            target=creation.receive, args=(self.catalogue, database.url, stop)
        )
        if way == "position":
            receiving.start()
        async with at_work(database, self.nats_url) as ledger:
            work = asyncio.create_task(trade(ledger, self.books, random, random.randint(*STEPS)))
            await asyncio.sleep(random.uniform(0, 0.3))
            dump = self.directory / f"{name}.dump"
            backup: Backup | None = None
            if way == "dump":
                await asyncio.to_thread(database.dump, dump)
            else:
                backup = await asyncio.to_thread(database.base_backup, self.catalogue)
            await work
            await trade(ledger, self.books, random, random.randint(0, 60))
            self.heads.append(await asyncio.to_thread(database.seal))
            await self._publish(self.heads[-1])
            head = database.rows("SELECT max(position) FROM event_store")[0][0]
            await published_up_to(database.url, random.randint(1, head))
            followed = await self._follow(ledger, name, random)
        if backup is None:
            return await asyncio.to_thread(database.restored_from_dump, dump), followed
        target = RecoveryTarget(immediate=True)
        if way == "position":
            target = RecoveryTarget(position=random.randint(backup.position, head))
            await asyncio.sleep(0.5)  # pg_receivewal has what was flushed, or the end is the target
            stop.set()
            receiving.join()
            database.rows("SELECT pg_drop_replication_slot(%s)", creation.SLOT)
        place = self.directory / f"server-{number}"
        place.mkdir(mode=0o711)
        restored = await asyncio.to_thread(
            database.restored_from, self.catalogue, backup, target, place
        )
        shutil.rmtree(self.catalogue.wal, ignore_errors=True)
        if target.position is not None:
            ((reached,),) = restored.rows("SELECT max(position) FROM event_store")
            ((first,),) = restored.rows(
                "SELECT min(position) FROM event_store WHERE xmin ="
                " (SELECT xmin FROM event_store WHERE position = %s)",
                target.position,
            )
            assert first <= target.position <= reached
            same = "SELECT count(DISTINCT xmin::text) FROM event_store WHERE position >= %s"
            assert restored.rows(same, target.position) == [(1,)]  # not one transaction more
        return restored, followed

    async def _follow(self, ledger: LedgerClient, name: str, random: Random) -> int:
        """Follows for a while under the name; the position of the last event that is done."""
        wanted, done = random.randint(1, 200), 0
        async with aclosing(ledger.events(name=name, after=0)) as followed:
            for _ in range(wanted):
                try:
                    async with asyncio.timeout(1.0):
                        event = await anext(followed)
                except TimeoutError:
                    break
                done = event.position - 1
        return done

    async def _publish(self, head: Seal) -> None:
        """As the sealer does."""
        async with connected(self.nats_url) as connection:
            jetstream = connection.jetstream()
            await ensure_seals_stream(jetstream, Settings())
            await jetstream.publish(SEALS_SUBJECT, orjson.dumps(head.document()))

    # --- recovering -----------------------------------------------------------------------

    async def _recover(self, random: Random) -> tuple[Plan, Recovered | None]:
        """The first plan, and what was done in the end."""
        first: Plan | None = None
        lost = self.directory / "lost.jsonl"
        broken_off = random.sample(RECOVERY_WORDS, random.randint(0, 2))
        recovery = Recovery(self.database.url, self.nats_url, Settings())

        def tell(text: str) -> None:
            for word in broken_off:
                if text.startswith(word):
                    broken_off.remove(word)
                    raise BrokenOff

        async with connected(self.nats_url) as connection:
            assert isinstance(connection, Connection)
            while True:
                plan = await recovery.plan(connection)
                first = first or plan
                if not plan.needed:
                    recovery.close()
                    return first, None
                try:
                    done = await recovery.run(
                        connection, plan, by="ada", reason="a round", lost_file=lost, tell=tell
                    )
                except BrokenOff:
                    self.told["recoveries broken off"] += 1
                    continue
                assert done.differing == (), done.differing[:3]
                assert not (await recovery.plan(connection)).needed
                aside = self.directory / f"heads-{secrets.token_hex(4)}.jsonl"
                kept = await recovery.set_heads_aside(connection, aside)
                assert kept == len(aside.read_bytes().splitlines()) if kept else not aside.exists()
                assert await recovery.set_heads_aside(connection, aside) == 0
                recovery.close()
                return first, done

    # --- what must hold -------------------------------------------------------------------

    async def _check_follower(
        self, ledger: LedgerClient, name: str, done: int, recovered: Recovered | None
    ) -> None:
        async with aclosing(ledger.events(name=name)) as followed:
            if recovered is not None and done > recovered.after:
                with pytest.raises(LogRestored) as told:
                    await anext(followed)
                assert told.value.position == recovered.after
                self.told["followers told"] += 1
            else:
                assert (await anext(followed)).position == done + 1
                self.told["followers that went on"] += 1

    async def _check(self, head: int) -> None:
        database = self.database
        assert database.rows("SELECT count(*), min(position) FROM event_store") == [(head, 1)]
        known: dict[UUID, str] = dict(database.rows("SELECT command_id, status FROM command_inbox"))
        for command_id, outcome in self.books.outcomes.items():
            assert known[command_id] == outcome.status, outcome
        totals = database.rows(
            """SELECT stream_id, sum((posting->>'amount')::numeric)
               FROM event_store, jsonb_array_elements(event_data->'postings') AS posting
               WHERE stream_type = 'account' AND posting->>'book' = 'main' GROUP BY 1"""
        )
        assert {account: total for account, total in totals if total} == {
            account: total for account, total in self.books.amounts.items() if total
        }
        ids = [str(row[0]) for row in database.rows("SELECT id FROM event_store ORDER BY position")]
        sent = [orjson.loads(message.data) for message in await in_stream(self.nats_url)]
        assert [event["id"] for event in sent] == ids
        self.heads.append(await asyncio.to_thread(database.seal))
        with psycopg.connect(database.url, autocommit=True) as connection:
            verdict = verify(connection, trusted=history.TRUSTED, kept=self.heads)
        assert {one.tampering for one in verdict.findings} <= {"restored"}, verdict.findings
        if verdict.findings:  # whoever keeps heads begins anew, and keeps those that hold
            self.told["restores that heads kept outside tell"] += 1
            self.heads = self.heads[-1:]


@pytest.mark.timeout((ROUNDS + 1) * ROUND_SECONDS)
async def test_nothing_acknowledged_is_lost_by_a_restore(
    server_directory: Path, nats_url: str
) -> None:
    began = time.monotonic()
    rounds = Round(Database.begin(server_directory / "first"), nats_url, server_directory)
    number = 0
    try:
        for number in range(1, ROUNDS + 1):
            try:
                async with asyncio.timeout(ROUND_SECONDS):
                    await rounds.play(number, Random(f"{SEED} {number}"))
            except BaseException as error:
                error.add_note(f"round {number} of seed {SEED}")
                raise
    finally:
        rounds.database.end()
        lines = [f"{number} rounds with seed {SEED} in {time.monotonic() - began:.0f} s"]
        lines += [f"  {count:7}  {what}" for what, count in sorted(rounds.told.items())]
        sys.stderr.write("\n" + "\n".join(lines) + "\n")
