"""Queries over NATS: `ledger.query.balances|order|orders|fills|transactions|position-of`.

A service of the NATS services framework: `nats micro ls` finds it, `nats micro info ledger-query`
tells its endpoints. A question is a JSON object, the answer is one, too:

    {"account_id": "…", "min_position": 42}   ──▶   {"position": 57, "rows": […], "more": false}

    wait      until the read model has reached min_position, for a bounded time: a service that
              passes an outcome's position reads what it wrote
    read      checkpoint and rows in one snapshot: the rows are as of exactly that position
    answer    with the rows of `ledgerctl query --json`; `more` says that the limit cut them off

Each endpoint also answers below its name for one account (`ledger.query.balances.<account_id>`),
so that the bus can grant a service its own accounts and no others. Any number may run: they share
the questions. A refusal has a code, in the framework's error headers and in the body.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any, LiteralString
from uuid import UUID

import nats.errors
import nats.micro
import orjson
import psycopg
import structlog
from nats.aio.client import Client
from nats.micro.request import Request
from psycopg import IsolationLevel
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from ledger import queries
from ledger.bus import connection as bus
from ledger.bus.security import BusSecurity
from ledger.kernel import strict_json
from ledger.kernel.text import visible
from ledger.operate.schema import check_schema
from ledger.operate.settings import Settings
from ledger.programs.position_wait import Reached
from ledger.queries import Question
from ledger.subscriptions.retry import Patience

SERVICE_NAME = "ledger-query"
SERVICE_VERSION = "1.0.0"
QUERY_PREFIX = "ledger.query"
POSITION_OF = "position-of"
QUEUE_GROUP = "ledger"
QUESTIONS: Mapping[str, Question] = {
    "balances": queries.BALANCES,
    "orders": queries.ORDERS,
    "order": queries.ORDER,
    "fills": queries.FILLS,
    "transactions": queries.TRANSACTIONS,
}
REQUIRED = {"order": "order_id"}
"""What a question must name; an account where nothing else is said."""
MAX_WAITING = 2_000
"""Questions in work or waiting for their position; beyond that the service says that it is busy,
which is better than answering long after nobody listens."""
POOL_TIMEOUT_SECONDS = 5.0
"""Longest wait for a connection to the database."""

INVALID_QUERY, NOT_REACHED = "INVALID_QUERY", "POSITION_NOT_REACHED"
UNAVAILABLE, BUSY, TOO_LARGE = "READ_MODELS_UNAVAILABLE", "BUSY", "ANSWER_TOO_LARGE"

_log = structlog.get_logger(__name__)


class QueryRefused(Exception):
    """Why a question has no answer; `code` is stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class QueryService:
    """Answers until it is stopped."""

    def __init__(self, database_url: str, nats_url: str, settings: Settings) -> None:
        self._database_url = database_url
        self._nats_url = nats_url
        self._settings = settings
        self._stop = asyncio.Event()
        self._patience = Patience(self._stop, settings.retry_wait_seconds)
        self._tasks: set[asyncio.Task[None]] = set()

    def stop(self) -> None:
        """Ends `run` after the answers in work."""
        self._stop.set()

    async def run(self) -> None:
        """Answers until `stop`. Raises SchemaError at the start if the database is not the one
        this code needs."""
        await self._patience.until_done(lambda: check_schema(self._database_url))
        self._pool = AsyncConnectionPool(
            self._database_url,
            min_size=1,
            max_size=self._settings.query_pool_size,
            timeout=POOL_TIMEOUT_SECONDS,
            open=False,
        )
        connection = await self._patience.unless_stopped(
            bus.connect(
                self._nats_url,
                SERVICE_NAME,
                retry_wait=self._settings.retry_wait_seconds,
                security=BusSecurity.of(self._settings),
            )
        )
        if connection is None:
            return
        async with self._pool:
            self._reached = Reached(self._pool)
            try:
                await self._serve(connection)
            finally:
                with contextlib.suppress(nats.errors.Error, OSError):
                    await connection.close()

    async def _serve(self, connection: Client) -> None:
        service = await nats.micro.add_service(
            connection,
            name=SERVICE_NAME,
            version=SERVICE_VERSION,
            description="The read models of the trading ledger",
            queue_group=QUEUE_GROUP,
        )
        async with service:
            group = service.add_group(name=QUERY_PREFIX)
            for name in (*QUESTIONS, POSITION_OF):
                await group.add_endpoint(name=name, handler=self._take)
                await group.add_endpoint(
                    name=f"{name}-of-account", subject=f"{name}.*", handler=self._take
                )
            _log.info("queries_answered", url=self._nats_url)
            await self._stop.wait()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- a question's way ---------------------------------------------------------------

    async def _take(self, request: Request) -> None:
        """Answers beside the others: one that waits for its position must hold up none."""
        if len(self._tasks) >= MAX_WAITING:
            message = f"{MAX_WAITING} questions are waiting: ask again later"
            await _respond_error(request, QueryRefused(BUSY, message))
            return
        task = asyncio.create_task(self._answer(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, request: Request) -> None:
        try:
            name, account = _endpoint(request.subject)
            asked = _object(request.data)
            if name == POSITION_OF:
                body = await self._position_of(asked, account)
            else:
                body = await self._rows(name, _with_account(asked, account))
            await _respond(request, body)
        except QueryRefused as refused:
            await _respond_error(request, refused)
        except (psycopg.Error, PoolTimeout) as error:
            _log.warning("query_not_answered", subject=request.subject, error=str(error).strip())
            message = "the database does not answer: ask again in a moment"
            await _respond_error(request, QueryRefused(UNAVAILABLE, message))

    async def _rows(self, name: str, asked: dict[str, Any]) -> bytes:
        question = QUESTIONS[name]
        limit = _limit(asked.pop("limit", None), self._settings.query_rows_limit)
        await self._wait_for(question.view, asked.pop("min_position", None))
        conditions = _conditions(question, asked, REQUIRED.get(name, "account_id"))
        async with self._pool.connection() as connection:
            await connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)
            await connection.set_read_only(True)
            async with connection.transaction():
                position = await (
                    await connection.execute(queries.POSITION, [question.view])
                ).fetchone()
                cursor = await connection.execute(
                    queries.statement(question, conditions), {**conditions, "limit": limit + 1}
                )
                names = [column.name for column in cursor.description or ()]
                found = await cursor.fetchall()
        rows = [
            {key: queries.plain(value) for key, value in zip(names, row, strict=True)}
            for row in found[:limit]
        ]
        at = position[0] if position else 0
        return orjson.dumps({"position": at, "rows": rows, "more": len(found) > limit})

    async def _position_of(self, asked: dict[str, Any], account: UUID | None) -> bytes:
        """Where a command or an event is in the log, or how far the log and each read model
        are. Of one account, only what is no secret: how far everything is."""
        wanted = {name: asked[name] for name in ("command_id", "event_id") if name in asked}
        if len(wanted) != len(asked) or len(wanted) > 1 or (wanted and account is not None):
            raise QueryRefused(
                INVALID_QUERY,
                f"{POSITION_OF} takes one of command_id and event_id, or nothing; with the account "
                "in its subject, nothing",
            )
        async with self._pool.connection() as connection, connection.transaction():
            cursor = await connection.execute(
                """SELECT 'log', coalesce(max(position), 0) FROM event_store
                   UNION ALL
                   SELECT projection_name, last_processed_position FROM event_projections
                   ORDER BY 1"""
            )
            positions: dict[str, int] = dict(await cursor.fetchall())
            rows = [{"of": name, "position": at} for name, at in positions.items()]
            for name, value in wanted.items():
                identifier = _uuid(name, value)
                cursor = await connection.execute(_POSITIONS[name], [identifier])
                found = await cursor.fetchone()
                rows = [{"of": str(identifier), "position": found[0]}] if found else []
        return orjson.dumps({"position": positions["log"], "rows": rows, "more": False})

    async def _wait_for(self, read_model: str, position: object) -> None:
        """Returns when the read model shows the position. Raises QueryRefused."""
        if position is None:
            return
        if not isinstance(position, int) or isinstance(position, bool) or position < 0:
            raise QueryRefused(INVALID_QUERY, f"min_position must be a position, not {position!r}")
        limit = self._settings.query_wait_seconds
        reached = await self._reached.wait(read_model, position, limit)
        if reached < position:
            raise QueryRefused(
                NOT_REACHED,
                f"{read_model} is at position {reached}, not yet at {position}, after {limit:g} s: "
                "ask again, or look at `ledgerctl projections status`",
            )


