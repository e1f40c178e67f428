"""Where a witness hears of heads.

bus         the stream LEDGER_SEALS, from behind the last head that was kept; the sealer says
            its newest one again every ten minutes, so a source that is silent is a bad sign
database    event_seals, as an auditor: here also the seals between two heads are held against
            each other. It is silent while events wait to be sealed for longer than they should
"""

import asyncio
import threading
import time
from collections.abc import Iterator

import nats.errors
import nats.js.errors
import orjson
import psycopg
import structlog
from nats.js import JetStreamContext

from ledger.audit.prove import seals
from ledger.audit.prove.seals import Seal
from ledger.audit.witness import KeptHead, Seen
from ledger.bus import connection as bus
from ledger.bus.seal_stream import SEALS_STREAM, kept_at, seals_of
from ledger.bus.security import BusSecurity
from ledger.operate import roles
from ledger.operate.database import connect
from ledger.operate.settings import Settings

LOOK_SECONDS = 1.0
"""Pause between two looks: a head is old after ten seconds at the earliest."""
ONCE_TIMEOUT_SECONDS = 15.0
"""Whoever wants what is there now is told after so long that the bus does not answer."""

_log = structlog.get_logger(__name__)


def from_bus(
    url: str, settings: Settings, newest: KeptHead | None, stop: threading.Event, *, once: bool
) -> Iterator[Seen | None]:
    """What the stream has from behind the newest head that is kept, and then what comes. With
    `once` only what is there now; raises an error of NATS or TimeoutError if it is away."""
    following = newest.sequence + 1 if newest else 1
    told = ""
    with asyncio.Runner() as runner:
        connection = runner.run(_connected(url, settings, stop, once=once))
        try:
            while connection is not None and not stop.is_set():
                try:
                    seen = runner.run(_look(seals_of(connection), following))
                    told = ""
                except (nats.errors.Error, nats.js.errors.Error) as error:
                    if once:
                        raise
                    seen, told = None, _tell_away("bus", error, told)
                if seen is None and once:
                    return
                yield seen
                if seen is None:
                    runner.run(asyncio.sleep(LOOK_SECONDS))
                else:
                    following += 1
        finally:
            if connection is not None:
                runner.run(connection.close())


async def _connected(
    url: str, settings: Settings, stop: threading.Event, *, once: bool
) -> bus.Connection | None:
    """A connection, as soon as the server is there; None if `stop` is set before. With `once` it
    raises TimeoutError after a while."""
    security = BusSecurity.of(settings)
    connecting = asyncio.create_task(
        bus.connect(url, "witness", security=security, retry_wait=settings.retry_wait_seconds)
    )
    deadline = time.monotonic() + ONCE_TIMEOUT_SECONDS
    late = False
    while not (connecting.done() or stop.is_set() or late):
        await asyncio.wait({connecting}, timeout=LOOK_SECONDS)
        late = once and time.monotonic() > deadline
    if connecting.done():
        return connecting.result()
    connecting.cancel()
    await asyncio.wait({connecting})
    if late:
        raise TimeoutError(f"no connection within {ONCE_TIMEOUT_SECONDS:.0f} s")
    return None


async def _look(jetstream: JetStreamContext, following: int) -> Seen | None:
    """The message with the number; a contradiction if it is not there though it should be."""
    try:
        last = (await jetstream.stream_info(SEALS_STREAM)).state.last_seq
    except nats.js.errors.NotFoundError:
        last = 0
    if last < following - 1:
        wrong = f"ends at message {last}, but had come to {following - 1}: it was made anew"
    elif last < following:
        return None
    elif (kept := await kept_at(jetstream, following)) is not None:
        return Seen(kept.body, kept.sequence)
    else:
        wrong = f"has come to message {last}, and message {following} is missing: it was removed"
    return Seen(b"", following, f"the stream {SEALS_STREAM} {wrong}")


def _tell_away(source: str, error: Exception, told: str) -> str:
    """Logs once why a source says nothing; what was logged."""
    reason = " ".join(str(error).split()) or type(error).__name__
    if reason != told:
        _log.warning("witness.source_away", source=source, reason=reason)
    return reason


def from_database(
    url: str, settings: Settings, newest: KeptHead | None, stop: threading.Event, *, once: bool
) -> Iterator[Seen | None]:
    """The newest seal of the database, whenever there is a further one. With `once` it raises
    psycopg.OperationalError if the database is away."""
    last = newest.seal if newest else None
    told = ""
    while not stop.is_set():
        try:
            with connect(roles.stepping_down(url), "witness") as connection:
                told = ""
                while not stop.is_set():
                    seen = _newest_of(connection, last, settings)
                    if seen is not None:
                        yield seen
                        last = last if seen.contradiction else seals.from_document(seen.document)
                    if once:
                        return
                    if seen is None:
                        yield None
                    stop.wait(LOOK_SECONDS)
        except psycopg.OperationalError as error:
            if once:
                raise
            told = _tell_away("database", error, told)
            yield None
            stop.wait(LOOK_SECONDS)


def _newest_of(
    connection: psycopg.Connection[tuple[object, ...]], last: Seal | None, settings: Settings
) -> Seen | None:
    """The newest seal, and whether the seals lead to it from the last one that was seen."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        newest = seals.head(connection)
        waiting = seals.unsealed(connection)
        wrong = None
        if last is not None and seals.numbered(connection, last.number) != last:
            wrong = f"seal {last.number}, which was seen, is no longer in event_seals as it was"
        elif last is not None and newest is not None:
            wrong = _broken(connection, last)
    late = waiting.seconds > max(settings.witness_silence_seconds, settings.seal_block_age_seconds)
    if wrong is None and (newest is None or (newest == last and late)):
        return None
    return Seen(orjson.dumps(newest.document()) if newest else b"", 0, wrong)


def _broken(connection: psycopg.Connection[tuple[object, ...]], last: Seal) -> str | None:
    """What is wrong with the seals after the last one that was seen."""
    before = last
    for seal in seals.all_seals(connection, last.number + 1):
        if seal.number != before.number + 1 or seal.previous_hash != before.hash:
            return f"seal {seal.number} was not made upon seal {before.number}"
        if seal.computed_hash() != seal.hash:
            return f"seal {seal.number} was changed: its hash is not that of its content"
        before = seal
    return None
