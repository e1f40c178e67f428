"""Queries over NATS: `ledger.query.<question>`, for every question there is.

A service of the NATS services framework: `nats micro ls` finds it, `nats micro info ledger-query`
tells its endpoints. A question is a JSON object, the answer is one, too:

    {"account_id": "…", "min_position": 42}
         ──▶   {"position": 57, "rows": […], "more": true, "next": "…"}

    wait      until the read model has reached min_position, for a bounded time: a service that
              passes an outcome's position reads what it wrote
    read      checkpoint and rows in one snapshot: the rows are as of exactly that position
    answer    with the rows of `ledgerctl query --json`, as many as the limit and the bus allow;
              if there are more, with `next`, which asks for them as `after`

Each endpoint also answers below its name for one account (`ledger.query.balances.<account_id>`),
so that the bus can grant a service its own accounts and no others: rows of accounts are then those
of that account; what is nobody's, like instruments, everybody may read. Any number may run: they
share the questions. A refusal has a code, in the framework's error headers and in the body.
"""

import asyncio
import contextlib
import threading
import time
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
from prometheus_client import Counter, Histogram
from psycopg import IsolationLevel
from psycopg.rows import dict_row
from psycopg_pool import PoolTimeout

from ledger.bus import connection as bus
from ledger.bus.queries import (
    BUSY,
    INVALID_QUERY,
    NOT_REACHED,
    POSITION_OF,
    QUERY_PREFIX,
    TOO_LARGE,
    UNAVAILABLE,
    QueryRefused,
)
from ledger.bus.security import BusSecurity
from ledger.kernel import strict_json
from ledger.kernel.read_side import InvalidQuestion
from ledger.kernel.text import plain, visible
from ledger.operate.database import pool
from ledger.operate.roles import AUDITOR
from ledger.operate.settings import Settings
from ledger.programs.process import run_in_loop
from ledger.programs.readiness import answered
from ledger.programs.registry import Places, Program
from ledger.subscriptions.position_wait import Reached
from ledger.subscriptions.retry import Patience
from projections.questions import paging
from projections.questions.answers import POSITION
from projections.questions.catalogue import questions
from projections.questions.question import Asked, Question
from projections.questions.statement import statement

SERVICE_NAME = "ledger-query"
SERVICE_VERSION = "1.1.0"
QUEUE_GROUP = "ledger"
MAX_WAITING = 2_000
"""Questions in work or waiting for their position; beyond that the service says that it is busy,
which is better than answering long after nobody listens."""
ENVELOPE_BYTES = 4_096
"""Of the largest message that the bus takes, what is kept for all but the rows."""
QUERIES = Counter("ledger_queries", "Questions by how they were answered.", ["answer"])
for _answer_of_ours in ("answered", UNAVAILABLE):
    QUERIES.labels(_answer_of_ours)  # a count that began with its first would not have grown
QUERY_SECONDS = Histogram(
    "ledger_query_seconds",
    "From a question to its answer, with the wait for its position.",
    buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10),
)

_log = structlog.get_logger(__name__)


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
        """Answers until `stop`."""
        self._pool = pool(self._database_url, "queries", size=self._settings.query_pool_size)
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
        self._most_bytes = connection.max_payload - ENVELOPE_BYTES
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
            for name in (*questions(), POSITION_OF):
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
        started, answer = time.monotonic(), "answered"
        try:
            name, account = _endpoint(request.subject)
            asked = _object(request.data)
            if name == POSITION_OF:
                body = await self._position_of(asked, account)
            else:
                body = await self._rows(questions()[name], asked, account)
            await _respond(request, body)
        except QueryRefused as refused:
            answer = refused.code
            await _respond_error(request, refused)
        except InvalidQuestion as invalid:
            answer = INVALID_QUERY
            await _respond_error(request, QueryRefused(INVALID_QUERY, str(invalid)))
        except (psycopg.Error, PoolTimeout) as error:
            answer = UNAVAILABLE
            _log.warning("query_not_answered", subject=request.subject, error=str(error).strip())
            message = "the database does not answer: ask again in a moment"
            await _respond_error(request, QueryRefused(UNAVAILABLE, message))
        finally:
            QUERIES.labels(answer).inc()
            QUERY_SECONDS.observe(time.monotonic() - started)

    async def _rows(
        self, question: Question[Any], given: dict[str, Any], account: UUID | None
    ) -> bytes:
        limit = _limit(given.pop("limit", None), self._settings.query_rows_limit)
        after, min_position = given.pop("after", None), given.pop("min_position", None)
        asked = question.read(_with_account(question, given, account))
        asking = statement(question, asked, limit=limit + 1, after=after)
        await self._wait_for(question.projection, min_position)
        async with self._pool.connection() as connection:
            await connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)
            await connection.set_read_only(True)
            async with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
                reached = await (
                    await connection.execute(POSITION, [question.projection])
                ).fetchone()
                await cursor.execute(asking.text.encode(), asking.parameters)
                found = await cursor.fetchall()
        position = reached[0] if reached else 0
        return _answer(question, asked, position, found, limit, self._most_bytes)

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
                """SELECT 'log', coalesce(max(position), 0) FROM public.event_store
                   WHERE position >= public.log_kept_from()
                   UNION ALL
                   SELECT projection_name, last_processed_position
                   FROM public.event_projections
                   ORDER BY 1"""
            )
            positions: dict[str, int] = dict(await cursor.fetchall())
            rows = [{"of": name, "position": at} for name, at in positions.items()]
            for name, value in wanted.items():
                identifier = _uuid(name, value)
                cursor = await connection.execute(_POSITIONS[name], {"id": identifier})
                found = await cursor.fetchone()
                rows = [{"of": str(identifier), "position": found[0]}] if found else []
        answer = {"position": positions["log"], "rows": rows, "more": False, "next": None}
        return orjson.dumps(answer)

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
    "command_id": """SELECT (outcome ->> 'position')::bigint FROM public.command_inbox
                     WHERE command_id = %(id)s AND outcome ->> 'position' IS NOT NULL""",
    "event_id": """SELECT position FROM public.archived_events WHERE id = %(id)s
                   UNION ALL
                   SELECT position FROM public.event_store
                   WHERE id = %(id)s AND position >= public.log_kept_from()""",
}


