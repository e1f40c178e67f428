"""Taking builds the long way to the live position: several at once, with all cores.

Short logs, and what is left after this, are a Shadow's, in one process.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg

from projections.engine.builds import candidate as shadow
from projections.engine.builds import catalogue, generations, parallel_fill, parts
from projections.engine.builds.candidate import BuildProgress, Limits, OnProgress, Shadow
from projections.engine.builds.catalogue import KeptBuild
from projections.engine.builds.parallel_fill import BulkLimits, FillTarget, Find
from projections.engine.connection import connect
from projections.engine.letters.excluded_events import LeftOut
from projections.engine.projection import Projection

IN_STEP = 0.9
"""Live positions that are at least this share of the furthest are one way: the builds go it
together, to the least of them. Who is further behind (it stands still) goes its own."""
_SHOW_SECONDS = 1.0
"""Between two notes of the rate, for whoever asks for the status."""


@dataclass
class Begun:
    """A build under way. `filled`: (position, events handled) of one that is not kept."""

    projection: Projection
    schema: str
    kept: KeptBuild | None = None
    filled: tuple[int, int] | None = None

    def shadow(
        self,
        connection: psycopg.Connection[Any],
        limits: Limits,
        on_progress: OnProgress,
    ) -> Shadow:
        """Goes on with it in this process."""
        return Shadow(
            connection,
            self.projection,
            self.schema,
            limits,
            logged=self.kept is not None,
            on_progress=on_progress,
            kept=self.kept,
            filled=self.filled,
        )


@contextmanager
def session(
    database_url: str, projections: Sequence[Projection], purpose: str
) -> Iterator[psycopg.Connection[Any]]:
    """A connection that alone works on builds of these projections. Raises AlreadyRunning."""
    with ExitStack() as stack:
        connection = stack.enter_context(
            connect(database_url, f"{purpose} of {_called(projections)}", by_key=False)
        )
        for projection in projections:
            stack.enter_context(shadow.only_one(connection, projection))
        yield connection


def fill(
    database_url: str,
    connection: psycopg.Connection[Any],
    all_begun: Sequence[Begun],
    limits: Limits,
    *,
    find: Find | None,
    on_progress: OnProgress,
    to: int | None = None,
) -> None:
    """Fills those builds for which it is worth it: up to the live position, or to `to`. Without
    `find` nothing is. Raises BulkFailed."""
    if find is None:
        return
    targets: dict[int, int] = {}
    for number, begun in enumerate(all_begun):
        name, schema = begun.projection.name, begun.schema
        reached = parts.begun(connection, name, schema) if begun.kept else ()
        target = shadow.live(connection, begun.projection).position if to is None else to
        if LeftOut(connection, begun.projection):
            continue  # only a Shadow can leave events out
        is_long = limits.processes > 1 and target >= limits.worth_processes_positions
        # What is left out, one process must know of; it is for operators to keep that rare.
        is_long = is_long and not LeftOut(connection, begun.projection)
        if reached or (is_long and (begun.kept is None or begun.kept.position == 0)):
            targets[number] = max(target, *reached, 0)
    for group in _groups(targets):
        _fill(
            database_url,
            connection,
            [all_begun[number] for number in group],
            limits,
            find=find,
            up_to=min(targets[number] for number in group),
            on_progress=on_progress,
        )


def _groups(targets: dict[int, int]) -> list[list[int]]:
    furthest = max(targets.values(), default=0)
    together = [number for number, target in targets.items() if target >= furthest * IN_STEP]
    alone = [[number] for number in targets if number not in together]
    return [group for group in (together, *alone) if group]


def _fill(
    database_url: str,
    connection: psycopg.Connection[Any],
    group: Sequence[Begun],
    limits: Limits,
    *,
    find: Find,
    up_to: int,
    on_progress: OnProgress,
) -> None:
    for begun in group:
        if begun.kept is None:
            generations.drop(connection, begun.projection, begun.schema)
            generations.create_tables(connection, begun.projection, begun.schema, logged=False)
        else:
            up_to = max(up_to, *parts.begun(connection, begun.projection.name, begun.schema), 0)
    started, shown = time.monotonic(), 0.0
    first_done: int | None = None

    def show(progress: parallel_fill.FillProgress) -> None:
        nonlocal shown, first_done
        share = progress.done / max(progress.total, 1)
        first_done = progress.done if first_done is None else first_done
        gone = (progress.done - first_done) / max(progress.total, 1) * up_to
        rate = gone / max(time.monotonic() - started, 1e-6)
        if time.monotonic() - shown > _SHOW_SECONDS:
            shown = time.monotonic()
            for begun in group:
                if begun.kept is not None:
                    catalogue.show_filling(connection, begun.kept, target=up_to, rate=rate)
        on_progress(
            BuildProgress(_called([b.projection for b in group]), round(share * up_to), up_to, rate)
        )

    filled = parallel_fill.fill(
        database_url,
        [
            FillTarget(begun.projection.name, begun.schema, begun.kept is not None)
            for begun in group
        ],
        find=find,
        up_to=up_to,
        limits=BulkLimits(
            processes=limits.processes,
            batch_positions=limits.batch_positions,
            rows_in_memory=limits.rows_in_memory,
        ),
        on_progress=show,
        indexes=group[0].kept is not None,
    )
    for begun in group:
        if begun.kept is None:
            begun.filled = up_to, filled.events[begun.projection.name]
            generations.analyze(connection, begun.projection, begun.schema)
        else:
            begun.kept = catalogue.filled(connection, begun.projection, begun.kept, up_to)


def _called(projections: Sequence[Projection]) -> str:
    return projections[0].name if len(projections) == 1 else f"{len(projections)} read models"
