"""An application written for the `eventsourcing` library runs on the ledger's log unchanged."""

from decimal import Decimal
from uuid import UUID

import psycopg
import pytest
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import DataError, IntegrityError, StoredEvent
from eventsourcing.utils import Environment
from uuid_utils.compat import uuid7

from ledger.eventstore import LedgerFactory


class Basket(Aggregate):
    @event("Opened")
    def __init__(self) -> None:
        self.items: list[str] = []
        self.total = Decimal(0)

    @event("ItemAdded")
    def add(self, item: str, price: Decimal) -> None:
        self.items.append(item)
        self.total += price


class Shop(Application[UUID]):
    is_snapshotting_enabled = True


@pytest.fixture
def shop(database_url: str) -> Shop:
    return Shop(
        env={"PERSISTENCE_MODULE": "ledger.eventstore", "LEDGER_DATABASE_URL": database_url}
    )


def test_aggregates_are_saved_and_read_back(shop: Shop) -> None:
    basket = Basket()
    basket.add("tea", Decimal("2.50"))
    basket.add("milk", Decimal("1.20"))
    shop.save(basket)
    copy: Basket = shop.repository.get(basket.id)
    assert (copy.items, copy.total) == (["tea", "milk"], Decimal("3.70"))


def test_snapshots_shorten_the_way_back(shop: Shop) -> None:
    basket = Basket()
    for number in range(5):
        basket.add(str(number), Decimal(1))
    shop.save(basket)
    shop.take_snapshot(basket.id)
    basket.add("after", Decimal(1))
    shop.save(basket)
    copy: Basket = shop.repository.get(basket.id)
    assert copy.items == ["0", "1", "2", "3", "4", "after"]
    assert shop.repository.get(basket.id, version=3).version == 3


def test_a_stale_save_is_refused(shop: Shop) -> None:
    basket = Basket()
    shop.save(basket)
    mine: Basket = shop.repository.get(basket.id)
    theirs: Basket = shop.repository.get(basket.id)
    mine.add("tea", Decimal(1))
    shop.save(mine)
    theirs.add("milk", Decimal(1))
    with pytest.raises(IntegrityError):
        shop.save(theirs)


def test_rows_say_what_they_are(shop: Shop, database_url: str) -> None:
    shop.save(Basket())
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "SELECT position, stream_type, event_type, event_version FROM event_store"
        ).fetchone()
    assert row is not None
    assert row[0] == 1
    assert row[1] == "Basket"
    assert row[2].endswith(":Basket.Opened")
    assert row[3] == 1


def _recorder(database_url: str) -> LedgerFactory:
    return LedgerFactory(Environment(env={"LEDGER_DATABASE_URL": database_url}))


def test_a_version_that_leaves_a_gap_is_refused(database_url: str) -> None:
    factory = _recorder(database_url)
    recorder = factory.application_recorder()
    stream_id = uuid7()
    recorder.insert_events([StoredEvent(stream_id, 1, "test.happened", b"{}")])
    with pytest.raises(IntegrityError, match="is not the next"):
        recorder.insert_events([StoredEvent(stream_id, 3, "test.happened", b"{}")])
    factory.close()


def test_a_stream_numbered_from_zero_reads_as_it_was_written(database_url: str) -> None:
    factory = _recorder(database_url)
    recorder = factory.application_recorder()
    stream_id = uuid7()
    for version in range(4):
        recorder.insert_events([StoredEvent(stream_id, version, "test.happened", b'{"n":1}')])
    versions = [e.originator_version for e in recorder.select_events(stream_id, gt=0, lte=2)]
    assert versions == [1, 2]
    assert [e.state for e in recorder.select_events(stream_id, limit=1)] == [b'{"n":1}']
    with psycopg.connect(database_url) as connection:
        stored = connection.execute("SELECT event_version FROM event_store ORDER BY 1").fetchall()
    assert stored == [(1,), (2,), (3,), (4,)]
    factory.close()


@pytest.mark.parametrize("state", [b"state1", b"[1]", b'"text"', b"\xff"])
def test_a_state_that_is_not_a_json_object_is_refused(database_url: str, state: bytes) -> None:
    factory = _recorder(database_url)
    with pytest.raises(DataError, match="not a JSON object"):
        factory.application_recorder().insert_events([StoredEvent(uuid7(), 1, "test.x", state)])
    factory.close()
