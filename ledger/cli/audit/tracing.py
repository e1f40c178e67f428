"""ledgerctl audit trace: the tree of what caused what."""

from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import orjson
import typer

from ledger.cli.audit.output import plain

if TYPE_CHECKING:
    from rich.tree import Tree

    from ledger.audit.trace import Node

TREE_WIDTH = 500
"""Wider than any line: a terminal wraps whole lines, which reads better than cut ids."""


def register(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    app.command()(trace)


def trace(
    wanted: Annotated[
        UUID, typer.Argument(metavar="ID", help="Of a command, event, order or correlation.")
    ],
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """What caused what: commands, their events, and the money that moved. Exit 1 if the inbox says
    of a command what its events do not."""
    from rich.console import Console
    from rich.tree import Tree

    from ledger.audit import trace as tracing
    from ledger.audit.session import reading
    from ledger.services import database
    from ledger.settings import load

    with database(load()) as url, reading(url) as connection:
        found = tracing.trace(connection, wanted)
    if json:
        result = {
            "id": str(found.id),
            "asked": found.asked,
            "complete": found.complete,
            "roots": [_as_json(root) for root in found.roots],
        }
        typer.echo(orjson.dumps(result, option=orjson.OPT_INDENT_2).decode())
        raise typer.Exit(1 if any(map(_differs, found.roots)) else 0)
    tree = Tree(f"{found.asked} {found.id}")
    for root in found.roots:
        _grow(tree, root)
    if not found.complete:
        tree.add(f"… and more than {tracing.MAX_COMMANDS:,} commands: ask for one of them")
    Console(width=TREE_WIDTH).print(tree, markup=False, highlight=False)
    raise typer.Exit(1 if any(map(_differs, found.roots)) else 0)


def _differs(node: "Node") -> bool:
    return bool(node.differences) or any(map(_differs, node.children))


def _grow(tree: "Tree", node: "Node") -> None:
    from rich.markup import escape

    branch = tree.add(escape(_line(node)))
    for difference in node.differences:
        branch.add(escape(f"DIFFERS: {difference}. Run: ledgerctl audit verify"))
    for effect in node.effects:
        branch.add(escape(effect))
    for child in node.children:
        _grow(branch, child)


def _line(node: "Node") -> str:
    if node.kind == "command":
        answer = node.status if node.code is None else f"{node.status} {node.code}"
        return f"{node.name} {node.id} from {node.source}: {answer} at {plain(node.time)}"
    return (
        f"{node.position} {node.name} {node.id} of {node.stream_id} version {node.version}, "
        f"happened {plain(node.time)}, recorded {plain(node.recorded_at)}"
    )


def _as_json(node: "Node") -> dict[str, Any]:
    values = {
        field.name: plain(getattr(node, field.name))
        for field in fields(node)
        if field.name != "children"
    }
    return {
        **{name: value for name, value in values.items() if value is not None},
        "children": [_as_json(child) for child in node.children],
    }
