"""All read models there are."""

from datetime import timedelta

from projections.engine.projection import Projection
from projections.read_models import (
    accounts,
    allocations,
    balance_history,
    balances,
    fills,
    instruments,
    orders,
    transactions,
)
from projections.read_models.snapshots import portfolio_snapshots
from projections.settings import ProjectionSettings


class UnknownProjection(LookupError):
    """No projection has this name."""


def all_projections(settings: ProjectionSettings) -> tuple[Projection, ...]:
    """Every projection, in the order of `projections status`."""
    return (
        accounts.PROJECTION,
        instruments.PROJECTION,
        allocations.PROJECTION,
        orders.PROJECTION,
        fills.PROJECTION,
        balances.PROJECTION,
        transactions.PROJECTION,
        balance_history.PROJECTION,
        portfolio_snapshots(timedelta(seconds=settings.portfolio_snapshot_seconds)),
    )


def find(name: str, settings: ProjectionSettings) -> Projection:
    """The projection of this name. Raises UnknownProjection."""
    projections = {projection.name: projection for projection in all_projections(settings)}
    if name not in projections:
        raise UnknownProjection(
            f"there is no projection {name!r}; there are {', '.join(sorted(projections))}"
        )
    return projections[name]
