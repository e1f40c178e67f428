"""Whether each seal is signed with the key that was in force when it was made.

A key is in force from the first seal that it signs until a seal states its change: to a key that it
signs for itself ('rotated'), or to one that it could not sign for because it was lost ('lost'). It
never comes back, so whoever holds a key that was rotated out can make nothing with it that follows
on the change.

Keys that were given vouch for the seals that they sign, and for the key that they were rotated to.
A key that follows on a lost one is vouched for by nobody: it has to be given as well, or to be that
of a head that was kept.

The newest seal stands for all before it. So the last one must be signed with a key that is vouched
for, and a key that was given must be met: else whoever holds an old key could make all of history
anew with it, as if the change had never been.
"""

from collections.abc import Iterable, Iterator, Sequence

from ledger.audit.prove.seals import Seal, previous_signature_holds, signature_holds
from ledger.audit.prove.trust import TrustedKey


class KeyChain:
    """Takes the seals in order. `signed_to` is the last position that a key vouches for which was
    given."""

    def __init__(self, given: Sequence[TrustedKey], *, from_the_beginning: bool) -> None:
        self.signed_to = 0
        self.keys: list[bytes] = []
        """Those in force so far, oldest first."""
        self.losses: list[Seal] = []
        self._given = given
        self._known = {one.key for one in given if one.first is None}
        self._met: set[bytes] = set()
        self._whole = from_the_beginning
        self._unknown: Seal | None = None
        """The first seal since the last one that is vouched for."""

    @property
    def in_force(self) -> bytes | None:
        return self.keys[-1] if self.keys else None

    def recall(self, changes: Iterable[Seal], in_force: bytes | None) -> Iterator[tuple[Seal, str]]:
        """Takes the changes of keys before the first seal that is checked."""
        for seal in changes:
            if not self.keys and seal.previous_key is not None:
                self.keys.append(seal.previous_key)
            yield from ((seal, what) for what in self._check(seal))
        if in_force is not None and in_force not in self.keys:
            self.keys.append(in_force)

    def take(self, seal: Seal) -> Iterator[str]:
        """What is wrong with the seal's signature and key."""
        yield from self._check(seal)
        if not self._given or seal.public_key is None:
            return
        yield from self._out_of_range(seal)
        if self._vouched(seal):
            self.signed_to, self._unknown = seal.last_position, None
        elif self._unknown is None:
            self._unknown = seal

    def vouch(self, seal: Seal) -> None:
        """The seal was kept outside: its key is as good as one that was given."""
        if self._given and seal.public_key is not None:
            self._known.add(seal.public_key)
            self._met.add(seal.public_key)
            self.signed_to, self._unknown = seal.last_position, None

    def finish(self, first: Seal, last: Seal) -> Iterator[tuple[Seal, str]]:
        """What only the end shows; each with the seal to blame."""
        if not self._given:
            return
        if last.public_key is None:
            yield last, "is not signed, though a public key was given"
        elif self._unknown is not None and self._unknown.change == "lost":
            yield (
                self._unknown,
                f"states that key {_hex(self._unknown.previous_key)} was lost, and is signed with "
                f"{_hex(self._unknown.public_key)}, for which nobody vouches: give that key, if "
                "its owner gave it to you, or a head kept after it",
            )
        elif self._unknown is not None:
            key = _hex(self._unknown.public_key)
            yield self._unknown, f"is signed with key {key}, not with one that was given"
        for one in self._given:
            if one.first is None and one.key not in self._met:
                yield (
                    first,
                    f"and those after it should be signed with key {one}, which signs none of "
                    "them. If it signs others, give its range (KEY:FROM-TO) or leave it out",
                )

    def _check(self, seal: Seal) -> Iterator[str]:
        """What can be said of the seal without a key from outside."""
        if not signature_holds(seal):
            yield "has a signature that is not its key's"
        key, before = seal.public_key, self.in_force
        if seal.change is not None:
            yield from self._check_change(seal)
        elif key is None:
            if before is not None:
                yield "is not signed, though earlier ones are"
            return
        elif before is not None and key != before:
            came_back = " again" if key in self.keys else ""
            yield (
                f"is signed with key {key.hex()}{came_back}, though {before.hex()} was in force "
                "and no seal states a change"
            )
        if key is not None:
            self._met.add(key)
            if key not in self.keys:
                self.keys.append(key)

    def _check_change(self, seal: Seal) -> Iterator[str]:
        before = self.in_force
        if before is None and not self._whole:
            before = seal.previous_key  # the seal before is not here to ask
        if seal.previous_key is None or seal.previous_key != before:
            yield "states a change from a key that was not in force"
        if seal.public_key is None or seal.public_key in (*self.keys, before):
            yield "states a change to a key that was in force before"
        if seal.change == "lost":
            self.losses.append(seal)
        elif seal.change != "rotated" or not previous_signature_holds(seal):
            yield "states a change of keys that the key before did not sign"
        elif before in self._known and seal.public_key is not None:
            self._known.add(seal.public_key)
        if before is not None:
            self._met.add(before)

    def _vouched(self, seal: Seal) -> bool:
        first, last = seal.first_position, seal.last_position
        ranges = [one for one in self._given if one.key == seal.public_key and one.first]
        if ranges:
            return any(one.covers(first, last) for one in ranges)
        return seal.public_key in self._known

    def _out_of_range(self, seal: Seal) -> Iterator[str]:
        first, last = seal.first_position, seal.last_position
        key = _hex(seal.public_key)
        own = [one for one in self._given if one.key == seal.public_key and one.first]
        if own and not any(one.covers(first, last) for one in own):
            yield f"is signed with key {key}, which was not given for its positions"
        elif not own and any(one.meets(first, last) for one in self._given):
            yield f"is signed with key {key}, not with the one that was given for its positions"


def _hex(key: bytes | None) -> str:
    return key.hex() if key is not None else "none"
