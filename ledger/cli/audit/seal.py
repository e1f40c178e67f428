"""ledgerctl audit seal, rotate-key: seal now, print the head for keeping outside, make a key,
change the key in force."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ledger.operate import terminal

if TYPE_CHECKING:
    from ledger.audit.prove.seals import Seal, Unsealed


def register(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    app.command()(seal)
    app.command("rotate-key")(rotate_key)


def seal(
    head: Annotated[
        bool, typer.Option("--head", help="Seal nothing: print the newest seal, to keep outside.")
    ] = False,
    new_key: Annotated[
        Path | None,
        typer.Option("--new-key", help="Seal nothing: make a key for LEDGER_SEAL_KEY_FILE."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Seal everything appended so far, without waiting for the sealer's next block."""
    if head and new_key is not None:
        raise typer.BadParameter("give --head or --new-key, not both")
    if new_key is not None:
        _make_key(new_key, json)
    elif head:
        _print_head()
    else:
        _seal_now(json)


def rotate_key(
    new_key: Annotated[Path, typer.Argument(help="The new key (`audit seal --new-key`).")],
    reason: Annotated[str, typer.Option("--reason", help="Why; it is sealed with the change.")],
    lost: Annotated[
        bool,
        typer.Option(
            "--lost",
            help="The key in force is lost and cannot sign the change. Verification takes the new "
            "key only from auditors who are given it, or a head kept after the change.",
        ),
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print the seal as one JSON object.")
    ] = False,
) -> None:
    """Put a new signing key in force, by a seal signed with the old one (LEDGER_SEAL_KEY_FILE) and
    the new one. The old one signs nothing after it, for ever."""

    from ledger.audit.prove.key_changes import replace_lost, rotate
    from ledger.audit.prove.keys import load_private
    from ledger.operate.database import connect
    from ledger.operate.roles import SEALER
    from ledger.operate.servers import database
    from ledger.operate.settings import load

    settings = load()
    new = load_private(new_key)
    if not lost and settings.seal_key_file is None:
        raise typer.BadParameter(
            "LEDGER_SEAL_KEY_FILE does not name the key in force, which has to sign the change. If "
            "it is lost, say so: --lost"
        )
    with (
        database(settings, role=SEALER) as url,
        connect(url, "seal") as connection,
    ):
        if lost or settings.seal_key_file is None:
            changed = replace_lost(connection, new, reason)
        else:
            changed = rotate(connection, load_private(settings.seal_key_file), new, reason)
    if json:
        terminal.say_json(changed.document())
        return
    terminal.say(describe(changed))
    terminal.say(
        f"Now set LEDGER_SEAL_KEY_FILE to {new_key} and start `ledgerctl serve seals` again; give "
        "auditors the new public key, by another way than through the database."
    )


def _make_key(path: Path, json: bool) -> None:
    from ledger.audit.prove.keys import new_key, public_path

    public = new_key(path).hex()
    if json:
        terminal.say_json(
            {
                "private_key_file": str(path),
                "public_key_file": str(public_path(path)),
                "public_key": public,
            }
        )
        return
    terminal.say(f"private key  {path} (set LEDGER_SEAL_KEY_FILE to it, keep it from auditors)")
    terminal.say(f"public key   {public_path(path)} (give it to auditors)")
    terminal.say(f"             {public}")


def _print_head() -> None:

    from ledger.audit.prove import seals
    from ledger.operate.database import connect
    from ledger.operate.servers import database
    from ledger.operate.settings import load

    with database(load()) as url, connect(url, "seal") as connection:
        newest = seals.head(connection)
        waiting = seals.unsealed(connection)
    if newest is None:
        terminal.say(f"error: nothing is sealed yet: {_not_sealed(waiting)}.", error=True)
        raise typer.Exit(1)
    terminal.say_json(newest.document())
    terminal.say(_not_sealed(waiting), error=True)


def _seal_now(json: bool) -> None:

    from ledger.audit.prove import seals
    from ledger.audit.prove.sealer import options_of, seal_all
    from ledger.operate.database import connect
    from ledger.operate.roles import SEALER
    from ledger.operate.servers import database
    from ledger.operate.settings import load

    settings = load()
    with (
        database(settings, role=SEALER) as url,
        connect(url, "seal") as connection,
    ):
        made = events = 0
        for new in seal_all(connection, options_of(settings)):
            made, events = made + 1, events + new.event_count
        newest = seals.head(connection)
        waiting = seals.unsealed(connection)
    if json:
        terminal.say_json(
            {
                "sealed_events": events,
                "seals": made,
                "head": newest.document() if newest else None,
                "unsealed_events": waiting.events,
                "unsealed_seconds": round(waiting.seconds, 3),
            }
        )
        return
    terminal.say(f"sealed {events} events in {made} {'seal' if made == 1 else 'seals'}")
    if newest is not None:
        terminal.say(describe(newest))
    terminal.say(_not_sealed(waiting))


def describe(newest: "Seal") -> str:
    """One line about the head."""
    signed = f"signed with {newest.public_key.hex()}" if newest.public_key else "not signed"
    return (
        f"head: seal {newest.number} up to position {newest.last_position}, {signed}, "
        f"hash {newest.hash.hex()}"
    )


def _not_sealed(waiting: "Unsealed") -> str:
    return f"not sealed yet: {waiting.events} events, the oldest for {waiting.seconds:.1f} s"
