"""The sealer's Ed25519 key: made once, its public half given to those who check.

The private key is a PEM file (PKCS #8) that only its owner can read; a public key is a PEM file or
its 64 hexadecimal digits. OpenSSL reads and writes both.
"""

import os
import re
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from ledger.kernel.errors import LedgerError

_HEX = re.compile(r"[0-9a-f]{64}")


class UnusableKey(LedgerError):
    """A key cannot be read, written or used."""


def new_key(path: Path) -> bytes:
    """Makes a private key file, and beside it `<name>.pub`; returns the public key. Raises
    UnusableKey if one of the files is there already: a key is never written over."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for place, text, mode in ((path, private, 0o600), (public_path(path), public, 0o644)):
        try:
            file = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        except FileExistsError as error:
            raise UnusableKey(
                f"{place} is there already and is not overwritten: seals may be signed with it. "
                "Name another file."
            ) from error
        with os.fdopen(file, "wb") as output:
            output.write(text)
    return key.public_key().public_bytes_raw()


def public_path(path: Path) -> Path:
    """Where the public half of a new key goes."""
    return path.with_name(f"{path.name}.pub")


def load_private(path: Path) -> Ed25519PrivateKey:
    """The key of the file. Raises UnusableKey."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise UnusableKey(
            f"the seal key {path} cannot be read ({error.strerror}). Correct "
            "LEDGER_SEAL_KEY_FILE, or make a key: ledgerctl audit seal --new-key FILE"
        ) from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UnusableKey(
            f"{path} has no private key in PEM without a password. Make one: "
            "ledgerctl audit seal --new-key FILE"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UnusableKey(
            f"the key in {path} is not an Ed25519 key. Make one: ledgerctl audit seal "
            "--new-key FILE"
        )
    return key


def load_public(given: str) -> bytes:
    """The 32 bytes of a public key: 64 hexadecimal digits, or a PEM file. Raises UnusableKey."""
    if _HEX.fullmatch(given.lower()):
        return bytes.fromhex(given)
    try:
        key = load_pem_public_key(Path(given).read_bytes())
    except OSError as error:
        raise UnusableKey(
            f"{given!r} is neither 64 hexadecimal digits nor a file that can be read "
            f"({error.strerror}). Give the public key, or the PEM file it is in."
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UnusableKey(
            f"{given} has no public key in PEM. Give the file made with the key."
        ) from error
    if not isinstance(key, Ed25519PublicKey):
        raise UnusableKey(f"the key in {given} is not an Ed25519 key. Give the sealer's.")
    return key.public_bytes_raw()
