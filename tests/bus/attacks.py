"""All there is to send on a bus with users, and every kind of reply subject to send it with."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from ledger.bus import connection
from ledger.bus.command_subjects import command_subject
from ledger.bus.events import EVENTS_STREAM
from ledger.bus.followers import FOLLOWERS_STREAM
from ledger.bus.seal_stream import SEALS_STREAM, SEALS_SUBJECT

VICTIM = "strategy-8"
STREAMS = (connection.COMMANDS_STREAM, EVENTS_STREAM, FOLLOWERS_STREAM, SEALS_STREAM)
OF_STREAMS = (
    *("CREATE", "UPDATE", "INFO", "DELETE", "PURGE", "SNAPSHOT", "RESTORE"),
    *("MSG.DELETE", "MSG.GET", "PEER.REMOVE", "PEER.EVACUATE", "CANCEL_MOVE", "LEADER.STEPDOWN"),
)
OF_CONSUMERS = (
    *("CREATE", "DURABLE.CREATE", "INFO", "DELETE", "PAUSE", "RESET", "UNPIN", "MSG.NEXT"),
    *("LEADER.STEPDOWN", "NAMES", "LIST"),
)
OF_SERVERS = (
    *("INFO", "STREAM.NAMES", "STREAM.LIST", "META.LEADER.STEPDOWN", "META.RESCUE"),
    *("SERVER.REMOVE", "SERVER.EVACUATE", "ACCOUNT.PURGE.LEDGER"),
    *("ACCOUNT.STREAM.MOVE.LEDGER.LEDGER_COMMANDS", "ACCOUNT.STREAM.CANCEL_MOVE.LEDGER.X"),
)
"""The verbs of JetStream, from the server's source (server/jetstream_api.go, 2.15)."""


def everything(own: str, mine: UUID, theirs: UUID) -> Iterator[tuple[str, bytes]]:
    """Subjects and bodies: all there is to ask and to send."""
    for prefix in ("$JS.API", connection.LEDGER_API, connection.WITNESS_API):
        yield from _of_jetstream(own, mine, theirs, prefix)
    yield from _of_the_ledger(own, mine, theirs)
    for user in (own, VICTIM):
        yield f"ledger.followers.{user}.{user}", b"{}"
        yield f"_INBOX.{user}.overheard", b"{}"
        yield f"$JS.ACK.{EVENTS_STREAM}.{user}.1.1.1.1.0", b"+NXT"
        yield f"$JS.ACK.{connection.COMMANDS_STREAM}.{user}.1.1.1.1.0", b""
    for subject in OTHERS:
        yield subject, b""


OTHERS = (
    *(SEALS_SUBJECT, "ledger.outcomes.get", "ledger.query.balances", "ledger.anything"),
    *("$SRV.PING", "$SRV.STATS", "$SYS.REQ.SERVER.PING", "$SYS.REQ.ACCOUNT.LEDGER.INFO"),
    *("$JS.FC.LEDGER_EVENTS.x.y", "$KV.x.y", "$OBJ.x.y", "_R_.x.y"),
)


def _of_jetstream(own: str, mine: UUID, theirs: UUID, prefix: str) -> Iterator[tuple[str, bytes]]:
    for verb in OF_SERVERS:
        yield f"{prefix}.{verb}", b""
    for stream in STREAMS:
        for verb in OF_STREAMS:
            for body in (b"", as_json(name=stream, subjects=["x.>"]), as_json(seq=1)):
                yield f"{prefix}.STREAM.{verb}.{stream}", body
        yield f"{prefix}.DIRECT.GET.{stream}", as_json(seq=1)
        for consumer in (own, VICTIM, f"{own}-{mine}"):
            for body in _bodies(stream, consumer, mine, theirs):
                for verb in OF_CONSUMERS:
                    yield f"{prefix}.CONSUMER.{verb}.{stream}.{consumer}", body
                for which in (f"*.*.{mine}", f"*.*.{theirs}", ">"):
                    made = f"{stream}.{consumer}.ledger.events.{which}"
                    yield f"{prefix}.CONSUMER.CREATE.{made}", body
                    yield f"{connection.CONSUMER_GUARD}{made}", body


def _of_the_ledger(own: str, mine: UUID, theirs: UUID) -> Iterator[tuple[str, bytes]]:
    for about in (mine, theirs, "instruments"):
        for command_class in ("trade", "report", "money", "admin", "none"):
            for sender in (own, VICTIM, "ledger"):
                yield command_subject(str(about), command_class, sender), b"{}"
        for question in ("balances", "position-of"):
            yield f"ledger.query.{question}.{about}", b"{}"
        yield f"ledger.events.account.deposited.{about}", b"{}"


def _bodies(stream: str, consumer: str, mine: UUID, theirs: UUID) -> Iterator[bytes]:
    yield b""
    yield as_json(batch=1, no_wait=True)
    yield as_json(batch=1, expires=1_000_000)
    for filter_subject in (f"ledger.events.*.*.{mine}", f"ledger.events.*.*.{theirs}"):
        for speaks_to in (None, f"_INBOX.{VICTIM}.overheard", "ledger.outcomes.get",
                          f"$JS.API.CONSUMER.MSG.NEXT.{EVENTS_STREAM}.{VICTIM}"):  # fmt: skip
            config: dict[str, Any] = {"name": consumer, "filter_subject": filter_subject}
            if speaks_to is not None:
                config |= {"deliver_subject": speaks_to, "ack_policy": "none"}
            yield as_json(stream_name=stream, config=config)


def as_json(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def replies(own: str, theirs: UUID) -> Iterator[str]:
    """Where an answer could do harm, or be read by another."""
    yield ""
    yield f"_INBOX.{own}.mine"
    yield f"_INBOX.{VICTIM}.overheard"
    for stream in STREAMS:
        for verb in ("PURGE", "DELETE", "MSG.DELETE"):
            yield f"$JS.API.STREAM.{verb}.{stream}"
    yield f"$JS.API.CONSUMER.DELETE.{EVENTS_STREAM}.{VICTIM}"
    yield f"$JS.API.CONSUMER.MSG.NEXT.{EVENTS_STREAM}.{VICTIM}"
    yield f"$JS.ACK.{EVENTS_STREAM}.{VICTIM}.1.1.1.1.0"
    yield command_subject(str(theirs), "trade", VICTIM)
    yield f"ledger.events.account.deposited.{theirs}"
    yield f"ledger.followers.{VICTIM}.{VICTIM}"
    yield SEALS_SUBJECT


HEADERS = (None, {"Nats-Trace-Dest": f"_INBOX.{VICTIM}.overheard"}, {"Nats-Rollup": "all"})
