"""The protocol of followers, in every order of things: `LEDGER_TEST_EXAMPLES=1000` for more."""

import os
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)

from ledger.bus.follower_record import KeptRecord, Record
from ledger.client.follower_claim import (
    LOOK_SECONDS,
    Action,
    End,
    FindPlace,
    FollowerClaim,
    Pause,
    Read,
    Write,
)

LEASE_SECONDS = 2.0
MOST_PROCESSES = 5
EXAMPLES = int(os.environ.get("LEDGER_TEST_EXAMPLES", "150"))

numbers = st.integers(0, 10**6)


class Server:
    """One record, changed by compare and set."""

    def __init__(self) -> None:
        self.kept = KeptRecord(None, 0)
        self.messages = 0

    def write(self, asked: Write) -> int | None:
        if asked.version != self.kept.version:
            return None
        self.messages += 1
        self.kept = KeptRecord(asked.record, self.messages)
        return self.messages

    @property
    def owner(self) -> str | None:
        return self.kept.record.owner if self.kept.record else None

    @property
    def place(self) -> int:
        return (self.kept.record.place or 0) if self.kept.record else 0


@dataclass
class Process:
    """A follower, its request under way, and what it has done."""

    name: str
    claim: FollowerClaim
    number: int
    alive: bool = True
    stopped: bool = False
    in_hand: int | None = None
    last_done: int = 0
    asked: Action | None = None
    asked_at: float = 0.0
    answer: KeptRecord | int | None = None
    answered: bool = False
    repeats: set[int] = field(default_factory=set)
    """What may come to it although somebody has done it."""

    @property
    def runs(self) -> bool:
        return self.alive and not self.stopped and self.claim.end is None


class Followers(RuleBasedStateMachine):
    """Processes under one name, and what they hand out of an endless stream of events."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.server = Server()
        self.processes: list[Process] = []
        self.done: set[int] = set()

    def started(self) -> Process:
        number = len(self.processes) + 1
        name = f"p{number}"
        process = Process(name, FollowerClaim(name, "ledger.events.>", LEASE_SECONDS), number)
        self.processes.append(process)
        return process

    def one(self, number: int, **are: bool) -> Process | None:
        """One of the processes that are so."""
        found = [
            process
            for process in self.processes
            if all(getattr(process, name) is value for name, value in are.items())
        ]
        return found[number % len(found)] if found else None

    def take(self, process: Process) -> int | None:
        """The process asks for its next event; which one it gets."""
        if process.in_hand is not None:
            process.claim.done(process.in_hand)
            self.done.add(process.in_hand)
            process.last_done, process.in_hand = process.in_hand, None
        if not process.claim.may_hand_out(self.now):
            return None
        process.in_hand = process.claim.place + 1
        process.claim.handed_out()
        assert process.in_hand == 1 or process.in_hand - 1 in self.done, "an event was lost"
        return process.in_hand

    @invariant()
    def only_the_owner_hands_out(self) -> None:
        for process in self.processes:
            if process.alive and process.claim.may_hand_out(self.now):
                assert self.server.owner == process.name


class AnythingHappens(Followers):
    """Requests are late, lost, or answered into nothing; processes are killed, stand still and
    wake: nothing is lost, and nobody but the owner hands anything out."""

    def __init__(self) -> None:
        super().__init__()
        self.late: list[Write] = []

    @precondition(lambda self: len(self.processes) < MOST_PROCESSES)
    @rule()
    def start(self) -> None:
        self.started()

    @rule(number=numbers)
    def ask(self, number: int) -> None:
        process = self.one(number, runs=True)
        if process is None or process.asked is not None:
            return
        action = process.claim.next(self.now)
        if isinstance(action, FindPlace):
            process.claim.begin_at(0, None)
        elif not isinstance(action, Pause):
            process.asked, process.asked_at, process.answered = action, self.now, False

    @rule(number=numbers, hinted=st.booleans())
    def arrive(self, number: int, hinted: bool) -> None:
        process = self.one(number)
        if process is None or process.asked is None or process.answered:
            return
        process.answered = True
        if isinstance(process.asked, Read):
            process.answer = self.server.kept
        elif isinstance(process.asked, Write):
            process.answer = self.server.write(process.asked)
            for other in self.processes if hinted else ():
                other.claim.hint(process.asked.record)

    @rule(number=numbers)
    def answer(self, number: int) -> None:
        process = self.one(number, runs=True, answered=True)
        if process is None or process.asked is None:
            return
        if isinstance(process.answer, KeptRecord):
            process.claim.found(process.answer, self.now)
        elif process.answer is None:
            process.claim.refused()
        elif isinstance(process.asked, Write):
            process.claim.stored(process.asked.record, process.answer, process.asked_at)
        process.asked, process.answered = None, False

    @rule(number=numbers)
    def give_up(self, number: int) -> None:
        """A request's time is over: perhaps it was served, perhaps it will be."""
        process = self.one(number, runs=True)
        if process is None or process.asked is None:
            return
        if isinstance(process.asked, Write) and not process.answered:
            self.late.append(process.asked)
        process.asked, process.answered = None, False
        process.claim.failed()

    @rule(number=numbers)
    def arrive_late(self, number: int) -> None:
        if self.late:
            self.server.write(self.late.pop(number % len(self.late)))

    @rule(number=numbers)
    def handle(self, number: int) -> None:
        process = self.one(number, runs=True)
        if process is not None:
            self.take(process)

    @rule(number=numbers)
    def leave(self, number: int) -> None:
        process = self.one(number, runs=True)
        if process is not None:
            process.in_hand = None
            process.claim.leave()

    @rule(seconds=st.floats(0.01, 2 * LEASE_SECONDS))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule(number=numbers)
    def kill(self, number: int) -> None:
        process = self.one(number, alive=True)
        if process is not None:
            process.alive = False

    @rule(number=numbers)
    def stop_or_wake(self, number: int) -> None:
        process = self.one(number, alive=True)
        if process is not None:
            process.stopped = not process.stopped


