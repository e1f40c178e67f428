"""The published contract: current, valid, true of real messages, and never broken in silence."""

import asyncio
import copy
import json
import shutil
import subprocess
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import orjson
import pytest
from jsonschema import Draft202012Validator

from ledger.contract import asyncapi, schemas
from ledger.contract.compatibility import breaks, kind_of
from ledger.contract.export import ContractBroken, export, files
from tests.cli.running import run
from tests.docs.pages import DOCS, ROOT
from tests.programs.publishing import Log, in_stream, published_up_to, running_publisher

COMMITTED = DOCS / "schemas"
ALL = schemas.all_schemas()


def test_the_committed_schemas_are_those_of_the_code() -> None:
    committed = {
        str(path.relative_to(COMMITTED)): path.read_bytes() for path in COMMITTED.rglob("*.json")
    }
    made = files()
    assert {name: committed.get(name) for name in made} == made, (
        "run: ledgerctl schema export docs/schemas"
    )


@pytest.mark.parametrize("name", ALL)
def test_a_schema_is_a_valid_one_of_its_dialect(name: str) -> None:
    Draft202012Validator.check_schema(ALL[name])
    assert ALL[name]["$schema"] == schemas.DIALECT


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    document = asyncapi.document()

    def references(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            if "$ref" in node:
                yield node["$ref"]
            for value in node.values():
                yield from references(value)

    found = set(references(document))
    assert len(found) > len(ALL)
    for reference in found:
        if reference.startswith("#/"):
            node: Any = document
            for step in reference[2:].split("/"):
                node = node[step]
        else:
            assert reference in ALL


async def test_what_is_published_fits_the_schemas(database_url: str, nats_url: str) -> None:
    log = Log(database_url)
    head = log.grow(600)
    async with running_publisher(database_url, nats_url):
        await published_up_to(database_url, head)
    bodies = [orjson.loads(message.data) for message in await in_stream(nats_url)]
    assert len({body["type"] for body in bodies}) > 8
    for body in bodies:
        schema = ALL[schemas.event_file(body["type"])]
        Draft202012Validator(schema).validate(body)
        assert set(body) <= set(schema["properties"])
        assert set(body["data"]) <= set(schema["properties"]["data"]["properties"])


def test_the_first_commands_of_the_readme_fit_the_schemas() -> None:
    for line in (ROOT / "examples" / "first.jsonl").read_bytes().splitlines():
        message = orjson.loads(line)
        data = ALL[schemas.command_file(message["type"])]
        whole = {
            "specversion": "1.0",
            "id": "01a1fdf2-5c9a-7101-8c06-d2ac9d66307a",
            "source": "test",
            "subject": message["data"].get("account_id", "instruments"),
        } | message
        Draft202012Validator(data).validate(whole)
        with pytest.raises(Exception, match="Additional properties"):
            Draft202012Validator(data).validate(whole | {"data": whole["data"] | {"x": 1}})


# --- compatibility ----------------------------------------------------------------------

COMMAND, EVENT = "commands/SubmitOrder.1.json", "events/order.filled.1.json"


def changed(name: str, path: str, value: Any) -> dict[str, Any]:
    """The schema with one thing changed; None removes it."""
    schema = copy.deepcopy(ALL[name])
    node = schema
    *steps, last = path.split("/")
    for step in steps:
        node = node[step]
    if value is None:
        del node[last]
    else:
        node[last] = value
    return schema


@pytest.mark.parametrize(
    ("name", "path", "value", "told"),
    [
        (COMMAND, "properties/data/properties/price", None, "data.price: is gone"),
        (COMMAND, "$defs/Side/enum", ["BUY"], "no longer has 'SELL'"),
        (COMMAND, "properties/data/properties/instrument/pattern", "^A$", "pattern was"),
        (COMMAND, "properties/data/required", ["order_id", "price"], "price: is now required"),
        (COMMAND, "properties/data/properties/price", {"type": "string"}, "data.price"),
        (COMMAND, "properties/data/properties/post_only/type", "string", "was of type boolean"),
        (EVENT, "properties/data/properties/trade_id", None, "data.trade_id: is gone"),
        (EVENT, "properties/data/required", ["trade_id"], "last_px: may now be absent"),
        (EVENT, "properties/position/type", "string", "was of type integer"),
        (EVENT, "properties/data/properties/last_px/format", "float", "format was 'decimal'"),
    ],
)
def test_what_a_service_relies_on_cannot_change_unnoticed(
    name: str, path: str, value: Any, told: str
) -> None:
    found = breaks(ALL[name], changed(name, path, value), kind_of(name))
    assert any(told in line for line in found), found


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        (COMMAND, "properties/data/properties/note", {"type": "string"}),
        (COMMAND, "$defs/Side/enum", ["BUY", "SELL", "SELL_SHORT"]),
        (EVENT, "properties/data/properties/note", {"type": "string"}),
        (
            EVENT,
            "properties/data/required",
            [*ALL[EVENT]["properties"]["data"]["required"], "late"],
        ),
    ],
)
def test_what_nobody_relies_on_may_change(name: str, path: str, value: Any) -> None:
    assert breaks(ALL[name], changed(name, path, value), kind_of(name)) == []


def test_an_export_never_overwrites_a_promise(tmp_path: Path) -> None:
    assert set(export(tmp_path)) == set(files())
    assert export(tmp_path) == []
    promised = changed(EVENT, "properties/data/properties/note", {"type": "string"})
    (tmp_path / EVENT).write_text(json.dumps(promised))
    with pytest.raises(ContractBroken, match=r"data\.note: is gone.*new schema version"):
        export(tmp_path)
    assert json.loads((tmp_path / EVENT).read_text()) == promised


def test_the_schemas_keep_what_every_earlier_commit_promised() -> None:
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("no git history here: a source archive has one state of the schemas only")

    def ask(*arguments: str, given: str = "") -> bytes:
        command = [git, "-C", str(ROOT), *arguments]
        return subprocess.run(command, input=given.encode(), capture_output=True, check=True).stdout

    # Every content that a file has ever had, once: commits share nearly all of them.
    history = ("--raw", "-m", "--full-history", "--no-renames", "--no-abbrev", "--format=")
    place = "docs/schemas"
    promised: dict[tuple[str, str], None] = {}
    for line in ask("log", *history, "--", place).decode().splitlines():
        described, _, name = line.partition("\t")
        *_, blob, change = described.split()
        if change != "D":
            promised[name.removeprefix(f"{place}/"), blob] = None
    assert len(promised) >= len(ALL)
    found = BytesIO(ask("cat-file", "--batch", given="".join(f"{one}\n" for _, one in promised)))
    for file_name, blob in promised:
        told, _, size = found.readline().split()
        assert told == blob.encode()
        earlier = found.read(int(size))
        found.readline()
        if file_name == asyncapi.ASYNCAPI_FILE:
            continue
        assert (COMMITTED / file_name).exists(), f"{file_name} is gone"
        if file_name in ALL:
            now = ALL[file_name]
            assert breaks(orjson.loads(earlier), now, kind_of(file_name)) == [], blob


async def test_ledgerctl_writes_the_contract(tmp_path: Path) -> None:
    finished = await run("schema", "export", "out", "--json", cwd=tmp_path)
    assert finished.exit_code == 0, finished.stderr
    assert orjson.loads(finished.stdout)["files"] == len(files())
    written = await asyncio.to_thread(lambda: list((tmp_path / "out").rglob("*.json")))
    assert len(written) == len(files())
