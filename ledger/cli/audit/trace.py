"""ledgerctl audit trace: the tree of what caused what."""

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from ledger.audit.ask import documents
from ledger.kernel.text import plain, quoted
from ledger.operate import terminal
from ledger.operate.terminal import Branch

if TYPE_CHECKING:
    from ledger.audit.ask.trace import Node


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
    from ledger.audit.ask import trace as tracing
    from ledger.eventstore.session import reading
    from ledger.operate.servers import database
    from ledger.operate.settings import load

    with database(load()) as url, reading(url) as connection:
        found = tracing.trace(connection, wanted)
    if json:
        result = {
            "id": str(found.id),
            "asked": found.asked,
            "complete": found.complete,
            "roots": [plain(documents.node(root)) for root in found.roots],
        }
        terminal.say_json(result, pretty=True)
        raise typer.Exit(1 if any(map(_differs, found.roots)) else 0)
    branches = [_branch(root) for root in found.roots]
    if not found.complete:
        more = f"… and more than {tracing.MAX_COMMANDS:,} commands: ask for one of them"
        branches.append(Branch(more, []))
    terminal.say_tree(Branch(f"{found.asked} {found.id}", branches))
    raise typer.Exit(1 if any(map(_differs, found.roots)) else 0)


def _differs(node: "Node") -> bool:
    return bool(node.differences) or any(map(_differs, node.children))


def _branch(node: "Node", source: str | None = None) -> Branch:
    """The node below something of that source."""
    branches = [
        Branch(f"DIFFERS: {difference}. Run: ledgerctl audit verify", [])
        for difference in node.differences
    ]
    branches += [Branch(effect, []) for effect in node.effects]
    branches += [_branch(child, node.source) for child in node.children]
    return Branch(_line(node, source), branches)


def _line(node: "Node", source: str | None) -> str:
    if node.kind == "command":
        answer = node.status if node.code is None else f"{node.status} {node.code}"
        source = quoted(node.source or "")
        by = "" if node.sender is None else f", sent by {quoted(node.sender)}"
        return f"{node.name} {node.id} from {source}{by}: {answer} at {plain(node.time)}"
    said = {"actor": node.actor, "reason": node.reason, "reference": node.reference}
    if node.source != source:  # its command is not there, or says otherwise
        said["from"] = node.source
    told = "".join(f", {name} {quoted(value)}" for name, value in said.items() if value)
    return (
        f"{node.position} {node.name} {node.id} of {node.stream_id} version {node.version}, "
        f"happened {plain(node.time)}, recorded {plain(node.recorded_at)}{told}"
    )
