"""The tree of what caused what: from a service's command through events to the money that moved.

    command   what a service sent                          command_inbox
      event   what it made happen; its cause is the command, or the event before it
        event   what followed, down to the postings and holds of an account
          command   what a service sent because of the event, where it says so (causationid)

A trace can be asked for by the id of a command, an event, an order or a correlation. It holds
every command that belongs to it, with all events of each, and begins with those that nothing
known here caused. Where the inbox says of a command what its events do not, the command's node
says so (trace_check.py).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
import psycopg

from ledger.audit.ask.trace_check import differences
from ledger.eventstore.reader import COLUMNS, RecordedEvent
from ledger.kernel.errors import LedgerError
from ledger.kernel.money import shown
from ledger.nouns.accounts.events import AccountEvent

MAX_COMMANDS = 1_000
"""Commands in one trace: more than anybody reads, and a few seconds of work."""


class UnknownId(LedgerError, LookupError):
    """Nothing has this id."""


@dataclass
class Node:
    """A command or an event, and what it caused."""

    kind: str
    id: UUID
    name: str
    time: datetime
    position: int | None = None
    recorded_at: datetime | None = None
    stream_id: UUID | None = None
    version: int | None = None
    status: str | None = None
    code: str | None = None
    source: str | None = None
    """Of an event, too: its command's, as the event has it under its seal."""
    sender: str | None = None
    actor: str | None = None
    reason: str | None = None
    reference: str | None = None
    differences: list[str] = field(default_factory=list)
    """What the inbox says of a command otherwise than its events do."""
    effects: list[str] = field(default_factory=list)
    children: list["Node"] = field(default_factory=list)


@dataclass
class Trace:
    """`asked` is what the id was found to be: command, event, order or correlation."""

    id: UUID
    asked: str
    roots: list[Node]
    complete: bool
    """False when there is more than MAX_COMMANDS."""


def trace(connection: psycopg.Connection[Any], wanted: UUID) -> Trace:
    """The trace of a command, event, order or correlation. Raises UnknownId."""
    asked, commands, events = _found(connection, wanted)
    known = {event.id: event for event in events}
    pending, complete = list(commands), True
    inbox: dict[UUID, Any] = {}
    while pending:
        if len(inbox) >= MAX_COMMANDS:
            complete = False
            break
        rows = _inbox(connection, pending[:MAX_COMMANDS])
        inbox |= rows
        of_these = _events_of(connection, rows)
        known |= {event.id: event for event in of_these}
        linked = _linked(connection, of_these)
        pending = [command for command in linked if command not in inbox]
    return Trace(wanted, asked, _tree(inbox, known.values()), complete)


_INBOX = """
    SELECT command_id, command_type, source, status, code, outcome, decided_at, sender
    FROM command_inbox WHERE command_id = ANY(%s)"""
_EVENTS = f"SELECT {COLUMNS} FROM event_store WHERE "
_LINKED = """
    SELECT DISTINCT metadata->>'command_id' FROM event_store
    WHERE metadata ? 'caused_by' AND metadata->>'caused_by' = ANY(%s)"""


def _found(
    connection: psycopg.Connection[Any], wanted: UUID
) -> tuple[str, list[UUID], list[RecordedEvent]]:
    """What the id is, the commands it leads to, and events that no command is known of."""
    if _inbox(connection, [wanted]):
        return "command", [wanted], []
    for asked, condition in (
        ("event", "id = %s"),
        ("stream", "stream_id = %s"),
        ("correlation", "correlation_id = %s"),
    ):
        events = _select(connection, f"{condition} ORDER BY position LIMIT 10000", wanted)
        if events:
            if asked == "stream":
                asked = events[0].stream_type
            commands = dict.fromkeys(found for event in events if (found := _command_of(event)))
            return asked, list(commands), events
    raise UnknownId(
        f"no command, event, order or correlation has the id {wanted}: check the id, and that "
        "LEDGER_DATABASE_URL is the ledger it is of"
    )


def _inbox(connection: psycopg.Connection[Any], ids: Iterable[UUID]) -> dict[UUID, Any]:
    return {row[0]: row for row in connection.execute(_INBOX, (list(ids),))}


def _events_of(connection: psycopg.Connection[Any], rows: dict[UUID, Any]) -> list[RecordedEvent]:
    """The events that the outcomes name, and those that name the commands as their cause: an
    outcome that was altered may not name its own."""
    positions = [event["position"] for row in rows.values() for event in row[5].get("events", ())]
    named = _select(connection, "position = ANY(%s)", positions) if positions else []
    caused = _select(connection, "causation_id = ANY(%s)", list(rows)) if rows else []
    return list({event.id: event for event in (*named, *caused)}.values())


