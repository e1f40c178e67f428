"""Where a witness hears of heads.

bus         the stream LEDGER_SEALS, from behind the last head that was kept; the sealer says
            its newest one again every ten minutes, so a source that is silent is a bad sign
database    event_seals, as an auditor: here also the seals between two heads are held against
            each other. It is silent while events wait to be sealed for longer than they should
"""

import asyncio
import threading
from collections.abc import Iterator

import nats.errors
import nats.js.errors
import orjson
import psycopg
import structlog
from nats.aio.client import Client
from nats.js import JetStreamContext

from ledger import roles
from ledger.audit import seals
from ledger.audit.seals import Seal
from ledger.audit.witness import Kept, Seen
from ledger.messaging import bus
from ledger.messaging.seal_stream import SEALS_STREAM, kept_at, newest_kept, seals_of
from ledger.messaging.security import BusSecurity
from ledger.settings import Settings

LOOK_SECONDS = 1.0
"""Pause between two looks: a head is old after ten seconds at the earliest."""
CONNECT_TIMEOUT_SECONDS = 5
"""Long enough for a busy server; a source that is away is tried again."""

_log = structlog.get_logger(__name__)


def from_bus(
    url: str, settings: Settings, newest: Kept | None, stop: threading.Event, *, once: bool
) -> Iterator[Seen | None]:
    """What the stream has from behind the newest head that is kept, and then what comes; with
    `once` only what is there now."""
    with asyncio.Runner() as runner:
        connection = runner.run(_connected(url, settings, stop))
        if connection is None:
            return
        try:
            jetstream = seals_of(connection)
            following = newest.sequence + 1 if newest else 1
            beginning = True
            while not stop.is_set():
                try:
                    if beginning and (cut := runner.run(_made_anew(jetstream, following))):
                        yield cut
                    beginning = False
                    kept = runner.run(kept_at(jetstream, following))
                except (nats.errors.Error, nats.js.errors.Error) as error:
                    reason = str(error) or type(error).__name__
                    _log.warning("witness.source_away", source="bus", reason=reason)
                    kept = None
                if kept is not None:
                    yield Seen(kept.body, kept.sequence)
                    following += 1
                elif once:
                    return
                else:
                    yield None
                    runner.run(asyncio.sleep(LOOK_SECONDS))
        finally:
            runner.run(connection.close())


async def _connected(url: str, settings: Settings, stop: threading.Event) -> Client | None:
    """A connection, as soon as the server is there; None if `stop` is set before."""
    security = BusSecurity.of(settings)
    connecting = asyncio.create_task(
        bus.connect(url, "witness", security=security, retry_wait=settings.retry_wait_seconds)
    )
    while not connecting.done() and not stop.is_set():
        await asyncio.wait({connecting}, timeout=LOOK_SECONDS)
    if connecting.done():
        return connecting.result()
    connecting.cancel()
    await asyncio.wait({connecting})
    return None


async def _made_anew(jetstream: JetStreamContext, following: int) -> Seen | None:
    """A contradiction, if the stream ends before where it had come to."""
    last = await newest_kept(jetstream)
    reached = last.sequence if last else 0
    if reached >= following - 1:
        return None
    return Seen(
        last.body if last else b"",
        reached,
        f"the stream {SEALS_STREAM} ends at message {reached}, but had come to {following - 1}: it "
        "was removed and made anew",
    )


def from_database(
    url: str, settings: Settings, newest: Kept | None, stop: threading.Event, *, once: bool
) -> Iterator[Seen | None]:
    """The newest seal of the database, whenever there is a further one."""
    last = newest.seal if newest else None
    while not stop.is_set():
        try:
            with psycopg.connect(
                roles.stepping_down(url),
                autocommit=True,
                connect_timeout=CONNECT_TIMEOUT_SECONDS,
                application_name="ledger witness",
            ) as connection:
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
            reason = " ".join(str(error).split())
            _log.warning("witness.source_away", source="database", reason=reason)
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
