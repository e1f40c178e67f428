"""What a verification found."""

from typing import Literal

import msgspec

from ledger.audit.seals import Seal, Unsealed

Tampering = Literal["changed", "removed", "inserted", "reordered", "truncated", "re-sealed"]
"""What fits the trace: contents of an event or seal other than sealed; events or seals missing;
more than were sealed; in another order; the end missing; seals made anew without the key."""


class Finding(msgspec.Struct, frozen=True):
    """Something that is not as it was sealed. `position` is the first that is bad."""

    position: int
    tampering: Tampering
    message: str


class RecordsCheck(msgspec.Struct, frozen=True):
    """What was checked beside the log, and what was found. `forgotten` outcomes were taken away
    because of their age: there are none where LEDGER_INBOX_RETENTION_DAYS was never set."""

    outcomes: int
    failed_commands: int
    unreadable_messages: int
    forgotten: int
    unsealed_entries: int
    cached_states: int
    """Snapshots that were compared with a fold of their stream."""
    findings: tuple[Finding, ...]


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
    records: RecordsCheck | None = None
    """What was checked beside the log; None where only events were."""

    @property
    def holds(self) -> bool:
        return not self.findings

    @property
    def first(self) -> Finding | None:
        """The finding with the first bad position."""
        return min(self.findings, key=lambda finding: finding.position, default=None)
