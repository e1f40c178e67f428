"""ledgerctl breakers: what stops trading by itself, and who lets it go on."""

import getpass
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from ledger.operate import terminal

if TYPE_CHECKING:
    from projections.questions.question import Question
    from projections.read_models.breakers import Breaker, BreakerTrip

app = typer.Typer(no_args_is_help=True, help="What stops trading by itself (docs/risk.md).")

BreakerId = Annotated[UUID, typer.Argument(metavar="BREAKER", help="Its id, as `list` shows.")]
By = Annotated[str | None, typer.Option("--by", help="Who says so; else who is logged in here.")]


def register(parent: typer.Typer) -> None:
    """Adds the commands of this file."""
    parent.add_typer(app, name="breakers")


@app.callback()
def breakers() -> None:
    """What stops trading by itself."""


@app.command("set")
def set_breaker(
    kind: Annotated[
        str,
        typer.Argument(help="DRAWDOWN, LOSS_STREAK, VOLATILITY_SPIKE or REPEATED_EXECUTION."),
    ],
    threshold: Annotated[
        str, typer.Argument(help="A share (10 % is 0.1), or how many: losses, trades.")
    ],
    scope: Annotated[
        str, typer.Option("--scope", metavar="SCOPE[:ID]", help="SYSTEM, ACCOUNT:…, STRATEGY:…")
    ],
    action: Annotated[
        list[str] | None, typer.Option("--action", help="HALT, CANCEL, EXIT; several times.")
    ] = None,
    window: Annotated[int | None, typer.Option("--window", help="Seconds.")] = None,
    breaker: Annotated[UUID | None, typer.Option("--id", help="Of one to change.")] = None,
    by: By = None,
    reason: Annotated[str | None, typer.Option("--reason", help="Why.")] = None,
) -> None:
    """Set a breaker, or change its threshold, window and actions."""
    from uuid import uuid4

    from ledger.cli.decision import decide

    name, _, reference = scope.partition(":")
    breaker_id = breaker or uuid4()
    done = decide(
        "SetBreaker",
        {
            "breaker_id": breaker_id,
            "kind": kind.upper(),
            "scope": name.upper(),
            "reference": reference or None,
            "threshold": threshold,
            "window_seconds": window,
            "actions": [one.upper() for one in action or ["HALT"]],
            "reason": reason,
            "actor": by or getpass.getuser(),
        },
    )
    terminal.say(f"{breaker_id} is set" if done else f"{breaker_id} was so already")


@app.command()
def remove(
    breaker: BreakerId,
    by: By = None,
    reason: Annotated[str | None, typer.Option("--reason", help="Why.")] = None,
) -> None:
    """Have a breaker trip no more. What is tripped stays so."""
    from ledger.cli.decision import decide

    actor = by or getpass.getuser()
    done = decide("RemoveBreaker", {"breaker_id": breaker, "reason": reason, "actor": actor})
    terminal.say("removed" if done else "it was removed already")


@app.command()
def resume(
    breaker: BreakerId,
    subject: Annotated[
        str, typer.Option("--subject", metavar="SCOPE:ID", help="What it is tripped for.")
    ],
    reason: Annotated[str, typer.Option("--reason", help="Why trading may go on.")],
    by: By = None,
) -> None:
    """Let trading go on: the halt is taken back, and it is measured anew."""
    from ledger.cli.decision import decide

    name, _, reference = subject.partition(":")
    decide(
        "ResumeBreaker",
        {
            "breaker_id": breaker,
            "scope": name.upper(),
            "reference": reference,
            "reason": reason,
            "actor": by or getpass.getuser(),
        },
    )
    terminal.say("resumed")


@app.command("list")
def list_breakers(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
) -> None:
    """The breakers, and what each is tripped for."""
    from msgspec import to_builtins

    from ledger.kernel import read_side
    from ledger.operate.database import connect
    from ledger.operate.logging import configure
    from ledger.operate.roles import AUDITOR
    from ledger.operate.servers import database
    from ledger.operate.settings import load

    settings = load()
    configure("breakers", "WARNING")
    of_breakers: Question[Breaker] = read_side.question("breakers")
    of_trips: Question[BreakerTrip] = read_side.question("breaker_trips")
    with (
        database(settings, role=AUDITOR) as url,
        connect(url, "breakers") as connection,
        connection.transaction(),
    ):
        found = of_breakers.find(connection)
        tripped = of_trips.find(connection, resolved=False)
    of = {one.breaker_id: [t for t in tripped if t.breaker_id == one.breaker_id] for one in found}
    if json:
        told = [to_builtins(one) | {"tripped": to_builtins(of[one.breaker_id])} for one in found]
        terminal.say_json(told, pretty=True)
        return
    rows = [_row(one, of[one.breaker_id]) for one in found]
    head = ("kind", "scope", "threshold", "actions", "standing", "breaker")
    terminal.say_table(head, rows, right={"threshold"})


def _row(breaker: "Breaker", tripped: "list[BreakerTrip]") -> tuple[str, ...]:
    scope = breaker.scope + ("" if breaker.reference is None else f":{breaker.reference}")
    standing = "armed" if breaker.is_active else "removed"
    if tripped:
        standing = "tripped: " + ", ".join(
            f"{one.scope}:{one.reference} at {one.actual:f}" for one in tripped
        )
    return (
        *(breaker.kind, scope, f"{breaker.threshold:f}", ", ".join(breaker.actions)),
        *(standing, str(breaker.breaker_id)),
    )
