"""Filling empty tables from a long log, with all cores.

    jobs       all projections whose streams may be folded apart (`by_stream`) are one job for
               each part of the streams, so that an event is read and decoded once for all of
               them; those that need all streams together are one more job
    process    takes a job: batch after batch reads, decodes and folds, as a live worker does. It
               writes when enough rows wait for it, so most rows are written once, as they stay
    indexes    of a projection are made by the next free process after its last part

A process and its PostgreSQL backend take turns, so as many processes as cores keep all cores
busy, and nothing has to overlap inside one. Who fills tables goes on with them in one process:
`Build(..., empty=False)` from the position they were filled to.

If anything fails, all processes end at their next batch. The tables are of no use then, but for
those of a build that is `kept`: how far each part is moves with its rows (parts.py), and another
filling goes on from there.
"""

import gc
import multiprocessing
import os
import resource
import signal
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import psycopg

from ledger.kernel.errors import LedgerError
from projections.engine.builds import generations, parts
from projections.engine.connection import connect
from projections.engine.live import source
from projections.engine.live.build import Build, FoldFailed, decoded
from projections.engine.live.source import LogEvent, Part
from projections.engine.projection import Projection

WORTH_PROCESSES_POSITIONS = 100_000
"""Below this, starting processes (half a second each) takes longer than they save."""
JOBS_PER_PROCESS = 2
"""More jobs than processes, so that none is left alone for long with a large last one; each part
costs a look at every event of the log (half a microsecond)."""
UNWRITTEN_POSITIONS = 500_000
"""Most positions whose rows wait to be written: what an interrupted filling may have to fold
again, some seconds of work."""
_PROGRESS_SECONDS = 0.25
"""Between two reports of progress: often enough for a bar to move smoothly."""

Find: TypeAlias = Callable[[str], Projection]
"""The projection of a name. It is called in other processes: a function of a module, or a
`functools.partial` of one."""


class BulkFailed(LedgerError):
    """A process could not handle an event; the message is that of its FoldFailed."""


class FillTarget(NamedTuple):
    """Tables to fill: those of the projection, made, in `schema`; empty, unless it is `kept`
    and was begun before."""

    projection_name: str
    schema: str
    kept: bool = False


