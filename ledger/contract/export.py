"""Writing the contract to files, and never over a promise that was made."""

from pathlib import Path

import orjson

from ledger.contract import asyncapi, schemas
from ledger.contract.compatibility import breaks, kind_of
from ledger.kernel.errors import LedgerError


class ContractBroken(LedgerError):
    """A schema that was exported before would lose what it promised."""


def files() -> dict[str, bytes]:
    """Every file of the contract by its name."""
    documents = schemas.all_schemas() | {asyncapi.ASYNCAPI_FILE: asyncapi.document()}
    return {
        name: orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        for name, document in documents.items()
    }


def export(directory: Path) -> list[str]:
    """Writes the files; the names of those that changed. Files of older versions stay. Raises
    ContractBroken, and then nothing is written."""
    made = files()
    broken = [
        f"{name}: {line}"
        for name, schema in schemas.all_schemas().items()
        if (directory / name).exists()
        for line in breaks(orjson.loads((directory / name).read_bytes()), schema, kind_of(name))
    ]
    if broken:
        raise ContractBroken(
            "services rely on what would change: " + "; ".join(broken) + ". Give the message a new "
            "schema version (and an event an upcaster), so that it gets a file of its own."
        )
    changed = [
        name
        for name, content in made.items()
        if not (directory / name).exists() or (directory / name).read_bytes() != content
    ]
    for name in changed:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(made[name])
    return changed