class AllGoesWell(Followers):
    """The server answers at once, except while it is away, and processes do what is due: nothing
    is handled twice but what another had in hand; the newest gets the name, the others are told."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False

    @precondition(lambda self: len(self.processes) < MOST_PROCESSES)
    @rule()
    def start(self) -> None:
        process = self.started()
        self.settle()
        assert process.claim.end is None

    @rule(number=numbers, times=st.integers(1, 5))
    def handle(self, number: int, times: int) -> None:
        process = self.one(number, runs=True)
        for _ in range(times if process else 0):
            assert process is not None
            given = self.take(process)
            assert given is None or given not in self.done or given in process.repeats
            self.settle()

    @rule(number=numbers)
    def leave(self, number: int) -> None:
        process = self.one(number, runs=True)
        if process is not None:
            process.in_hand = None
            process.claim.leave()
            self.settle()
            assert self.away or process.claim.end is not None

    @rule(number=numbers)
    def kill(self, number: int) -> None:
        process = self.one(number, runs=True)
        if process is not None:
            process.alive = False
            lost = {n for n in self.done if n > self.server.place}
            for other in self.processes:
                other.repeats |= lost

    @rule(number=numbers)
    def stand_still_and_wake(self, number: int) -> None:
        """For longer than a lease: it may have been replaced, and knows it before its next."""
        process = self.one(number, runs=True)
        if process is not None:
            process.stopped = True
            lost = {n for n in self.done if n > self.server.place}
            for other in self.processes:
                other.repeats |= lost
            self.run_for(2 * LEASE_SECONDS)
            process.stopped = False
            given = self.take(process)
            assert given is None
            self.settle()

    @rule()
    def server_goes_or_comes(self) -> None:
        self.away = not self.away
        self.settle()

    @rule(seconds=st.floats(0.01, 2 * LEASE_SECONDS))
    def pass_time(self, seconds: float) -> None:
        self.run_for(seconds)

    def teardown(self) -> None:
        """In the end the newest of those that live has the name, and all others know."""
        self.away = False
        self.settle()
        self.run_for(3 * LEASE_SECONDS)
        running = [process for process in self.processes if process.runs]
        if running:
            for process in running[:-1]:  # with the event in hand it may not have been told yet
                assert self.take(process) is None
            self.run_for(3 * LEASE_SECONDS)
            assert self.server.owner == running[-1].name
            assert [process.claim.end for process in running[:-1]] == [End.TAKEN] * (
                len(running) - 1
            )

    def run_for(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            self.now = min(self.now + LOOK_SECONDS / 2, until)
            self.settle()

    def settle(self) -> None:
        """Everybody does what is due, until nothing is."""
        acting = True
        while acting:
            acting = False
            for process in self.processes:
                acting |= process.runs and self.act(process)

    def act(self, process: Process) -> bool:
        """Whether something changed by what the process did."""
        action = process.claim.next(self.now)
        if isinstance(action, Pause):
            return False
        if isinstance(action, FindPlace):
            process.claim.begin_at(0, None)
        elif self.away:
            process.claim.failed()
            return False
        elif isinstance(action, Read):
            process.claim.found(self.server.kept, self.now)
        else:
            self.write(process, action)
        return True

    def write(self, process: Process, asked: Write) -> None:
        before = self.server.kept.record
        version = self.server.write(asked)
        if version is None:
            process.claim.refused()
            return
        was_owned = process.claim.owned
        process.claim.stored(asked.record, version, self.now)
        if process.claim.owned and not was_owned and before is not None:
            self.note_takeover(process, before)
        for other in self.processes:
            other.claim.hint(asked.record)

    def note_takeover(self, process: Process, before: Record) -> None:
        """What the one before had in hand may come again, and nothing else that it did."""
        for other in self.processes:
            if other.name == before.owner and other.in_hand is not None:
                process.repeats.add(other.in_hand)
            if other is not process:
                process.repeats |= other.repeats


TestAnythingHappens = AnythingHappens.TestCase
TestAllGoesWell = AllGoesWell.TestCase
for _case in (TestAnythingHappens, TestAllGoesWell):
    _case.settings = settings(
        max_examples=EXAMPLES, stateful_step_count=60, deadline=None, database=None
    )
del _case  # not a test of its own
