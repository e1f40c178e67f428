"""JSON Schema (2020-12) of every message, made from the models that read and write them.

    commands/<Type>.<version>.json       what a service sends to ledger.commands.…
    events/<type>.<version>.json         what comes on ledger.events.…
    outcome.json                         the answer to a command
    rows/<question>.<version>.json       a row of the answer to a question at ledger.query.…
    asyncapi.json                        where each of them goes (asyncapi.py)

Each schema is of the whole message, envelope and data. Times, ids and amounts are strings. Commands
are described as they are best sent (amounts as strings; JSON integers are taken as well) and take
no other fields; events may get further fields any time, and their readers ignore what they do not
know.
"""

import inspect
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec

from ledger.bus.events import SOURCE, schema_name
from ledger.kernel import read_side
from ledger.kernel.command import SPECVERSION, CommandData, Outcome
from ledger.kernel.event import Event
from ledger.nouns import COMMAND_DATA, EVENTS, FAMILY_OF_COMMAND, NOUN_OF_STREAM

DIALECT = "https://json-schema.org/draft/2020-12/schema"
OUTCOME_FILE = "outcome.json"
STATUSES = ("ACCEPTED", "REJECTED", "FAILED", "UNKNOWN")

Schema = dict[str, Any]

_UUID: Schema = {"type": "string", "format": "uuid"}
_TIME: Schema = {"type": "string", "format": "date-time"}


def all_schemas() -> dict[str, Schema]:
    """Every schema by its file name, in a fixed order."""
    commands = {command_file(name): command(name) for name in COMMAND_DATA}
    events = {event_file(name): event(name) for name in sorted(EVENTS)}
    rows = {row_file(name): row(name) for name in read_side.questions()}
    return commands | events | rows | {OUTCOME_FILE: outcome()}


def command_file(name: str) -> str:
    return f"commands/{name}.{COMMAND_DATA[name].schema_version}.json"


def event_file(name: str) -> str:
    return f"events/{name}.{EVENTS[name].schema}.json"


def row_file(name: str) -> str:
    return f"rows/{name}.{read_side.question(name).row_version}.json"


def command(name: str) -> Schema:
    """The message that carries a command."""
    model = COMMAND_DATA[name]
    data = model.model_json_schema()
    subject: Schema = dict(_UUID)
    family = FAMILY_OF_COMMAND[name]
    if family is not None:
        subject = {"const": family}
    return _message(
        identifier=f"urn:trading-ledger:command:{name}:{model.schema_version}",
        title=name,
        description=_description(model) or f"The command {name}.",
        properties={
            "specversion": {"const": SPECVERSION},
            "id": _UUID | {"description": "The command id: new for every command."},
            "source": {"type": "string", "minLength": 1, "description": "The sending service."},
            "type": {"const": name},
            "subject": subject | {"description": "The account or family in the NATS subject."},
            "time": _TIME,
            "correlationid": _UUID,
            "causationid": _UUID,
            "userid": _UUID,
            "traceparent": {"type": "string", "description": "W3C trace context."},
        },
        required=["specversion", "id", "source", "type", "subject"],
        data=data,
    )


def event(name: str) -> Schema:
    """The message that carries an event."""
    model = EVENTS[name]
    return _message(
        identifier=schema_name(name, model.schema),
        title=name,
        description=_description(model) or f"The event {name}.",
        properties={
            "specversion": {"const": SPECVERSION},
            "id": _UUID,
            "source": {"const": SOURCE},
            "type": {"const": name},
            "subject": _event_subject(name),
            "time": _TIME | {"description": "When it happened."},
            "datacontenttype": {"const": "application/json"},
            "dataschema": {"const": schema_name(name, model.schema)},
            "position": {"type": "integer", "minimum": 1, "description": "Place in the log."},
            "streamtype": {"type": "string"},
            "streamid": _UUID,
            "streamversion": {"type": "integer", "minimum": 1},
            "recordedtime": _TIME | {"description": "When the ledger stored it."},
            "commandid": _UUID,
            "correlationid": _UUID,
            "causationid": _UUID,
            "userid": _UUID,
            "traceparent": {"type": "string"},
            "incarnation": _UUID | {"description": "Which life of the log the position is of."},
        },
        required=[
            *("specversion", "id", "source", "type", "subject", "time", "datacontenttype"),
            *("dataschema", "position", "streamtype", "streamid", "streamversion", "recordedtime"),
        ],
        data=_of_struct(model),
    )


