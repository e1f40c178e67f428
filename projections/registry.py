"""All read models there are: every module of `projections/read_models`."""

from operator import attrgetter
from types import ModuleType

from ledger.kernel.errors import LedgerError
from projections import read_models
from projections.engine.projection import Projection
from projections.settings import ProjectionSettings


class UnknownProjection(LedgerError, LookupError):
    """No projection has this name."""


def all_projections(settings: ProjectionSettings) -> tuple[Projection, ...]:
    """Every projection by its name: the order of `projections status`."""
    made = [_projection(module, settings) for module in read_models.modules()]
    return tuple(sorted(made, key=attrgetter("name")))


def _projection(module: ModuleType, settings: ProjectionSettings) -> Projection:
    made = module.projection(settings) if hasattr(module, "projection") else module.PROJECTION
    assert isinstance(made, Projection)
    return made


def find(name: str, settings: ProjectionSettings) -> Projection:
    """The projection of this name. Raises UnknownProjection."""
    projections = {projection.name: projection for projection in all_projections(settings)}
    if name not in projections:
        raise UnknownProjection(
            f"there is no projection {name!r}; there are {', '.join(sorted(projections))}"
        )
    return projections[name]
