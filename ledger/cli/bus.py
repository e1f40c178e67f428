"""ledgerctl bus: who may do what on NATS."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from ledger.operate import terminal

if TYPE_CHECKING:
    from ledger.bus.grants import Role
    from ledger.bus.users import BusUser
    from ledger.kernel.command import CommandClass

app = typer.Typer(no_args_is_help=True, help="Who may do what on NATS.")


def register(parent: typer.Typer) -> None:
    """Adds the commands of this file."""
    parent.add_typer(app, name="bus")


@app.callback()
def bus() -> None:
    """Who may do what on NATS."""  # with a callback, one command is a group, too


@app.command()
def url() -> None:
    """Print the URL of the bus, with the secret that the embedded server asks for:
    export LEDGER_NATS_URL=$(ledgerctl bus url)."""
    from ledger.operate.servers import find_nats
    from ledger.operate.settings import load

    terminal.say(find_nats(load()))


@app.command()
def user(
    name: Annotated[str, typer.Argument(help="The user's name (LEDGER_NATS_USER).")],
    role: Annotated[
        str | None,
        typer.Option(
            "--role",
            help="ledger, administrator, operator, sender, auditor or service (the default).",
        ),
    ] = None,
    account: Annotated[
        list[UUID] | None, typer.Option("--account", help="An account granted to a service.")
    ] = None,
    family: Annotated[
        list[str] | None,
        typer.Option("--family", help="What commands of no account are about: instruments."),
    ] = None,
    may: Annotated[
        str | None,
        typer.Option(
            "--may",
            metavar="CLASS,…",
            help="Classes of commands that it may send: trade, report, money, admin. By default "
            "trade,report for a service, trade,admin for a sender and admin for an operator.",
        ),
    ] = None,
    revoke: Annotated[
        bool, typer.Option("--revoke", help="Take the user away, with all that it may.")
    ] = False,
    seed: Annotated[
        Path | None,
        typer.Option(
            "--seed", help="The user's secret key; made if there is none. NAME.nk if not given."
        ),
    ] = None,
    users: Annotated[
        Path, typer.Option("--users", help="The file that the server's configuration includes.")
    ] = Path("users.conf"),
    named: Annotated[
        str | None, typer.Option("--name", hidden=True, help="The name; NAME is then the role.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Make a user of NATS, or change what it may do, or take it away. The server reads the file
    again when it is told to: nats-server --signal reload."""
    from ledger.bus import users as bus_users

    if named is not None:
        name, role = named, role or name
    try:
        known = bus_users.read_users(users)
        if revoke:
            if name not in known:
                raise bus_users.UnusableUser(f"{users} has no user {name!r}")
            changed = known.pop(name)
        else:
            changed = bus_users.user(
                name,
                _role(role or "service"),
                bus_users.public_key(seed or Path(f"{name}.nk")),
                accounts=account or [],
                families=family or [],
                may=None if may is None else _classes(may),
            )
            known[name] = changed
    except bus_users.UnusableUser as error:
        raise typer.BadParameter(str(error)) from error
    bus_users.write_users(users, list(known.values()))
    _tell(changed, len(known), users, seed or Path(f"{name}.nk"), revoked=revoke, json=json)


def _tell(
    user: "BusUser", count: int, users: Path, seed: Path, *, revoked: bool, json: bool
) -> None:
    import msgspec

    if json:
        record = msgspec.to_builtins(user) | {"revoked": revoked}
        terminal.say_json(record)
    elif revoked:
        terminal.say(
            f"{user.name} is revoked when the server has reloaded; {users} has {count} users"
        )
    else:
        sends = f", may send {', '.join(user.may)}" if user.may else ""
        terminal.say(
            f"{user.name} ({user.role}{sends}) is {user.nkey}; {users} has {count} users. "
            f"Its secret key: {seed}"
        )


def _role(text: str) -> "Role":
    from ledger.bus import users as bus_users

    for role in bus_users.ROLES:
        if role == text:
            return role
    raise typer.BadParameter(
        f"there is no role {text!r}; there are: {', '.join(bus_users.ROLES)}", param_hint="--role"
    )


def _classes(text: str) -> "list[CommandClass]":
    from ledger.kernel.command import COMMAND_CLASSES

    wanted = [part.strip() for part in text.split(",") if part.strip()]
    for one in wanted:
        if one not in COMMAND_CLASSES:
            raise typer.BadParameter(
                f"there is no class {one!r}; there are: {', '.join(COMMAND_CLASSES)}",
                param_hint="--may",
            )
    return [one for one in COMMAND_CLASSES if one in wanted]
