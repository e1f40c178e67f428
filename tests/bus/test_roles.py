"""The bus under attack: every role sends everything there is to send, with every kind of reply
subject, and nothing happens but what it is granted.

A reply subject is not checked by the server. Who may ask JetStream for anything could have the
server speak to JetStream in its own name: that is what accounts of their own are for.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from itertools import repeat
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import nats
import nats.errors
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import api
from nats.protocol.parser import Parser
from uuid_utils.compat import uuid7

from ledger.bus import connection as bus
from ledger.bus import wire
from ledger.bus.command_stream import ensure_commands_stream
from ledger.bus.command_subjects import COMMANDS_PREFIX, command_subject
from ledger.bus.connection import Connection
from ledger.bus.event_stream import ensure_events_stream
from ledger.bus.events import EVENTS_STREAM
from ledger.bus.followers import FOLLOWERS_STREAM
from ledger.bus.seal_stream import SEALS_STREAM, SEALS_SUBJECT
from ledger.bus.security import BusSecurity
from ledger.operate.settings import Settings
from ledger.programs.consumer_guard import consumers_guarded
from tests.bus.attacks import HEADERS, OF_STREAMS, STREAMS, VICTIM, as_json, everything, replies
from tests.bus.secured import SecuredBus

SECONDS = 10
PATIENCE_SECONDS = 100
"""Until the server has denied everything: hundreds of thousands of times."""


class Scene(NamedTuple):
    """A bus with streams that have something in them, a victim, and the attackers."""

    bus: SecuredBus
    ledger: Connection
    users: dict[str, BusSecurity]
    account: UUID
    victims_account: UUID
    overheard: list[str]
    """What the victim's inboxes got."""


@pytest.fixture
async def scene(server_directory: Path) -> AsyncIterator[Scene]:
    secured = SecuredBus(server_directory)
    account, victims_account = uuid7(), uuid7()
    users = {
        "ledger": secured.add_user("ledger", "ledger"),
        "service": secured.add_user("service", "strategy-7", accounts=[account]),
        "victim": secured.add_user("service", VICTIM, accounts=[victims_account]),
        "auditor": secured.add_user("auditor", "auditor"),
        "operator": secured.add_user("operator", "olga"),
        "sender": secured.add_user("sender", "web"),
        "administrator": secured.add_user("administrator", "root"),
    }
    overheard: list[str] = []

    async def overhear(message: Msg) -> None:
        overheard.append(message.subject)

    with secured.running():
        ledger = await bus.connect_once(secured.url, "ledger", security=users["ledger"])
        victim = await bus.connect_once(secured.url, "victim", security=users["victim"])
        await victim.subscribe(f"_INBOX.{VICTIM}.overheard", cb=overhear)
        await _make_streams(ledger, victims_account)
        async with consumers_guarded(ledger):
            await ledger.subscribe("ledger.query.*.*", queue="ledger", cb=_answer)
            await ledger.subscribe("ledger.outcomes.get", queue="ledger", cb=_answer)
            await ledger.flush()
            await victim.flush()
            yield Scene(secured, ledger, users, account, victims_account, overheard)
        await victim.close()
        await ledger.close()


async def _answer(question: Msg) -> None:
    if question.reply:
        await question.respond(b"{}")


async def _make_streams(ledger: Connection, victims_account: UUID) -> None:
    await ensure_commands_stream(ledger, Settings())
    jetstream, witness = ledger.jetstream(), ledger.witness()
    await ensure_events_stream(jetstream, Settings())
    await jetstream.add_stream(
        name=FOLLOWERS_STREAM, subjects=["ledger.followers.*.*"], allow_direct=True
    )
    await witness.add_stream(
        name=SEALS_STREAM,
        subjects=[SEALS_SUBJECT],
        allow_direct=True,
        deny_delete=True,
        deny_purge=True,
    )
    await jetstream.publish(f"ledger.events.account.opened.{victims_account}", b"{}")
    await jetstream.publish(SEALS_SUBJECT, b"{}")
    await jetstream.add_consumer(
        EVENTS_STREAM, api.ConsumerConfig(name=VICTIM, durable_name=VICTIM)
    )