# --- reading a question -----------------------------------------------------------------


def _endpoint(subject: str) -> tuple[str, UUID | None]:
    """The question's name, and the account that its subject restricts it to."""
    name, _, account = subject.removeprefix(f"{QUERY_PREFIX}.").partition(".")
    if not account:
        return name, None
    account_id = _uuid("the account in the subject", account)
    if str(account_id) != account:  # the bus grants subjects, not what they may mean
        raise QueryRefused(
            INVALID_QUERY, f"the account in the subject must be a UUID written like {account_id}"
        )
    return name, account_id


def _object(body: bytes) -> dict[str, Any]:
    try:
        asked = strict_json.loads(body) if body else {}
    except strict_json.InvalidJson as error:
        raise QueryRefused(INVALID_QUERY, f"the question is not JSON: {error}") from error
    if not isinstance(asked, dict):
        raise QueryRefused(INVALID_QUERY, "the question must be a JSON object")
    return asked


def _with_account(
    question: Question[Any], given: dict[str, Any], account: UUID | None
) -> dict[str, Any]:
    """What was asked, of the account in the subject if there is one. Rows that are no account's are
    everybody's only where their table says so."""
    if account is None or (question.table.shared and "account_id" not in question.filter_of):
        return given
    if "account_id" not in question.filter_of:
        raise QueryRefused(
            INVALID_QUERY,
            f"{question.name} are of no account: ask without an account in the subject",
        )
    if "account_id" in given and _uuid("account_id", given["account_id"]) != account:
        raise QueryRefused(
            INVALID_QUERY, f"account_id {given['account_id']} is not the subject's, {account}"
        )
    return given | {"account_id": account}


def _limit(value: object, most: int) -> int:
    if value is None:
        return most
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise QueryRefused(INVALID_QUERY, f"limit must be 1 to {most}, not {value!r}")
    return value


def _uuid(name: str, value: object) -> UUID:
    try:
        return UUID(str(value))
    except ValueError:
        raise QueryRefused(
            INVALID_QUERY, f"{name} must be a UUID, not {str(value)[:60]!r}"
        ) from None


# --- answering --------------------------------------------------------------------------


def _answer(
    question: Question[Any],
    asked: Asked,
    position: int,
    found: list[dict[str, Any]],
    limit: int,
    most_bytes: int,
) -> bytes:
    """As many of the rows as the limit and the bus allow, and the place behind them."""
    rows: list[bytes] = []
    size = 0
    for row in found[:limit]:
        text = orjson.dumps({name: plain(value) for name, value in row.items()})
        size += len(text) + 1
        if size > most_bytes:
            break
        rows.append(text)
    if found and not rows:
        raise QueryRefused(TOO_LARGE, f"one row has {size} bytes, more than the bus takes")
    more = len(found) > len(rows)
    following = paging.token(question, question.path(asked), found[len(rows) - 1]) if more else None
    return b'{"position":%d,"rows":[%b],"more":%b,"next":%b}' % (
        position,
        b",".join(rows),
        orjson.dumps(more),
        orjson.dumps(following),
    )


async def _respond(request: Request, body: bytes) -> None:
    try:
        await request.respond(body)
    except nats.errors.MaxPayloadError:  # the bus was set to take less since we connected
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


def _serve(places: Places, stop: threading.Event) -> None:
    run_in_loop(QueryService(places.database_url, places.nats_url, places.settings), stop)


PROGRAM = Program(
    name="queries",
    summary="answers questions about the read models",
    role=AUDITOR,
    ready=lambda places: answered(places, bus.POSITION_OF_SUBJECT, b""),  # how far everything is
    run=_serve,
    port=9467,
)
