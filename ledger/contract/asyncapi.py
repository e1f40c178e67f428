"""The AsyncAPI 3 document: which message goes where. It refers to the schemas beside it."""

from typing import Any

from ledger.bus.command_subjects import COMMANDS_PREFIX
from ledger.bus.connection import COMMANDS_STREAM, OUTCOMES_SUBJECT, REPLY_TO
from ledger.bus.events import EVENTS_PREFIX, EVENTS_STREAM, MESSAGE_ID, POSITION
from ledger.bus.queries import POSITION_OF, QUERY_PREFIX
from ledger.contract.schemas import (
    OUTCOME_FILE,
    Schema,
    answer,
    command_file,
    event_file,
    query,
    row_file,
)
from ledger.kernel import read_side
from ledger.kernel.command import COMMAND_CLASSES
from ledger.nouns import COMMAND_DATA, EVENTS, FAMILIES, FAMILY_OF_COMMAND, NOUN_OF_STREAM

ASYNCAPI_FILE = "asyncapi.json"
VERSION = "1.1.0"
"""Of the contract as a whole; a new schema version of any message raises the minor number."""

_ID: Schema = {"type": "string", "format": "uuid"}
_POSITION_QUERY: Schema = {
    "type": "object",
    "properties": {"command_id": _ID, "event_id": _ID},
    "additionalProperties": False,
    "maxProperties": 1,
}
_POSITION: Schema = {
    "type": "object",
    "properties": {"of": {"type": "string"}, "position": {"type": "integer", "minimum": 0}},
    "required": ["of", "position"],
}

_SENT_BY = {
    "class": f"The command's class: {', '.join(COMMAND_CLASSES)}. Each message says its own.",
    "sender": "The name of the NATS user; `anonymous` on a server without users.",
}


