"""What is sent for a command that is decided: its outcome, and the acknowledgement."""

import structlog
from nats.aio.client import Client

from ledger.bus import connection as bus
from ledger.bus import delivery, wire
from ledger.bus.delivery import Delivery
from ledger.bus.wire import Message
from ledger.kernel.command import FAILED, Command, Outcome
from ledger.operate.logging import bound

_log = structlog.get_logger(__name__)


def answers(
    connection: Client, message: Message, outcome: Outcome, sender: str | None
) -> list[bytes]:
    """The outcome to whom it is due, and the acknowledgement to the server. Where the bus vouches
    for a sender it gets outcomes in its own inboxes and nowhere else."""
    reply = _reply(connection, message, outcome, sender)
    done = delivery.done(message)
    return [done] if reply is None else [reply, done]


def _reply(
    connection: Client, message: Message, outcome: Outcome, sender: str | None
) -> bytes | None:
    subject = message.header(bus.REPLY_TO.encode())
    if not subject:
        return None
    try:
        text = outcome.to_json()
        if len(text) > connection.max_payload:
            raise bus.UnusableSubject(f"cannot take {len(text)} bytes")
        return wire.message(bus.checked_reply_subject(subject, sender), text)
    except bus.UnusableSubject as error:
        # Nothing that trying again would change: the sender can ask for the outcome.
        _log.warning(
            "outcome_cannot_be_sent",
            command_id=str(outcome.command_id),
            subject=subject[: bus.MAX_REPLY_SUBJECT_LENGTH],
            reason=str(error),
        )
        return None


def log_outcome(one: Delivery, outcome: Outcome) -> None:
    command = one.command
    with bound(
        command_id=command.id,
        correlation_id=command.correlation_id if isinstance(command, Command) else None,
        stream_id=outcome.events[0].stream_id if outcome.events else None,
    ):
        level = _log.error if outcome.status == FAILED else _log.debug
        level(
            "command_decided",
            type=command.type,
            source=command.source,
            status=outcome.status,
            code=outcome.code,
            reason=outcome.message,
            replayed=outcome.replayed,
            delivery=one.tries,
        )