_POSITIONS: Mapping[str, LiteralString] = {
    "command_id": """SELECT (outcome ->> 'position')::bigint FROM command_inbox
                     WHERE command_id = %s AND outcome ->> 'position' IS NOT NULL""",
    "event_id": "SELECT position FROM event_store WHERE id = %s",
}


# --- reading a question -----------------------------------------------------------------


def _endpoint(subject: str) -> tuple[str, UUID | None]:
    """The question's name, and the account that its subject restricts it to."""
    name, _, account = subject.removeprefix(f"{QUERY_PREFIX}.").partition(".")
    return name, _uuid("the account in the subject", account) if account else None


def _object(body: bytes) -> dict[str, Any]:
    try:
        asked = strict_json.loads(body) if body else {}
    except strict_json.InvalidJson as error:
        raise QueryRefused(INVALID_QUERY, f"the question is not JSON: {error}") from error
    if not isinstance(asked, dict):
        raise QueryRefused(INVALID_QUERY, "the question must be a JSON object")
    return asked


def _with_account(asked: dict[str, Any], account: UUID | None) -> dict[str, Any]:
    if account is None:
        return asked
    if "account_id" in asked and _uuid("account_id", asked["account_id"]) != account:
        raise QueryRefused(
            INVALID_QUERY, f"account_id {asked['account_id']} is not the subject's, {account}"
        )
    return asked | {"account_id": str(account)}


