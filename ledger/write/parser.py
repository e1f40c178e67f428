"""How a message becomes a command: the contract with services.

    bytes ──parse──▶ Command(data=<one of the nouns' models>)    well formed: can be decided
                 └─▶ InvalidCommand(message)                    answered INVALID_COMMAND

A message is a CloudEvents 1.0 JSON object. `parse` never raises on input. It refuses everything
that could be understood in two ways: floats as amounts, times without zone, unknown fields, a key
that stands twice, a subject that is not the account the data speaks of. Amounts become exact
`Decimal`s here and stay that from then on.

The fingerprint (SHA-256 of type, subject and data) tells a resend, which gets the same outcome
again, from another command under the same id, which is refused.
"""

import hashlib
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import orjson
from pydantic import ValidationError

from ledger.bus.command_subjects import CommandSubject, command_subject
from ledger.kernel import strict_json
from ledger.kernel.command import (
    SPECVERSION,
    AccountCommandData,
    Command,
    CommandData,
    InvalidCommand,
)
from ledger.kernel.rejection import GeneralRejection
from ledger.kernel.time import parse_time
from ledger.nouns import COMMAND_DATA, FAMILY_OF_COMMAND

MAX_COMMAND_BYTES = 65_536
"""Default of the largest message that is decided (`LEDGER_COMMAND_PAYLOAD_LIMIT_BYTES`): the
largest sensible command is under 4 KiB, and one message must not fill a batch's memory."""
MAX_SOURCE_LENGTH = 200
"""Characters of `source` kept."""
MAX_ERRORS_TOLD = 5
"""Faults of one message that its outcome lists."""


class _Fault(Exception):
    """Why a message is invalid, in words that PostgreSQL can store: they may quote the message."""

    def __init__(
        self, reason: str, code: GeneralRejection = GeneralRejection.INVALID_COMMAND
    ) -> None:
        super().__init__(reason.replace("\x00", "\\x00"))
        self.code = code.value


def parse(
    body: bytes, *, sent_to: CommandSubject | None = None, max_bytes: int = MAX_COMMAND_BYTES
) -> Command | InvalidCommand:
    """The command of a message. `sent_to` is what the NATS subject says that it came on, when it
    came that way; the message must speak of the same account and be of the same class."""
    sender = None if sent_to is None else sent_to.sender
    try:
        envelope, ambiguous = _envelope(body, max_bytes)
    except _Fault as fault:
        return InvalidCommand(
            id=_salvaged_id(body, max_bytes),
            type="",
            subject="" if sent_to is None else sent_to.about,
            source="",
            fingerprint=hashlib.sha256(body).digest(),
            message=str(fault),
            sender=sender,
        )
    return _command(envelope, sent_to, sender, body, ambiguous)


def _envelope(body: bytes, max_bytes: int) -> tuple[dict[str, Any], _Fault | None]:
    """The envelope, and why it cannot be taken at its word."""
    ambiguous: _Fault | None = None
    if len(body) > max_bytes:
        raise _Fault(f"the message has {len(body)} bytes, at most {max_bytes} are decided")
    try:
        envelope = strict_json.loads(body)
    except strict_json.Ambiguous as error:
        envelope, ambiguous = error.value, _Fault(str(error))
        if "id" in error.keys:
            raise ambiguous from error
    except strict_json.InvalidJson as error:
        raise _Fault(f"the message is not JSON: {error}") from error
    if not isinstance(envelope, dict):
        raise _Fault(f"the message is a JSON {type(envelope).__name__}, not an object")
    return envelope, ambiguous


def _salvaged_id(body: bytes, max_bytes: int) -> UUID | None:
    """The id of a message that is too large, if it can be read: its sender waits for an answer."""
    if len(body) <= max_bytes:
        return None
    try:
        return UUID(orjson.loads(body)["id"])
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _command(
    envelope: dict[str, Any],
    sent_to: CommandSubject | None,
    sender: str | None,
    body: bytes,
    ambiguous: _Fault | None,
) -> Command | InvalidCommand:
    command_id: UUID | None = None
    command_type = _short(envelope.get("type"))
    source = _short(envelope.get("source"))
    named_subject = _short(envelope.get("subject", None if sent_to is None else sent_to.about))
    fingerprint = _fingerprint(envelope, named_subject, body)
    try:
        command_id = _uuid(envelope, "id", required=True)
        assert command_id is not None
        if ambiguous is not None:
            raise ambiguous
        if envelope.get("specversion") != SPECVERSION:
            raise _Fault(f"specversion must be {SPECVERSION!r}")
        if not source:
            raise _Fault("source is missing: name the sending service")
        if sent_to is not None:
            _check_subject(sent_to, named_subject, command_type)
        data = _data(command_type, envelope.get("data"))
        return Command(
            id=command_id,
            type=command_type,
            subject=named_subject,
            source=source,
            account_id=_account_id(data, named_subject),
            time=_time(envelope.get("time")),
            correlation_id=_uuid(envelope, "correlationid") or command_id,
            causation_id=_uuid(envelope, "causationid"),
            user_id=_uuid(envelope, "userid"),
            fingerprint=fingerprint,
            data=data,
            sender=sender,
        )
    except _Fault as fault:
        return InvalidCommand(
            id=command_id,
            type=command_type,
            subject=named_subject,
            source=source,
            fingerprint=fingerprint,
            message=str(fault),
            code=fault.code,
            sender=sender,
        )


