"""What the process has done from which runs of ledgerctl are forked (running.py): it has made the
tree of all commands, which typer makes anew for each run. That takes longer than most commands do.
"""

import gc
import importlib.metadata

from typer import Typer
from typer import main as typer_main

from ledger.cli.main import app


def _with_plugins() -> object:
    """The tree, and the app as it was: a run mounts what it needs."""
    groups = list(app.registered_groups)
    for entry_point in importlib.metadata.entry_points(group="ledger.cli"):
        app.add_typer(entry_point.load(), name=entry_point.name)
    tree = typer_main.get_command(app)
    app.registered_groups[:] = groups
    return tree


_tree, _made_anew = _with_plugins(), typer_main.get_command


def _get_command(asked: Typer) -> object:
    return _tree if asked is app else _made_anew(asked)


typer_main.get_command = _get_command  # type: ignore[assignment]
gc.freeze()
