"""What a verification found."""

from typing import Literal

import msgspec

from ledger.audit.prove.seals import Seal, Unsealed

Tampering = Literal["changed", "removed", "inserted", "reordered", "truncated", "re-sealed"]
"""What fits the trace: contents of an event or seal other than sealed; events or seals missing;
more than were sealed; in another order; the end missing; seals made anew without the key."""


class Finding(msgspec.Struct, frozen=True):
    """Something that is not as it was sealed. `position` is the first that is bad."""

    position: int
    tampering: Tampering
    message: str


class Verdict(msgspec.Struct, frozen=True):
    """The outcome of a verification. It `holds` when nothing was found."""

    first_position: int
    last_position: int
    events: int
    """Events whose contents were checked against a seal."""
    seals: int
    signed_seals: int
    public_keys: tuple[str, ...]
    """The keys that the seals were signed with, oldest first. Without a key from outside to compare
    them with, they say nothing about who signed."""
    key_known: bool
    head: Seal | None
    unsealed: Unsealed
    findings: tuple[Finding, ...]

    @property
    def holds(self) -> bool:
        return not self.findings

    @property
    def first(self) -> Finding | None:
        """The finding with the first bad position."""
        return min(self.findings, key=lambda finding: finding.position, default=None)
