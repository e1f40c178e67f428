"""Whether the seals are as they were made: each one's hash and signature, and the chain."""

from collections.abc import Iterable, Sequence

from ledger.audit.prove.key_chain import KeyChain
from ledger.audit.prove.merkle import EMPTY_ROOT
from ledger.audit.prove.seals import FORMAT, NO_HASH, Seal
from ledger.audit.prove.trust import TrustedKey
from ledger.audit.prove.verdict import Finding, Tampering

MOST_FINDINGS = 20
"""Findings kept: who reads them needs the first and an impression, not each."""


class ChainCheck:
    """Takes the seals in order; `findings` are what is wrong with them.

    With `trusted` keys the last seal must be signed with one that they vouch for (key_chain.py):
    what is before it is held by that signature. `changes` are the changes of keys up to `before`,
    the seal before the first one that is taken. `kept` is the newest head that was kept outside.
    """

    def __init__(
        self,
        trusted: Sequence[TrustedKey],
        before: Seal | None = None,
        changes: Iterable[Seal] = (),
        kept: Seal | None = None,
    ) -> None:
        self.findings: list[Finding] = []
        self.seals = 0
        self.signed = 0
        self.last = before
        self._first: Seal | None = None
        self._kept = kept
        self._keys = KeyChain(trusted, from_the_beginning=before is None)
        for seal, what in self._keys.recall(changes, before.public_key if before else None):
            self._found(seal, "re-sealed", what)
        self._last_is_whole = True
        self._journal_last = (before.journal_last if before is not None else None) or 0

    @property
    def public_keys(self) -> tuple[str, ...]:
        """The keys that were in force, oldest first."""
        return tuple(key.hex() for key in self._keys.keys)

    @property
    def losses(self) -> tuple[Seal, ...]:
        """The seals that state the loss of a key."""
        return tuple(self._keys.losses)

    @property
    def signed_to(self) -> int:
        """The last position that a key vouches for which was given."""
        return self._keys.signed_to

    def take(self, seals: Iterable[Seal]) -> None:
        """Checks further seals."""
        for seal in seals:
            found = len(self.findings)
            self._check_place(seal)
            self._check_journal(seal)
            if seal.computed_hash() != seal.hash or seal.format != FORMAT:
                self._found(seal, "changed", "was changed: its hash is not that of its content")
            else:
                self._check_keys(seal)
            self._last_is_whole = len(self.findings) == found
            self._first = self._first or seal
            self.last = seal
            self.seals += 1

    def finish(self) -> None:
        """Checks what only the end shows."""
        if self._first is not None and self.last is not None:
            for seal, what in self._keys.finish(self._first, self.last):
                self._found(seal, "re-sealed", what)

    def _check_place(self, seal: Seal) -> None:
        before = self.last
        number, position = (before.number, before.last_position) if before else (0, 0)
        if seal.number != number + 1:
            self.findings.append(
                Finding(
                    position + 1,
                    "removed",
                    f"seal {number + 1} is missing: seal {seal.number} follows seal {number}",
                )
            )
        elif seal.first_position != position + 1:
            self._found(seal, "changed", f"does not begin after position {position}")
        elif self._last_is_whole and seal.previous_hash != (before.hash if before else NO_HASH):
            blamed = before if before is not None else seal
            self._found(blamed, "re-sealed", "is not the one that the next seal was made upon")
        if (seal.change is not None and seal.event_count) or seal.event_count < 0:
            self._found(seal, "changed", "has a number of events that it cannot have")
        elif seal.event_count == 0 and seal.root != EMPTY_ROOT:
            self._found(seal, "changed", "has no events, and not the root of none")

    def _check_journal(self, seal: Seal) -> None:
        """A seal that stands for records beside the log does so from the last that did."""
        if seal.journal_last is None:
            return
        if seal.journal_last < self._journal_last:
            self._found(seal, "re-sealed", "stands for fewer records than the ones before did")
        self._journal_last = max(seal.journal_last, self._journal_last)

    def _check_keys(self, seal: Seal) -> None:
        for what in self._keys.take(seal):
            self._found(seal, "re-sealed", what)
        if seal.public_key is not None:
            self.signed += 1
        if self._kept is not None and seal.hash == self._kept.hash:
            self._keys.vouch(seal)

    def _found(self, seal: Seal, tampering: Tampering, what: str) -> None:
        if len(self.findings) < MOST_FINDINGS:
            where = f"positions {seal.first_position}-{seal.last_position}"
            if seal.event_count == 0:
                where = f"after position {seal.last_position}"
            self.findings.append(
                Finding(seal.first_position, tampering, f"seal {seal.number} ({where}) {what}")
            )
