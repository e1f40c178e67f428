"""A witness: keeps the heads of the seals where the database's people cannot reach them.

    look       a source tells of heads: the bus, or the database                  (sources.py)
    judge      each has to go on from the newest one that is kept
    keep       it is written to a target and on its disk before anything else     (targets.py)
    alarm      a head that contradicts those kept is kept beside them and ends the witness: somebody
               made history anew, or cut it off; so does the next start, until a person has looked.
               When heads stop coming, that is said, too

Run it elsewhere, by somebody else, with no more rights than an auditor's: what it is worth is that
whoever can change the ledger's history cannot change what it has kept.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple, Protocol

import structlog

from ledger.audit.prove.seals import Seal, UnreadableSeal, from_document, signature_holds
from ledger.kernel.errors import LedgerError

_log = structlog.get_logger(__name__)


class Seen(NamedTuple):
    """A head as a source tells it. `sequence` is its place there, 0 where there is no such thing.
    `contradiction` is what the source itself has found wrong with it."""

    document: bytes
    sequence: int = 0
    contradiction: str | None = None


class KeptHead(NamedTuple):
    """The newest head that a target has, and its place in the source."""

    seal: Seal
    sequence: int


class Target(Protocol):
    """Where heads are kept."""

    def newest(self) -> KeptHead | None: ...

    def heads(self) -> Iterator[Seal]:
        """All that is kept, oldest first."""

    def numbered(self, number: int) -> Seal | None: ...

    def keep(self, seal: Seal, sequence: int) -> None:
        """Returns when the head is on a disk."""

    def keep_contradiction(self, seen: Seen, message: str) -> None:
        """Keeps what does not fit beside what is kept, once."""


class Contradiction(LedgerError):
    """A head does not go on from those that are kept."""


def judge(
    newest: Seal | None, seal: Seal, numbered: Callable[[int], Seal | None]
) -> Literal["new", "known"]:
    """Whether the head is a further one or known. Raises Contradiction."""
    if not signature_holds(seal):
        raise Contradiction(f"seal {seal.number} has a signature that is not its key's")
    if newest is None:
        return "new"
    if seal.number <= newest.number:
        kept = newest if seal.number == newest.number else numbered(seal.number)
        if kept is not None and kept.hash == seal.hash:
            return "known"
        raise Contradiction(
            f"seal {seal.number} up to position {seal.last_position} is not one of those that led "
            f"to the head that is kept, seal {newest.number} up to position {newest.last_position}"
        )
    follows = seal.number == newest.number + 1
    if follows and seal.previous_hash != newest.hash:
        raise Contradiction(f"seal {seal.number} was not made upon seal {newest.number} as kept")
    if seal.first_position <= newest.last_position:
        raise Contradiction(
            f"seal {seal.number} begins at position {seal.first_position}, though seal "
            f"{newest.number} had come to position {newest.last_position}"
        )
    changed = seal.public_key != newest.public_key and seal.change is None
    if newest.public_key is not None and (seal.public_key is None or (follows and changed)):
        raise Contradiction(
            f"seal {seal.number} is not signed with key {newest.public_key.hex()}, as those before "
            "it are, and states no change of keys"
        )
    return "new"


def watch(
    seen: Iterable[Seen | None],
    target: Target,
    *,
    silence_seconds: float,
    stop: threading.Event,
) -> bool:
    """Keeps what is seen (None: nothing now) until it ends or `stop` is set; whether nothing
    contradicted what was kept."""
    heard, silent = time.monotonic(), False
    for one in seen:
        if stop.is_set():
            return True
        if one is None:
            seconds = time.monotonic() - heard
            if seconds > silence_seconds and not silent:
                silent = True
                _log.error(
                    "witness.silence",
                    seconds=round(seconds),
                    reason="no head has come: is `ledgerctl serve seals` at work, and can it "
                    "publish? Until heads come again, history can be cut off unseen",
                )
            continue
        if not _take(one, target):
            return False
        if silent:
            _log.info("witness.heard_again", seconds=round(time.monotonic() - heard))
        heard, silent = time.monotonic(), False
    return True


def _take(one: Seen, target: Target) -> bool:
    newest = target.newest()
    try:
        if one.contradiction is not None:
            raise Contradiction(one.contradiction)
        seal = from_document(one.document)
        if judge(newest.seal if newest else None, seal, target.numbered) == "new":
            target.keep(seal, one.sequence)
            _log.info("witness.kept", number=seal.number, position=seal.last_position)
    except (Contradiction, UnreadableSeal) as error:
        target.keep_contradiction(one, str(error))
        _log.error(
            "witness.contradiction",
            reason=str(error),
            head=one.document.decode(errors="replace"),
            kept=newest.seal.hash.hex() if newest else None,
        )
        return False
    return True
