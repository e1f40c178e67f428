"""Whether the events are those that were sealed: each block read, hashed and compared.

A block whose events hash to its root is done with. One that does not is read again and compared
event by event with the leaf hashes that were kept with the seal, which the root holds.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import psycopg

from ledger.audit.prove.canonical import Row, leaf_hash
from ledger.audit.prove.merkle import root
from ledger.audit.prove.printed_events import rows
from ledger.audit.prove.seals import split_leaves

MOST_DIFFERENCES = 1_000
"""Differences looked at in a block: enough to tell what was done to it."""


class Block(NamedTuple):
    """What a seal says of its events."""

    number: int
    first: int
    last: int
    root: bytes
    leaf_hashes: bytes


class Difference(NamedTuple):
    """A position whose event is not the sealed one. `row` is what is there now, None if nothing is;
    `sealed` is the leaf hash that was kept, None for a second event at one position."""

    position: int
    row: Row | None
    sealed: bytes | None


class BlocksCheck(NamedTuple):
    """The outcome for some blocks."""

    events: int
    differences: list[Difference]
    bad_leaf_lists: list[Block]
    """Blocks whose kept leaf hashes are not those of their root."""
    bad_roots: list[Block]
    """Blocks whose events do not hash to the root, with no leaf hashes to tell which."""


_BLOCKS = """
    SELECT number, first_position, last_position, root, leaf_hashes FROM event_seals
    WHERE number BETWEEN %s AND %s ORDER BY number"""


def check_blocks(
    connection: psycopg.Connection[Any], first_number: int, last_number: int
) -> BlocksCheck:
    """Checks the events under the seals of these numbers. Inside a transaction of the caller."""
    cursor = connection.execute(_BLOCKS, [first_number, last_number])
    blocks = [Block(*row) for row in cursor]
    check = BlocksCheck(0, [], [], [])
    events = 0
    for run in _runs(blocks):
        bad = []
        for block, count, holds in _hashed(connection, run):
            events += count
            if not holds:
                bad.append(block)
        for block in bad:
            _examine(connection, block, check)
    return check._replace(events=events)


def _runs(blocks: Sequence[Block]) -> Iterator[list[Block]]:
    """The blocks in groups in which each follows the one before, so that one query reads all."""
    run: list[Block] = []
    for block in blocks:
        if run and block.first != run[-1].last + 1:
            yield run
            run = []
        run.append(block)
    if run:
        yield run


def _hashed(
    connection: psycopg.Connection[Any], run: Sequence[Block]
) -> Iterator[tuple[Block, int, bool]]:
    """Each block with the number of its events and whether they are the sealed ones."""
    at = 0
    leaves: list[bytes] = []
    end = run[0].last
    for row in rows(connection, run[0].first, run[-1].last):
        position = row[0]
        assert position is not None
        while int(position) > end:
            yield run[at], len(leaves), _holds(run[at], leaves)
            at, leaves = at + 1, []
            end = run[at].last
        leaves.append(leaf_hash(row))
    for block in run[at:]:
        yield block, len(leaves), _holds(block, leaves)
        leaves = []


def _holds(block: Block, leaves: list[bytes]) -> bool:
    return (
        len(leaves) == block.last - block.first + 1
        and root(leaves) == block.root
        and b"".join(leaves) == block.leaf_hashes
    )


def _examine(connection: psycopg.Connection[Any], block: Block, check: BlocksCheck) -> None:
    """Adds what is wrong with the block to the check."""
    kept = split_leaves(block.leaf_hashes)
    reliable = len(kept) == block.last - block.first + 1 and root(kept) == block.root
    if not reliable:
        check.bad_leaf_lists.append(block)
    found = check.differences
    limit = len(found) + MOST_DIFFERENCES
    expected = block.first
    leaves = []
    for row in rows(connection, block.first, block.last):
        position = int(row[0] or 0)
        leaves.append(leaf_hash(row))
        if len(found) >= limit:
            continue
        for missing in range(expected, min(position, expected + MOST_DIFFERENCES)):
            found.append(Difference(missing, None, _leaf(kept, missing - block.first)))
        if position < expected:  # the position is taken already
            found.append(Difference(position, row, None))
        elif reliable and leaves[-1] != kept[position - block.first]:
            found.append(Difference(position, row, kept[position - block.first]))
        expected = max(expected, position + 1)
    for missing in range(expected, min(block.last + 1, expected + MOST_DIFFERENCES)):
        found.append(Difference(missing, None, _leaf(kept, missing - block.first)))
    whole = len(leaves) == block.last - block.first + 1
    if not reliable and not (whole and root(leaves) == block.root):
        check.bad_roots.append(block)


def _leaf(leaves: list[bytes], index: int) -> bytes | None:
    return leaves[index] if index < len(leaves) else None
