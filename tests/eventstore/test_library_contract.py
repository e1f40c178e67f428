"""The `eventsourcing` library's own contract cases, run against our table.

Only one thing differs from how the library runs them on its own recorders: its cases write opaque
bytes as states, and the log holds JSON. So the recorder under test is given each state wrapped as
a JSON object, and unwraps what it reads.
"""

import base64
import json
import unittest
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event as Flag
from typing import Any
from uuid import UUID, uuid4

import pytest
from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    InfrastructureFactory,
    Notification,
    ProcessRecorder,
    StoredEvent,
    TrackingRecorder,
)
from eventsourcing.postgres import PostgresTrackingRecorder
from eventsourcing.tests import persistence as cases
from eventsourcing.utils import Environment

from ledger.eventstore import LedgerFactory
from ledger.eventstore.library.recorder import (
    LedgerAggregateRecorder,
    LedgerApplicationRecorder,
    LedgerProcessRecorder,
)


def _wrapped(event: StoredEvent) -> StoredEvent:
    state = json.dumps({"bytes": base64.b64encode(event.state).decode()}).encode()
    return StoredEvent(event.originator_id, event.originator_version, event.topic, state)


def _unwrapped(state: bytes) -> bytes:
    return base64.b64decode(json.loads(state)["bytes"])


class _JsonStates:
    """Wraps the states on their way to the recorder and unwraps them on their way back."""

    def insert_events(
        self, stored_events: Sequence[StoredEvent], **kwargs: Any
    ) -> Sequence[int] | None:
        wrapped = [_wrapped(event) for event in stored_events]
        return super().insert_events(wrapped, **kwargs)  # type: ignore[misc,no-any-return]

    def select_events(self, originator_id: UUID | str, **kwargs: Any) -> Sequence[StoredEvent]:
        return [
            StoredEvent(e.originator_id, e.originator_version, e.topic, _unwrapped(e.state))
            for e in super().select_events(originator_id, **kwargs)  # type: ignore[misc]
        ]

    def select_notifications(self, *args: Any, **kwargs: Any) -> Sequence[Notification]:
        return [
            Notification(
                n.originator_id, n.originator_version, n.topic, _unwrapped(n.state), id=n.id
            )
            for n in super().select_notifications(*args, **kwargs)  # type: ignore[misc]
        ]


class JsonAggregateRecorder(_JsonStates, LedgerAggregateRecorder):
    pass


class JsonApplicationRecorder(_JsonStates, LedgerApplicationRecorder):
    pass


class JsonProcessRecorder(_JsonStates, LedgerProcessRecorder):
    pass


class _OnOurTable(unittest.TestCase):
    """Gives each case a fresh database, on the embedded PostgreSQL unless a subclass says so."""

    database_fixture = "database_url"

    @pytest.fixture(autouse=True)
    def _factory(self, request: pytest.FixtureRequest) -> Iterator[None]:
        ledger_database = request.getfixturevalue(self.database_fixture)
        self.env = Environment(
            env={
                "PERSISTENCE_MODULE": "ledger.eventstore",
                "LEDGER_DATABASE_URL": ledger_database,
            }
        )
        self.factory = LedgerFactory(self.env)
        yield
        self.factory.close()


class TestAggregateRecorder(_OnOurTable, cases.AggregateRecorderTestCase):
    def create_recorder(self) -> AggregateRecorder:
        return JsonAggregateRecorder(self.factory.datastore)


class TestApplicationRecorder(_OnOurTable, cases.ApplicationRecorderTestCase[ApplicationRecorder]):
    def create_recorder(self) -> ApplicationRecorder:
        return JsonApplicationRecorder(self.factory.datastore)

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestProcessRecorder(_OnOurTable, cases.ProcessRecorderTestCase):
    def create_recorder(self) -> ProcessRecorder:
        recorder = JsonProcessRecorder(
            self.factory.datastore, tracking_table_name="notification_tracking"
        )
        recorder.create_table()
        return recorder


