"""What `PERSISTENCE_MODULE=ledger.eventstore` gives an `eventsourcing` application."""

from typing import TypeVar

from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    InfrastructureFactory,
    InfrastructureFactoryError,
    ProcessRecorder,
)
from eventsourcing.postgres import PostgresDatastore, PostgresTrackingRecorder
from eventsourcing.utils import Environment, EnvType, resolve_topic, strtobool
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from ledger.eventstore.library.recorder import (
    LedgerAggregateRecorder,
    LedgerApplicationRecorder,
    LedgerProcessRecorder,
    LedgerSnapshotRecorder,
)
from ledger.operate.database_session import pinned_options

DATABASE_URL = "LEDGER_DATABASE_URL"
POOL_SIZE = "LEDGER_POOL_SIZE"
DEFAULT_POOL_SIZE = "5"
"""Connections kept open; one append holds the lock at a time, so more only serve readers."""
MAX_OVERFLOW = 20
"""Connections opened beyond the pool's size under load."""
CONNECT_TIMEOUT_SECONDS = 30.0
"""How long a thread waits for a connection of the pool."""

_Tracking = TypeVar("_Tracking", bound=PostgresTrackingRecorder)
_Created = TypeVar("_Created", bound=PostgresTrackingRecorder)


class LedgerFactory(InfrastructureFactory[PostgresTrackingRecorder]):
    """Recorders on the database that `LEDGER_DATABASE_URL` names, which must be migrated."""

    def __init__(self, env: Environment | EnvType | None) -> None:
        super().__init__(env)
        url = self.env.get(DATABASE_URL)
        if not url:
            raise InfrastructureFactoryError(
                f"{DATABASE_URL} is not set: give the URL of a migrated ledger database"
            )
        self.datastore = _datastore(url, int(self.env.get(POOL_SIZE, DEFAULT_POOL_SIZE)))

    def aggregate_recorder(self, purpose: str = "events") -> AggregateRecorder:
        if purpose == "snapshots":
            return LedgerSnapshotRecorder(self.datastore)
        return LedgerAggregateRecorder(self.datastore)

    def application_recorder(self) -> ApplicationRecorder:
        return LedgerApplicationRecorder(self.datastore)

    def tracking_recorder(
        self, tracking_recorder_class: type[_Tracking] | None = None
    ) -> PostgresTrackingRecorder:
        topic = self.env.get(self.TRACKING_RECORDER_TOPIC)
        recorder_class: type[PostgresTrackingRecorder] = (
            tracking_recorder_class
            or (resolve_topic(topic) if topic else None)
            or PostgresTrackingRecorder
        )
        return self._created(
            recorder_class(self.datastore, tracking_table_name=self._tracking_table())
        )

    def process_recorder(self) -> ProcessRecorder:
        return self._created(
            LedgerProcessRecorder(self.datastore, tracking_table_name=self._tracking_table())
        )

    def close(self) -> None:
        self.datastore.close()

    def _tracking_table(self) -> str:
        return (self.env.name.lower() or "notification") + "_tracking"

    def _created(self, recorder: _Created) -> _Created:
        """The recorder, its own tracking table made unless CREATE_TABLE says no."""
        if strtobool(self.env.get("CREATE_TABLE") or "yes"):
            recorder.create_table()
        return recorder


def _datastore(url: str, pool_size: int) -> PostgresDatastore:
    """The library's pool on our URL, whatever connection options that carries."""
    try:
        options = conninfo_to_dict(url)
    except ProgrammingError as error:
        raise InfrastructureFactoryError(
            f"{DATABASE_URL} is not a PostgreSQL URL: {error}"
        ) from error
    datastore = PostgresDatastore(
        dbname=str(options.pop("dbname", "")),
        host=str(options.pop("host", "")),
        port=str(options.pop("port", "")),
        user=str(options.pop("user", "")),
        password=str(options.pop("password", "")),
        pool_size=pool_size,
        max_overflow=MAX_OVERFLOW,
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        idle_in_transaction_session_timeout=0,
    )
    assert isinstance(datastore.pool.kwargs, dict)
    options["options"] = f"{options.get('options', '')} {pinned_options()}".strip()
    datastore.pool.kwargs.update(options)
    for name in [key for key, value in datastore.pool.kwargs.items() if value == ""]:
        del datastore.pool.kwargs[name]
    return datastore
