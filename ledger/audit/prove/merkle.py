"""Merkle trees as in RFC 6962: `leaf = SHA-256(0x00 || event)`, `node = SHA-256(0x01 || l || r)`.

The tree of n leaves splits at the largest power of two below n. Pairing the nodes of a level from
the left, with an odd last one moved up as it is, makes the same tree.
"""

from collections.abc import Sequence
from hashlib import sha256

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()
"""The root of a block without events."""


def root(leaves: Sequence[bytes]) -> bytes:
    """The root over the leaf hashes."""
    if not leaves:
        return EMPTY_ROOT
    level = list(leaves)
    while len(level) > 1:
        level = _above(level)
    return level[0]


def path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """What has to be hashed onto a leaf to get to the root, from the bottom up."""
    siblings = []
    level = list(leaves)
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            siblings.append(level[sibling])
        level, index = _above(level), index // 2
    return siblings


def _above(level: list[bytes]) -> list[bytes]:
    pairs = zip(level[::2], level[1::2], strict=False)
    above = [sha256(b"\x01" + left + right).digest() for left, right in pairs]
    if len(level) % 2:
        above.append(level[-1])
    return above
