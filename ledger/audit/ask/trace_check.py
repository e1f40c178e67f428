"""Whether the inbox and the log say the same of a command.

What the inbox says of a command that was accepted is in the metadata of its events as well, where
it is sealed with them. (What is in the inbox alone is held by its journal: `audit verify`.)
"""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

import orjson

from ledger.eventstore.reader import RecordedEvent

_SAID_TWICE = {"command_type": "type", "source": "source", "sender": "sender"}
"""What the metadata of each event says of its command, and what to call it."""
_REFERENCE = ("type", "stream_id", "version", "position")


def differences(
    inbox: Mapping[str, Any], outcome: Mapping[str, Any], events: Iterable[RecordedEvent]
) -> list[str]:
    """One sentence for each thing that the inbox says otherwise than the log. `inbox` has the
    columns that the log has too, `events` are those that name the command."""
    found = []
    of_command = {event.id: event for event in events}
    for event in of_command.values():
        metadata = orjson.loads(event.metadata)
        found += [
            f"the inbox says {name} {inbox[column]!r}, the event at position {event.position} "
            f"says {metadata.get(column)!r}"
            for column, name in _SAID_TWICE.items()
            if inbox[column] != metadata.get(column)
        ]
    named = {UUID(reference["id"]): reference for reference in outcome.get("events", ())}
    for event_id, reference in named.items():
        if event_id not in of_command:
            found.append(
                f"the inbox says that it made event {event_id} at position "
                f"{reference.get('position')}, the log has no such event of this command"
            )
            continue
        event = of_command[event_id]
        logged = (event.event_type, str(event.stream_id), event.event_version, event.position)
        found += [
            f"the inbox says {name} {reference.get(name)!r} of event {event_id}, the log {said!r}"
            for name, said in zip(_REFERENCE, logged, strict=True)
            if reference.get(name) != said
        ]
    found += [
        f"the event at position {event.position} names this command, its outcome in the inbox "
        "does not name the event"
        for event_id, event in of_command.items()
        if event_id not in named
    ]
    return list(dict.fromkeys(found))