_DENIALS = re.compile(rb"-ERR [^\r\n]*\r\n")


class _Heedless(Parser):
    """Passes over denials: there is one of nearly each of all these messages."""

    def __init__(self, connection: Client) -> None:
        super().__init__(connection)
        self._begun = b""

    async def parse(self, data: bytes = b"") -> None:
        read = self._begun + data
        whole_lines = read.rfind(b"\n") + 1
        self._begun = read[whole_lines:]
        await super().parse(_DENIALS.sub(b"", read[:whole_lines]))


async def _attack(scene: Scene, connection: Client, own: str) -> int:
    connection._ps = _Heedless(connection)
    answers = list(replies(own, scene.victims_account))
    headers = [*HEADERS, *repeat(None, len(answers) - len(HEADERS))]
    sent = 0
    for subject, body in everything(own, scene.account, scene.victims_account):
        messages = [
            wire.message(subject, body, reply=reply, headers=given)
            for reply, given in zip(answers, headers, strict=True)
        ]
        await wire.send(connection, messages)
        sent += len(messages)
    await connection.flush(PATIENCE_SECONDS)
    return sent


@pytest.mark.timeout(300)
@pytest.mark.parametrize("role", ["service", "auditor", "operator", "sender"])
async def test_whatever_a_role_sends_only_what_it_is_granted_happens(
    scene: Scene, role: str
) -> None:
    security = scene.users[role]
    assert security.user is not None
    before = await _state(scene)
    connection = await nats.connect(scene.bus.url, error_cb=_ignore, **security.options())
    everybody = (scene.account, scene.victims_account, "instruments")
    may_send: dict[str, list[tuple[object, str]]] = {
        "service": [(scene.account, "trade"), (scene.account, "report")],
        "auditor": [],
        "operator": [(about, "admin") for about in everybody],
        "sender": [(about, c) for about in everybody for c in ("trade", "admin")],
    }
    allowed = {command_subject(str(about), c, security.user) for about, c in may_send[role]}
    sent = await _attack(scene, connection, security.user)
    assert sent > 10_000
    # Once more with an answer: of a flood a stream that lags behind drops what it has no room for.
    for subject in allowed:
        await connection.request(subject, b"{}", timeout=SECONDS)
    await _answered(scene.ledger)
    await connection.close()

    after = await _state(scene)
    for stream in (EVENTS_STREAM, SEALS_STREAM):
        assert after.streams[stream] == before.streams[stream], stream
    for stream in (bus.COMMANDS_STREAM, FOLLOWERS_STREAM):
        assert after.streams[stream]["config"] == before.streams[stream]["config"]
    assert after.names == before.names
    assert after.victims_consumer == before.victims_consumer
    own = {security.user, f"{security.user}-{scene.account}"}
    assert after.consumers <= before.consumers | own
    assert await _subjects(scene, bus.COMMANDS_STREAM, f"{COMMANDS_PREFIX}>") == allowed
    places = await _subjects(scene, FOLLOWERS_STREAM, "ledger.followers.>")
    assert places <= {f"ledger.followers.{security.user}.{security.user}"}
    assert scene.overheard == []


@pytest.mark.timeout(300)
@pytest.mark.parametrize("role", ["ledger", "administrator"])
async def test_nobody_of_the_ledgers_own_changes_what_is_kept_of_the_seals(
    scene: Scene, role: str
) -> None:
    before = await _state(scene)
    connection = await nats.connect(scene.bus.url, error_cb=_ignore, **scene.users[role].options())
    harmful = [f"{bus.WITNESS_API}.STREAM.{verb}.{SEALS_STREAM}" for verb in OF_STREAMS]
    for prefix in ("$JS.API", bus.LEDGER_API, bus.WITNESS_API):
        for verb in OF_STREAMS:
            for body in (b"", as_json(name=SEALS_STREAM, subjects=["x.>"]), as_json(seq=1)):
                for reply in ("", *harmful):
                    subject = f"{prefix}.STREAM.{verb}.{SEALS_STREAM}"
                    await connection.publish(subject, body, reply=reply)
    await connection.flush()
    await _answered(scene.ledger)
    await connection.close()
    assert (await _state(scene)).streams[SEALS_STREAM] == before.streams[SEALS_STREAM]