def row(name: str) -> Schema:
    """A row of the answer to a question, as the read side declares it."""
    question = read_side.question(name)
    schema = _of_struct(question.row)
    for column, kind in question.types.items():
        if kind is datetime:
            _of_type_string(schema["properties"][column])["format"] = "date-time"
    identifier = f"urn:trading-ledger:row:{name}:{question.row_version}"
    described = {"title": schema.pop("title"), "description": question.about}
    return {"$schema": DIALECT, "$id": identifier} | described | schema


def _of_type_string(schema: Schema) -> Schema:
    """The part of a schema, or of its alternatives, that is about texts."""
    alternatives: list[Schema] = schema.get("anyOf", [schema])
    return next(one for one in alternatives if one.get("type") == "string")


def query(name: str) -> Schema:
    """What a question takes: its filters, and which part of the rows is wanted."""
    question = read_side.question(name)
    properties: dict[str, Schema] = {
        one.name: _of_filter(question.types[one.column], list(one.words))
        for one in question.filter_of.values()
    }
    ways = [path.by for path in question.paths]
    needed: Schema = {}
    if None not in ways:
        needed = {"anyOf": [{"required": [name]} for name in ways]}
    return {
        "title": f"Query of {name}",
        "type": "object",
        "properties": properties
        | {
            "limit": {"type": "integer", "minimum": 1},
            "after": {"type": "string", "description": "The `next` of an earlier answer."},
            "min_position": {"type": "integer", "minimum": 0},
        },
        "additionalProperties": False,
    } | needed


def answer(rows: Schema) -> Schema:
    """Rows as of a position, and whether there are more."""
    return {
        "type": "object",
        "properties": {
            "position": {"type": "integer", "minimum": 0},
            "rows": {"type": "array", "items": rows},
            "more": {"type": "boolean"},
            "next": {
                "type": ["string", "null"],
                "description": "Where there are more: what asks for them, as `after`.",
            },
        },
        "required": ["position", "rows", "more", "next"],
    }


def _of_filter(kind: type, words: list[str]) -> Schema:
    if kind is bool:
        return {"type": "boolean"}
    if kind is UUID:
        return dict(_UUID)
    if kind is datetime:
        return dict(_TIME)
    if issubclass(kind, StrEnum):
        return {"enum": [*(member.value for member in kind), *words]}
    return {"type": "string"}


def outcome() -> Schema:
    """The answer to a command."""
    schema = _of_struct(Outcome)
    schema["properties"]["status"] = {"enum": list(STATUSES)}
    described: Schema = {"$schema": DIALECT, "$id": "urn:trading-ledger:outcome:1"} | schema
    described["title"] = "Outcome"
    # Written whole, defaults included, whatever the reader may leave out.
    described["required"] = list(schema["properties"])
    return described


def _message(
    *,
    identifier: str,
    title: str,
    description: str,
    properties: Mapping[str, Schema],
    required: list[str],
    data: Schema,
) -> Schema:
    definitions = data.pop("$defs", None)
    for told_above in ("title", "description"):
        data.pop(told_above, None)
    schema: Schema = {
        "$schema": DIALECT,
        "$id": identifier,
        "title": title,
        "description": description,
        "type": "object",
        "properties": {**properties, "data": data},
        "required": [*required, "data"],
    }
    return schema | ({"$defs": definitions} if definitions else {})


def _event_subject(name: str) -> Schema:
    family = NOUN_OF_STREAM[name.partition(".")[0]].family
    if family is not None:
        return {"const": family}
    return dict(_UUID)


def _of_struct(model: type[msgspec.Struct]) -> Schema:
    """The schema of a struct, its definitions beside it."""
    generated = msgspec.json.decode(msgspec.json.encode(msgspec.json.schema(model)))
    definitions = generated["$defs"]
    for one in definitions.values():
        if "description" in one:
            one["description"] = inspect.cleandoc(one["description"])
    schema: Schema = definitions.pop(generated["$ref"].rpartition("/")[2])
    return schema | ({"$defs": definitions} if definitions else {})


def _description(model: type[CommandData] | type[Event]) -> str:
    own = vars(model).get("__doc__")
    return inspect.cleandoc(own) if own else ""