@dataclass(frozen=True)
class BulkLimits:
    """`batch_positions` and `rows_in_memory` hold for all `processes` together, so that memory
    does not grow with the cores, but for what Python takes by itself (some 60 MB each)."""

    processes: int
    batch_positions: int
    rows_in_memory: int

    @property
    def batch_positions_of_each(self) -> int:
        """Of one process."""
        return max(self.batch_positions // self.processes, 1)

    @property
    def rows_in_memory_of_each(self) -> int:
        """Of one process, for each of its tables."""
        return max(self.rows_in_memory // self.processes, 1)


@dataclass(frozen=True)
class FillProgress:
    """Positions gone through by all jobs together, and how many that will be."""

    done: int
    total: int


@dataclass
class Filled:
    """What a filling did: events folded by each projection, and the sum of the most memory that
    each of its processes ever had (the caller's own and PostgreSQL's not counted)."""

    events: dict[str, int] = field(default_factory=dict)
    peak_memory_bytes: int = 0


def fill(
    database_url: str,
    targets: Sequence[FillTarget],
    *,
    find: Find,
    up_to: int,
    limits: BulkLimits,
    on_progress: Callable[[FillProgress], None] | None = None,
    indexes: bool = True,
) -> Filled:
    """Folds the log up to and including `up_to` into the targets' tables and makes their
    secondary indexes. Raises BulkFailed, psycopg.Error."""
    projections = {target: find(target.projection_name) for target in targets}
    jobs = _jobs(projections, limits.processes, _begun(database_url, targets))
    if any(target.kept for target in targets):
        with connect(database_url, "parts of builds") as connection, connection.transaction():
            for job in jobs:
                for target in job.targets:
                    if target.kept and not job.resumed:
                        parts.begin(connection, target.projection_name, target.schema, job.part)
    filled = Filled(dict.fromkeys((target.projection_name for target in targets), 0))
    waiting = {target: sum(target in job.targets for job in jobs) for target in targets}
    rows = dict.fromkeys(targets, 0)
    memory: dict[int, int] = {}
    with _processes(database_url, find, up_to, limits) as (pool, shared):
        pending: set[Future[Any]] = {pool.submit(_fold, job) for job in jobs}
        while pending:
            ended, pending = wait(pending, _PROGRESS_SECONDS, FIRST_COMPLETED)
            complete: list[FillTarget] = []
            for future in ended:
                folded = future.result()
                if folded is None:
                    continue
                memory[folded.process_id] = folded.memory_bytes
                for place, target in enumerate(folded.job.targets):
                    filled.events[target.projection_name] += folded.events[place]
                    rows[target] += folded.rows[place]
                    waiting[target] -= 1
                    if not waiting[target]:
                        complete.append(target)
            if indexes:
                # The largest first, because the last one is made with the other cores idle.
                complete.sort(key=lambda target: -rows[target])
                pending |= {pool.submit(_index, target) for target in complete}
            if on_progress is not None:
                before = sum(job.after for job in jobs)
                on_progress(FillProgress(before + shared.positions.value, len(jobs) * up_to))
    filled.peak_memory_bytes = sum(memory.values())
    return filled


# --- who does what ----------------------------------------------------------------------


class _Job(NamedTuple):
    """Projections that read the same events, and the part of the streams to fold."""

    targets: tuple[FillTarget, ...]
    part: Part
    after: int = 0
    resumed: bool = False


class _Folded(NamedTuple):
    """What became of a job: events folded and rows written for each of its targets."""

    job: _Job
    events: Sequence[int]
    rows: Sequence[int]
    process_id: int
    memory_bytes: int


def _begun(database_url: str, targets: Sequence[FillTarget]) -> dict[FillTarget, parts.Begun]:
    """How far the parts of the kept targets are that were begun before."""
    if not any(target.kept for target in targets):
        return {}
    with connect(database_url, "parts of builds") as connection:
        begun = {
            target: parts.begun(connection, target.projection_name, target.schema)
            for target in targets
            if target.kept
        }
    return {target: positions for target, positions in begun.items() if positions}


def _jobs(
    projections: dict[FillTarget, Projection], processes: int, begun: dict[FillTarget, parts.Begun]
) -> list[_Job]:
    """Those that cannot be cut come first, so that the parts fill the time beside them."""
    groups: list[list[FillTarget]] = []
    for target, projection in projections.items():
        for group in groups:
            if projections[group[0]].by_stream == projection.by_stream and (
                begun.get(group[0]) == begun.get(target)
            ):
                group.append(target)
                break
        else:
            groups.append([target])
    groups.sort(key=lambda group: projections[group[0]].by_stream)
    jobs: list[_Job] = []
    for group in groups:
        parts_wanted = max(processes * JOBS_PER_PROCESS - len(jobs), processes)
        count = parts_wanted if projections[group[0]].by_stream else 1
        positions = begun.get(group[0])
        jobs += [
            _Job(tuple(group), Part(number, len(positions or ()) or count), after, bool(positions))
            for number, after in enumerate(positions or (0,) * count)
        ]
    return jobs


# --- in the processes -------------------------------------------------------------------


class _Shared:
    """What all processes see."""

    def __init__(self, context: Any) -> None:
        self.stop = context.Event()
        self.positions = context.Value("q", 0)


@dataclass(frozen=True)
class _Work:
    """What a process is told when it starts."""

    database_url: str
    find: Find
    up_to: int
    limits: BulkLimits
    shared: _Shared


_work: _Work  # of this process


@contextmanager
def _processes(
    database_url: str, find: Find, up_to: int, limits: BulkLimits
) -> Iterator[tuple[ProcessPoolExecutor, _Shared]]:
    # Not forked: this process may have threads and connections.
    context = multiprocessing.get_context("spawn")
    shared = _Shared(context)
    pool = ProcessPoolExecutor(
        limits.processes,
        context,
        _start,
        (_Work(database_url, find, up_to, limits, shared),),
    )
    try:
        yield pool, shared
    except BaseException:
        shared.stop.set()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _start(work: _Work) -> None:
    global _work
    _work = work
    # Ctrl-C goes to all processes of a terminal; the parent tells us when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Events and rows form no reference cycles, and searching a million of them for some takes a
    # fifth of the time.
    gc.disable()


def _end_with_parent() -> None:
    """A parent that was killed leaves nobody who would want the tables."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _fold(job: _Job) -> _Folded:
    try:
        return _fold_job(job)
    except FoldFailed as failed:
        # As text, because not every exception survives the way to another process.
        raise BulkFailed(str(failed)) from None


def _fold_job(job: _Job) -> _Folded:
    work = _work
    purpose = "filling " + ", ".join(target.schema for target in job.targets)
    with connect(work.database_url, purpose) as connection:
        builds = [
            Build(
                work.find(target.projection_name),
                target.schema,
                connection,
                rows_in_memory=work.limits.rows_in_memory_of_each,
                empty=job.after == 0,
            )
            for target in job.targets
        ]
        filling = _Filling(connection, job, builds)
        for after in range(job.after, work.up_to, work.limits.batch_positions_of_each):
            if work.shared.stop.is_set():
                break
            up_to = min(after + work.limits.batch_positions_of_each, work.up_to)
            filling.fold(after, up_to, work.limits.rows_in_memory_of_each)
            if up_to == work.up_to or filling.is_due(work.limits.rows_in_memory_of_each):
                filling.write()
            with work.shared.positions.get_lock():
                work.shared.positions.value += up_to - after
        return _Folded(job, filling.handled, filling.rows, os.getpid(), peak_memory_bytes())


class _Filling:
    """A job under way. Writes come when many rows wait for them, not with every batch: most rows
    are then finished and are written only once."""

    def __init__(
        self, connection: psycopg.Connection[Any], job: _Job, builds: Sequence[Build]
    ) -> None:
        self.handled = [0] * len(builds)
        self.rows = [0] * len(builds)
        self._connection = connection
        self._job = job
        self._builds = builds
        self._event_types = sorted({t for build in builds for t in build.projection.event_types})
        self._folded = [0] * len(builds)  # since the last write
        self._position = self._written = job.after

    def fold(self, after: int, up_to: int, most_rows: int) -> None:
        """The events up to a position; what changes more rows than may wait is written between."""
        recorded_events = source.read(
            self._connection,
            after=after,
            up_to=up_to,
            event_types=self._event_types,
            part=self._job.part,
        )
        while True:
            room = min(build.room_for(recorded_events, most_rows) for build in self._builds)
            whole = room == len(recorded_events)
            self._fold(recorded_events[:room])
            self._position = up_to if whole else recorded_events[room].position - 1
            if whole:
                return
            self.write()
            recorded_events = recorded_events[room:]

    def _fold(self, recorded_events: Sequence[LogEvent]) -> None:
        events = decoded(self._builds[0].projection.name, recorded_events)
        places: defaultdict[str, list[int]] = defaultdict(list)
        for place, recorded in enumerate(recorded_events):
            places[recorded.event_type].append(place)
        for number, build in enumerate(self._builds):
            self._folded[number] += build.fold_those_of_its(recorded_events, events, places)

    def is_due(self, most_rows: int) -> bool:
        return (
            self._position - self._written >= UNWRITTEN_POSITIONS
            or sum(build.unwritten for build in self._builds) >= most_rows
        )

    def write(self) -> None:
        for place, build in enumerate(self._builds):
            self.rows[place] += build.unwritten
        with self._connection.transaction():
            for target, build, folded in zip(
                self._job.targets, self._builds, self._folded, strict=True
            ):
                build.write()
                if target.kept:
                    parts.advance(
                        self._connection,
                        target.projection_name,
                        target.schema,
                        self._job.part,
                        after=self._written,
                        to=self._position,
                        handled=folded,
                    )
        for place, build in enumerate(self._builds):
            build.settle()
            self.handled[place] += self._folded[place]
            self._folded[place] = 0
        self._written = self._position


def _index(target: FillTarget) -> None:
    with connect(_work.database_url, f"indexes of {target.schema}", by_key=False) as connection:
        generations.create_indexes(connection, _work.find(target.projection_name), target.schema)


def peak_memory_bytes() -> int:
    """The most memory that this process ever had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
