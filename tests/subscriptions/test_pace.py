"""The pace of a follower: of time, not of work, so that what is left over it is when it is done."""

from decimal import Decimal

from ledger.subscriptions.pace import Pace


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_reading_and_writing_count_and_waiting_does_not() -> None:
    clock = Clock()
    pace = Pace(clock)
    pace.begin()
    clock.now = 2.0  # reads and folds for two seconds
    assert pace.passed(1_000) == Decimal(500)
    clock.now = 4.0  # writes for one second, reads and folds the next for another
    pace.begin()
    assert pace.passed(1_000) == Decimal(500)
    pace.rest()
    clock.now = 100.0
    pace.begin()
    clock.now = 102.0
    assert pace.passed(1_000) == Decimal(500)


def test_what_is_left_is_passed_in_the_time_that_was_said() -> None:
    clock = Clock()
    pace = Pace(clock)
    left, rate = 50_000, None
    pace.begin()
    while left:
        if rate is not None:
            assert abs(float(left / rate) - (50.0 - clock.now)) < 1e-6
        clock.now += 1.0
        rate = pace.passed(1_000)
        left -= 1_000
    assert clock.now == 50.0


def test_nothing_passed_says_nothing_of_the_pace() -> None:
    assert Pace(Clock()).passed(0) is None
