"""What a verification found, and what that rests on.

Whoever runs the database can make events and seals anew so that they fit each other. So that
history fits its seals is no more than *consistent in itself*. That nothing was altered is said only
up to where something from outside vouches for it: a key that the auditor was given, or a head that
was kept elsewhere.
"""

from typing import Literal

import msgspec

from ledger.audit.prove.seals import Seal, Unsealed

Tampering = Literal[
    "changed", "removed", "inserted", "reordered", "truncated", "re-sealed", "restored"
]
"""What fits the trace: contents of an event or seal other than sealed; events or seals missing;
more than were sealed; in another order; the end missing; seals made anew without the key; an end
missing of which the log itself says that a restore took it away, who did it and why."""
Standing = Literal["held", "consistent", "altered"]
"""Held from outside; consistent in itself, and nothing from outside says more; altered."""


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
    """The outcome of a verification."""

    first_position: int
    last_position: int
    events: int
    """Events whose contents were checked against a seal."""
    seals: int
    signed_seals: int
    public_keys: tuple[str, ...]
    """The keys that were in force, oldest first."""
    losses: tuple[Seal, ...]
    """Seals that state the loss of a key: from there on another one signs that only a person
    vouches for."""
    signed_to: int
    """The last position that a key vouches for which was given; 0 if none was, or none does."""
    kept_head: Seal | None
    """The newest of the heads kept outside that these seals lead to."""
    head: Seal | None
    unsealed: Unsealed
    findings: tuple[Finding, ...]
    records: RecordsCheck | None = None
    """What was checked beside the log; None where only events were."""

    @property
    def held_to(self) -> int:
        """The last position that something from outside vouches for."""
        return max(self.signed_to, self.kept_head.last_position if self.kept_head else 0)

    @property
    def consistent(self) -> bool:
        """Whether nothing was found: log and seals fit each other and what was given."""
        return not self.findings

    @property
    def standing(self) -> Standing:
        if self.findings:
            return "altered"
        return "held" if self.held_to >= max(self.first_position, 1) else "consistent"

    @property
    def holds(self) -> bool:
        """Whether nothing was altered up to `held_to`, on the word of something from outside."""
        return self.standing == "held"

    @property
    def first(self) -> Finding | None:
        """The finding with the first bad position."""
        return min(self.findings, key=lambda finding: finding.position, default=None)
