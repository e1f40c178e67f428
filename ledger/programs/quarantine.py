"""What of a batch must be kept for a person before it is answered: commands that failed for good,
with the outcome in one transaction where it is recorded, and what has no outcome to record."""

from collections.abc import Sequence
from typing import Any

import psycopg
import structlog

from ledger.bus import command_subjects, delivery
from ledger.bus.delivery import Delivery
from ledger.kernel.command import FAILED, Outcome
from ledger.operate.settings import Settings
from ledger.programs import unreadable_messages
from ledger.programs.unreadable_messages import UnreadableMessage
from ledger.write import failed_commands
from ledger.write.failed_commands import FailedMessage

_log = structlog.get_logger(__name__)


def keep_recorded(
    cursor: psycopg.Cursor[Any], batch: Sequence[Delivery], decided: Sequence[Outcome]
) -> None:
    """Keeps the commands whose outcome FAILED is being recorded."""
    failed_commands.keep_within(
        cursor,
        [
            _failed(one, outcome)
            for one, outcome in zip(batch, decided, strict=True)
            if _is_recorded(outcome)
        ],
    )


def _is_recorded(outcome: Outcome) -> bool:
    """Whether this batch records that the command failed."""
    return (
        outcome.status == FAILED
        and outcome.command_id is not None
        and outcome.position is not None
        and not outcome.replayed
    )


class SetAside:
    """What is kept by itself: messages without an id, whose outcome nothing can record, and
    commands that were tried as often as they are and could not be recorded, or were before."""

    def __init__(
        self, batch: Sequence[Delivery], decided: Sequence[Outcome], settings: Settings
    ) -> None:
        self._unreadable: list[UnreadableMessage] = []
        self._failed: list[FailedMessage] = []
        self._body_limit = settings.unreadable_body_limit_bytes
        for one, outcome in zip(batch, decided, strict=True):
            if outcome.command_id is None:
                self._unreadable.append(
                    UnreadableMessage(
                        received_at=delivery.received_at(one.message),
                        subject=one.message.subject,
                        reason=outcome.message or "",
                        body=one.message.data,
                    )
                )
            elif _is_recorded(outcome):
                continue  # it is kept with its outcome
            elif outcome.status == FAILED and is_final(one, outcome, settings):
                self._failed.append(_failed(one, outcome))

    def __bool__(self) -> bool:
        return bool(self._unreadable or self._failed)

    def keep(self, connection: psycopg.Connection[Any]) -> bool:
        """True, once they are kept."""
        if self._unreadable:
            first = self._unreadable[0].reason
            _log.warning("messages_unreadable", messages=len(self._unreadable), first=first)
            unreadable_messages.keep(connection, self._unreadable, self._body_limit)
        failed_commands.keep(connection, self._failed)
        return True


def is_final(one: Delivery, outcome: Outcome, settings: Settings) -> bool:
    """Whether the outcome is the command's: all are, but FAILED only when it is recorded (and so
    has a position), was answered before, or when no further try would help."""
    return (
        outcome.status != FAILED
        or outcome.position is not None
        or outcome.replayed
        or one.tries >= settings.command_max_deliver
    )


def _failed(one: Delivery, outcome: Outcome) -> FailedMessage:
    assert outcome.command_id is not None
    return FailedMessage(
        command_id=outcome.command_id,
        command_type=one.command.type,
        source=one.command.source,
        sent_to=command_subjects.read(one.message.subject).tokens,
        fingerprint=one.command.fingerprint,
        body=one.message.data,
        code=outcome.code or "",
        message=outcome.message or "",
        tries=one.tries,
    )
