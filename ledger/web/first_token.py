"""The one-time token that `ledgerctl up` prints in a URL: for whoever started the ledger on this
machine, before there are users.

Its digest lies in a file of the data directory. Whoever brings the token removes the file, and of
several who do, one can: so it is used once, also across restarts. It is taken from this machine
only, and its session is an administrator's.
"""

import hashlib
import hmac
import os
import secrets
import time
from pathlib import Path

LIFETIME_SECONDS = 3_600
"""Who prints it opens it. A URL stays in terminals, histories and logs."""
NAME = "first-token"
PERSON = "local"
"""Who its session is said to be."""


def write(directory: Path) -> str:
    """A new token; the one before is none any more."""
    token = secrets.token_urlsafe(32)
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    unfinished = directory / f"{NAME}.unfinished"
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(_digest(token))
    unfinished.replace(directory / NAME)
    return token


def use(directory: Path, token: str) -> bool:
    """Whether this is the token, which it then was."""
    path = directory / NAME
    try:
        fresh = time.time() - path.stat().st_mtime <= LIFETIME_SECONDS
        right = hmac.compare_digest(path.read_text(), _digest(token))
        if not (fresh and right):
            return False
        used = path.with_name(f"{NAME}.{secrets.token_hex(8)}")
        path.rename(used)  # one of several can
        used.unlink()
    except FileNotFoundError:
        return False
    return True


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