def _linked(connection: psycopg.Connection[Any], events: list[RecordedEvent]) -> list[UUID]:
    """Commands that were sent because of these events, and those whose events made services
    send these."""
    found = connection.execute(_LINKED, ([str(event.id) for event in events],)).fetchall()
    commands = [UUID(row[0]) for row in found if row[0]]
    causes = [cause for event in events if (cause := _metadata_id(event, "caused_by"))]
    causing = _select(connection, "id = ANY(%s)", causes) if causes else []
    commands += [command for event in causing if (command := _command_of(event))]
    return list(dict.fromkeys(commands))


def _select(
    connection: psycopg.Connection[Any], condition: str, parameter: Any
) -> list[RecordedEvent]:
    with connection.cursor(binary=True) as cursor:
        cursor.execute((_EVENTS + condition).encode(), (parameter,))
        return [RecordedEvent(*row) for row in cursor]


def _command_of(event: RecordedEvent) -> UUID | None:
    return _metadata_id(event, "command_id")


def _metadata_id(event: RecordedEvent, name: str) -> UUID | None:
    value = orjson.loads(event.metadata).get(name)
    try:
        return UUID(value) if value else None
    except ValueError:
        return None  # whoever sent it may have ids of another kind


# --- the tree -------------------------------------------------------------------------


def _tree(inbox: dict[UUID, Any], events: Iterable[RecordedEvent]) -> list[Node]:
    in_order = sorted(events, key=lambda event: event.position)
    of_commands: dict[UUID | None, list[RecordedEvent]] = {}
    for event in in_order:
        of_commands.setdefault(_command_of(event), []).append(event)
    nodes = {
        command: _command_node(row, of_commands.get(command, [])) for command, row in inbox.items()
    }
    because: dict[UUID, UUID | None] = dict.fromkeys(nodes)
    for event in in_order:
        nodes[event.id] = _event_node(event)
        because[event.id] = event.causation_id
        command = _command_of(event)
        if command in inbox and because[command] is None:
            because[command] = _metadata_id(event, "caused_by")
    roots: list[Node] = []
    for of_node, node in nodes.items():
        cause = because[of_node]
        parent = nodes.get(cause) if cause is not None and cause != of_node else None
        (roots if parent is None else parent.children).append(node)
    for node in nodes.values():
        node.children.sort(key=_place)
    return sorted(roots, key=_place)


def _place(node: Node) -> tuple[datetime, int]:
    """Commands of one batch were decided at one time; their events tell which came first."""
    caused = (child.position for child in node.children if child.position)
    return (node.recorded_at or node.time, node.position or min(caused, default=0))


def _command_node(row: Any, events: list[RecordedEvent]) -> Node:
    said = {"command_type": row[1], "source": row[2], "sender": row[7]}
    return Node(
        kind="command",
        id=row[0],
        name=row[1],
        time=row[6],
        source=row[2],
        sender=row[7],
        status=row[3],
        code=row[4],
        differences=differences(said, row[5], events),
    )


def _event_node(event: RecordedEvent) -> Node:
    decoded, metadata = event.decoded(), orjson.loads(event.metadata)
    return Node(
        kind="event",
        id=event.id,
        name=event.event_type,
        time=event.occurred_at,
        position=event.position,
        recorded_at=event.recorded_at,
        stream_id=event.stream_id,
        version=event.event_version,
        source=metadata.get("source"),
        sender=metadata.get("sender"),
        actor=_said(decoded, "actor"),
        reason=_said(decoded, "reason"),
        reference=_said(decoded, "reference"),
        effects=effects(event),
    )


def _said(event: object, name: str) -> str | None:
    value = getattr(event, name, None)
    return None if value is None else str(value)


def effects(recorded: RecordedEvent) -> list[str]:
    """What the event did to money: `main +0.04 BTC TRADE`, `main locks 2000 USDT`."""
    event = recorded.decoded()
    if not isinstance(event, AccountEvent):
        return []
    moved = [
        f"{posting.book} {'+' if posting.amount > 0 else ''}{shown(posting.amount)} "
        f"{posting.asset} {posting.reason}"
        for posting in event.postings
    ]
    held = [
        f"{hold.sub_account} {'locks' if hold.amount > 0 else 'frees'} "
        f"{shown(abs(hold.amount))} {hold.asset}"
        for hold in event.holds
        if hold.amount
    ]
    return moved + held
