"""Which log a position is of, whatever was restored how often."""

from itertools import pairwise
from random import Random
from uuid import UUID, uuid4

from ledger.kernel.incarnation import UNKNOWN, Lineage

FIRST, SECOND, THIRD = (UUID(int=number) for number in (1, 2, 3))
LINEAGE = Lineage.of([(FIRST, 0), (SECOND, 100), (THIRD, 200)])


def test_an_event_is_of_the_incarnation_that_its_position_falls_into() -> None:
    assert [LINEAGE.at(position) for position in (1, 100, 101, 200, 201)] == [
        FIRST, FIRST, SECOND, SECOND, THIRD,
    ]  # fmt: skip
    assert UNKNOWN.at(1) is None


def test_an_incarnation_has_in_common_what_it_had_when_the_next_began() -> None:
    assert LINEAGE.common_with(FIRST) == 100
    assert LINEAGE.common_with(SECOND) == 200
    assert LINEAGE.common_with(THIRD) is None


def test_one_that_a_restore_took_away_parted_at_the_first_beginning_at_the_latest() -> None:
    assert LINEAGE.common_with(uuid4()) == 100
    assert Lineage.of([(FIRST, 0)]).common_with(SECOND) == 0


def test_a_lineage_is_the_same_read_again() -> None:
    assert Lineage.parse(LINEAGE.text) == LINEAGE
    assert Lineage.parse("") == UNKNOWN


def test_nobody_is_told_of_a_later_parting_than_there_was() -> None:
    """Logs that are restored at random moments, again and again: what is said to be common with any
    incarnation that ever was is no more than what really is."""
    random = Random(7)
    for _ in range(200):
        log: list[tuple[UUID, UUID]] = []  # (event, incarnation) of each position
        lineage = Lineage.of([(uuid4(), 0)])
        ever = {lineage[0].id: log}
        for _ in range(random.randint(1, 6)):
            assert lineage.newest is not None
            log = [*log, *((uuid4(), lineage.newest) for _ in range(random.randint(1, 9)))]
            ever[lineage.newest] = log
            after = random.randint(1, len(log))
            kept = [one for one in lineage if one.after < after or one == lineage[0]]
            log = log[:after]
            lineage = Lineage.of([*kept, (uuid4(), after)])
        assert lineage.newest is not None
        ever[lineage.newest] = log
        assert all(one.after <= another.after for one, another in pairwise(lineage))
        for incarnation, events in ever.items():
            said = lineage.common_with(incarnation)
            common = len(events) if said is None else said
            assert events[:common] == log[:common]
