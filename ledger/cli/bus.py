"""ledgerctl bus: who may do what on NATS."""

from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from ledger import terminal

app = typer.Typer(no_args_is_help=True, help="Who may do what on NATS.")


def register(parent: typer.Typer) -> None:
    """Adds the commands of this file."""
    parent.add_typer(app, name="bus")


@app.callback()
def bus() -> None:
    """Who may do what on NATS."""  # with a callback, one command is a group, too


@app.command()
def user(
    role: Annotated[str, typer.Argument(help="ledger, operator, auditor or service.")],
    name: Annotated[str, typer.Option("--name", help="The user's name (LEDGER_NATS_USER).")],
    seed: Annotated[
        Path, typer.Option("--seed", help="The user's secret key; made if there is none.")
    ],
    users: Annotated[
        Path, typer.Option("--users", help="The file that the server's configuration includes.")
    ] = Path("users.conf"),
    account: Annotated[
        list[UUID] | None, typer.Option("--account", help="An account granted to a service.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Make a user of NATS, or change what it may do. The server reads the file again when it is
    told to: nats-server --signal reload."""
    from ledger.messaging import bus_users

    known = next((one for one in bus_users.ROLES if one == role), None)
    if known is None:
        raise typer.BadParameter(
            f"there is no role {role!r}; there are: {', '.join(bus_users.ROLES)}", param_hint="ROLE"
        )
    try:
        granted = bus_users.permissions(known, name, account or [])
    except bus_users.UnusableUser as error:
        raise typer.BadParameter(str(error)) from error
    nkey = bus_users.public_key(seed)
    count = bus_users.write_user(users, nkey, granted)
    if json:
        result = {"name": name, "role": role, "nkey": nkey, "permissions": granted}
        terminal.say_json(result)
        return
    terminal.say(f"{name} ({role}) is {nkey}; {users} has {count} users. Its secret key: {seed}")
