"""Who may do what on a bus with users: roles, as NATS accounts that import what they are granted.

    ledger          the ledger's own services: its streams, its answers
    administrator   streams and consumers of the ledger, all of JetStream but the kept heads; who is
                    one could do what any other user of the bus can
    operator        looks at everything, asks everything, sends commands of its classes for every
                    account, replays events; changes no stream
    sender          sends commands of its classes for every account, and asks for their outcomes:
                    the HTTP server and the clock, which read the database
    auditor         reads events, outcomes, read models and the heads of the seals; sends nothing
    service         sends commands of its classes, asks and follows events, for what it is granted

NATS checks where somebody publishes, and not to which subject the answer is to go: who may ask
JetStream for anything could have the answer sent, by the server, to JetStream itself. So everybody
but the ledger and its administrators is alone in an account, and what leaves it is its imports: a
reply is mapped by the server and comes back to the one who asked, whatever it was called. The
subjects of its commands and inboxes end or begin with its name; no other account has them.

In an account of its own `$JS.API` is the account's, which has no streams. That of the ledger is
imported as `$JS.LEDGER.API`, that of the kept heads as `$JS.WITNESS.API`.

A consumer that delivers by itself (deliver_subject) would have the server speak for its maker as
well. So users' consumers are made by `consumer_guard.py`.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple, get_args
from uuid import UUID

from ledger.bus.command_subjects import COMMANDS, command_subject
from ledger.bus.connection import CONSUMER_GUARD, OUTCOMES_SUBJECT
from ledger.bus.event_stream import ALL_EVENTS
from ledger.bus.events import EVENTS_PREFIX, EVENTS_STREAM
from ledger.bus.followers import FOLLOWERS_PREFIX, FOLLOWERS_STREAM
from ledger.bus.queries import QUERY_PREFIX
from ledger.bus.seal_stream import SEALS_STREAM, SEALS_SUBJECT
from ledger.bus.security import inbox_prefix
from ledger.kernel.command import CommandClass

Role = Literal["ledger", "administrator", "operator", "sender", "auditor", "service"]
ROLES: tuple[Role, ...] = get_args(Role)
OF_THE_LEDGER: tuple[Role, ...] = ("ledger", "administrator")
"""Roles whose users are in the ledger's own account."""
USUAL_CLASSES: dict[Role, tuple[CommandClass, ...]] = {
    "service": ("trade", "report"),
    "operator": ("admin",),
    "sender": ("trade", "admin"),
}
"""What a user of the role may send when nothing is said: none that moves money by itself."""
LEDGER, WITNESS = "LEDGER", "WITNESS"
REPLAY_PREFIX = "replay"

_API = "$JS.API"
_SEEING = ("INFO", "STREAM.NAMES", "STREAM.LIST", "STREAM.INFO.*", "STREAM.MSG.GET.*",
           "DIRECT.GET.>", "CONSUMER.NAMES.*", "CONSUMER.LIST.*", "CONSUMER.INFO.*.*")  # fmt: skip
"""What looks at streams and consumers and changes none."""
_MAKING = ("STREAM.CREATE.*", "STREAM.UPDATE.*", "STREAM.PURGE.LEDGER_COMMANDS", "CONSUMER.>")
"""What the ledger's services do with their streams, beside seeing."""
_OF_SEALS = (f"STREAM.INFO.{SEALS_STREAM}", f"DIRECT.GET.{SEALS_STREAM}",
             f"DIRECT.GET.{SEALS_STREAM}.>")  # fmt: skip

Section = dict[str, Any]


class Asked(NamedTuple):
    """What an account may ask another: the subject there, and as it is spelled here."""

    of: str
    subject: str
    here: str


class Grant(NamedTuple):
    """What a user may ask, and what it hears."""

    asks: list[Asked]
    hears: list[str]


