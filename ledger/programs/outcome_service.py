"""Answers to `ledger.outcomes.get`: what became of a command, for a service that lost the reply.

    question   the command id, as plain text or as {"command_id": "…"}
    answer     the recorded outcome, or that the command was set aside (FAILED) where none could be
               recorded; UNKNOWN while there is neither; INVALID_COMMAND for no id

Questions that wait are answered together with one query: after a fault every service asks at once.
While the database is away nothing is answered, because UNKNOWN would be a guess; whoever asks asks
again. Any of several workers may answer (one queue group).
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import nats.errors
import psycopg
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg

from ledger.bus.connection import OUTCOMES_SUBJECT
from ledger.eventstore import inbox
from ledger.eventstore.connection import OneConnection
from ledger.kernel import strict_json
from ledger.kernel.command import REJECTED, UNKNOWN, Outcome
from ledger.kernel.rejection import GeneralRejection

QUEUE_GROUP = "ledger"
MAX_QUESTIONS_AT_ONCE = 1_000
"""Ids looked up with one query: some milliseconds."""
MAX_QUESTIONS_WAITING = 20_000
"""Questions kept while others are answered. Beyond that they are dropped and will be asked
again: better than answering long after nobody listens."""

_log = structlog.get_logger(__name__)


@asynccontextmanager
async def answering(connection: Client, database_url: str) -> AsyncIterator[None]:
    """Inside the block, questions about outcomes are answered."""
    questions: asyncio.Queue[Msg | None] = asyncio.Queue(MAX_QUESTIONS_WAITING)

    async def asked(question: Msg) -> None:
        with contextlib.suppress(asyncio.QueueFull):
            questions.put_nowait(question)

    subscription = await connection.subscribe(OUTCOMES_SUBJECT, queue=QUEUE_GROUP, cb=asked)
    answers = asyncio.create_task(
        _answer_all(connection, questions, OneConnection(database_url, "outcomes"))
    )
    try:
        yield
    finally:
        with contextlib.suppress(nats.errors.Error):
            await subscription.unsubscribe()
        await questions.put(None)
        await answers


async def _answer_all(
    connection: Client, questions: asyncio.Queue[Msg | None], database: OneConnection
) -> None:
    """Answers until the end, which is None."""
    with contextlib.closing(database):
        while (first := await questions.get()) is not None:
            waiting = [first]
            while len(waiting) < MAX_QUESTIONS_AT_ONCE and not questions.empty():
                question = questions.get_nowait()
                if question is None:
                    return
                waiting.append(question)
            try:
                await _answer(connection, waiting, database)
            except psycopg.Error as error:
                _log.warning("outcomes_not_answered", questions=len(waiting), error=str(error))


async def _answer(connection: Client, questions: Sequence[Msg], database: OneConnection) -> None:
    wanted = [command_id_in(question.data) for question in questions]
    ids = list({command_id for command_id in wanted if command_id is not None})
    found = await asyncio.to_thread(database.run, lambda opened: _find(opened, ids))
    for question, command_id in zip(questions, wanted, strict=True):
        if question.reply:
            with contextlib.suppress(nats.errors.Error):
                await connection.publish(question.reply, _outcome(command_id, found).to_json())


def _find(connection: psycopg.Connection[Any], ids: list[UUID]) -> dict[UUID, Outcome]:
    found = inbox.find(connection, ids)
    return {one: Outcome.from_json(text) for one, (_, text) in found.items()}


def command_id_in(body: bytes) -> UUID | None:
    """The command id of a question, None when it has none."""
    try:
        if body.lstrip().startswith(b"{"):
            return UUID(strict_json.loads(body)["command_id"])
        return UUID(body.decode("ascii").strip().strip('"'))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _outcome(command_id: UUID | None, found: dict[UUID, Outcome]) -> Outcome:
    if command_id is None:
        return Outcome(
            command_id=None,
            status=REJECTED,
            code=GeneralRejection.INVALID_COMMAND.value,
            message=f"{OUTCOMES_SUBJECT} takes a command id: a UUID as text, "
            'or {"command_id": "<UUID>"}',
        )
    if command_id not in found:
        return Outcome(
            command_id=command_id,
            status=UNKNOWN,
            message="no command with this id is decided: ask again, or send it again under the "
            "same id, which can have no second effect",
        )
    return found[command_id]
