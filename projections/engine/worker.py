"""The life of one projection's worker.

    claim        become the owner; whoever was is fenced            (checkpoint.py)
    batch        read events after the checkpoint, fold them, and in one transaction move the
                 checkpoint and write the rows                      (build.py)
    wait         until the bell rings or the poll interval is over  (wakeup.py)

What can go wrong, and what happens then:

    fenced              somebody else claimed it, or a rebuild was swapped in: memory is dropped;
                        claim again as soon as there is no owner, or it has been silent for long
    event not handled   status ERROR with the event and the error; try again, less and less often;
                        nothing is skipped
    database refuses    the same
    database gone       connect, claim and go on from the checkpoint
    stop                the batch under way is finished, the projection released
"""

import os
import socket
import threading
import time
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import psycopg
import structlog

from ledger.eventstore import reader
from projections.engine import checkpoint, source
from projections.engine.backoff import Backoff
from projections.engine.build import Build, FoldFailed
from projections.engine.checkpoint import Checkpoint, Fenced, NotInstalled
from projections.engine.connection import connect
from projections.engine.generations import schema_of
from projections.engine.projection import Projection
from projections.engine.wakeup import Bell
from projections.engine.writer import TableMismatch

_SHARE_OF_LAST_BATCH = 0.2
"""Weight of the last batch in the rate that is shown: a few batches even it out."""

log = structlog.get_logger()


class CodeVersionDiffers(Exception):
    """The live tables were built by another version of the projection's code."""


@dataclass(frozen=True)
class WorkerOptions:
    """See ProjectionSettings, where these come from."""

    batch_positions: int
    rows_in_memory: int
    poll_seconds: float
    heartbeat_seconds: float
    takeover_seconds: float


def owner_name() -> str:
    """Names this process among all that might own a projection."""
    return f"{socket.gethostname()}:{os.getpid()}"


class Worker:
    """Keeps one projection up to date until told to stop."""

    def __init__(
        self,
        database_url: str,
        projection: Projection,
        options: WorkerOptions,
        *,
        bell: Bell,
        stop: threading.Event,
        owner: str | None = None,
    ) -> None:
        self._database_url = database_url
        self._projection = projection
        self._options = options
        self._bell = bell
        self._stop = stop
        self._owner = owner or owner_name()
        self._log = log.bind(projection=projection.name)
        self._backoff = Backoff()
        self._rate: float | None = None

    @property
    def name(self) -> str:
        return self._projection.name

    def run(self) -> None:
        """Until stopped. Failures are recorded and tried again."""
        while not self._stop.is_set():
            try:
                with connect(self._database_url, self._projection.name) as connection:
                    self._serve(connection)
            except (psycopg.Error, NotInstalled) as error:
                self._log.warning("projection.interrupted", error=str(error).strip())
                self._backoff.wait(self._stop)

    # --- on one connection -------------------------------------------------------------

    def _serve(self, connection: psycopg.Connection[Any]) -> None:
        silent_seconds: float | None = None  # the first claim is unconditional: we just started
        while not self._stop.is_set():
            claimed = checkpoint.claim(
                connection, self._projection.name, self._owner, silent_seconds=silent_seconds
            )
            silent_seconds = self._options.takeover_seconds
            if claimed is None:
                self._stop.wait(self._options.poll_seconds)
                continue
            self._log.info("projection.claimed", epoch=claimed.epoch, position=claimed.position)
            try:
                self._own(connection, claimed)
            except Fenced as fenced:
                self._log.info("projection.fenced", reason=str(fenced))

    def _own(self, connection: psycopg.Connection[Any], claimed: Checkpoint) -> None:
        """Works as the owner until stopped. Raises Fenced, or psycopg.Error when the
        connection is lost."""
        try:
            while not self._stop.is_set():
                try:
                    claimed = self._follow(connection, claimed)
                except (FoldFailed, TableMismatch, CodeVersionDiffers) as error:
                    self._failed(connection, claimed, str(error))
                except psycopg.OperationalError:
                    raise
                except psycopg.Error as error:
                    self._failed(connection, claimed, f"the database refused: {error}".strip())
                claimed = checkpoint.reread(connection, claimed)
        finally:
            if not connection.broken and not connection.closed:
                checkpoint.release(connection, claimed)

    def _follow(self, connection: psycopg.Connection[Any], claimed: Checkpoint) -> Checkpoint:
        """Batch after batch until stopped."""
        if claimed.code_version != self._projection.version:
            raise CodeVersionDiffers(
                f"the tables of {self._projection.name} were built by version "
                f"{claimed.code_version} of its code, this is version {self._projection.version}. "
                f"Run: ledgerctl projections rebuild {self._projection.name}"
            )
        build = Build(
            self._projection,
            schema_of(self._projection.name, claimed.generation),
            connection,
            rows_in_memory=self._options.rows_in_memory,
            empty=claimed.position == 0,
        )
        rings, heard = -1, time.monotonic()
        while not self._stop.is_set():
            head = reader.head(connection)
            if head > claimed.position:
                claimed = self._batch(connection, build, claimed, head)
                heard = time.monotonic()
                self._backoff.reset()
                continue
            if time.monotonic() - heard >= self._options.heartbeat_seconds:
                checkpoint.heartbeat(connection, claimed)
                heard = time.monotonic()
            rings = self._bell.wait(rings, self._options.poll_seconds)
        return claimed

    def _batch(
        self,
        connection: psycopg.Connection[Any],
        build: Build,
        claimed: Checkpoint,
        head: int,
    ) -> Checkpoint:
        """One batch. Whatever it raises, nothing of it is in the database."""
        started = time.monotonic()
        up_to = min(head, claimed.position + self._options.batch_positions)
        events = source.read(
            connection,
            after=claimed.position,
            up_to=up_to,
            event_types=self._projection.event_types,
        )
        build.fold(events)
        with connection.transaction():
            moved = checkpoint.advance(
                connection,
                claimed,
                to=up_to,
                handled=len(events),
                event_id=events[-1].id if events else None,
                rate=self._rate_with(len(events), started),
            )
            build.write()
        build.settle()
        return moved

    def _rate_with(self, handled: int, started: float) -> Decimal | None:
        """Events handled in a second of work, evened out over the last batches."""
        if handled:
            rate = handled / max(time.monotonic() - started, 1e-6)
            before = rate if self._rate is None else self._rate
            self._rate = before + (rate - before) * _SHARE_OF_LAST_BATCH
        return None if self._rate is None else Decimal(f"{self._rate:.2f}")

    def _failed(
        self, connection: psycopg.Connection[Any], claimed: Checkpoint, message: str
    ) -> None:
        self._log.error("projection.failed", error=message)
        checkpoint.fail(connection, claimed, message)
        self._backoff.wait(self._stop)