def document() -> Schema:
    """What is sent and received on the bus, as the ledger sees it."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Trading ledger",
            "version": VERSION,
            "description": "Commands, their outcomes, and events, as CloudEvents over NATS.",
        },
        "defaultContentType": "application/json",
        "channels": _channels(),
        "operations": _operations(),
        "components": {"messages": _messages()},
    }


def _channels() -> Schema:
    return {
        "accountCommands": _channel(
            f"{COMMANDS_PREFIX}{{account_id}}.{{class}}.{{sender}}",
            f"Commands about an account, to the JetStream stream {COMMANDS_STREAM}.",
            {"account_id": "The account's id, a UUID in lower case with hyphens."} | _SENT_BY,
            [name for name, family in FAMILY_OF_COMMAND.items() if family is None],
        ),
        **{
            f"{family}Commands": _channel(
                f"{COMMANDS_PREFIX}{family}.{{class}}.{{sender}}",
                f"Commands about {family}, to the JetStream stream {COMMANDS_STREAM}.",
                _SENT_BY,
                [name for name, its in FAMILY_OF_COMMAND.items() if its == family],
            )
            for family in sorted(FAMILIES)
        },
        "outcomes": {
            "address": None,
            "description": f"The subject that the header {REPLY_TO} names.",
            "messages": {"Outcome": {"$ref": "#/components/messages/Outcome"}},
        },
        "outcomeQuestions": {
            "address": OUTCOMES_SUBJECT,
            "description": "Asks what became of a command.",
            "messages": {"Question": {"$ref": "#/components/messages/Question"}},
        },
        **{_query_channel(name): _queries(name) for name in _questions()},
        **{_answer_channel(name): _answers(name) for name in _questions()},
        "events": _channel(
            f"{EVENTS_PREFIX}.{{stream_type}}.{{event}}.{{account_id}}",
            f"Every event in position order, in the JetStream stream {EVENTS_STREAM}.",
            {
                "stream_type": f"{', '.join(sorted(NOUN_OF_STREAM))}.",
                "event": "The event's type behind its stream type.",
                "account_id": "The account's id, or the family of a noun of no account: "
                f"{', '.join(sorted(FAMILIES))}.",
            },
            sorted(EVENTS),
        ),
    }


def _operations() -> Schema:
    return {
        "decideAccountCommand": _operation("receive", "accountCommands", reply=REPLY_TO),
        **{
            f"decide_{family}": _operation("receive", f"{family}Commands", reply=REPLY_TO)
            for family in sorted(FAMILIES)
        },
        "tellOutcome": _operation("receive", "outcomeQuestions", reply=None),
        **{
            f"answer_{name}": {
                "action": "receive",
                "channel": {"$ref": f"#/channels/{_query_channel(name)}"},
                "reply": {"channel": {"$ref": f"#/channels/{_answer_channel(name)}"}},
            }
            for name in _questions()
        },
        "publishEvent": _operation("send", "events"),
    }


def _messages() -> Schema:
    return {
        **{name: _command(name) for name in COMMAND_DATA},
        **{name: _event(name) for name in sorted(EVENTS)},
        "Outcome": {
            "contentType": "application/json",
            "payload": {"$ref": OUTCOME_FILE},
        },
        **{_query_channel(name): _json(_query(name)) for name in _questions()},
        **{_answer_channel(name): _json(_answer(name)) for name in _questions()},
        "Question": {
            "contentType": "text/plain",
            "payload": {"type": "string", "format": "uuid"},
        },
    }


def _channel(
    address: str, description: str, parameters: dict[str, str], messages: list[str]
) -> Schema:
    channel: dict[str, Any] = {"address": address, "description": description}
    if parameters:
        channel["parameters"] = {name: {"description": text} for name, text in parameters.items()}
    channel["messages"] = {name: {"$ref": f"#/components/messages/{name}"} for name in messages}
    return channel


def _operation(action: str, channel: str, **reply: str | None) -> Schema:
    operation: Schema = {"action": action, "channel": {"$ref": f"#/channels/{channel}"}}
    if reply:
        answer: Schema = {"channel": {"$ref": "#/channels/outcomes"}}
        if reply["reply"]:
            answer["address"] = {"location": f"$message.header#/{reply['reply']}"}
        operation["reply"] = answer
    return operation


# --- questions and answers --------------------------------------------------------------


def _questions() -> list[str]:
    return [*read_side.questions(), POSITION_OF]


def _query_channel(name: str) -> str:
    return f"query_{name}"


def _answer_channel(name: str) -> str:
    return f"answer_{name}"


def _queries(name: str) -> Schema:
    what = "How far the log and the read models are."
    if name != POSITION_OF:
        what = read_side.question(name).about
    return {
        "address": f"{QUERY_PREFIX}.{name}",
        "description": f"{what} A service of the NATS services framework. Below this subject, with "
        "an account's id as a further token, for that account.",
        "messages": {"Query": {"$ref": f"#/components/messages/{_query_channel(name)}"}},
    }


def _answers(name: str) -> Schema:
    return {
        "address": None,
        "description": "The reply subject of the request.",
        "messages": {"Answer": {"$ref": f"#/components/messages/{_answer_channel(name)}"}},
    }


def _query(name: str) -> Schema:
    return _POSITION_QUERY if name == POSITION_OF else query(name)


def _answer(name: str) -> Schema:
    return answer(_POSITION if name == POSITION_OF else {"$ref": row_file(name)})


def _json(payload: Schema) -> Schema:
    return {"contentType": "application/json", "payload": payload}


def _command(name: str) -> Schema:
    return {
        "name": name,
        "summary": f"Of the class {COMMAND_DATA[name].command_class}.",
        "contentType": "application/cloudevents+json",
        "headers": {
            "type": "object",
            "properties": {REPLY_TO: {"type": "string", "description": "For the outcome."}},
        },
        "payload": {"$ref": command_file(name)},
    }


def _event(name: str) -> Schema:
    return {
        "name": name,
        "contentType": "application/cloudevents+json",
        "headers": {
            "type": "object",
            "properties": {
                MESSAGE_ID: {"type": "string", "format": "uuid", "description": "The event's id."},
                POSITION: {"type": "string", "description": "Its place in the log."},
            },
            "required": [MESSAGE_ID, POSITION],
        },
        "payload": {"$ref": event_file(name)},
    }