def _conditions(question: Question, asked: dict[str, Any], required: str) -> dict[str, Any]:
    if asked.get(required) is None:
        raise QueryRefused(INVALID_QUERY, f"{required} is missing")
    unknown = [name for name in asked if name not in question.chosen_by]
    if unknown:
        takes = ", ".join((*question.chosen_by, "limit", "min_position"))
        raise QueryRefused(INVALID_QUERY, f"{unknown[0]!r} is unknown here; there are: {takes}")
    conditions: dict[str, Any] = {}
    for name, value in asked.items():
        if value is None:
            continue
        if name.endswith("_id"):
            conditions[name] = _uuid(name, value)
        elif not isinstance(value, str) or "\x00" in value:
            raise QueryRefused(INVALID_QUERY, f"{name} must be a text")
        else:
            conditions[name] = _status(value) if name == "status" else value
    return conditions


def _limit(value: object, most: int) -> int:
    if value is None:
        return most
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise QueryRefused(INVALID_QUERY, f"limit must be 1 to {most}, not {value!r}")
    return value


def _status(text: str) -> str:
    try:
        return queries.order_status(text)
    except queries.UnknownStatus as error:
        raise QueryRefused(INVALID_QUERY, f"status {error}") from error


def _uuid(name: str, value: object) -> UUID:
    try:
        return UUID(str(value))
    except ValueError:
        raise QueryRefused(
            INVALID_QUERY, f"{name} must be a UUID, not {str(value)[:60]!r}"
        ) from None


# --- answering --------------------------------------------------------------------------


async def _respond(request: Request, body: bytes) -> None:
    try:
        await request.respond(body)
    except nats.errors.MaxPayloadError:
        message = f"the answer has {len(body)} bytes, more than the bus takes: set a lower limit"
        await _respond_error(request, QueryRefused(TOO_LARGE, message))
    except (ValueError, nats.errors.Error) as error:
        _log.info("answer_not_sent", subject=request.subject, reason=str(error))


async def _respond_error(request: Request, refused: QueryRefused) -> None:
    body = orjson.dumps({"code": refused.code, "message": str(refused)})
    header = visible(str(refused))  # a header is one line
    try:
        await request.respond_error(refused.code, header, body)
    except (ValueError, nats.errors.Error) as error:
        _log.info("answer_not_sent", subject=request.subject, reason=str(error))
