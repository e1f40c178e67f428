"""What a sender says, as the CloudEvent that the ledger reads.

Amounts become plain decimal strings, times ISO 8601 UTC, ids text. Nothing is judged here: whether
a command is right is the worker's to say, so that every sender gets the same answer.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import orjson
from uuid_utils import uuid7

from ledger.bus.command_subjects import command_subject
from ledger.bus.connection import is_subject_token
from ledger.kernel import money
from ledger.kernel.command import COMMAND_CLASSES, SPECVERSION, CommandData
from ledger.kernel.errors import LedgerError
from ledger.kernel.time import time_text
from ledger.nouns import COMMAND_DATA, FAMILIES, FAMILY_OF_COMMAND


class CommandNotSendable(LedgerError, ValueError):
    """The command cannot be put into a message, or the message belongs to no account."""


def subject_of(command_type: object, data: object) -> str:
    """The account or the family that a command is about; empty when the data names none."""
    family = FAMILY_OF_COMMAND.get(command_type) if isinstance(command_type, str) else None
    if family is not None:
        return family
    account_id = data.get("account_id") if isinstance(data, Mapping) else None
    return str(account_id) if isinstance(account_id, str | UUID) else ""


def completed(envelope: Mapping[str, Any], source: str) -> dict[str, Any]:
    """The envelope with what it lacks: specversion, id, source, subject and time."""
    whole: dict[str, Any] = {
        "specversion": SPECVERSION,
        "id": None,
        "source": source,
        "subject": None,
        "time": datetime.now(UTC),
        **envelope,
    }
    if "id" not in envelope:
        whole["id"] = str(uuid7())
    if "subject" not in envelope:
        whole["subject"] = subject_of(envelope.get("type"), envelope.get("data"))
    return whole


def encoded(envelope: Mapping[str, Any]) -> bytes:
    """The envelope as JSON. Raises CommandNotSendable."""
    try:
        return _dumped(envelope)
    except orjson.JSONEncodeError:
        pass  # keys that are no plain texts, or mappings that are no dicts, perhaps
    try:
        return _dumped(_plain(envelope))
    except (orjson.JSONEncodeError, RecursionError) as error:
        raise CommandNotSendable(f"the command cannot be written as JSON: {error}") from error


def _dumped(value: object) -> bytes:
    return orjson.dumps(value, default=_text, option=orjson.OPT_PASSTHROUGH_DATETIME)


def nats_subject(envelope: Mapping[str, Any], sender: str) -> str:
    """The NATS subject that the command is sent to. Raises CommandNotSendable."""
    subject = envelope["subject"]
    if not isinstance(subject, str) or not subject:
        raise CommandNotSendable(
            "the command names no account: give data.account_id, or a subject "
            f"(commands of no account: {', '.join(sorted(FAMILIES))})"
        )
    if not is_subject_token(subject):
        raise CommandNotSendable(f"subject {subject[:80]!r} is not an account's id")
    model = COMMAND_DATA.get(str(envelope.get("type")))
    # What is no command has no class: any will do for the worker to say so.
    command_class = COMMAND_CLASSES[0] if model is None else model.command_class
    return command_subject(subject, command_class, sender)


def data_with_account(
    command_type: object, data: Mapping[str, Any] | None, account_id: object
) -> dict[str, Any]:
    """The data, with the account in it where the command must name it and only its sender does."""
    given = dict(data or {})
    model = COMMAND_DATA.get(command_type) if isinstance(command_type, str) else None
    if model is not None and account_id is not None:
        field = model.model_fields.get("account_id")
        if field is not None and field.is_required():
            given.setdefault("account_id", account_id)
    return given


def data_of(command: CommandData) -> dict[str, Any]:
    """What the caller gave to the model, and nothing it did not."""
    return command.model_dump(exclude_unset=True)


def _plain(value: object) -> object:
    """Without enumerations as keys, which orjson does not take, and with plain dicts and lists."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.value if isinstance(value, Enum) else value


def _text(value: object) -> str:
    if isinstance(value, Decimal):
        return money.plain(value)
    if isinstance(value, datetime):
        # One without zone is sent as it is, and refused: only its sender knows which it is in.
        aware = value.tzinfo is not None
        return time_text(value) if aware else str(value)
    raise TypeError(f"{type(value).__name__} is not JSON")
