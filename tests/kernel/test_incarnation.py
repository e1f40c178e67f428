"""Which log a position is of, whatever was restored how often."""

from itertools import pairwise
from random import Random
from uuid import UUID, uuid4

from uuid_utils.compat import uuid7

from ledger.kernel.incarnation import UNKNOWN, Lineage, next_id

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
    lost = UUID(int=2 * 2**64)
    assert LINEAGE.common_with(UUID(int=lost.int)) is None  # it began later than all of these
    later = Lineage.of([*LINEAGE, (UUID(int=lost.int + 1), 300)])
    assert later.common_with(lost) == 100
    assert Lineage.of([(SECOND, 0)]).common_with(FIRST) == 0


def test_what_was_told_before_an_incarnation_began_says_nothing_of_it() -> None:
    """As the messages that a follower finds again, which were published long before."""
    assert LINEAGE[:2] == ((FIRST, 0), (SECOND, 100))
    assert Lineage.of(LINEAGE[:2]).common_with(THIRD) is None


def test_ids_rise_whatever_the_clock_says() -> None:
    made = uuid7()
    assert next_id(made, [FIRST]) == made
    ahead = UUID(int=made.int + (1 << 100))
    following = next_id(made, [FIRST, ahead])
    assert following.int > ahead.int
    assert following.version == 7


def test_a_lineage_is_the_same_read_again() -> None:
    assert Lineage.parse(LINEAGE.text) == LINEAGE
    assert Lineage.parse("") == UNKNOWN


def test_nobody_is_told_of_a_later_parting_than_there_was() -> None:
    """Logs that are restored at random moments, again and again: what is said to be common with any
    incarnation that ever was is no more than what really is."""
    random = Random(7)
    for _ in range(200):
        log: list[tuple[UUID, UUID]] = []  # (event, incarnation) of each position
        lineage = Lineage.of([(uuid7(), 0)])
        ever = {lineage[0].id: log}
        for _ in range(random.randint(1, 6)):
            assert lineage.newest is not None
            log = [*log, *((uuid4(), lineage.newest) for _ in range(random.randint(1, 9)))]
            ever[lineage.newest] = log
            after = random.randint(1, len(log))
            kept = [one for one in lineage if one.after < after or one == lineage[0]]
            log = log[:after]
            following = next_id(uuid7(), ever)
            lineage = Lineage.of([*kept, (following, after)])
        assert lineage.newest is not None
        ever[lineage.newest] = log
        assert all(one.after <= another.after for one, another in pairwise(lineage))
        for incarnation, events in ever.items():
            said = lineage.common_with(incarnation)
            common = len(events) if said is None else said
            assert events[:common] == log[:common]
