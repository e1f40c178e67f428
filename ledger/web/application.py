"""What all requests share: the settings, the database, who may sign in, limits."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self, TypeVar

from starlette.concurrency import run_in_threadpool

from ledger.operate.database import pool
from ledger.operate.database_url import acting_as
from ledger.operate.roles import AUDITOR
from ledger.subscriptions.position_wait import Reached
from ledger.web.answers import Reading
from ledger.web.command_sender import CommandSender
from ledger.web.database import WebDatabase
from ledger.web.limits import FailedAttempts, RequestRate
from ledger.web.live import LivePages
from ledger.web.log_follower import LogFollower
from ledger.web.person import Person
from ledger.web.problems import Problem, retry_after
from ledger.web.sessions import Sessions
from ledger.web.settings import WebSettings
from ledger.web.tokens import TokensFile, TokenUses
from ledger.web.users import UsersFile
from ledger.write.preview import Preview

if TYPE_CHECKING:
    import psycopg
    from psycopg_pool import AsyncConnectionPool

Found = TypeVar("Found")

WAIT_SECONDS = 5.0
"""Longest that a request waits for a position: read models follow within a tenth of a second."""


@dataclass(frozen=True)
class Web:
    """Made by `of`; opened and closed with the application."""

    settings: WebSettings
    database: WebDatabase
    users: UsersFile
    tokens: TokensFile
    token_uses: TokenUses
    sessions: Sessions
    rate: RequestRate
    attempts: FailedAttempts
    commands: CommandSender
    follower: LogFollower
    live: LivePages
    positions: "AsyncConnectionPool[psycopg.AsyncConnection[Any]]"
    reached: Reached
    limit_use: Preview
    working: asyncio.Lock = field(default_factory=asyncio.Lock)

    @classmethod
    def of(cls, settings: WebSettings, database_url: str) -> Self:
        database = WebDatabase(
            database_url,
            size=settings.web_pool_size,
            statement_seconds=settings.web_statement_seconds,
        )
        users = UsersFile(settings.directory)
        positions = pool(database_url, "web positions", size=1)
        follower = LogFollower(database_url, settings.web_stream_buffer_events)
        return cls(
            settings=settings,
            database=database,
            users=users,
            tokens=TokensFile(settings.directory),
            token_uses=TokenUses(database),
            sessions=Sessions(database, users, settings),
            rate=RequestRate(settings.web_requests_per_second),
            attempts=FailedAttempts(
                settings.web_sign_in_attempts, settings.web_sign_in_window_seconds
            ),
            commands=CommandSender(settings),
            follower=follower,
            live=LivePages(follower, settings.web_live_share),
            positions=positions,
            reached=Reached(positions),
            limit_use=Preview(
                acting_as(database_url, AUDITOR),
                clock_tolerance=timedelta(seconds=settings.clock_tolerance_seconds),
                price_max_age=timedelta(seconds=settings.price_max_age_seconds),
            ),
        )

    async def open(self) -> None:
        await run_in_threadpool(self.database.open)
        await self.positions.open()

    async def close(self) -> None:
        self.follower.close()
        await self.commands.close()
        await self.positions.close()
        await run_in_threadpool(self.limit_use.close)
        await run_in_threadpool(self.database.close)

    def person_of_token(self, text: str) -> Person | None:
        """For whom a token speaks; None if it is none."""
        token = self.tokens.verified(text)
        user = None if token is None else self.users.find(token.name)
        if token is None or user is None:
            return None
        return Person(
            user.name, user.role, f"token {token.id}", user.user_id, frozenset(token.scopes)
        )

    async def read_as(self, person: Person, question: "Callable[[Reading], Found]") -> "Found":
        """What a question finds with this person's rights."""

        def read() -> Found:
            with self.database.reading(person) as connection:
                return question(Reading(connection, person, most_rows=self.settings.web_rows_limit))

        return await run_in_threadpool(read)

    async def alone(self, work: "Callable[[], Found]") -> "Found":
        """Work that takes long, in a thread: one at a time of this server."""
        async with self.working:
            return await asyncio.to_thread(work)

    async def wait_for(self, read_model: str, position: int | None) -> None:
        """Returns when the read model shows the position. Raises Problem."""
        if position is None:
            return
        reached = await self.reached.wait(read_model, position, WAIT_SECONDS)
        if reached < position:
            raise Problem(
                "NOT_REACHED",
                f"{read_model} is at position {reached}, not yet at {position}, after "
                f"{WAIT_SECONDS:g} s: ask again, or look at `ledgerctl projections status`",
                headers=retry_after(),
            )
