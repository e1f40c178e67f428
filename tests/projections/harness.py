"""What holds for any projection, as checks on whatever log a database has.

same rows whatever the batch boundaries, with rows kept in memory or read again
same rows when parts of the streams are folded apart, if it says `by_stream`, written rarely
same rows after a crash at any point of a batch, and the events counted once
a rebuild equal to the live rows
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import cycle
from operator import attrgetter
from typing import Any, TypeAlias

import psycopg
from psycopg import sql

from ledger.eventstore import reader
from ledger.nouns.projections import events as projection_events
from ledger.subscriptions import checkpoint, lease
from projections.engine.builds import generations, parallel_fill
from projections.engine.builds.candidate import Limits, live
from projections.engine.builds.generations import schema_of
from projections.engine.builds.rebuild import rebuild, verify
from projections.engine.connection import connect
from projections.engine.live import source
from projections.engine.live.build import Build
from projections.engine.projection import Projection

Contents: TypeAlias = dict[str, list[str]]


class Crash(Exception):
    """The process ends here, as far as the database can tell."""


def contents(connection: psycopg.Connection[Any], projection: Projection, schema: str) -> Contents:
    """Every row of every table, as text, in the order of the keys."""
    return {
        table.name: [
            row
            for (row,) in connection.execute(
                sql.SQL("SELECT t::text FROM {} AS t ORDER BY {}").format(
                    sql.Identifier(schema, table.name),
                    sql.SQL(", ").join(map(sql.Identifier, table.key)),
                )
            )
        ]
        for table in projection.tables
    }


def folded(
    connection: psycopg.Connection[Any],
    projection: Projection,
    batch_sizes: Iterable[int],
    *,
    keep_rows: bool,
) -> Contents:
    """The rows after folding the whole log in batches of these sizes. Without `keep_rows`
    every batch starts with an empty memory. What has nothing for the projection opens nothing."""
    schema = f"{projection.name}_test"
    generations.create_tables(connection, projection, schema)
    head, position, sizes = reader.head(connection), 0, iter(batch_sizes)
    waiting = source.read(connection, after=0, up_to=head, event_types=projection.event_types)
    build = None
    while waiting:
        position = min(position + next(sizes), head)
        count = bisect_right(waiting, position, key=attrgetter("position"))
        batch, waiting = waiting[:count], waiting[count:]
        if not batch:
            continue
        if build is None or not keep_rows:
            build = Build(projection, schema, connection, rows_in_memory=100, empty=build is None)
        build.fold(batch)
        with connection.transaction():
            build.write()
        build.settle()
    found = contents(connection, projection, schema)
    generations.drop(connection, projection, schema)
    return found


def check_batch_boundaries(database_url: str, projection: Projection) -> None:
    with connect(database_url, "test") as connection:
        expected = folded(connection, projection, cycle([10**9]), keep_rows=True)
        assert any(expected.values()), "the log has nothing for this projection"
        for sizes in ([1], [2], [7, 1, 30], [50]):
            for keep_rows in (True, False):
                found = folded(connection, projection, cycle(sizes), keep_rows=keep_rows)
                assert found == expected, f"batches of {sizes}, keep_rows={keep_rows}"


def check_parts(database_url: str, projection: Projection, *, parts: int = 3) -> None:
    """Each part is folded as if there were no others, with several reads between two writes, as a
    rebuild's processes do."""
    schema = f"{projection.name}_test"
    with connect(database_url, "test") as connection:
        expected = folded(connection, projection, cycle([10**9]), keep_rows=True)
        generations.create_tables(connection, projection, schema)
        head = reader.head(connection)
        handled = 0
        for number in range(parts if projection.by_stream else 1):
            build = Build(projection, schema, connection, rows_in_memory=100, empty=True)
            for batch, after in enumerate(range(0, head, 7)):
                recorded_events = source.read(
                    connection,
                    after=after,
                    up_to=min(after + 7, head),
                    event_types=projection.event_types,
                    part=source.Part(number, parts) if projection.by_stream else source.WHOLE,
                )
                build.fold(recorded_events)
                handled += len(recorded_events)
                if batch % 3 == 2 or after + 7 >= head:
                    with connection.transaction():
                        build.write()
                    build.settle()
        assert contents(connection, projection, schema) == expected
        generations.drop(connection, projection, schema)
        counted = connection.execute(
            "SELECT count(*) FROM event_store WHERE event_type = ANY(%s)",
            [projection.event_types],
        ).fetchone()
        assert counted == (handled,)


