"""What must hold once everything is quiet again, whatever went wrong before.

Each check names what it found wrong, with the ids to look for; nothing found is an empty list.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import nats
import psycopg
from nats.errors import TimeoutError as NatsTimeout
from nats.js import api

from ledger.bus.connection import COMMANDS_STREAM
from tests.cli.running import run
from tests.faults.books import Books
from tests.faults.system import System

EVENTS_STREAM = "LEDGER_EVENTS"
SHOWN = 5
QUIET_SECONDS = 60.0
"""In this time everything has caught up, or something never will."""
LOOK_SECONDS = 0.1
FETCH = 500

_LOG = (
    ("gaps in positions", "SELECT max(position) - count(*) FROM event_store HAVING count(*) > 0"),
    (
        "a stream with a gap in its versions",
        """SELECT stream_id FROM event_store GROUP BY stream_id
           HAVING count(*) <> max(event_version) OR min(event_version) <> 1""",
    ),
    (
        "an asset whose postings do not add up to nothing",
        """SELECT asset FROM transactions GROUP BY asset
           HAVING sum(CASE direction WHEN 'CREDIT' THEN amount ELSE -amount END) <> 0""",
    ),
    (
        "a balance that is not available + locked",
        "SELECT account_id, asset FROM balances WHERE total <> available + locked",
    ),
    (
        "a command whose events are not those of its outcome",
        """SELECT command_id FROM command_inbox
           LEFT JOIN (SELECT (metadata ->> 'command_id')::uuid AS command_id,
                             jsonb_agg(id ORDER BY position) AS ids
                      FROM event_store GROUP BY 1) AS stored USING (command_id)
           WHERE coalesce(jsonb_path_query_array(outcome, '$.events[*].id'), '[]')
                 <> coalesce(ids, '[]')""",
    ),
    (
        "events of a command without an outcome",
        """SELECT metadata ->> 'command_id' FROM event_store
           WHERE (metadata ->> 'command_id')::uuid NOT IN (SELECT command_id FROM command_inbox)""",
    ),
)


class Watch:
    """Checks a system again and again, and remembers how far the events were checked."""

    def __init__(self, system: System, directory: Path) -> None:
        self._system = system
        self._directory = directory
        self._events_seen = 0

    async def quiet(self) -> list[str]:
        """Waits until every reader of the log has reached its head."""
        behind: list[Any] = []
        try:
            async with asyncio.timeout(QUIET_SECONDS):
                while True:
                    behind = self._behind()
                    if not behind:
                        return []
                    await asyncio.sleep(LOOK_SECONDS)
        except TimeoutError:
            return [f"{name} stands at {position} of {head}" for name, position, head in behind]

    async def violations(self, books: Books, *, in_order: bool) -> list[str]:
        """Everything that is wrong. `in_order`: nothing was sent out of its order."""
        found = await self.quiet()
        found += list(books.contradictions())
        found += list(self._of_the_log())
        found += list(self._of_the_books(books))
        # X found += await self._of_the_events()
        found += await self._of_the_read_models()
        if in_order:
            found += await self._of_the_order(books)
        return found

    def _rows(self, query: str, **values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._system.postgres.url) as connection:
            return connection.execute(query.encode(), values).fetchall()

    def _behind(self) -> list[tuple[Any, ...]]:
        return self._rows(
            """SELECT projection_name, last_processed_position, head
               FROM event_projections, (SELECT max(position) AS head FROM event_store) AS log
               WHERE last_processed_position < head ORDER BY 1"""
        )

    def _of_the_log(self) -> Iterator[str]:
        for what, query in _LOG:
            rows = [row for row in self._rows(query) if row[0] not in (0, None)]
            if rows:
                yield f"{what}: {rows[:SHOWN]} ({len(rows)})"

    def _of_the_books(self, books: Books) -> Iterator[str]:
        """Outcomes against the inbox and the log, and amounts against the balances."""
        query = """SELECT command_id, status, (SELECT count(*) FROM event_store
                       WHERE id = ANY(ARRAY(SELECT jsonb_path_query(outcome, '$.events[*].id')
                                            #>> '{}')::uuid[]))
                   FROM command_inbox WHERE command_id = ANY(%(ids)s)"""
        inbox = {row[0]: row[1:] for row in self._rows(query, ids=list(books.commands))}
        for command in books.commands.values():
            for outcome in command.outcomes[:1]:
                kept = inbox.get(command.id)
                if kept != (outcome.status, len(outcome.events)):
                    yield f"{command.type} {command.id}: told {outcome}, kept {kept}"
        stored = """SELECT account_id, asset, sum(total) FROM balances
                    WHERE account_id = ANY(%(ids)s) GROUP BY 1, 2"""
        accounts = list({command.account_id for command in books.commands.values()})
        balances = {(row[0], row[1]): row[2] for row in self._rows(stored, ids=accounts)}
        expected = books.balances()
        for key in expected.keys() | balances.keys():
            if expected.get(key, 0) != balances.get(key, 0):
                yield f"balance of {key}: {balances.get(key)} instead of {expected.get(key)}"

    async def _of_the_events(self) -> list[str]:
        """What was published against what is stored: each once, in order."""
        published = [
            UUID(json.loads(message.data)["id"])
            async for message in self._messages(EVENTS_STREAM, self._events_seen + 1)
        ]
        rows = self._rows(
            "SELECT id FROM event_store WHERE position > %(seen)s ORDER BY position",
            seen=self._events_seen,
        )
        stored = [row[0] for row in rows]
        self._events_seen += len(stored)
        if published == stored:
            return []
        repeated = sum(count - 1 for count in Counter(published).values())
        missing, foreign = len(set(stored) - set(published)), len(set(published) - set(stored))
        return [
            f"events published: {len(published)} of {len(stored)} stored, {repeated} repeated, "
            f"{missing} missing, {foreign} not stored"
            + ("" if repeated or missing or foreign else ", in another order")
        ]

    async def _of_the_read_models(self) -> list[str]:
        verified = await run(
            "projections",
            "verify",
            "--json",
            cwd=self._directory,
            LEDGER_DATABASE_URL=self._system.postgres.url,
        )
        if verified.exit_code == 0:
            return []
        return [f"read models differ from a rebuild: {verified.stdout}{verified.stderr[-500:]}"]

    async def _of_the_order(self, books: Books) -> list[str]:
        """Each account's commands were decided in the order in which they arrived."""
        accounts = {str(command.account_id) for command in books.commands.values()}
        first: dict[str, int] = {}
        async for message in self._messages(COMMANDS_STREAM, 1):
            first.setdefault(json.loads(message.data).get("id"), len(first))
        query = """SELECT metadata ->> 'command_id', min(position), stream.account
                   FROM event_store, LATERAL (SELECT coalesce(
                       event_data ->> 'account_id', stream_id::text) AS account) AS stream
                   WHERE stream_type IN ('account', 'order') GROUP BY 1, 3 ORDER BY 2"""
        last: dict[str, int] = {}
        wrong = []
        for command_id, _, account in self._rows(query):
            if account not in accounts:
                continue  # of an earlier round, which may have been one in disorder
            arrived = first.get(command_id, -1)
            if arrived < last.get(account, -1):
                wrong.append(f"command {command_id} of account {account} was overtaken")
            last[account] = max(arrived, last.get(account, -1))
        return wrong[:SHOWN]

    async def _messages(self, stream: str, start: int) -> AsyncIterator[Any]:
        connection = await nats.connect(self._system.nats.url)
        try:
            jetstream = connection.jetstream()
            last = (await jetstream.stream_info(stream)).state.last_seq
            subscription = await jetstream.pull_subscribe(
                "",
                stream=stream,
                config=api.ConsumerConfig(
                    deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE,
                    opt_start_seq=start,
                    ack_policy=api.AckPolicy.NONE,
                ),
            )
            at = start - 1
            while at < last:
                try:
                    messages = await subscription.fetch(FETCH, timeout=2)
                except NatsTimeout:
                    return
                for message in messages:
                    at = message.metadata.sequence.stream
                    yield message
        finally:
            await connection.close()
