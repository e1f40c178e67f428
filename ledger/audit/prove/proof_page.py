"""The page that checks proofs and exports in a browser: one file, without network or library.

Its parts are in `page/`: check.js is the check (the walk of check_proof.py, and of an export's
verification), page.js shows it. Only they may run: the page's policy names their hash, and allows
no connection. A key is in the page only if who makes it says so; an export's page has none, because
a key that comes with the file vouches for nothing.
"""

from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

PAGE_FILE = "proof-page.html"


def proof_page(pinned: Iterable[bytes] = ()) -> str:
    """The page, with public keys that it takes for known."""
    parts = files("ledger.audit.prove") / "page"

    def part(name: str) -> str:
        return (parts / name).read_text(encoding="utf-8")

    style = part("page.css")
    script = part("check.js") + part("page.js")
    filled = {
        "%PINNED%": " ".join(key.hex() for key in pinned),
        "%STYLE_HASH%": _policy_hash(style),
        "%SCRIPT_HASH%": _policy_hash(script),
        "%STYLE%": style,
        "%SCRIPT%": script,
    }
    page = part("page.html")
    for name, value in filled.items():
        page = page.replace(name, value)
    return page


def write_proof_page(path: Path, pinned: Iterable[bytes] = ()) -> None:
    """Writes the page."""
    path.write_text(proof_page(pinned), encoding="utf-8", newline="\n")


def _policy_hash(text: str) -> str:
    """As a content security policy names what may run."""
    return b64encode(sha256(text.encode()).digest()).decode()
