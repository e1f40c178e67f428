"""API tokens: for programs that ask or act for a user of the users file, within scopes.

    ledger_<id>_<secret>    sent as `Authorization: Bearer …`, and in no URL

The file keeps the secret's SHA-256: it is 256 random bits, which nobody guesses from a fast hash. A
token ends with its time, when it is revoked, and with its user. When it was used last is in the
database (`TokenUses`), to the minute, as several servers take it.
"""

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from ledger.kernel.errors import LedgerError
from ledger.web.database import WebDatabase
from ledger.web.person import Scope
from ledger.web.private_file import PrivateFile

_TOKEN = re.compile(r"ledger_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")


TERMINAL = "ledgerctl"
"""Who revoked a token, where it was somebody at the terminal."""
USED_SECONDS = 60.0
"""A use is written down at most so often: each would be a commit for every request."""

_USED = """
    INSERT INTO public.web_token_uses (token_id, last_used_at) VALUES (%s, now())
    ON CONFLICT (token_id) DO UPDATE SET last_used_at = EXCLUDED.last_used_at"""
_USES = "SELECT token_id, last_used_at FROM public.web_token_uses"


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
    revoked_at: datetime | None = None
    revoked_by: str | None = None

    def holds(self, moment: datetime) -> bool:
        """Whether it was of use at a moment."""
        end = min(self.expires_at, self.revoked_at or self.expires_at)
        return self.created_at <= moment < end


class ApiTokens(msgspec.Struct):
    """What is in the file."""

    tokens: dict[str, ApiToken] = msgspec.field(default_factory=dict)


class TokensFile:
    """The tokens, as the file has them now."""

    def __init__(self, directory: Path) -> None:
        self._file = PrivateFile(directory / "tokens.json", ApiTokens)

    def all(self) -> list[ApiToken]:
        """Those that nobody has revoked."""
        return [one for one in self.ever() if one.revoked_at is None]

    def ever(self) -> list[ApiToken]:
        """Those that were revoked, too: who could do something once, is asked later."""
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

    def revoke(self, identifier: str, *, by: str = TERMINAL) -> ApiToken:
        """Raises UnknownToken."""
        with self._file.changed() as kept:
            token = kept.tokens.get(identifier)
            if token is None or token.revoked_at is not None:
                raise UnknownToken(f"{self._file.path} has no token {identifier!r}")
            revoked = msgspec.structs.replace(token, revoked_at=datetime.now(UTC), revoked_by=by)
            kept.tokens[identifier] = revoked
        return revoked

    def verified(self, text: str) -> ApiToken | None:
        """The token that the text proves, if it is one and its time is not over."""
        parts = _TOKEN.fullmatch(text)
        token = self._file.read().tokens.get(parts[1]) if parts else None
        if parts is None or token is None:
            return None
        if not hmac.compare_digest(token.digest, _digest(parts[2])):
            return None
        return token if token.holds(datetime.now(UTC)) else None


class TokenUses:
    """When tokens were used last."""

    def __init__(self, database: WebDatabase, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._written: dict[str, float] = {}

    def is_due(self, key: str) -> bool:
        """Whether a use is to be written down; the next ones of the minute are not."""
        now = self._clock()
        if now - self._written.get(key, now - USED_SECONDS) < USED_SECONDS:
            return False
        self._written[key] = now
        return True

    def write(self, token_id: str) -> None:
        """Raises PoolTimeout, psycopg.Error."""
        with self._database.keeping() as connection:
            connection.execute(_USED, [token_id])

    def all(self) -> dict[str, datetime]:
        with self._database.keeping() as connection:
            return dict(connection.execute(_USES).fetchall())


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
