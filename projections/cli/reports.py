"""What verifications and rebuilds say: a progress bar, lines for people, JSON for scripts."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from ledger.operate import terminal
from projections.cli.common import print_json
from projections.engine.builds import candidate, catalogue
from projections.engine.builds.compare import RowDifference
from projections.engine.builds.rebuild import Report
from projections.engine.builds.rollback import RolledBack
from projections.engine.builds.swap import Swapped

_NOW = {
    catalogue.INDEXING: "making indexes of",
    catalogue.COMPARING: "comparing",
    catalogue.SWAPPING: "swapping",
}
"""What a build is at when it is not folding."""


@contextmanager
def progress_of(doing: str) -> Iterator[candidate.OnProgress]:
    """A bar with position, rate and time left on a terminal; nothing elsewhere."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f}, {task.fields[rate]:,.0f}/s"),
        TimeRemainingColumn(),
    )
    shown = terminal.is_terminal(sys.stderr)
    with Progress(*columns, console=terminal.progress_console(), disable=not shown) as bar:
        task = bar.add_task(doing, total=0, rate=0.0)

        def show(progress: candidate.BuildProgress) -> None:
            bar.update(
                task,
                description=f"{_NOW.get(progress.phase, doing)} {progress.projection_name}",
                total=progress.target,
                completed=progress.position,
                rate=progress.positions_per_second,
            )

        yield show


def show(reports: Sequence[Report], standing_still: Mapping[str, str], json: bool) -> None:
    """`standing_still`: those that do not go on, and why."""
    if json:
        print_json(
            {
                "equal": all(report.equal for report in reports),
                "projections": [
                    {**as_json(one), "stands_still": standing_still.get(one.projection_name)}
                    for one in reports
                ],
            }
        )
        return
    for report in reports:
        say(_line(report))
        if report.projection_name in standing_still:
            say(f"  it stands still there, {standing_still[report.projection_name]}")
        if report.parked:
            say(f"  {report.parked:,} parked events were left out of the comparison")
        _say_who_reads(report.projection_name, report.swapped)
        for note in report.comparison.notes:
            say(f"  {note}")
        for difference in report.comparison.differences:
            say(f"  {difference}")
        unnamed = report.comparison.difference_count - len(report.comparison.differences)
        if unnamed:
            say(f"  and {unnamed:,} more")


def show_rolled_back(done: RolledBack, json: bool) -> None:
    if json:
        print_json(
            {
                "projection_name": done.projection_name,
                "generation": done.generation,
                "previous_generation": done.previous_generation,
                "position": done.position,
                "caught_up": done.caught_up,
                "other_code_version": done.other_code,
                **_swap_as_json(done.swapped),
            }
        )
        return
    say(
        f"{done.projection_name} at position {done.position:,}: generation {done.generation} is "
        f"live again, {done.caught_up:,} positions caught up; generation "
        f"{done.previous_generation} is kept{_swap_line(done.swapped)}"
    )
    _say_who_reads(done.projection_name, done.swapped)
    if done.other_code is not None:
        say(
            f"  its tables are those of version {done.other_code} of the code: they stand still "
            "until projections of that version are served"
        )


def _say_who_reads(name: str, swapped: Swapped | None) -> None:
    if swapped is not None and swapped.still_read_by:
        say(
            f"  transactions that began before the swap still read generation "
            f"{swapped.before.generation}: {'; '.join(swapped.still_read_by)}. They may; when they "
            f"are over, run: ledgerctl projections generations settle {name}"
        )


def say(line: str) -> None:
    """A line of a result, never wrapped: it may be read by a script."""
    terminal.say(line)


def _line(report: Report) -> str:
    comparison = report.comparison
    head = f"{report.projection_name} at position {report.position:,}: "
    if report.equal:
        found = f"{comparison.rows_compared:,} rows equal"
    else:
        found = (
            f"{comparison.difference_count:,} rows differ ({comparison.only_live:,} only live, "
            f"{comparison.only_rebuilt:,} only rebuilt, {comparison.different:,} different)"
        )
    if report.parked:
        found += f" (but for {report.parked:,} parked events)"
    if report.swapped is None:
        return head + found
    return head + found + f"; generation {report.generation} is live" + _swap_line(report.swapped)


def _swap_line(swapped: Swapped) -> str:
    return f" (swapped in {swapped.lock_seconds * 1000:,.0f} ms)"


def as_json(report: Report) -> dict[str, Any]:
    """What was found, for scripts and by HTTP."""
    comparison = report.comparison
    return {
        "projection_name": report.projection_name,
        "position": report.position,
        "events": report.events,
        "seconds": round(report.seconds, 3),
        "equal": report.equal,
        "parked_events": report.parked,
        "rows_compared": comparison.rows_compared,
        "difference_count": comparison.difference_count,
        "only_live": comparison.only_live,
        "only_rebuilt": comparison.only_rebuilt,
        "different": comparison.different,
        "differences": [_difference_as_json(one) for one in comparison.differences],
        "notes": list(comparison.notes),
        "swapped": report.swapped is not None,
        "generation": report.generation,
        **(_swap_as_json(report.swapped) if report.swapped is not None else {}),
    }


def _difference_as_json(difference: RowDifference) -> dict[str, Any]:
    event = difference.event
    return {
        "table": difference.table,
        "key": difference.key,
        "kind": difference.kind,
        "columns": {
            column: {"live": live, "rebuilt": rebuilt}
            for column, (live, rebuilt) in difference.columns.items()
        },
        "event": None
        if event is None
        else {"id": str(event.id), "type": event.type, "position": event.position},
    }


def _swap_as_json(swapped: Swapped) -> dict[str, Any]:
    return {
        "swap_lock_ms": round(swapped.lock_seconds * 1000, 1),
        "swap_held_ms": round(swapped.held_seconds * 1000, 1),
        "swap_tries": swapped.tries,
        "still_read_by": swapped.still_read_by,
    }
