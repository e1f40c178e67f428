"""Who may do what on the bus: the roles, as permissions of a NATS server's users.

    ledger      the ledger's own services: all that is theirs
    operator    looks after streams and consumers, sends commands, asks everything
    auditor     reads events, outcomes and read models; sends no command
    service     commands, queries and events of the accounts that it is granted, nothing else

A service's inboxes and its consumers bear its name, so the server can tell them from another's. The
users are kept in one file that the server's configuration includes (deploy/nats-secure.conf).
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import nkeys
import orjson

from ledger.messaging.bus import COMMANDS_PREFIX, OUTCOMES_SUBJECT, is_subject_token
from ledger.messaging.event_stream import EVENTS_STREAM
from ledger.messaging.events import EVENTS_PREFIX
from ledger.messaging.followers import DIRECT_GET, FOLLOWERS_PREFIX
from ledger.messaging.query_service import QUERY_PREFIX
from ledger.messaging.security import UnusableCredentials, inbox_prefix

Role = Literal["ledger", "operator", "auditor", "service"]
ROLES: tuple[Role, ...] = ("ledger", "operator", "auditor", "service")
_HEAD = "# Users of the ledger's bus; written by `ledgerctl bus user`.\nusers: "
_API = "$JS.API"

Permissions = dict[str, Any]


class UnusableUser(ValueError):
    """The name, role and accounts make no user."""


def permissions(role: Role, name: str, accounts: Sequence[UUID] = ()) -> Permissions:
    """What the user may publish and subscribe to. Raises UnusableUser."""
    if not is_subject_token(name):
        raise UnusableUser(f"{name!r} cannot be a user's name: no blanks, no dots, no * >")
    if (role == "service") != bool(accounts):
        needs = "needs" if role == "service" else "takes no"
        raise UnusableUser(f"a user of the role {role} {needs} accounts (--account)")
    inbox = f"{inbox_prefix(name)}.>"
    own_places = f"{FOLLOWERS_PREFIX}.{name}.*"
    if role == "ledger":
        publish = ["ledger.>", f"{_API}.>", "$JS.ACK.>", "_INBOX.>", "$SRV.>"]
        subscribe = ["ledger.>", "$SRV.>", inbox]
    elif role == "operator":
        publish = [
            *(f"{COMMANDS_PREFIX}>", OUTCOMES_SUBJECT, f"{QUERY_PREFIX}.>", "$SRV.>"),
            *(f"{_API}.>", "$JS.ACK.>", "replay.>", own_places),
        ]
        subscribe = ["ledger.events.>", "replay.>", own_places, inbox]
    elif role == "auditor":
        publish = [OUTCOMES_SUBJECT, f"{QUERY_PREFIX}.>", *_reading_events(name, name, [">"])]
        publish += [f"{_API}.STREAM.{verb}.{EVENTS_STREAM}" for verb in ("INFO", "MSG.GET")]
        publish += ["$SRV.>"]
        subscribe = [inbox, own_places]
    else:
        publish = [OUTCOMES_SUBJECT]
        for account in accounts:
            publish += [f"{COMMANDS_PREFIX}{account}", f"{QUERY_PREFIX}.*.{account}"]
        publish += _reading_events(name, name, [f"*.*.{account}" for account in accounts])
        for account in accounts:
            publish += _reading_events(name, f"{name}-{account}", [f"*.*.{account}"])
        subscribe = [inbox, own_places]
    return {"publish": {"allow": sorted(set(publish))}, "subscribe": {"allow": subscribe}}


def _reading_events(user: str, consumer: str, which: Sequence[str]) -> list[str]:
    """What it takes to follow events with the consumer of this name, and to keep the place. The
    filter is part of the subject that makes a consumer, so the server sees whose events are asked
    for."""
    place = f"{FOLLOWERS_PREFIX}.{user}.{consumer}"
    making = [f"{_API}.CONSUMER.CREATE.{EVENTS_STREAM}.{consumer}.{EVENTS_PREFIX}.{one}"
              for one in which]  # fmt: skip
    return [
        *making,
        *(place, f"{DIRECT_GET}.{place}"),
        *(
            f"{_API}.CONSUMER.{verb}.{EVENTS_STREAM}.{consumer}"
            for verb in ("INFO", "MSG.NEXT", "DELETE")
        ),
        f"$JS.ACK.{EVENTS_STREAM}.{consumer}.>",
    ]


def public_key(seed_file: Path) -> str:
    """The public nkey of the seed in the file, which is made if there is none. Raises
    UnusableCredentials."""
    if not seed_file.exists():
        seed = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)
        descriptor = os.open(seed_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(seed + b"\n")
    try:
        pair = nkeys.from_seed(bytearray(seed_file.read_bytes().strip()))
        return str(pair.public_key.decode())
    except (nkeys.NkeysError, ValueError) as error:
        raise UnusableCredentials(f"{seed_file} has no nkey seed: {error}") from error


def write_user(users_file: Path, nkey: str, granted: Permissions) -> int:
    """Puts the user into the file, in place of one with the same key; how many there are.
    Raises UnusableUser."""
    users: list[dict[str, Any]] = []
    if users_file.exists():
        text = users_file.read_text(encoding="utf-8")
        if not text.startswith(_HEAD):
            raise UnusableUser(f"{users_file} was not written by `ledgerctl bus user`")
        users = orjson.loads(text.removeprefix(_HEAD))
    users = [user for user in users if user["nkey"] != nkey]
    users.append({"nkey": nkey, "permissions": granted})
    content = _HEAD + orjson.dumps(users, option=orjson.OPT_INDENT_2).decode() + "\n"
    unfinished = users_file.with_suffix(".new")
    unfinished.write_text(content, encoding="utf-8")
    unfinished.replace(users_file)
    return len(users)
