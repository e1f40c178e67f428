"""API tokens: for programs that ask or act for a user of the users file, within scopes.

    ledger_<id>_<secret>    sent as `Authorization: Bearer …`, and in no URL

The file keeps the secret's SHA-256: it is 256 random bits, which nobody guesses from a fast hash. A
token ends with its time, when it is revoked, and with its user.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from ledger.kernel.errors import LedgerError
from ledger.web.person import Scope
from ledger.web.private_file import PrivateFile

_TOKEN = re.compile(r"ledger_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")


class UnknownToken(LedgerError, LookupError):
    """There is no such token."""


class ApiToken(msgspec.Struct, frozen=True):
    """A token, without what proves it."""

    id: str
    name: str
    """Of the user that it is for."""
    scopes: tuple[Scope, ...]
    digest: str
    created_at: datetime
    expires_at: datetime
    note: str = ""


class ApiTokens(msgspec.Struct):
    """What is in the file."""

    tokens: dict[str, ApiToken] = msgspec.field(default_factory=dict)


class TokensFile:
    """The tokens, as the file has them now."""

    def __init__(self, directory: Path) -> None:
        self._file = PrivateFile(directory / "tokens.json", ApiTokens)

    def all(self) -> list[ApiToken]:
        return sorted(self._file.read().tokens.values(), key=lambda one: one.created_at)

    def create(
        self, name: str, scopes: Collection[Scope], lifetime: timedelta, note: str = ""
    ) -> tuple[ApiToken, str]:
        """The token, and the text that is shown once and known to nobody afterwards."""
        identifier, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        now = datetime.now(UTC)
        token = ApiToken(
            identifier, name, tuple(sorted(scopes)), _digest(secret), now, now + lifetime, note
        )
        with self._file.changed() as kept:
            kept.tokens[identifier] = token
        return token, f"ledger_{identifier}_{secret}"

    def revoke(self, identifier: str) -> ApiToken:
        """Raises UnknownToken."""
        with self._file.changed() as kept:
            token = kept.tokens.pop(identifier, None)
            if token is None:
                raise UnknownToken(f"{self._file.path} has no token {identifier!r}")
        return token

    def verified(self, text: str) -> ApiToken | None:
        """The token that the text proves, if it is one and its time is not over."""
        parts = _TOKEN.fullmatch(text)
        token = self._file.read().tokens.get(parts[1]) if parts else None
        if parts is None or token is None:
            return None
        if not hmac.compare_digest(token.digest, _digest(parts[2])):
            return None
        return token if token.expires_at > datetime.now(UTC) else None


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
