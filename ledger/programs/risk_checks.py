"""Answers to `ledger.query.risk-check` and `ledger.query.limit-use`: what an order would meet, and
what limits are at, from the exact state and without an event.

    risk-check   {"type": "SubmitOrder", "account_id": …, "data": {…}}    type may be left out
    limit-use    {"account_id": …}

Below each name for one account, too, as everything that is asked: so the bus can grant a service
its own accounts. Whoever decides commands answers: any of several may (one queue group), each from
states that it reads as decisions do (`ledger/write/preview.py`).
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import nats.errors
import nats.micro
import orjson
import psycopg
import structlog
from nats.aio.client import Client
from nats.micro.request import Request
from prometheus_client import Histogram
from uuid_utils.compat import uuid7

from ledger.bus import envelope
from ledger.bus.queries import (
    INVALID_QUERY,
    LIMIT_USE,
    QUERY_PREFIX,
    RISK_CHECK,
    UNAVAILABLE,
    QueryRefused,
)
from ledger.kernel import strict_json
from ledger.kernel.command import InvalidCommand
from ledger.kernel.text import visible
from ledger.operate.settings import Settings
from ledger.write.parser import parse
from ledger.write.preview import NotPreviewable, Preview

SERVICE_NAME, SERVICE_VERSION = "ledger-risk", "1.0.0"
QUEUE_GROUP = "ledger"
MAX_WAITING = 1_000
"""Questions in work or waiting: about a second of them."""
RISK_CHECK_SECONDS = Histogram(
    "ledger_risk_check_seconds",
    "From a question about limits to its answer.",
    buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1),
)

_log = structlog.get_logger(__name__)
Answering = Callable[[dict[str, Any], UUID | None], bytes]


@asynccontextmanager
async def answering(
    connection: Client, database_url: str, settings: Settings
) -> AsyncIterator[None]:
    """Inside the block, questions about limits are answered."""
    preview = Preview(
        database_url,
        clock_tolerance=timedelta(seconds=settings.clock_tolerance_seconds),
        price_max_age=timedelta(seconds=settings.price_max_age_seconds),
    )
    checks = RiskChecks(preview)
    answers: dict[str, Answering] = {RISK_CHECK: checks.check, LIMIT_USE: checks.use}
    waiting: set[asyncio.Task[None]] = set()

    async def take(request: Request) -> None:
        if len(waiting) >= MAX_WAITING:
            return  # who asks again later is answered sooner than who is answered too late
        task = asyncio.create_task(_answered(request, answers))
        waiting.add(task)
        task.add_done_callback(waiting.discard)

    service = await nats.micro.add_service(
        connection,
        name=SERVICE_NAME,
        version=SERVICE_VERSION,
        description="What orders would meet, and what limits are at",
        queue_group=QUEUE_GROUP,
    )
    reading_ahead = asyncio.create_task(asyncio.to_thread(_read_ahead, preview))
    try:
        async with service:
            group = service.add_group(name=QUERY_PREFIX)
            for name in answers:
                await group.add_endpoint(name=name, handler=take)
                await group.add_endpoint(
                    name=f"{name}-of-account", subject=f"{name}.*", handler=take
                )
            yield
    finally:
        await asyncio.gather(*waiting, return_exceptions=True)
        await asyncio.to_thread(preview.close)
        await reading_ahead


def _read_ahead(preview: Preview) -> None:
    """What cannot be read now is read when it is asked for."""
    try:
        preview.read_ahead()
    except psycopg.Error as error:
        _log.warning("risk_checks_not_read_ahead", error=str(error).strip())


async def _answered(request: Request, answers: dict[str, Answering]) -> None:
    with RISK_CHECK_SECONDS.time():
        try:
            name, account_id = _endpoint(request.subject)
            asked = _object(request.data)
            body = await asyncio.to_thread(answers[name], asked, account_id)
        except QueryRefused as refused:
            await _refuse(request, refused)
            return
        except psycopg.Error as error:
            _log.warning("risk_check_not_answered", error=str(error).strip())
            message = "the database does not answer: ask again in a moment"
            await _refuse(request, QueryRefused(UNAVAILABLE, message))
            return
    with contextlib.suppress(ValueError, nats.errors.Error):
        await request.respond(body)


async def _refuse(request: Request, refused: QueryRefused) -> None:
    body = orjson.dumps({"code": refused.code, "message": str(refused)})
    with contextlib.suppress(ValueError, nats.errors.Error):
        await request.respond_error(refused.code, visible(str(refused)), body)


def _endpoint(subject: str) -> tuple[str, UUID | None]:
    name, _, account = subject.removeprefix(f"{QUERY_PREFIX}.").partition(".")
    if not account:
        return name, None
    account_id = _uuid(account)
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


def _uuid(value: object) -> UUID:
    try:
        return UUID(str(value))
    except ValueError:
        raise QueryRefused(
            INVALID_QUERY, f"the account must be a UUID, not {str(value)[:60]!r}"
        ) from None


class RiskChecks:
    """The questions, read and answered: in a thread, as the database is asked."""

    def __init__(self, preview: Preview) -> None:
        self._preview = preview

    def check(self, asked: dict[str, Any], account_id: UUID | None) -> bytes:
        account_id = _account(asked, account_id)
        message = {
            "id": str(uuid7()),
            "type": asked.get("type", "SubmitOrder"),
            "subject": str(account_id),
            "data": asked.get("data"),
        }
        if "userid" in asked:
            message["userid"] = asked["userid"]
        command = parse(envelope.encoded(envelope.completed(message, SERVICE_NAME)))
        if isinstance(command, InvalidCommand):
            raise QueryRefused(INVALID_QUERY, command.message)
        try:
            return msgspec.json.encode(self._preview.check(command))
        except NotPreviewable as other:
            raise QueryRefused(INVALID_QUERY, str(other)) from None

    def use(self, asked: dict[str, Any], account_id: UUID | None) -> bytes:
        account_id = _account(asked, account_id)
        found = self._preview.use(account_id)
        if found is None:
            raise QueryRefused(INVALID_QUERY, f"there is no account {account_id}")
        return msgspec.json.encode(found)


def _account(asked: dict[str, Any], of_subject: UUID | None) -> UUID:
    """The account that is asked about: what the subject says, and the question does not deny."""
    named = asked.get("account_id")
    if named is None and of_subject is None:
        raise QueryRefused(INVALID_QUERY, "account_id is missing")
    account_id = of_subject if named is None else _uuid(named)
    assert account_id is not None
    if of_subject is not None and account_id != of_subject:
        raise QueryRefused(INVALID_QUERY, f"account_id {account_id} is not the subject's")
    return account_id