async def test_the_ledgers_services_delete_no_stream_of_theirs(scene: Scene) -> None:
    asked = (
        *(f"STREAM.DELETE.{bus.COMMANDS_STREAM}", f"STREAM.PURGE.{EVENTS_STREAM}"),
        *(f"STREAM.MSG.DELETE.{EVENTS_STREAM}", f"STREAM.PURGE.{FOLLOWERS_STREAM}"),
    )
    answers = await asyncio.gather(
        *(
            scene.ledger.request(f"{bus.LEDGER_API}.{what}", as_json(seq=1), timeout=1)
            for what in asked
        ),
        return_exceptions=True,
    )
    assert [type(one) for one in answers if not isinstance(one, nats.errors.Error)] == []
    before = await _state(scene)
    assert set(before.streams) == set(STREAMS)


async def test_an_auditor_hears_the_heads_of_the_seals_and_reads_those_that_are_kept(
    scene: Scene,
) -> None:
    auditor = await bus.connect_once(scene.bus.url, "auditor", security=scene.users["auditor"])
    heard = await auditor.subscribe(SEALS_SUBJECT)
    await auditor.flush()
    while heard.pending_msgs == 0:  # a plain subscription may miss one; what is kept has all
        await scene.ledger.jetstream().publish(SEALS_SUBJECT, b"head")
        await auditor.flush()
    assert (await heard.next_msg(SECONDS)).data == b"head"
    kept = await auditor.witness().get_msg(SEALS_STREAM, seq=2, direct=True)
    assert kept.data == b"head"
    assert (await auditor.witness().stream_info(SEALS_STREAM)).config.deny_purge
    await auditor.close()


async def test_a_request_that_runs_out_is_answered_to_nobody_but_its_sender(scene: Scene) -> None:
    victim = await bus.connect_once(scene.bus.url, "victim", security=scene.users["victim"])
    subject = command_subject(str(scene.victims_account), "trade", VICTIM)
    for _ in range(100):
        await victim.jetstream().publish(subject, b"{}")
    await victim.close()
    attacker = await bus.connect_once(scene.bus.url, "x", security=scene.users["service"])
    wanted = f"ledger.events.*.*.{scene.account}"
    await attacker.jetstream().add_consumer(
        EVENTS_STREAM, api.ConsumerConfig(name="strategy-7", filter_subject=wanted)
    )
    asked = f"{attacker.api_prefix}.CONSUMER.MSG.NEXT.{EVENTS_STREAM}.strategy-7"
    for stream in STREAMS:
        for verb in ("DELETE", "PURGE"):
            for prefix in ("$JS.API", bus.LEDGER_API):
                reply = f"{prefix}.STREAM.{verb}.{stream}"
                await attacker.publish(asked, as_json(batch=1, expires=1_000_000), reply=reply)
    # The same request of its own is answered, so it was asked in earnest.
    answer = await attacker.request(asked, as_json(batch=1, expires=50_000_000), timeout=SECONDS)
    assert (answer.headers or {})["Status"] == "408"
    await attacker.close()
    state = (await scene.ledger.jetstream().stream_info(bus.COMMANDS_STREAM)).state
    assert state.messages == 100
    assert (await scene.ledger.witness().stream_info(SEALS_STREAM)).state.messages == 1


