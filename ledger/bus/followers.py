"""LEDGER_FOLLOWERS: who follows the events under which name, and how far they are.

One message for each name, on `ledger.followers.<user>.<name>`; a newer one takes the place of the
one before. It is written with the version that its writer has seen (`Nats-Expected-Last-Subject-
Sequence`), so of two writers one is refused. The publisher makes the stream; `follower_claim` says
what the records mean.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import nats.errors
import nats.js.errors
import orjson
from nats.js import JetStreamContext, api

from ledger.bus import connection as bus
from ledger.bus.command_subjects import ANONYMOUS
from ledger.bus.follower_record import KeptRecord, Record
from ledger.bus.permission_errors import Denials
from ledger.kernel.errors import LedgerError
from ledger.kernel.known_types import known
from ledger.kernel.logger import EventLogger

FOLLOWERS_STREAM = "LEDGER_FOLLOWERS"
FOLLOWERS_PREFIX = "ledger.followers"
MAX_RECORD_BYTES = 4_096
"""A record has about 300, and as many again for a long event type."""
MAX_NAMES = 100_000
"""Names that are kept; a new one beyond that is refused. Some dozen megabytes."""
_WRONG_VERSION = 10071
"""The server's code for a record that somebody else has written in between."""

_log = EventLogger(__name__)


class UnreadablePlace(LedgerError):
    """What is kept under a name is not of this version of the code."""

    def __init__(self, message: str, version: int) -> None:
        super().__init__(message)
        self.version = version


async def ensure_followers_stream(jetstream: JetStreamContext) -> None:
    """Makes the stream if there is none; then it is the operator's."""
    try:
        await jetstream.stream_info(FOLLOWERS_STREAM)
    except nats.js.errors.NotFoundError:
        await jetstream.add_stream(
            api.StreamConfig(
                name=FOLLOWERS_STREAM,
                description="Who follows the ledger's events under which name, and how far",
                subjects=[f"{FOLLOWERS_PREFIX}.*.*"],
                retention=api.RetentionPolicy.LIMITS,
                storage=api.StorageType.FILE,
                max_msgs_per_subject=1,
                max_msgs=MAX_NAMES,
                max_msg_size=MAX_RECORD_BYTES,
                discard=api.DiscardPolicy.NEW,
                allow_direct=True,
            )
        )
        _log.info("stream_created", stream=FOLLOWERS_STREAM)


class Place:
    """The record of one name, on the server."""

    def __init__(
        self, connection: bus.Connection, user: str | None, name: str, denials: Denials
    ) -> None:
        self.subject = f"{FOLLOWERS_PREFIX}.{user or ANONYMOUS}.{name}"
        self._nats = connection
        self._denials = denials

    async def read(self) -> KeptRecord:
        """The record and its version. Raises UnreadablePlace, NotPermitted, nats.errors.Error."""
        asked = f"{self._nats.api_prefix}.DIRECT.GET.{FOLLOWERS_STREAM}.{self.subject}"
        answer = await self._request(asked, b"", None)
        headers = answer.headers or {}
        if "Status" in headers:  # 404: there is none
            return KeptRecord(None, 0)
        version = int(headers["Nats-Sequence"])
        return KeptRecord(_decoded(answer.data, self.subject, version), version)

    async def write(self, record: Record, version: int) -> int | None:
        """The new version; None when another than `version` is kept. Raises NotPermitted,
        nats.errors.Error."""
        expected = {api.Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value: str(version)}
        answer = await self._request(self.subject, msgspec.json.encode(record), expected)
        told = orjson.loads(answer.data)
        if error := told.get("error"):
            if error.get("err_code") == _WRONG_VERSION:
                return None
            raise nats.js.errors.APIError.from_error(error)
        return int(told["seq"])

    async def _request(self, subject: str, body: bytes, headers: dict[str, str] | None) -> Any:
        request = self._nats.request(
            subject, body, timeout=bus.JETSTREAM_TIMEOUT_SECONDS, headers=headers
        )
        return await self._denials.or_denied(subject, request)


def _decoded(body: bytes, subject: str, version: int) -> Record:
    try:
        return msgspec.json.decode(body, type=known(Record))
    except msgspec.DecodeError as error:
        raise UnreadablePlace(
            f"what is kept on {subject} is not of this version ({error}): {body[:120]!r}. Update "
            "the trading-ledger package, or forget the place with `forget_events`.",
            version,
        ) from error


class FollowerRow(NamedTuple):
    """A name as an operator sees it. `behind`: events published since its place."""

    user: str
    name: str
    owner: str | None
    wanted_by: str | None
    place: int | None
    behind: int | None
    events: str
    incarnation: UUID | None = None


async def rows(connection: bus.Connection, head: int) -> list[FollowerRow]:
    """All names, by user and name; `head` is the position of the newest event. Raises
    nats.errors.Error."""
    jetstream = connection.jetstream(timeout=bus.JETSTREAM_TIMEOUT_SECONDS)
    found: list[FollowerRow] = []
    info = await jetstream.stream_info(FOLLOWERS_STREAM, subjects_filter=f"{FOLLOWERS_PREFIX}.>")
    subjects: Mapping[str, int] = info.state.subjects or {}
    for subject in sorted(subjects):
        answer = await connection.request(
            f"{connection.api_prefix}.DIRECT.GET.{FOLLOWERS_STREAM}.{subject}",
            b"",
            timeout=bus.JETSTREAM_TIMEOUT_SECONDS,
        )
        headers = answer.headers or {}
        if "Status" in headers:  # removed since
            continue
        record = _decoded(answer.data, subject, int(headers["Nats-Sequence"]))
        _, _, user, name = subject.split(".")
        behind = None if record.place is None else max(head - record.place, 0)
        owners = (record.owner, record.wanted_by)
        found.append(
            FollowerRow(
                user, name, *owners, record.place, behind, record.filter, record.incarnation
            )
        )
    return found
