"""States of aggregates."""

import msgspec


class EvolvingState(msgspec.Struct, gc=False, kw_only=True):
    """Base of what an `evolve` changes in place and returns. Who keeps a reference sees it change,
    or sees an old state where evolve made a new one: ask the unit of work again after recording."""
