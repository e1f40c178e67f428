"""What `ledgerctl doctor` asks of the seals: whether they are made, signed, and kept outside."""

from datetime import UTC, datetime
from typing import Any

import nats.errors
import nats.js.errors
import psycopg
from nats.js import api

from ledger.audit.prove import seals
from ledger.bus.connection import Connection
from ledger.bus.seal_stream import SEALS_STREAM, newest_kept, seals_of
from ledger.operate.check_result import CheckResult
from ledger.operate.settings import Settings
from ledger.programs.head_publisher import REPEAT_SECONDS

LATE_SECONDS = 60.0
"""Events that have waited this long beyond their time: no pause of the sealer, it is away."""
MISSED_HEADS = 3
"""So many heads that did not come are no accident."""
FULL = 0.8
"""Share of the stream's bytes from which on its administrator should make room."""

_ERROR = "SELECT error_message FROM event_projections WHERE projection_name = %s AND status = %s"


def of_database(connection: psycopg.Connection[Any], settings: Settings) -> CheckResult:
    """Whether everything is sealed in time, and signed."""
    head = seals.head(connection)
    waiting = seals.unsealed(connection)
    failed = connection.execute(_ERROR, [seals.PROJECTION, "ERROR"]).fetchone()
    sealed = f"sealed up to position {head.last_position if head else 0}"
    message = f"{sealed}, {waiting.events} events wait, the oldest for {waiting.seconds:.0f} s"
    if failed is not None:
        return CheckResult(
            "seals",
            "fail",
            f"{message}: nothing can be sealed: {failed[0]}",
            "Until this is put right, what is appended can be altered unseen.",
        )
    if waiting.seconds > settings.seal_block_age_seconds + LATE_SECONDS:
        return CheckResult("seals", "fail", message, "Run: ledgerctl serve seals")
    unsigned = head.public_key is None if head else settings.seal_key_file is None
    if unsigned:
        return CheckResult(
            "seals",
            "warn",
            f"{message}; seals are not signed: who can write to the database can seal another "
            "history",
            "Make a key with `ledgerctl audit seal --new-key FILE`, set LEDGER_SEAL_KEY_FILE to it "
            "for `ledgerctl serve seals`, and give auditors its public half.",
        )
    return CheckResult("seals", "ok", message)


async def of_bus(connection: Connection) -> CheckResult:
    """Whether heads come to the stream that keeps them, and since when not."""
    jetstream = seals_of(connection)
    try:
        stream = await jetstream.stream_info(SEALS_STREAM)
        newest = await newest_kept(jetstream)
    except nats.js.errors.NotFoundError:
        return CheckResult(
            "heads",
            "warn",
            f"there is no stream {SEALS_STREAM} yet: no head is kept outside the database",
            "`ledgerctl serve seals` makes it when it starts.",
        )
    except (nats.js.errors.Error, nats.errors.Error) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        remedy = "Use a user of the bus that may read it: ledger or auditor."
        return CheckResult("heads", "warn", f"{SEALS_STREAM} cannot be read: {reason}", remedy)
    return of_stream(stream.config, stream.state, newest.time if newest else None)


def of_stream(
    config: api.StreamConfig, state: api.StreamState, newest: datetime | None
) -> CheckResult:
    """What is to be said of the stream; `newest` is when its newest head was kept."""
    if not (config.deny_delete and config.deny_purge):
        return CheckResult(
            "heads",
            "fail",
            f"heads can be deleted from {SEALS_STREAM}",
            "Somebody made the stream without deny_delete and deny_purge: find out who, and have "
            "the bus's administrator make it anew.",
        )
    if newest is None:
        remedy = "`ledgerctl serve seals` publishes the first one within seconds of the first seal."
        return CheckResult("heads", "warn", "no head is kept outside the database yet", remedy)
    seconds = (datetime.now(UTC) - newest).total_seconds()
    message = f"{state.messages} heads in {SEALS_STREAM}, the newest {seconds:.0f} s old"
    if seconds > MISSED_HEADS * REPEAT_SECONDS:
        return CheckResult(
            "heads",
            "fail",
            f"no head was published since {newest:%Y-%m-%dT%H:%M:%SZ} ({seconds:.0f} s)",
            "Look at the log of `ledgerctl serve seals`: it says why it cannot publish.",
        )
    if config.max_bytes and 0 < config.max_bytes * FULL < state.bytes:
        return CheckResult(
            "heads",
            "warn",
            f"{message}; {state.bytes} of {config.max_bytes} bytes are taken",
            f"Have the bus's administrator make room: nats stream edit {SEALS_STREAM} --max-bytes",
        )
    return CheckResult("heads", "ok", message)