def _check_subject(sent_to: CommandSubject, named_subject: str, command_type: str) -> None:
    """The message says what its subject says, because the subject is what the bus grants."""
    if sent_to.fault is not None:
        raise _Fault(sent_to.fault)
    if named_subject != sent_to.about:
        raise _Fault(
            f"the message's subject {named_subject!r} is not the {sent_to.about!r} it was sent to"
        )
    model = COMMAND_DATA.get(command_type)
    if model is not None and sent_to.command_class not in {None, model.command_class}:
        raise _Fault(
            f"{command_type} is of the class {model.command_class!r}, and was sent to a subject of "
            f"the class {_shown(sent_to.command_class)}: send it to "
            f"{command_subject(sent_to.about, model.command_class, sent_to.sender or '<sender>')}",
            GeneralRejection.WRONG_CLASS,
        )


def _fingerprint(envelope: dict[str, Any], subject: str, body: bytes) -> bytes:
    content = [envelope.get("type"), subject, envelope.get("data")]
    try:
        return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).digest()
    except orjson.JSONEncodeError:  # orjson reads deeper nesting than it writes; no command has it
        return hashlib.sha256(body).digest()


def _short(value: object) -> str:
    """A text of the envelope, kept to a sane length and free of what PostgreSQL cannot store."""
    return value[:MAX_SOURCE_LENGTH].replace("\x00", "") if isinstance(value, str) else ""


def _uuid(envelope: dict[str, Any], name: str, *, required: bool = False) -> UUID | None:
    value = envelope.get(name)
    if value is None and not required:
        return None
    try:
        return _as_uuid(value)
    except (ValueError, TypeError, AttributeError):
        raise _Fault(f"{name} must be a UUID, not {_shown(value)}") from None


def _as_uuid(value: Any) -> UUID:
    """As `UUID` reads it; in the usual form, which is nearly always, by the faster reader."""
    try:
        return msgspec.convert(value, UUID)
    except msgspec.ValidationError:
        return UUID(value)


def _time(value: object) -> datetime | None:
    if value is None:
        return None
    try:
        return parse_time(value)
    except ValueError as error:
        raise _Fault(f"time: {error}") from error


def _data(command_type: str, data: object) -> CommandData:
    model = COMMAND_DATA.get(command_type)
    if model is None:
        known = ", ".join(COMMAND_DATA)
        raise _Fault(f"type {command_type!r} is no command; there are: {known}")
    if not isinstance(data, dict):
        raise _Fault("data must be a JSON object")
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise _Fault(_explained(error)) from error


def _explained(error: ValidationError) -> str:
    faults = error.errors(include_url=False, include_context=False)
    told = [
        ".".join(["data", *(str(part)[:40] for part in fault["loc"])])
        + f": {fault['msg'].removeprefix('Value error, ')}"
        for fault in faults[:MAX_ERRORS_TOLD]
    ]
    if len(faults) > MAX_ERRORS_TOLD:
        told.append(f"and {len(faults) - MAX_ERRORS_TOLD} more")
    return "; ".join(told)


def _account_id(data: CommandData, subject: str) -> UUID | None:
    """The account a command is about: its subject, which the data must not contradict."""
    family = FAMILY_OF_COMMAND[type(data).__name__]
    if family is not None:
        if subject != family:
            raise _Fault(f"commands about {family} have the subject {family!r}")
        return None
    try:
        account_id = _as_uuid(subject)
    except ValueError:
        raise _Fault(f"subject must be the account's id, not {_shown(subject)}") from None
    if str(account_id) != subject:
        # Partitions, grants and limits go by the text: an account has one.
        raise _Fault(
            f"subject must be the account's id in the usual form, {str(account_id)!r}, not "
            f"{_shown(subject)}"
        )
    assert isinstance(data, AccountCommandData)
    named = data.account_id
    if named is not None and named != account_id:
        raise _Fault(f"data.account_id {named} is not the subject {account_id}")
    return account_id


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= MAX_SOURCE_LENGTH else text[:MAX_SOURCE_LENGTH] + "…"
