"""ledgerctl audit proof-page: a page that checks proofs and exports in a browser, offline."""

from pathlib import Path
from typing import Annotated

import typer

from ledger.operate import terminal


def register(app: typer.Typer) -> None:
    """Adds the command of this file."""
    app.command("proof-page")(proof_page)


def proof_page(
    output: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="Where to write it. Default: proof-page.html."),
    ] = None,
    public_key: Annotated[
        list[str] | None,
        typer.Option(
            "--public-key",
            help="A key that the page takes for known: a PEM file or 64 hexadecimal digits.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Tell the file in a JSON object.")] = False,
) -> None:
    """Write a page that checks proofs and exports in a browser, without network."""

    from ledger.audit.prove.keys import load_public
    from ledger.audit.prove.proof_page import PAGE_FILE, write_proof_page

    path = output or Path(PAGE_FILE)
    keys = [load_public(given) for given in public_key or ()]
    write_proof_page(path, keys)
    if json:
        terminal.say_json({"file": str(path), "public_keys": [key.hex() for key in keys]})
    else:
        terminal.say(f"wrote {path} ({path.stat().st_size} bytes)")
