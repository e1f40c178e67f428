"""The users of the bus, in one file that the server's configuration includes.

The file's comments are the users, a JSON object a line; the configuration below them is made from
those each time, so a new version of the ledger brings its grants with it. A user's secret is not
here: the server knows public keys only.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import msgspec
import nkeys
import orjson

from ledger.bus import grants
from ledger.bus.command_subjects import ANONYMOUS
from ledger.bus.grants import (
    LEDGER,
    OF_THE_LEDGER,
    ROLES,
    USUAL_CLASSES,
    WITNESS,
    Grant,
    Role,
    Section,
)
from ledger.bus.security import UnusableCredentials
from ledger.kernel.command import SPEAKING_FOR_OTHERS, CommandClass
from ledger.kernel.errors import LedgerError
from ledger.kernel.known_types import known
from ledger.nouns import FAMILIES

__all__ = ["ROLES", "BusUser", "UnusableUser", "public_key", "read_users", "user", "write_users"]

_HEAD = "# Users of the ledger's bus: written by `ledgerctl bus user`, which reads these lines.\n"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ENDS_LIKE_A_CONSUMER = re.compile(r"-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")


class UnusableUser(LedgerError, ValueError):
    """The name, role and grants make no user."""


class BusUser(msgspec.Struct, frozen=True):
    """A user: its role, and of a service the accounts and families it is granted, with the classes
    of commands that it may send."""

    name: str
    role: Role
    nkey: str
    accounts: tuple[UUID, ...] = ()
    families: tuple[str, ...] = ()
    may: tuple[CommandClass, ...] = ()

    def grant(self) -> Grant:
        """What it gets, in an account of its own."""
        if self.role == "service":
            return grants.of_service(self.name, self.accounts, self.families, self.may)
        if self.role == "operator":
            return grants.of_operator(self.name, self.may)
        if self.role == "sender":
            return grants.of_sender(self.name, self.may)
        return grants.of_auditor(self.name)


def user(
    name: str,
    role: Role,
    nkey: str,
    *,
    accounts: Sequence[UUID] = (),
    families: Sequence[str] = (),
    may: Sequence[CommandClass] | None = None,
) -> BusUser:
    """The user; without `may`, with the usual classes of its role. Raises UnusableUser."""
    if not _NAME.fullmatch(name) or name == ANONYMOUS or _ENDS_LIKE_A_CONSUMER.search(name):
        raise UnusableUser(
            f"{name!r} cannot be a user's name: 1 to 64 letters, digits, - and _, not "
            f"{ANONYMOUS!r}, and not ending in an account's id"
        )
    if name in SPEAKING_FOR_OTHERS and role != "sender":
        raise UnusableUser(
            f"{name!r} is the HTTP server, whose word is taken for who is signed in there: give it "
            "the role sender, and others another name"
        )
    if (role == "service") != bool(accounts or families):
        needs = "needs" if role == "service" else "takes no"
        raise UnusableUser(f"a user of the role {role} {needs} accounts or families (--account)")
    unknown = [family for family in families if family not in FAMILIES]
    if unknown:
        there_are = ", ".join(sorted(FAMILIES))
        raise UnusableUser(f"there is no family {unknown[0]!r}; there are: {there_are}")
    if may is not None and role not in USUAL_CLASSES:
        raise UnusableUser(f"a user of the role {role} sends no commands (--may)")
    classes = USUAL_CLASSES.get(role, ()) if may is None else may
    return BusUser(name, role, nkey, tuple(accounts), tuple(families), tuple(classes))


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


def read_users(users_file: Path) -> dict[str, BusUser]:
    """The users in the file, by name; none if there is no file. Raises UnusableUser."""
    if not users_file.exists():
        return {}
    text = users_file.read_text(encoding="utf-8")
    if not text.startswith(_HEAD):
        raise UnusableUser(
            f"{users_file} was not written by this version of `ledgerctl bus user`: move it away "
            "and make its users again, with the seeds that they have"
        )
    lines = text.removeprefix(_HEAD).splitlines()
    records = [line.removeprefix("# ") for line in lines if line.startswith("# {")]
    users = [msgspec.json.decode(record, type=known(BusUser)) for record in records]
    return {one.name: one for one in users}


def write_users(users_file: Path, users: Sequence[BusUser]) -> None:
    """The file anew, with these users."""
    records = "".join(f"# {msgspec.json.encode(one).decode()}\n" for one in users)
    accounts = orjson.dumps(_accounts(users), option=orjson.OPT_INDENT_2).decode()
    unfinished = users_file.with_suffix(".new")
    unfinished.write_text(f"{_HEAD}{records}accounts: {accounts}\n", encoding="utf-8")
    unfinished.replace(users_file)


def _accounts(users: Sequence[BusUser]) -> Section:
    ours = [one for one in users if one.role in OF_THE_LEDGER]
    others = [one for one in users if one.role not in OF_THE_LEDGER]
    return {
        LEDGER: grants.ledger_account(
            [grants.ledger_user(one.role, one.name, one.nkey) for one in ours]
        ),
        WITNESS: grants.witness_account(),
        **{
            f"user-{one.name}": grants.own_account(one.name, one.nkey, one.grant())
            for one in others
        },
    }
