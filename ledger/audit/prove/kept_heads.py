"""Heads that were kept outside, held against the seals that there are.

Each is to be one of the seals. The first that is not tells where history parts from what was kept:
behind the last head that still fits.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from ledger.audit.prove.seals import Seal
from ledger.audit.prove.verdict import Finding


class HeadComparison(NamedTuple):
    """`newest` is the newest kept head that is one of the seals."""

    newest: Seal | None
    findings: list[Finding]


def compare(
    kept: Iterable[Seal], hash_of: Callable[[int], bytes | None], log_end: int
) -> HeadComparison:
    """Compares heads, oldest first, with the seals; `hash_of` tells the hash of the one with a
    number. `log_end` is the last position of the log."""
    newest: Seal | None = None
    for head in kept:
        found = hash_of(head.number)
        if found == head.hash:
            newest = head
            continue
        agreed = newest.last_position if newest else 0
        if found is None and log_end < head.last_position:
            return HeadComparison(newest, [_cut_off(head, max(log_end, agreed))])
        return HeadComparison(newest, [_made_anew(head, agreed)])
    return HeadComparison(newest, [])


def _cut_off(head: Seal, reached: int) -> Finding:
    return Finding(
        reached + 1,
        "truncated",
        f"the head kept outside is seal {head.number} up to position {head.last_position}, but the "
        f"log ends at position {reached}",
    )


def _made_anew(head: Seal, agreed: int) -> Finding:
    return Finding(
        agreed + 1,
        "re-sealed",
        f"seal {head.number} up to position {head.last_position} is not the one that was kept "
        f"outside: something in the positions {agreed + 1}-{head.last_position} was altered, and "
        "the seals were made anew",
    )
