"""What was done to sealed events, told from what is there and what was sealed.

The hash of an event holds its position. So an event that was moved has the sealed hash again once
it is given the position that it had, and that tells apart what else looks the same: all later
events differ when one was taken out and the others were moved down to close the gap.
"""

from collections.abc import Sequence

from ledger.audit.prove.blocks import Difference
from ledger.audit.prove.canonical import Row, leaf_hash
from ledger.audit.prove.verdict import Finding

MOST_SHIFT = 16
"""So many events taken out or put in at one place are recognised when the others were moved."""
MOST_COMPARED = 2_000
"""Differences among which events that changed places are looked for."""


def findings(differences: Sequence[Difference], sealed_end: int, log_end: int) -> list[Finding]:
    """What fits the differences (in position order), the first bad position first."""
    if not differences:
        return []
    missing = [difference for difference in differences if difference.row is None]
    extra = [difference for difference in differences if difference.sealed is None]
    differing = [difference for difference in differences if difference.row and difference.sealed]
    found = []
    if missing and missing[0].position > log_end:
        found.append(
            Finding(
                missing[0].position,
                "truncated",
                f"the log ends at position {log_end}, but it is sealed up to {sealed_end}",
            )
        )
    elif missing:
        what = f"{len(missing)} sealed events are" if len(missing) > 1 else "a sealed event is"
        found.append(Finding(missing[0].position, "removed", f"{what} missing"))
    if extra:
        found.append(
            Finding(extra[0].position, "inserted", "there are several events at this position")
        )
    if differing:
        found.append(_of_differing(differing))
    return sorted(found, key=lambda finding: finding.position)


def _of_differing(differing: Sequence[Difference]) -> Finding:
    first = differing[0]
    position, row, sealed = first
    assert row is not None
    assert sealed is not None
    at = {difference.position: difference for difference in differing[:MOST_COMPARED]}
    for shift in range(1, MOST_SHIFT + 1):
        neighbour = at.get(position + shift)
        if neighbour is None:
            break
        what = f"{shift} events were" if shift > 1 else "an event was"
        if neighbour.row and _moved(neighbour.row, position) == sealed:
            return Finding(position, "inserted", f"{what} put in, and the later ones moved up")
        if _moved(row, position + shift) == neighbour.sealed:
            return Finding(position, "removed", f"{what} taken out, and the later ones moved down")
    for other in at.values():
        if other is not first and _moved(row, other.position) == other.sealed:
            return Finding(
                position,
                "reordered",
                f"the event here was sealed at position {other.position}: events changed places",
            )
    count = f", and {len(differing) - 1} more" if len(differing) > 1 else ""
    return Finding(position, "changed", f"event {row[1]} is not the one that was sealed{count}")


def _moved(row: Row, position: int) -> bytes:
    return leaf_hash((str(position), *row[1:]))