def of_service(
    name: str, accounts: Sequence[UUID], families: Sequence[str], may: Sequence[CommandClass]
) -> Grant:
    about = [*map(str, accounts), *families]
    asks = [_ledger(OUTCOMES_SUBJECT)]
    for one in about:
        asks += [_ledger(command_subject(one, command_class, name)) for command_class in may]
        asks += [_ledger(f"{QUERY_PREFIX}.*.{one}")]
    asks += _following(name, name, [f"{EVENTS_PREFIX}.*.*.{one}" for one in about])
    for account in map(str, accounts):
        asks += _following(name, f"{name}-{account}", [f"{EVENTS_PREFIX}.*.*.{account}"])
    return Grant(asks, [f"{REPLAY_PREFIX}.{name}.>"])


def of_auditor(name: str) -> Grant:
    asks = [_ledger(OUTCOMES_SUBJECT), _ledger(f"{QUERY_PREFIX}.>"), _ledger("$SRV.>")]
    asks += [_ledger_api(what) for what in (f"STREAM.INFO.{EVENTS_STREAM}",
             f"STREAM.MSG.GET.{EVENTS_STREAM}", f"DIRECT.GET.{EVENTS_STREAM}",
             f"DIRECT.GET.{EVENTS_STREAM}.>")]  # fmt: skip
    asks += _following(name, name, [ALL_EVENTS])
    asks += [_witness_api(what) for what in _OF_SEALS]
    return Grant(asks, [ALL_EVENTS, SEALS_SUBJECT])


def of_operator(name: str, may: Sequence[CommandClass]) -> Grant:
    asks = [_ledger(OUTCOMES_SUBJECT), _ledger(f"{QUERY_PREFIX}.>"), _ledger("$SRV.>")]
    asks += [_ledger(command_subject("*", command_class, name)) for command_class in may]
    asks += [_ledger(f"{REPLAY_PREFIX}.>")]
    asks += [_ledger_api(what) for what in _SEEING]
    asks += [one for one in _following(name, name, [ALL_EVENTS]) if one not in asks]
    asks += [_witness_api(what) for what in _OF_SEALS]
    return Grant(asks, [ALL_EVENTS, SEALS_SUBJECT, f"{REPLAY_PREFIX}.>"])


def of_sender(name: str, may: Sequence[CommandClass]) -> Grant:
    asks = [_ledger(command_subject("*", command_class, name)) for command_class in may]
    return Grant([_ledger(OUTCOMES_SUBJECT), *asks], [])


def _following(name: str, consumer: str, which: Sequence[str]) -> Iterator[Asked]:
    """What it takes to follow events with the consumer of this name, and to keep the place. The
    filter is part of the subject that makes a consumer, so the server sees whose events are asked
    for."""
    made = f"{EVENTS_STREAM}.{consumer}"
    for events in which:
        here = f"$JS.{LEDGER}.API.CONSUMER.CREATE.{made}.{events}"
        yield Asked(LEDGER, f"{CONSUMER_GUARD}{made}.{events}", here)
    for verb in ("INFO", "MSG.NEXT", "DELETE"):
        yield _ledger_api(f"CONSUMER.{verb}.{made}")
    yield _ledger(f"$JS.ACK.{made}.>")
    place = f"{FOLLOWERS_PREFIX}.{name}.{consumer}"
    yield _ledger(place)
    yield _ledger_api(f"DIRECT.GET.{FOLLOWERS_STREAM}.{place}")


def _ledger(subject: str) -> Asked:
    return Asked(LEDGER, subject, subject)


def _ledger_api(what: str) -> Asked:
    return Asked(LEDGER, f"{_API}.{what}", f"$JS.{LEDGER}.API.{what}")


def _witness_api(what: str) -> Asked:
    return Asked(WITNESS, f"{_API}.{what}", f"$JS.{WITNESS}.API.{what}")


# --- as sections of the server's configuration ------------------------------------------


