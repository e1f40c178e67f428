"""What an event says by the rules: which alerts it opens, and which it resolves."""

import string
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from ledger.alerting.rules import AlertRule, Rules
from ledger.eventstore.reader import RecordedEvent
from ledger.kernel.consequence import Said, id_of
from ledger.kernel.fields import MAX_TEXT_LENGTH
from ledger.nouns.alerts.commands import MAX_ENTITY, MAX_TITLE, RaiseAlert, ResolveAlert
from ledger.nouns.alerts.state import stream_id

_ACCOUNT = "account"


def said_of(
    events: Iterable[RecordedEvent], rules: Rules, channels: Iterable[str]
) -> Iterator[Said]:
    """In the order of the events."""
    of_type: dict[str, list[AlertRule]] = {}
    for rule in rules.of_events:
        for one in {*rule.events, *rule.resolved_by}:
            of_type.setdefault(one, []).append(rule)
    every = tuple(channels)
    for event in events:
        fields: Mapping[str, str] | None = None
        for rule in of_type.get(event.event_type, ()):
            fields = _fields(event) if fields is None else fields
            said = _opened if event.event_type in rule.events else _resolved
            yield from said(rule, event, fields, every)


def _opened(
    rule: AlertRule, event: RecordedEvent, fields: Mapping[str, str], every: tuple[str, ...]
) -> Iterator[Said]:
    if any(fields.get(name) not in wanted for name, wanted in rule.where.items()):
        return
    message = text_of(string.Template(rule.message).safe_substitute(fields))
    account = fields.get("account_id")
    yield Said(
        id_of("raise", rule.name, event.id),
        RaiseAlert(
            rule=rule.name,
            entity_type=rule.entity_type,
            entity_id=entity_of(rule, fields),
            severity=rule.severity,
            title=line_of(string.Template(rule.title).safe_substitute(fields)),
            message=message,
            channels=every if rule.channels is None else rule.channels,
            runbook=rule.runbook,
            cause=event.id,
            account_id=account if account else None,
            metadata={"event": event.event_type, "position": event.position},
            occurred_at=event.recorded_at,
        ),
        event.id,
        event.correlation_id,
    )


def _resolved(
    rule: AlertRule, event: RecordedEvent, fields: Mapping[str, str], _: tuple[str, ...]
) -> Iterator[Said]:
    alert_id = stream_id(rule.name, rule.entity_type, entity_of(rule, fields))
    yield Said(
        id_of("resolve", rule.name, event.id),
        ResolveAlert(alert_id=alert_id, by_itself=True, reason=event.event_type, cause=event.id),
        event.id,
        event.correlation_id,
    )


def entity_of(rule: AlertRule, fields: Mapping[str, str]) -> str:
    return "" if rule.entity is None else fields.get(rule.entity, "")[:MAX_ENTITY]


def _fields(event: RecordedEvent) -> dict[str, str]:
    """What a title may name: what the event says, and what is said of it."""
    data: dict[str, Any] = orjson.loads(event.data)
    said = {name: _shown(value) for name, value in data.items()}
    if event.stream_type == _ACCOUNT:
        said["account_id"] = str(event.stream_id)
    return said | {
        "type": event.event_type,
        "position": str(event.position),
        "stream_id": str(event.stream_id),
        "event_id": str(event.id),
        "occurred_at": event.occurred_at.isoformat(),
    }


def _shown(value: object) -> str:
    if isinstance(value, str):
        return value
    return orjson.dumps(value).decode()


def line_of(text: str) -> str:
    """One line that a title may be: whatever somebody else wrote makes no line of its own."""
    shown = "".join(one if one.isprintable() else " " for one in text).strip()
    return (shown or "-")[:MAX_TITLE]


def text_of(text: str) -> str | None:
    kept = text.replace("\x00", " ").strip()[:MAX_TEXT_LENGTH]
    return kept or None
