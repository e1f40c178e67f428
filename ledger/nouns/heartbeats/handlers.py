"""Heartbeats: what each of their commands means."""

from collections.abc import Iterator
from uuid import UUID

from ledger.kernel.command import Command
from ledger.kernel.noun import handles
from ledger.kernel.unit_of_work import UnitOfWork
from ledger.nouns.heartbeats import rules
from ledger.nouns.heartbeats.commands import (
    EndHeartbeat,
    MissHeartbeat,
    PromiseHeartbeat,
    SendHeartbeat,
)
from ledger.nouns.heartbeats.state import HEARTBEAT, stream_id
from ledger.nouns.limits.commands import ScopedCommandData
from ledger.nouns.limits.state import author


def _reads(_: Command, data: ScopedCommandData) -> Iterator[UUID]:
    yield stream_id(data.scope, data.of)


@handles(PromiseHeartbeat, reads=_reads)
def promise_heartbeat(work: UnitOfWork, data: PromiseHeartbeat) -> None:
    stream = stream_id(data.scope, data.of)
    events = rules.promise(
        work.state(HEARTBEAT, stream),
        scope=data.scope,
        reference=data.of,
        timeout_seconds=data.timeout_seconds,
        sender=data.sender,
        by=author(work.command),
        now=work.now,
    )
    work.record(HEARTBEAT, stream, events)


@handles(SendHeartbeat, reads=_reads)
def send_heartbeat(work: UnitOfWork, data: SendHeartbeat) -> None:
    stream = stream_id(data.scope, data.of)
    events = rules.hear(
        work.state(HEARTBEAT, stream),
        scope=data.scope,
        reference=data.of,
        sender=work.command.author,
        now=work.now,
    )
    work.record(HEARTBEAT, stream, events)


@handles(MissHeartbeat, reads=_reads)
def miss_heartbeat(work: UnitOfWork, data: MissHeartbeat) -> None:
    stream = stream_id(data.scope, data.of)
    events = rules.miss(
        work.state(HEARTBEAT, stream), scope=data.scope, reference=data.of, now=work.now
    )
    work.record(HEARTBEAT, stream, events)


@handles(EndHeartbeat, reads=_reads)
def end_heartbeat(work: UnitOfWork, data: EndHeartbeat) -> None:
    stream = stream_id(data.scope, data.of)
    events = rules.end(
        work.state(HEARTBEAT, stream),
        scope=data.scope,
        reference=data.of,
        reason=data.reason,
        resumes_at=data.resumes_at,
        by=author(work.command),
        now=work.now,
    )
    work.record(HEARTBEAT, stream, events)
