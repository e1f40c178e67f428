"""What operators do with read models, for whoever lets them: by name, as the entry point
"ledger.deeds". Each is told in the log with who did it and why, as from the terminal."""

import os
from functools import partial
from typing import Any
from uuid import UUID

from ledger.kernel.read_side import Deed as NamedDeed
from projections import registry, settings
from projections.cli import reports
from projections.engine import pause as pausing
from projections.engine.builds import candidate
from projections.engine.builds import rebuild as rebuilding
from projections.engine.builds import rollback as rolling_back
from projections.engine.connection import connect
from projections.engine.letters import retry
from projections.engine.letters.retry import Retried
from projections.engine.operator_events import Deed


def deeds() -> dict[str, NamedDeed]:
    """All of them."""
    return {
        "pause_projection": pause_projection,
        "resume_projection": resume_projection,
        "verify_projection": verify_projection,
        "rebuild_projection": rebuild_projection,
        "swap_projection": partial(rebuild_projection, accept_differences=True),
        "rollback_projection": rollback_projection,
        "retry_dead_letter": retry_dead_letter,
        "skip_dead_letter": skip_dead_letter,
    }


def pause_projection(url: str, *, projection: str, actor: str, reason: str) -> dict[str, Any]:
    name = registry.find(projection, settings.load()).name
    with connect(url, "pause") as connection:
        return {"changed": pausing.pause(connection, [name], Deed(actor, reason))}


def resume_projection(url: str, *, projection: str, actor: str, reason: str) -> dict[str, Any]:
    name = registry.find(projection, settings.load()).name
    with connect(url, "resume") as connection:
        return {"changed": pausing.resume(connection, [name], Deed(actor, reason))}


def verify_projection(url: str, *, projection: str, **_: str) -> dict[str, Any]:
    values = settings.load()
    found = registry.find(projection, values)
    return reports.as_json(rebuilding.verify(url, found, _limits()))


def rebuild_projection(
    url: str, *, projection: str, actor: str, reason: str, accept_differences: bool = False
) -> dict[str, Any]:
    values = settings.load()
    report = rebuilding.rebuild(
        url,
        registry.find(projection, values),
        _limits(),
        accept_differences=accept_differences,
        deed=Deed(actor, reason),
        find=partial(registry.find, settings=values),
    )
    return reports.as_json(report)


def rollback_projection(url: str, *, projection: str, actor: str, reason: str) -> dict[str, Any]:
    found = registry.find(projection, settings.load())
    done = rolling_back.rollback(url, found, _limits(), deed=Deed(actor, reason))
    return {"projection_name": done.projection_name, "generation": done.generation}


def retry_dead_letter(url: str, *, letter_id: UUID, actor: str, reason: str) -> dict[str, Any]:
    values = settings.load()
    with connect(url, "dead letters") as connection:
        letter = retry.find_letter(connection, letter_id)
        done = retry.retry(
            connection,
            registry.find(letter.projection_name, values),
            letter.partition_key,
            rows_in_memory=values.projection_rows_in_memory,
            deed=Deed(actor, reason),
        )
    return _of_letter(done)


def skip_dead_letter(url: str, *, letter_id: UUID, actor: str, reason: str) -> dict[str, Any]:
    values = settings.load()
    with connect(url, "dead letters") as connection:
        letter = retry.find_letter(connection, letter_id)
        done = retry.skip(
            connection,
            registry.find(letter.projection_name, values),
            letter,
            rows_in_memory=values.projection_rows_in_memory,
            deed=Deed(actor, reason),
        )
    return _of_letter(done)


def _of_letter(done: Retried) -> dict[str, Any]:
    return {
        "projection_name": done.projection_name,
        "partition_key": done.partition_key,
        "applied": done.applied,
        "remaining": done.remaining,
        "stopped": done.stopped,
        "error": done.error,
    }


def _limits() -> candidate.Limits:
    values = settings.load()
    return candidate.Limits(
        batch_positions=values.rebuild_batch_positions,
        rows_in_memory=values.projection_rows_in_memory,
        processes=values.rebuild_processes or os.cpu_count() or 1,
        swap_patience_seconds=values.rebuild_swap_patience_seconds,
    )
