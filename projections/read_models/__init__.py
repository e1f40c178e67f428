"""The read models, one file each: rows, folds, and what may be asked.

Every module here is one. It defines `PROJECTION`, or, where that depends on a setting, `projection`
(settings); and `QUESTIONS`. Its tables are in sql/read_models.
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
