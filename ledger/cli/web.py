"""ledgerctl web: who may sign in by HTTP, who is signed in, tokens for programs, and the way in for
who runs it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from ledger.operate import terminal
from ledger.operate.table import Columns, Wide

if TYPE_CHECKING:
    from ledger.web.person import Role, Scope
    from ledger.web.sessions import Sessions
    from ledger.web.settings import WebSettings

app = typer.Typer(
    no_args_is_help=True, help="The HTTP API and the console: users, sessions, tokens."
)
user_app = typer.Typer(no_args_is_help=True, help="Who may sign in, and as what.")
token_app = typer.Typer(no_args_is_help=True, help="Tokens for programs that use the HTTP API.")
session_app = typer.Typer(no_args_is_help=True, help="Who is signed in now.")
app.add_typer(user_app, name="user")
app.add_typer(session_app, name="session")
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


# --- sessions ---------------------------------------------------------------------------


@session_app.command("list")
def list_sessions(columns: Columns = None, wide: Wide = False, json: Json = False) -> None:
    """Who is signed in, the newest first."""
    from ledger.kernel.text import plain

    with _sessions() as sessions:
        found = [
            {
                "id": one.id,
                "name": one.name,
                "last_seen_at": plain(one.last_seen_at),
                "expires_at": plain(one.expires_at),
                "address": one.address,
                "method": one.method,
                "created_at": plain(one.created_at),
                "agent": one.agent,
            }
            for one in sessions.all()
        ]
    if json:
        terminal.say_json(found, pretty=True)
    elif not found:
        terminal.say("nobody is signed in")
    else:
        names = [name.replace("_", " ") for name in found[0]]
        rows = ([str(value) for value in one.values()] for one in found)
        terminal.say_table(names, rows, columns=columns, wide=wide)


@session_app.command("end")
def end_session(
    by: Annotated[str, typer.Option("--by", help="Who ends it; kept.")],
    identifier: Annotated[
        str | None, typer.Argument(metavar="ID", help="The session's id, as `list` has it.")
    ] = None,
    user: Annotated[
        str | None, typer.Option("--user", help="End all that somebody of this name has.")
    ] = None,
    json: Json = False,
) -> None:
    """End a session, or all of a user: with the next request the browser is signed out."""
    if (identifier is None) == (user is None):
        raise typer.BadParameter("give the ID of a session, or --user", param_hint="ID")
    with _sessions() as sessions:
        if user is not None:
            sessions.end_all_of(user, by=by)
        else:
            sessions.end_named(identifier or "", by=by)
    if json:
        terminal.say_json({"id": identifier, "name": user, "ended": True})
    elif user is not None:
        terminal.say(f"all sessions of {user} are over")
    else:
        terminal.say(f"session {identifier} is over")


@contextmanager
def _sessions() -> "Iterator[Sessions]":
    """Those of the database, as the HTTP server keeps them, if the login can have its role."""
    from ledger.operate.servers import database
    from ledger.web.database import HTTP, WebDatabase
    from ledger.web.sessions import Sessions
    from ledger.web.users import UsersFile

    settings = _settings()
    with database(settings, role=HTTP) as url:
        kept = WebDatabase(url, size=1, statement_seconds=settings.web_statement_seconds).open()
        try:
            yield Sessions(kept, UsersFile(settings.directory), settings)
        finally:
            kept.close()


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