def check_bulk_fill(
    database_url: str,
    projections: Sequence[Projection],
    find: parallel_fill.Find,
    *,
    processes: int = 2,
) -> None:
    """Filled by several processes at once. `find` gives the projections in these, too."""
    with connect(database_url, "test", by_key=False) as connection:
        expected = {
            p.name: folded(connection, p, cycle([10**9]), keep_rows=True) for p in projections
        }
        targets = [parallel_fill.FillTarget(p.name, f"{p.name}_test") for p in projections]
        for projection, target in zip(projections, targets, strict=True):
            generations.create_tables(connection, projection, target.schema)
        progress: list[parallel_fill.FillProgress] = []
        filled = parallel_fill.fill(
            database_url,
            targets,
            find=find,
            up_to=reader.head(connection),
            limits=parallel_fill.BulkLimits(processes, batch_positions=11, rows_in_memory=30),
            on_progress=progress.append,
        )
        assert progress[-1].done == progress[-1].total
        for projection, target in zip(projections, targets, strict=True):
            assert contents(connection, projection, target.schema) == expected[projection.name]
            counted = connection.execute(
                "SELECT count(*) FROM event_store WHERE event_type = ANY(%s)",
                [projection.event_types],
            ).fetchone()
            assert counted == (filled.events[projection.name],)
            generations.drop(connection, projection, target.schema)


def check_crashes(database_url: str, projection: Projection) -> None:
    """Folds live, crashing at every stage of a batch in turn, and goes on like a new process."""
    stages = cycle(["folded", "moved", "written", "committed", "never"])
    with connect(database_url, "test") as connection:
        expected = folded(connection, projection, cycle([10**9]), keep_rows=True)
        head = reader.head(connection)
        position = -1
        while position < head:
            claimed = lease.claim(connection, projection.name, "test", lease_seconds=60)
            assert claimed is not None
            position = claimed.position
            if position < head:
                _batch_with_crash(connection, projection, claimed, min(head, position + 9), stages)
        schema = schema_of(projection.name, live(connection, projection).generation)
        assert contents(connection, projection, schema) == expected
        counted = connection.execute(
            "SELECT total_events_processed FROM event_projections WHERE projection_name = %s",
            [projection.name],
        ).fetchone()
        handled = connection.execute(
            "SELECT count(*) FROM event_store WHERE event_type = ANY(%s)",
            [projection.event_types],
        ).fetchone()
        assert counted == handled


def _batch_with_crash(
    connection: psycopg.Connection[Any],
    projection: Projection,
    claimed: checkpoint.Checkpoint,
    up_to: int,
    stages: "cycle[str]",
) -> None:
    crash_at = next(stages)

    def reached(stage: str) -> None:
        if stage == crash_at:
            raise Crash

    events = source.read(
        connection, after=claimed.position, up_to=up_to, event_types=projection.event_types
    )
    try:
        build = Build(
            projection,
            schema_of(projection.name, claimed.generation),
            connection,
            rows_in_memory=100,
            empty=claimed.position == 0,
        )
        build.fold(events)
        reached("folded")
        with connection.transaction():
            checkpoint.advance(
                connection, claimed, to=up_to, handled=len(events), event_id=None, rate=None
            )
            reached("moved")
            build.write()
            reached("written")
        reached("committed")
        build.settle()
    except Crash:
        pass


def last_to_fold(connection: psycopg.Connection[Any]) -> int:
    """The last position that some read model may be made of: a rebuild records itself in the log,
    and nobody is there to move the checkpoints past that."""
    row = connection.execute(
        "SELECT max(position) FROM event_store WHERE stream_type <> %s",
        [projection_events.STREAM_TYPE],
    ).fetchone()
    assert row is not None
    return int(row[0])


def check_rebuild(database_url: str, projection: Projection) -> None:
    """To be called with live rows up to the head."""
    limits = Limits(batch_positions=64, rows_in_memory=100)
    report = verify(database_url, projection, limits)
    assert report.equal, report
    with connect(database_url, "test") as connection:
        before = live(connection, projection)
        rows = contents(connection, projection, schema_of(projection.name, before.generation))
        assert report.position == before.position >= last_to_fold(connection)
        assert rebuild(database_url, projection, limits).equal
        after = live(connection, projection)
        assert after.generation == before.generation + 1
        assert (
            contents(connection, projection, schema_of(projection.name, after.generation)) == rows
        )