class TestTrackingRecorder(_OnOurTable, cases.TrackingRecorderTestCase):
    def create_recorder(self) -> TrackingRecorder:
        return self.factory.tracking_recorder()


class TestNonInterleavingNotificationIDs(_OnOurTable, cases.NonInterleavingNotificationIDsBaseCase):
    """The library's stacks are numbered from 0 and their states are JSON: taken as they are."""

    insert_num = 1000

    def create_recorder(self) -> ApplicationRecorder:
        return self.factory.application_recorder()


class _TrackingSubclass(PostgresTrackingRecorder):
    pass


class TestInfrastructureFactory(_OnOurTable, cases.InfrastructureFactoryTestCase[LedgerFactory]):
    def expected_factory_class(self) -> type[LedgerFactory]:
        return LedgerFactory

    def expected_aggregate_recorder_class(self) -> type[AggregateRecorder]:
        return LedgerAggregateRecorder

    def expected_application_recorder_class(self) -> type[ApplicationRecorder]:
        return LedgerApplicationRecorder

    def expected_tracking_recorder_class(self) -> type[TrackingRecorder]:
        return PostgresTrackingRecorder

    def tracking_recorder_subclass(self) -> type[TrackingRecorder]:
        return _TrackingSubclass

    def expected_process_recorder_class(self) -> type[ProcessRecorder]:
        return LedgerProcessRecorder


class TestConcurrentWriters(_OnOurTable):
    def test_eight_writers_leave_no_gap_and_readers_never_miss_an_event(self) -> None:
        """A reader that follows the positions while eight writers append sees each exactly once."""
        writers, appends, per_append = 8, 40, 5
        recorder = self.factory.application_recorder()
        seen: list[int] = []
        written = Flag()

        def write() -> None:
            for _ in range(appends):
                stream_id = uuid4()
                recorder.insert_events(
                    [
                        StoredEvent(stream_id, v + 1, "test.happened", b"{}")
                        for v in range(per_append)
                    ]
                )

        def read() -> None:
            while True:
                last_round = written.is_set()
                start = seen[-1] if seen else None
                found = recorder.select_notifications(
                    start, limit=1000, inclusive_of_start=start is None
                )
                seen.extend(n.id for n in found)
                if last_round and not found:
                    return

        with ThreadPoolExecutor(writers + 1) as pool:
            reading = pool.submit(read)
            for writing in [pool.submit(write) for _ in range(writers)]:
                writing.result()
            written.set()
            reading.result()
        assert seen == list(range(1, writers * appends * per_append + 1))


class TestAggregateRecorderOnPostgres15(TestAggregateRecorder):
    database_fixture = "postgres15_database_url"


class TestApplicationRecorderOnPostgres15(TestApplicationRecorder):
    database_fixture = "postgres15_database_url"


class TestProcessRecorderOnPostgres15(TestProcessRecorder):
    database_fixture = "postgres15_database_url"


class TestTrackingRecorderOnPostgres15(TestTrackingRecorder):
    database_fixture = "postgres15_database_url"


class TestNonInterleavingNotificationIDsOnPostgres15(TestNonInterleavingNotificationIDs):
    database_fixture = "postgres15_database_url"


class TestInfrastructureFactoryOnPostgres15(TestInfrastructureFactory):
    database_fixture = "postgres15_database_url"


class TestConcurrentWritersOnPostgres15(TestConcurrentWriters):
    database_fixture = "postgres15_database_url"


def test_the_factory_is_found_by_its_persistence_module(database_url: str) -> None:
    factory = InfrastructureFactory.construct(
        Environment(
            env={"PERSISTENCE_MODULE": "ledger.eventstore", "LEDGER_DATABASE_URL": database_url}
        )
    )
    assert isinstance(factory, LedgerFactory)
    factory.close()
