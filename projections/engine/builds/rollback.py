"""Going back to the generation that was live before, and forward again.

It has stood still since it was swapped out, so it is first brought to where the live one is; then
the two are swapped, like after a rebuild. What was live until then becomes the previous generation:
going back twice is going forward.
"""

from dataclasses import dataclass

from ledger.kernel.errors import LedgerError
from ledger.nouns.projections.events import ProjectionRolledBack
from projections.engine import operator_events
from projections.engine.builds import candidate, catalogue, fill
from projections.engine.builds.candidate import Limits, OnProgress, Shadow, no_progress
from projections.engine.builds.swap import Swapped, settle_or_tell, swap, swap_as_it_is
from projections.engine.letters import dead_letters
from projections.engine.projection import Projection


class NothingToReturnTo(LedgerError):
    """There is no previous generation."""


class PreviousNotWhole(LedgerError):
    """The previous generation had parked keys, or has events that were passed over since."""


@dataclass(frozen=True)
class RolledBack:
    """`caught_up`: positions folded since it was swapped out. `other_code`: its tables were built
    by another version of the code, so it stands where it stood until that code runs."""

    projection_name: str
    generation: int
    previous_generation: int
    position: int
    caught_up: int
    other_code: int | None
    swapped: Swapped


def rollback(
    database_url: str,
    projection: Projection,
    limits: Limits,
    *,
    deed: operator_events.Deed | None = None,
    on_progress: OnProgress = no_progress,
) -> RolledBack:
    """Makes the previous generation the live one, which the log then tells with who did it and
    why. Raises NothingToReturnTo, PreviousNotWhole,
    AlreadyRunning, NotInstalled, FoldFailed, SwapBlocked."""
    with fill.session(database_url, [projection], "rollback") as connection:
        live = candidate.live(connection, projection)
        kept = catalogue.find(connection, projection, catalogue.PREVIOUS)
        if kept is None:
            raise NothingToReturnTo(
                f"{projection.name} has no previous generation: {live.generation} is the only one. "
                "A rebuild makes another: ledgerctl projections rebuild " + projection.name
            )
        assert kept.generation is not None
        done = (deed or operator_events.Deed.of_terminal()).as_event(
            ProjectionRolledBack,
            projection.name,
            generation=kept.generation,
            previous_generation=live.generation,
            code_version=kept.code_version,
            previous_code_version=live.code_version,
        )
        if kept.code_version == projection.version:
            if dead_letters.held_back(
                connection, projection.name, kept.generation, kept.position
            ).parked_keys:
                raise PreviousNotWhole(
                    f"generation {kept.generation} of {projection.name} lacks events that were "
                    "parked when it was live, and cannot be brought up to date: make another with "
                    f"ledgerctl projections rebuild {projection.name}"
                )
            if dead_letters.folded_by(connection, projection.name, kept.position):
                raise PreviousNotWhole(
                    f"generation {kept.generation} of {projection.name} has events that were "
                    "passed over since: make another with "
                    f"ledgerctl projections rebuild {projection.name}"
                )
            fresh = Shadow(
                connection,
                projection,
                kept.schema,
                limits,
                logged=True,
                on_progress=on_progress,
                kept=kept,
            )
            swapped = swap(fresh, limits.swap_patience_seconds, done)
        else:
            swapped = swap_as_it_is(
                connection, projection, kept, limits.swap_patience_seconds, done
            )
        swapped = settle_or_tell(connection, projection, swapped, limits.swap_patience_seconds)
    return RolledBack(
        projection_name=projection.name,
        generation=kept.generation,
        previous_generation=live.generation,
        position=swapped.position,
        caught_up=swapped.position - kept.position,
        other_code=None if kept.code_version == projection.version else kept.code_version,
        swapped=swapped,
    )
