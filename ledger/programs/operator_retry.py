"""Sends commands that failed to the worker again, for an operator.

    settle      RETRIED: the FAILED outcome is gone, the command can be decided anew
    send        its message as it came, in the operator's name: who sends answers for it, and whose
                command it was stays in its row
    wait        for the new outcome; it is also there for whoever asks for it

If the bus is away in between, the command has no outcome and nothing is lost: retrying it again
sends it again, and the inbox sees to one effect.
"""

from typing import Any
from uuid import UUID

import nats.errors
import psycopg

from ledger.bus.command_subjects import command_subject
from ledger.bus.connection import JETSTREAM_TIMEOUT_SECONDS, REPLY_TO, Connection
from ledger.kernel.command import UNKNOWN, Outcome
from ledger.kernel.errors import LedgerError
from ledger.nouns import COMMAND_DATA
from ledger.write import failed_commands
from ledger.write.failed_commands import RETRIED, FailedCommand


class NotSent(LedgerError):
    """The bus did not take a command; the operator may try again."""


async def retry(
    database: psycopg.Connection[Any],
    connection: Connection,
    command_id: UUID,
    *,
    by: str,
    reason: str,
    timeout: float,
) -> Outcome:
    """The command's new outcome; UNKNOWN when none came within `timeout` seconds. Raises
    NotWaiting, NotSent."""
    last = failed_commands.of_command(database, command_id)[-1]
    if last.status != RETRIED or last.outcome is not None:
        failed_commands.settle(database, command_id, "RETRIED", by=by, reason=reason)
    inbox = connection.new_inbox()
    answers = await connection.subscribe(inbox)
    try:
        await connection.jetstream(timeout=JETSTREAM_TIMEOUT_SECONDS).publish(
            _subject(last, connection.sender), last.body, headers={REPLY_TO: inbox}
        )
    except (TimeoutError, nats.errors.Error, OSError) as error:
        raise NotSent(
            f"command {command_id} is to be decided anew, but the bus did not take it: "
            f"{str(error) or type(error).__name__}. Run the same retry again when NATS runs."
        ) from error
    try:
        return Outcome.from_json((await answers.next_msg(timeout)).data)
    except nats.errors.TimeoutError:
        return Outcome(
            command_id=command_id,
            status=UNKNOWN,
            message=f"no outcome within {timeout:g} seconds: check that `ledgerctl serve commands` "
            "runs; it decides the command when it does",
        )
    finally:
        await answers.unsubscribe()


def _subject(command: FailedCommand, sender: str) -> str:
    # One of the days before there were classes has that of its type.
    command_class = command.command_class or COMMAND_DATA[command.command_type].command_class
    return command_subject(command.subject, command_class, sender)
