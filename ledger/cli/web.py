"""ledgerctl web: who may sign in by HTTP, tokens for programs, and the way in for who runs it."""

import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from ledger.operate import terminal

if TYPE_CHECKING:
    from ledger.web.person import Role, Scope
    from ledger.web.settings import WebSettings

app = typer.Typer(no_args_is_help=True, help="The HTTP API and the console: users and tokens.")
user_app = typer.Typer(no_args_is_help=True, help="Who may sign in, and as what.")
token_app = typer.Typer(no_args_is_help=True, help="Tokens for programs that use the HTTP API.")
app.add_typer(user_app, name="user")
app.add_typer(token_app, name="token")

Json = Annotated[bool, typer.Option("--json", help="JSON on stdout, for scripts.")]
Name = Annotated[str, typer.Argument(help="The user's name, as at signing in.")]


def register(parent: typer.Typer) -> None:
    """Adds the commands of this file."""
    parent.add_typer(app, name="web")


@app.command()
def url(json: Json = False) -> None:
    """Print the URL of the console on this machine with a new one-time token, which signs in as
    administrator: once, within an hour."""
    settings = _settings()
    found = first_url(settings)
    if json:
        terminal.say_json({"url": found})
    else:
        terminal.say(found)


def free_port() -> int:
    """The usual port of the console, or another where that is taken: nobody set it."""
    import socket

    from ledger.web.settings import USUAL_PORT

    with socket.socket() as usual:
        usual.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            usual.bind(("127.0.0.1", USUAL_PORT))
        except OSError:
            with socket.socket() as other:
                other.bind(("127.0.0.1", 0))
                return int(other.getsockname()[1])
    return USUAL_PORT


def first_url(settings: "WebSettings") -> str:
    """The URL that signs in who has it, once."""
    from ledger.web import first_token

    return f"{settings.url}/start?token={first_token.write(settings.directory)}"


# --- users ------------------------------------------------------------------------------


@user_app.command("add")
def add_user(
    name: Name,
    role: Annotated[str, typer.Option(help="ADMIN, TRADER, VIEWER, AUDITOR or OPERATOR.")],
    user: Annotated[
        UUID | None,
        typer.Option("--user", help="The user whose accounts a TRADER or a VIEWER sees."),
    ] = None,
    oidc: Annotated[
        bool, typer.Option("--oidc", help="Without a password: signs in by OpenID Connect.")
    ] = False,
    json: Json = False,
) -> None:
    """Add a user, or change one: the password is asked for, or read from stdin. Sessions from
    before are over."""
    from ledger.web.users import UsersFile, web_user

    password = None if oidc else _password()
    found = web_user(name, _role(role), user_id=user, password=password)
    settings = _settings()
    UsersFile(settings.directory).put(found)
    if json:
        terminal.say_json(_of_user(found))
    else:
        terminal.say(f"{found.name} may sign in as {found.role}: {settings.directory}/users.json")


@user_app.command("remove")
def remove_user(name: Name, json: Json = False) -> None:
    """Take a user away: sessions and tokens are over at once."""
    from ledger.web.users import UsersFile

    UsersFile(_settings().directory).remove(name)
    if json:
        terminal.say_json({"name": name, "removed": True})
    else:
        terminal.say(f"{name} is removed, with sessions and tokens")


@user_app.command("list")
def list_users(json: Json = False) -> None:
    """Who may sign in."""
    from ledger.web.users import UsersFile

    found = [_of_user(one) for one in UsersFile(_settings().directory).all()]
    if json:
        terminal.say_json(found, pretty=True)
    elif not found:
        terminal.say("nobody may sign in yet: ledgerctl web user add NAME --role ADMIN")
    else:
        columns = ("name", "role", "user", "signs in by", "changed at")
        rows = ([str(value or "") for value in one.values()] for one in found)
        terminal.say_table(columns, rows)


def _of_user(user: object) -> dict[str, object]:
    from ledger.kernel.text import plain
    from ledger.web.users import WebUser

    assert isinstance(user, WebUser)
    return {
        "name": user.name,
        "role": user.role.value,
        "user_id": plain(user.user_id),
        "signs_in_by": "OpenID Connect" if user.password_hash is None else "password",
        "changed_at": plain(user.changed_at),
    }


# --- tokens -----------------------------------------------------------------------------


@token_app.command("create")
def create_token(
    name: Name,
    scope: Annotated[
        str, typer.Option("--scope", metavar="SCOPE,…", help="read, trade, risk, admin.")
    ] = "read",
    days: Annotated[int, typer.Option(min=1, max=366, help="How long it holds.")] = 90,
    note: Annotated[str, typer.Option(help="What it is for.")] = "",
    json: Json = False,
) -> None:
    """Make a token that speaks for a user, within the scopes. It is shown now and never again."""
    from ledger.web.tokens import TokensFile
    from ledger.web.users import UnusableWebUser, UsersFile

    directory = _settings().directory
    if UsersFile(directory).find(name) is None:
        raise UnusableWebUser(f"there is no user {name!r}: ledgerctl web user add {name} …")
    token, text = TokensFile(directory).create(name, _scopes(scope), timedelta(days=days), note)
    if json:
        terminal.say_json({"id": token.id, "token": text, "expires_at": token.expires_at})
    else:
        terminal.say(text)
        terminal.say(f"{token.id} holds until {token.expires_at:%Y-%m-%d}", error=True)


@token_app.command("revoke")
def revoke_token(
    identifier: Annotated[str, typer.Argument(metavar="ID", help="The token's id.")],
    json: Json = False,
) -> None:
    """End a token, at once."""
    from ledger.web.tokens import TokensFile

    token = TokensFile(_settings().directory).revoke(identifier)
    if json:
        terminal.say_json({"id": token.id, "name": token.name, "revoked": True})
    else:
        terminal.say(f"token {token.id} of {token.name} is revoked")


@token_app.command("list")
def list_tokens(json: Json = False) -> None:
    """Which tokens there are; what proves them is known to who has them only."""
    from ledger.kernel.text import plain
    from ledger.web.tokens import TokensFile

    found = [
        {
            "id": one.id,
            "name": one.name,
            "scopes": ",".join(one.scopes),
            "expires_at": plain(one.expires_at),
            "note": one.note,
        }
        for one in TokensFile(_settings().directory).all()
    ]
    if json:
        terminal.say_json(found, pretty=True)
    elif not found:
        terminal.say("there are no tokens: ledgerctl web token create NAME --scope read")
    else:
        rows = ([str(value) for value in one.values()] for one in found)
        terminal.say_table(("id", "name", "scopes", "until", "for"), rows)


# --- what is given ----------------------------------------------------------------------


def _settings() -> "WebSettings":
    from ledger.web.settings import load

    return load()


def _password() -> str:
    if terminal.is_terminal(sys.stdin):
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\n")


def _role(text: str) -> "Role":
    from ledger.web.person import Role

    if text.upper() not in Role.__members__:
        raise typer.BadParameter(
            f"there is no role {text!r}; there are: {', '.join(Role)}", param_hint="--role"
        )
    return Role(text.upper())


def _scopes(text: str) -> "list[Scope]":
    from ledger.web.person import Scope

    wanted = [part.strip() for part in text.split(",") if part.strip()]
    for one in wanted:
        if one not in list(Scope):
            raise typer.BadParameter(
                f"there is no scope {one!r}; there are: {', '.join(Scope)}", param_hint="--scope"
            )
    return [Scope(one) for one in wanted]
