"""Whether the seals are as they were made: each one's hash and signature, and the chain."""

from collections.abc import Collection, Iterable

from ledger.audit.seals import FORMAT, NO_HASH, Seal, signature_holds
from ledger.audit.verdict import Finding, Tampering

MOST_FINDINGS = 20
"""Findings kept: who reads them needs the first and an impression, not each."""


class ChainCheck:
    """Takes the seals in order; `findings` are what is wrong with them.

    With `trusted` keys, seals must be signed by one of them from the first signed seal on, and the
    last one must be: an unsigned beginning is held by the signature after it.
    """

    def __init__(self, trusted: Collection[bytes], before: Seal | None) -> None:
        self.findings: list[Finding] = []
        self.seals = 0
        self.signed = 0
        self.public_keys: list[str] = []
        self.last = before
        self._trusted = trusted
        self._signing = before is not None and before.public_key is not None
        self._last_is_whole = True
        self._journal_last = (before.journal_last if before is not None else None) or 0

    def take(self, seals: Iterable[Seal]) -> None:
        """Checks further seals."""
        for seal in seals:
            found = len(self.findings)
            self._check_place(seal)
            self._check_journal(seal)
            if seal.computed_hash() != seal.hash or seal.format != FORMAT:
                self._found(seal, "changed", "was changed: its hash is not that of its content")
            else:
                self._check_signature(seal)
            self._last_is_whole = len(self.findings) == found
            self.last = seal
            self.seals += 1

    def finish(self) -> None:
        """Checks what only the end shows."""
        if self._trusted and self.last is not None and self.last.public_key is None:
            self._found(self.last, "re-sealed", "is not signed, though a public key was given")

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

    def _check_journal(self, seal: Seal) -> None:
        """A seal that stands for records beside the log does so from the last that did."""
        if seal.journal_last is None:
            return
        if seal.journal_last < self._journal_last:
            self._found(seal, "re-sealed", "stands for fewer records than the ones before did")
        self._journal_last = max(seal.journal_last, self._journal_last)

    def _check_signature(self, seal: Seal) -> None:
        if not signature_holds(seal):
            self._found(seal, "re-sealed", "has a signature that is not its key's")
        if seal.public_key is None:
            if self._signing:
                self._found(seal, "re-sealed", "is not signed, though earlier ones are")
            return
        self._signing = True
        self.signed += 1
        key = seal.public_key.hex()
        if key not in self.public_keys:
            self.public_keys.append(key)
        if self._trusted and seal.public_key not in self._trusted:
            self._found(seal, "re-sealed", f"is signed with key {key}, not with one that was given")

    def _found(self, seal: Seal, tampering: Tampering, what: str) -> None:
        if len(self.findings) < MOST_FINDINGS:
            where = f"positions {seal.first_position}-{seal.last_position}"
            self.findings.append(
                Finding(seal.first_position, tampering, f"seal {seal.number} ({where}) {what}")
            )
