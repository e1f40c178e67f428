"""How a connection to NATS proves who it is, and how it knows the server.

An nkey's seed (a file that nobody else may read) proves the user; TLS proves the server, and with a
certificate of our own also us. The user's name is the beginning of its inboxes, so that the server
can keep everyone from reading another's answers.
"""

import os
import ssl
import stat
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ledger.kernel.errors import LedgerError

if TYPE_CHECKING:
    from ledger.operate.settings import Settings


_PREFIX = "ledger_nats_"


class UnusableCredentials(LedgerError):
    """A file of the credentials is missing, open to others, or not what it should be."""


@dataclass(frozen=True)
class BusSecurity:
    """What a connection is made with; nothing of it on an open server."""

    user: str | None = None
    nkey_seed_file: Path | None = None
    tls_ca_file: Path | None = None
    tls_cert_file: Path | None = None
    tls_key_file: Path | None = None

    @classmethod
    def of(cls, settings: "Settings") -> Self:
        """As the settings say."""
        return cls(
            user=settings.nats_user,
            nkey_seed_file=settings.nats_nkey_seed_file,
            tls_ca_file=settings.nats_tls_ca_file,
            tls_cert_file=settings.nats_tls_cert_file,
            tls_key_file=settings.nats_tls_key_file,
        )

    @classmethod
    def from_environment(cls) -> Self:
        """As LEDGER_NATS_USER, LEDGER_NATS_NKEY_SEED_FILE and so on say, for a client."""
        given = {one.name: os.environ.get(f"{_PREFIX}{one.name}".upper()) for one in fields(cls)}
        user = given.pop("user") or None
        return cls(user, **{name: Path(file) for name, file in given.items() if file})

    def options(self) -> dict[str, Any]:
        """Arguments for the library's `connect`. Raises UnusableCredentials."""
        options: dict[str, Any] = {}
        if self.user is not None:
            options["inbox_prefix"] = inbox_prefix(self.user)
        if self.nkey_seed_file is not None:
            options["nkeys_seed"] = str(private_file(self.nkey_seed_file))
        if self.tls_ca_file is not None or self.tls_cert_file is not None:
            options["tls"] = self._tls()
        return options

    def _tls(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.tls_ca_file)
            if self.tls_cert_file is not None:
                key = None if self.tls_key_file is None else private_file(self.tls_key_file)
                context.load_cert_chain(self.tls_cert_file, key)
        except OSError as error:  # ssl.SSLError, too
            files = (self.tls_ca_file, self.tls_cert_file, self.tls_key_file)
            named = ", ".join(str(file) for file in files if file is not None)
            raise UnusableCredentials(
                f"the TLS files {named} cannot be used: {error}. Correct LEDGER_NATS_TLS_CA_FILE, "
                "LEDGER_NATS_TLS_CERT_FILE and LEDGER_NATS_TLS_KEY_FILE."
            ) from error
        return context


def inbox_prefix(user: str) -> str:
    """What the subjects of a user's inboxes begin with."""
    return f"_INBOX.{user}"


def private_file(path: Path) -> Path:
    """The path of a file that only its owner can read. Raises UnusableCredentials."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise UnusableCredentials(
            f"the credentials file {path} cannot be read: {error.strerror}. Correct the path."
        ) from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UnusableCredentials(
            f"the credentials file {path} is open to others: chmod 600 {path}"
        )
    return path
