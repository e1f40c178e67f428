"""ledgerctl audit prove, check-proof: proof of one event, for somebody without this ledger."""

from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from ledger.cli.audit.verify import CONSISTENT_ONLY
from ledger.operate import terminal


def register(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    app.command()(prove)
    app.command("check-proof")(check_proof)


def prove(
    event: Annotated[UUID, typer.Argument(help="The event's id.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", help="Where to write it; - is stdout. Default: EVENT.proof.json."),
    ] = None,
    to_head: Annotated[
        Path | None,
        typer.Option("--to-head", help="Lead to this head, which the reader of the proof kept."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Tell the file in a JSON object.")] = False,
) -> None:
    """Write a proof that an event is in the sealed log, to be checked without this ledger."""

    from ledger.audit.prove import proofs
    from ledger.audit.prove.seals import from_document
    from ledger.operate.database import connect
    from ledger.operate.servers import database
    from ledger.operate.settings import load

    kept = from_document(to_head.read_bytes()) if to_head is not None else None
    with database(load()) as url, connect(url, "proof") as connection:
        proof = proofs.prove(connection, event, kept)
    text = proofs.proof_text(proof)
    if str(output) == "-":
        terminal.say_written(text)
        return
    path = output or Path(f"{event}.proof.json")
    path.write_bytes(text)
    position, number = proof["event"]["position"], proof["seal"]["number"]
    if json:
        told = {"file": str(path), "position": position, "seal": number}
        terminal.say_json(told)
    else:
        terminal.say(f"wrote {path}: position {position}, under seal {number}")


def check_proof(
    proof: Annotated[Path, typer.Argument(help="The proof file.")],
    public_key: Annotated[
        str | None,
        typer.Option(
            "--public-key", help="The sealer's public key: a PEM file or 64 hexadecimal digits."
        ),
    ] = None,
    head: Annotated[
        Path | None,
        typer.Option("--head", help="A head kept outside, to which the proof has to lead."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check a proof offline: no database, no server. Exit 1 if it does not hold, 3 if what was
    given says nothing of it."""
    from ledger.audit.prove.check_proof import NothingToCheckWith, ProofFails, check
    from ledger.audit.prove.keys import load_public

    if public_key is None and head is None:
        raise typer.BadParameter("give --public-key, or --head with a head kept outside")
    key = load_public(public_key) if public_key is not None else None
    kept = head.read_bytes() if head is not None else None
    try:
        document = check(proof.read_bytes(), key, kept)
    except (ProofFails, NothingToCheckWith) as error:
        fails = isinstance(error, ProofFails)
        if json:
            terminal.say_json({"holds": False, "fails": fails, "reason": str(error)})
        else:
            found = "does not hold" if fails else "cannot be judged"
            terminal.say(f"The proof {found}: {error}.")
        raise typer.Exit(1 if fails else CONSISTENT_ONLY) from None
    event, seal = document["event"], document["seal"]
    if json:
        terminal.say_json({"holds": True, "event": event, "seal": seal})
        return
    for loss in (one for one in document["chain"] if one.get("change") == "lost"):
        terminal.say(f"key lost: {loss['previous_key']}, it says: {loss['reason']}")
    by = [f"signed with key {key.hex()}"] if key is not None else []
    by += ["leads to the head that was kept"] if kept is not None else []
    terminal.say(
        f"The proof holds: {event['event_type']} {event['id']} was sealed at position "
        f"{event['position']}, recorded {event['recorded_at']}, sealed {seal['sealed_at']} "
        f"({', '.join(by)})."
    )
