"""What an auditor brings from outside: public keys, and heads that were kept.

Whoever runs the database can seal any history anew. So seals are worth more than that person's word
only where something vouches for them that does not come from there: a key that the auditor knows,
or a head that was kept elsewhere.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from ledger.audit.prove.keys import UnusableKey, load_public

_RANGE = re.compile(r"(?P<key>.+):(?P<first>\d+)-(?P<last>\d*)")


class TrustedKey(NamedTuple):
    """A public key that was given. With `first` it signs the events from there to `last` and no
    others; without, it signs what the seals' own changes of keys say."""

    key: bytes
    first: int | None = None
    last: int | None = None

    def meets(self, first: int, last: int) -> bool:
        """Whether the key was given for some of these positions."""
        if self.first is None:
            return False
        return self.first <= last and (self.last is None or first <= self.last)

    def covers(self, first: int, last: int) -> bool:
        """Whether the key may sign all of these positions."""
        if self.first is None:
            return True
        return self.first <= first and (self.last is None or last <= self.last)

    def __str__(self) -> str:
        if self.first is None:
            return self.key.hex()
        return f"{self.key.hex()} (positions {self.first}-{self.last or ''})"


def trusted_key(given: str) -> TrustedKey:
    """The key of `KEY` or `KEY:FROM-TO`, where KEY is a PEM file or 64 hexadecimal digits, and TO
    may be left out. Raises UnusableKey."""
    ranged = _RANGE.fullmatch(given)
    if ranged is None:
        return TrustedKey(load_public(given))
    first, last = int(ranged["first"]), int(ranged["last"]) if ranged["last"] else None
    if first < 1 or (last is not None and last < first):
        raise UnusableKey(f"{given!r}: {first}-{last} is no range of positions. Give FROM-TO.")
    return TrustedKey(load_public(ranged["key"]), first, last)


def trusted(keys: Iterable[bytes]) -> list[TrustedKey]:
    """The keys, each for whatever the seals say."""
    return [TrustedKey(key) for key in keys]
