"""The users file: who may sign in, as what, and by which password.

Passwords are kept as argon2id hashes. Who is not in the file cannot sign in, also by OpenID
Connect: the provider says who somebody is, this file what they may.
"""

import re
import secrets
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from uuid import UUID

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from ledger.kernel.errors import LedgerError
from ledger.web.person import OF_ONE_USER, Role
from ledger.web.private_file import PrivateFile

SHORTEST_PASSWORD = 12
"""Characters: what is shorter is guessed by who has stolen the file."""
LONGEST_PASSWORD = 256
"""Characters: hashing more would be work for who sends it."""
MOST_CHANGES = 10_000
"""Kept of who was what: of a hundred people, some years of changes every few days."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}")


class UnusableWebUser(LedgerError, ValueError):
    """The name, role and user make nobody who could sign in."""


class WebUser(msgspec.Struct, frozen=True):
    """Somebody who may sign in. Without a password, by OpenID Connect alone."""

    name: str
    role: Role
    user_id: UUID | None = None
    password_hash: str | None = None
    changed_at: datetime | None = None
    """Sessions from before are over."""


class WebUserChange(msgspec.Struct, frozen=True):
    """What somebody was from a moment on; without a role, nobody any more."""

    name: str
    at: datetime
    role: Role | None = None
    user_id: UUID | None = None


class WebUsers(msgspec.Struct):
    """What is in the file. `changes`, the oldest first, say who was what before."""

    users: dict[str, WebUser] = msgspec.field(default_factory=dict)
    changes: list[WebUserChange] = msgspec.field(default_factory=list)


class UsersFile:
    """The users, as the file has them now."""

    def __init__(self, directory: Path) -> None:
        self._file = PrivateFile(directory / "users.json", WebUsers)

    def all(self) -> list[WebUser]:
        return sorted(self._file.read().users.values(), key=lambda one: one.name)

    def find(self, name: str) -> WebUser | None:
        return self._file.read().users.get(name)

    def put(self, user: WebUser) -> None:
        """Adds the user, or replaces who has the name."""
        with self._file.changed() as kept:
            kept.users[user.name] = user
            at = user.changed_at or datetime.now(UTC)
            kept.changes.append(WebUserChange(user.name, at, user.role, user.user_id))
            del kept.changes[:-MOST_CHANGES]

    def remove(self, name: str) -> None:
        """Raises UnusableWebUser."""
        with self._file.changed() as kept:
            if kept.users.pop(name, None) is None:
                raise UnusableWebUser(f"{self._file.path} has no user {name!r}")
            kept.changes.append(WebUserChange(name, datetime.now(UTC)))
            del kept.changes[:-MOST_CHANGES]

    def at(self, moment: datetime) -> dict[str, WebUserChange]:
        """Who was what at a moment, by name, as far as changes were kept: who is in the file with
        none, from the last one on."""
        kept = self._file.read()
        known = {one.name for one in kept.changes}
        changes = [
            WebUserChange(one.name, one.changed_at or moment, one.role, one.user_id)
            for one in kept.users.values()
            if one.name not in known
        ]
        found: dict[str, WebUserChange] = {}
        for one in [*changes, *kept.changes]:
            if one.at <= moment:
                found[one.name] = one
        return {name: one for name, one in found.items() if one.role is not None}

    def verified(self, name: str, password: str) -> WebUser | None:
        """The user, if this is the password. It takes as long for a name that there is not."""
        user = self.find(name)
        kept = user.password_hash if user is not None else None
        if len(password) > LONGEST_PASSWORD:
            return None
        try:
            _hasher().verify(kept or _of_nobody(), password)
        except (VerificationError, InvalidHashError):
            return None
        return user if kept is not None else None


def web_user(
    name: str, role: Role, *, user_id: UUID | None = None, password: str | None = None
) -> WebUser:
    """The user, with the password's hash. Raises UnusableWebUser."""
    if not _NAME.fullmatch(name):
        raise UnusableWebUser(
            f"{name[:100]!r} cannot be a name: letters, digits and . _ @ + -, at most 100"
        )
    if (role in OF_ONE_USER) != (user_id is not None):
        needs = "needs the user whose accounts it sees" if user_id is None else "sees all accounts"
        raise UnusableWebUser(f"a {role} {needs} (--user)")
    if password is not None and not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise UnusableWebUser(
            f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters, not "
            f"{len(password)}"
        )
    return WebUser(
        name=name,
        role=role,
        user_id=user_id,
        password_hash=None if password is None else _hasher().hash(password),
        changed_at=datetime.now(UTC),
    )


@cache
def _hasher() -> PasswordHasher:
    return PasswordHasher()  # the library's defaults are RFC 9106's second choice: 64 MiB


@cache
def _of_nobody() -> str:
    return _hasher().hash(secrets.token_hex())