def own_account(name: str, nkey: str, grant: Grant) -> Section:
    """The account of a user, with what it is granted as its imports. Its permissions say the same:
    the server tells the user what it does not get."""
    inbox = f"{inbox_prefix(name)}.>"
    places = [one.here for one in grant.asks if one.here.startswith(f"{FOLLOWERS_PREFIX}.")]
    return {
        "users": [_user(nkey, [one.here for one in grant.asks], [inbox, *grant.hears, *places])],
        "imports": [
            *map(_service_import, grant.asks),
            *({"stream": {"account": LEDGER, "subject": one}} for one in [inbox, *grant.hears]),
        ],
    }


def ledger_account(users: Sequence[Section]) -> Section:
    """The account of the ledger: its own users, and what others may be granted."""
    services = [COMMANDS, OUTCOMES_SUBJECT, f"{QUERY_PREFIX}.>", f"{CONSUMER_GUARD}>",
                f"{FOLLOWERS_PREFIX}.*.*", f"{REPLAY_PREFIX}.>", "$JS.ACK.>"]  # fmt: skip
    many = ["$SRV.>", *(f"{_API}.{what}" for what in (*_SEEING, "CONSUMER.MSG.NEXT.*.*"))]
    services += [f"{_API}.CONSUMER.DELETE.{EVENTS_STREAM}.*"]
    heard = ["_INBOX.>", ALL_EVENTS, SEALS_SUBJECT, f"{REPLAY_PREFIX}.>"]
    kept = [Asked(WITNESS, SEALS_SUBJECT, SEALS_SUBJECT), *map(_witness_api, _OF_SEALS)]
    kept += [_witness_api(f"STREAM.CREATE.{SEALS_STREAM}")]
    return {
        "jetstream": "enabled",
        "mappings": {f"$JS.{LEDGER}.API.>": f"{_API}.>"},
        "users": list(users),
        "exports": [
            *({"service": one} for one in services),
            *({"service": one, "response_type": "stream"} for one in many),
            *({"stream": one} for one in heard),
        ],
        "imports": list(map(_service_import, kept)),
    }


def witness_account() -> Section:
    """The account that keeps the heads of the seals: nobody is in it, nothing of it can be changed
    from outside, and its stream can be made, written to and read."""
    making = [SEALS_SUBJECT, f"{_API}.STREAM.CREATE.{SEALS_STREAM}"]
    return {
        "jetstream": "enabled",
        "exports": [
            *({"service": one} for one in making),
            *({"service": f"{_API}.{one}", "response_type": "stream"} for one in _OF_SEALS),
        ],
    }


def ledger_user(role: Role, name: str, nkey: str) -> Section:
    """A user in the ledger's own account."""
    kept = [f"$JS.{WITNESS}.API.{what}" for what in (*_OF_SEALS, f"STREAM.CREATE.{SEALS_STREAM}")]
    publish = ["_INBOX.>", "_R_.>", "$JS.ACK.>", *kept]
    subscribe = [f"{inbox_prefix(name)}.>", "ledger.>", "$SRV.>"]
    if role == "administrator":
        return _user(nkey, [*publish, f"{_API}.>", "$SRV.>"], [*subscribe, "$JS.EVENT.>"])
    publish += [ALL_EVENTS, SEALS_SUBJECT, OUTCOMES_SUBJECT, f"{QUERY_PREFIX}.>"]
    publish += [f"{_API}.{what}" for what in (*_SEEING, *_MAKING)]
    return _user(nkey, publish, subscribe)


def _user(nkey: str, publish: Sequence[str], subscribe: Sequence[str]) -> Section:
    return {
        "nkey": nkey,
        "permissions": {
            "publish": {"allow": sorted(set(publish))},
            "subscribe": {"allow": sorted(set(subscribe))},
        },
    }


def _service_import(asked: Asked) -> Section:
    section: Section = {"service": {"account": asked.of, "subject": asked.subject}}
    return section if asked.here == asked.subject else section | {"to": asked.here}
