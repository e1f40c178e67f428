"""What sums up several read models: questions whose rows are made when they are asked for.

Every module here has QUESTIONS, each with the SELECT that makes its rows. It reads the public views
with the rights of who asks, so everybody sees sums of what they may see; and it costs nobody
anything until it is asked.
"""

import importlib
import pkgutil
from functools import cache
from types import ModuleType


@cache
def modules() -> tuple[ModuleType, ...]:
    """All of them, by name."""
    names = sorted(found.name for found in pkgutil.iter_modules(__path__))
    return tuple(importlib.import_module(f"{__name__}.{name}") for name in names)
