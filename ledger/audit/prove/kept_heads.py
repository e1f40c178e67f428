"""Heads that were kept outside, held against the seals that there are.

Each is to be one of the seals. The first that is not tells where history parts from what was kept:
behind the last head that still fits. A log that was restored to an earlier moment says so
(`log.recovered`), and lacks the heads between that moment and the recovery: they are named as lost
by it, once, and those after it are held against the seals again.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from ledger.audit.prove.seals import Seal
from ledger.audit.prove.verdict import Finding


class Restoration(NamedTuple):
    """What a log says of a restore: what it had behind position `after` is lost."""

    after: int
    seals: int
    """The number of the newest seal that was left."""
    recovered_at: datetime
    actor: str
    reason: str


class HeadComparison(NamedTuple):
    """`newest` is the newest kept head that is one of the seals."""

    newest: Seal | None
    findings: list[Finding]


def compare(
    kept: Iterable[Seal],
    hash_of: Callable[[int], bytes | None],
    log_end: int,
    restorations: Sequence[Restoration] = (),
) -> HeadComparison:
    """Compares heads, oldest first, with the seals; `hash_of` tells the hash of the one with a
    number. `log_end` is the last position of the log."""
    newest: Seal | None = None
    lost: dict[Restoration, Seal] = {}
    for head in kept:
        found = hash_of(head.number)
        if found == head.hash:
            newest = head
            continue
        restored = _lost_by(head, restorations)
        if restored is not None:
            lost[restored] = head
            continue
        agreed = newest.last_position if newest else 0
        gone = [_lost(one, which) for which, one in lost.items()]
        if found is None and log_end < head.last_position:
            return HeadComparison(newest, [*gone, _cut_off(head, max(log_end, agreed))])
        if found is None and hash_of(head.number - 1) == head.previous_hash:
            return HeadComparison(newest, [*gone, _seal_missing(head)])
        return HeadComparison(newest, [*gone, _made_anew(head, agreed)])
    return HeadComparison(newest, [_lost(one, which) for which, one in lost.items()])


def _lost_by(head: Seal, restorations: Sequence[Restoration]) -> Restoration | None:
    """The restore that took the seal away, as the log says."""
    sealed_at = datetime.fromisoformat(head.sealed_at)
    return next(
        (one for one in restorations if head.number > one.seals and sealed_at < one.recovered_at),
        None,
    )


def _lost(head: Seal, restored: Restoration) -> Finding:
    return Finding(
        restored.after + 1,
        "restored",
        f"the heads kept outside lead to position {head.last_position} (seal {head.number}), and "
        f"the log says that it was restored to position {restored.after} and recovered at "
        f"{restored.recovered_at.isoformat()} by {restored.actor}: {restored.reason}",
    )


def _cut_off(head: Seal, reached: int) -> Finding:
    return Finding(
        reached + 1,
        "truncated",
        f"the head kept outside is seal {head.number} up to position {head.last_position}, but the "
        f"log ends at position {reached}",
    )


def _seal_missing(head: Seal) -> Finding:
    """What it was made upon is there: it was not made anew, it is gone."""
    return Finding(
        head.first_position,
        "truncated",
        f"the head kept outside is seal {head.number} up to position {head.last_position}, and the "
        f"seals end with the one before it",
    )


def _made_anew(head: Seal, agreed: int) -> Finding:
    return Finding(
        agreed + 1,
        "re-sealed",
        f"seal {head.number} up to position {head.last_position} is not the one that was kept "
        f"outside: something in the positions {agreed + 1}-{head.last_position} was altered, and "
        "the seals were made anew",
    )
