"""A ledger at work while it is backed up, and the means to restore it, for the rounds."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import psycopg
from uuid_utils.compat import uuid7

from ledger.audit.prove import seals
from ledger.audit.prove.seals import Seal
from ledger.client.client import LedgerClient
from ledger.kernel.command import Outcome
from ledger.operate.backups import creation
from ledger.operate.backups.catalogue import Backup, Catalogue
from ledger.operate.backups.restoration import RecoveryTarget, restore
from ledger.operate.embedded import programs
from ledger.operate.embedded.servers import EmbeddedPostgres
from ledger.operate.plugins import migrate_all
from ledger.operate.settings import Settings
from tests.audit import history
from tests.databases import create_database, drop_database, url_of
from tests.programs.publishing import running_publisher
from tests.programs.services import client, open_account, running_worker

BATCH = 20
"""Commands in a transaction at the most: a backup falls between many of them."""


class Books:
    """What was told to whoever sent, and what it must have come to."""

    def __init__(self) -> None:
        self.outcomes: dict[UUID, Outcome] = {}
        self.amounts: dict[UUID, Decimal] = {}

    def note(self, account_id: UUID, amount: Decimal, outcome: Outcome) -> None:
        assert outcome.command_id is not None
        self.outcomes[outcome.command_id] = outcome
        if outcome.accepted:
            self.amounts[account_id] = self.amounts.get(account_id, Decimal()) + amount


class Database:
    """The database of the ledger as it is now, on the server that it is on."""

    def __init__(self, server: EmbeddedPostgres, url: str) -> None:
        self.server = server
        self.url = url

    @classmethod
    def begin(cls, directory: Path) -> "Database":
        server = EmbeddedPostgres(directory, fast=True)
        server.start()
        migrate_all(server.url)
        return cls(server, server.url)

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            return connection.execute(statement.encode(), values).fetchall()

    def seal(self) -> Seal:
        with psycopg.connect(self.url, autocommit=True) as connection:
            history.seal(connection)
            head = seals.head(connection)
        assert head is not None
        return head

    def end(self) -> None:
        self.server.stop()

    # --- backups --------------------------------------------------------------------------

    def dump(self, path: Path) -> None:
        """As `pg_dump` takes it, of one moment."""
        _run("pg_dump", "--format=custom", f"--file={path}", self.url)

    def restored_from_dump(self, dump: Path) -> "Database":
        url = create_database(self.server.url)
        _run("pg_restore", "--exit-on-error", f"--dbname={url}", str(dump))
        migrate_all(url)
        dump.unlink()
        if self.url != self.server.url:
            drop_database(self.server.url, self.url)
        return Database(self.server, url)

    def base_backup(self, catalogue: Catalogue) -> Backup:
        return creation.create(Settings(), catalogue, self.url)

    def restored_from(
        self, catalogue: Catalogue, backup: Backup, target: RecoveryTarget, directory: Path
    ) -> "Database":
        """On a server of its own; this one is gone."""
        cluster = directory / "postgresql" / "cluster"
        done = restore(Settings(), catalogue, target, cluster, backup_id=backup.id)
        assert done.position >= backup.first_position
        self.end()
        catalogue.expire(backup)
        server = EmbeddedPostgres(directory, fast=True)
        server.start()
        name = psycopg.conninfo.conninfo_to_dict(self.url)["dbname"]
        url = url_of(server.url, str(name))
        migrate_all(url)
        shutil.rmtree(self.server.data_dir, ignore_errors=True)
        return Database(server, url)


def _run(program: str, *arguments: str) -> None:
    command = [str(programs.postgres() / program), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@asynccontextmanager
async def at_work(database: Database, nats_url: str) -> AsyncIterator[LedgerClient]:
    """Commands are decided and events published inside the block."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(
            running_worker(database.url, nats_url, command_batch_size=BATCH, retry_wait_seconds=0.2)
        )
        await stack.enter_async_context(running_publisher(database.url, nats_url))
        yield await stack.enter_async_context(await client(nats_url))


async def trade(ledger: LedgerClient, books: Books, random: Random, steps: int) -> None:
    """Deposits and withdrawals of a few accounts, some of which are refused; many are on their way
    at once."""
    accounts = [await open_account(ledger) for _ in range(2)]
    waiting: list[asyncio.Task[None]] = []

    async def one(account_id: UUID) -> None:
        amount = Decimal(random.randint(1, 10_000)).scaleb(-2)
        withdrawal = random.random() < 0.4
        sent = await ledger.send(
            "Withdraw" if withdrawal else "Deposit",
            {"asset": "USDT", "amount": str(amount)},
            account_id=account_id,
            command_id=uuid7(),
        )
        waiting.append(
            asyncio.create_task(told(sent, account_id, -amount if withdrawal else amount))
        )

    async def told(sent: Any, account_id: UUID, amount: Decimal) -> None:
        books.note(account_id, amount, await sent)

    for _ in range(steps):
        await one(random.choice(accounts))
        if random.random() < 0.2:
            await asyncio.sleep(random.uniform(0, 0.01))
    await asyncio.gather(*waiting)
