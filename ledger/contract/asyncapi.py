"""The AsyncAPI 3 document: which message goes where. It refers to the schemas beside it."""

from typing import Any

from ledger.bus.command_subjects import COMMANDS_PREFIX
from ledger.bus.connection import COMMANDS_STREAM, OUTCOMES_SUBJECT, REPLY_TO
from ledger.bus.event_stream import EVENTS_STREAM
from ledger.bus.events import EVENTS_PREFIX, MESSAGE_ID, POSITION
from ledger.command_data import COMMAND_CLASSES, COMMAND_DATA
from ledger.contract.schemas import OUTCOME_FILE, Schema, command_file, event_file
from ledger.eventstore.codec import EVENT_CLASSES
from ledger.programs.queries import POSITION_OF, QUERY_PREFIX, QUESTIONS

ASYNCAPI_FILE = "asyncapi.json"
VERSION = "1.0.0"
"""Of the contract as a whole; a new schema version of any message raises the minor number."""

_ID: Schema = {"type": "string", "format": "uuid"}
_QUERY: Schema = {
    "type": "object",
    "properties": {
        "account_id": _ID,
        "order_id": _ID,
        "asset": {"type": "string"},
        "status": {"type": "string"},
        "limit": {"type": "integer", "minimum": 1},
        "min_position": {"type": "integer", "minimum": 0},
        "command_id": _ID,
        "event_id": _ID,
    },
    "additionalProperties": False,
}
_ANSWER: Schema = {
    "type": "object",
    "properties": {
        "position": {"type": "integer", "minimum": 0},
        "rows": {"type": "array", "items": {"type": "object"}},
        "more": {"type": "boolean"},
    },
    "required": ["position", "rows", "more"],
}

_SENT_BY = {
    "class": f"The command's class: {', '.join(COMMAND_CLASSES)}. Each message says its own.",
    "sender": "The name of the NATS user; `anonymous` on a server without users.",
}


def document() -> Schema:
    """What is sent and received on the bus, as the ledger sees it."""
    about_accounts = [name for name, model in COMMAND_DATA.items() if model.family is None]
    about_instruments = [name for name in COMMAND_DATA if name not in about_accounts]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Trading ledger",
            "version": VERSION,
            "description": "Commands, their outcomes, and events, as CloudEvents over NATS.",
        },
        "defaultContentType": "application/json",
        "channels": {
            "accountCommands": _channel(
                f"{COMMANDS_PREFIX}{{account_id}}.{{class}}.{{sender}}",
                f"Commands about an account, to the JetStream stream {COMMANDS_STREAM}.",
                {"account_id": "The account's id, a UUID in lower case with hyphens."} | _SENT_BY,
                about_accounts,
            ),
            "instrumentCommands": _channel(
                f"{COMMANDS_PREFIX}instruments.{{class}}.{{sender}}",
                f"Commands about instruments, to the JetStream stream {COMMANDS_STREAM}.",
                _SENT_BY,
                about_instruments,
            ),
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
            "queries": {
                "address": f"{QUERY_PREFIX}.{{question}}",
                "description": "The read models, as a service of the NATS services framework. "
                "Below each subject, with an account's id as a further token, for that account.",
                "parameters": {"question": {"enum": [*QUESTIONS, POSITION_OF]}},
                "messages": {"Query": {"$ref": "#/components/messages/Query"}},
            },
            "answers": {
                "address": None,
                "description": "The reply subject of the request.",
                "messages": {"Answer": {"$ref": "#/components/messages/Answer"}},
            },
            "events": _channel(
                f"{EVENTS_PREFIX}.{{stream_type}}.{{event}}.{{account_id}}",
                f"Every event in position order, in the JetStream stream {EVENTS_STREAM}.",
                {
                    "stream_type": "account, order, allocation or instrument.",
                    "event": "The event's type behind its stream type.",
                    "account_id": "The account's id; `instruments` for events of instruments.",
                },
                sorted(EVENT_CLASSES),
            ),
        },
        "operations": {
            "decideAccountCommand": _operation("receive", "accountCommands", reply=REPLY_TO),
            "decideInstrumentCommand": _operation("receive", "instrumentCommands", reply=REPLY_TO),
            "tellOutcome": _operation("receive", "outcomeQuestions", reply=None),
            "answerQuery": {
                "action": "receive",
                "channel": {"$ref": "#/channels/queries"},
                "reply": {"channel": {"$ref": "#/channels/answers"}},
            },
            "publishEvent": _operation("send", "events"),
        },
        "components": {
            "messages": {
                **{name: _command(name) for name in COMMAND_DATA},
                **{name: _event(name) for name in sorted(EVENT_CLASSES)},
                "Outcome": {
                    "contentType": "application/json",
                    "payload": {"$ref": OUTCOME_FILE},
                },
                "Query": {"contentType": "application/json", "payload": _QUERY},
                "Answer": {"contentType": "application/json", "payload": _ANSWER},
                "Question": {
                    "contentType": "text/plain",
                    "payload": {"type": "string", "format": "uuid"},
                },
            }
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