@pytest.mark.parametrize(
    "given",
    [
        {"deliver_subject": f"_INBOX.{VICTIM}.overheard"},
        {"deliver_subject": f"$JS.API.CONSUMER.MSG.NEXT.{EVENTS_STREAM}.{VICTIM}"},
        {"deliver_group": "ledger"},
        {"filter_subjects": ["ledger.events.>"], "filter_subject": None},
        {"filter_subject": "ledger.events.>"},
        {"name": VICTIM},
        {"durable_name": VICTIM},
    ],
)
async def test_users_get_only_consumers_that_speak_when_spoken_to(
    scene: Scene, given: dict[str, Any]
) -> None:
    attacker = await bus.connect_once(scene.bus.url, "x", security=scene.users["service"])
    wanted = f"ledger.events.*.*.{scene.account}"
    made = f"{EVENTS_STREAM}.strategy-7.{wanted}"
    config = {"name": "strategy-7", "filter_subject": wanted, "ack_policy": "none"}
    for what, refused in ((config, False), (config | given, True)):
        answer = await attacker.request(
            f"{bus.LEDGER_API}.CONSUMER.CREATE.{made}",
            as_json(stream_name=EVENTS_STREAM, config=what),
            timeout=SECONDS,
        )
        assert ("error" in json.loads(answer.data)) is refused
    await attacker.close()


async def test_a_revoked_user_is_gone_as_soon_as_the_server_has_read_its_users(
    scene: Scene,
) -> None:
    gone = asyncio.Event()

    async def ended() -> None:
        gone.set()

    connection = await nats.connect(
        scene.bus.url,
        error_cb=_ignore,
        closed_cb=ended,
        allow_reconnect=False,
        **scene.users["service"].options(),
    )
    scene.bus.revoke("strategy-7")
    await asyncio.wait_for(gone.wait(), SECONDS)
    assert connection.is_closed
    victim = await bus.connect_once(scene.bus.url, "victim", security=scene.users["victim"])
    await victim.jetstream().publish(
        command_subject(str(scene.victims_account), "trade", VICTIM), b"{}"
    )
    await victim.close()


# --- what there is ----------------------------------------------------------------------


class State(NamedTuple):
    names: set[str]
    streams: dict[str, dict[str, Any]]
    consumers: set[str]
    victims_consumer: tuple[Any, ...]


async def _state(scene: Scene) -> State:
    jetstream = scene.ledger.jetstream()
    streams = {}
    for name in STREAMS:
        of = scene.ledger.witness() if name == SEALS_STREAM else jetstream
        info = await of.stream_info(name)
        kept = (info.state.messages, info.state.first_seq, info.state.last_seq)
        streams[name] = {"config": info.config, "kept": kept, "created": info.created}
    found = await jetstream.consumer_info(EVENTS_STREAM, VICTIM)
    victims = (found.created, found.config, found.delivered, found.ack_floor)
    consumers = {one.name for one in await jetstream.consumers_info(EVENTS_STREAM)}
    names = {one.config.name or "" for one in await jetstream.streams_info()}
    return State(names, streams, consumers, victims)


async def _subjects(scene: Scene, stream: str, which: str) -> set[str]:
    """Under which a stream has messages."""
    info = await scene.ledger.jetstream().stream_info(stream, subjects_filter=which)
    return set(info.state.subjects or {})


async def _answered(connection: Connection) -> None:
    """Returns when the server has done what was asked of JetStream before, and what was asked for
    a millisecond has run out."""
    await connection.flush()
    name = "last"
    jetstream = connection.jetstream()
    new = api.ConsumerConfig(name=name, durable_name=name, deliver_policy=api.DeliverPolicy.NEW)
    await jetstream.add_consumer(EVENTS_STREAM, new)
    asked = f"{connection.api_prefix}.CONSUMER.MSG.NEXT.{EVENTS_STREAM}.{name}"
    await connection.request(asked, as_json(batch=1, no_wait=True), timeout=SECONDS)
    await connection.request(asked, as_json(batch=1, expires=100_000_000), timeout=SECONDS)
    await jetstream.delete_consumer(EVENTS_STREAM, name)


async def _ignore(_: Exception) -> None:
    """Most of what is sent is denied."""
