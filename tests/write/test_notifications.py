"""No append fails for a notification: nobody waits for one."""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors
from uuid_utils.compat import uuid7

from ledger.operate.embedded.servers import EmbeddedPostgres
from ledger.operate.plugins import migrate_all
from ledger.operate.roles import stepping_down
from ledger.vitals import database
from ledger.vitals.examination import Vitals
from ledger.write.ledger import Ledger
from tests.commands import open_account
from tests.databases import create_database

LEAST_PAGES = "64"


@contextmanager
def full_queue(url: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """Whoever gets to the server can fill it: the session that listens and has stopped."""
    with (
        psycopg.connect(url, application_name="forgotten") as listener,
        psycopg.connect(url, autocommit=True) as notifier,
    ):
        listener.execute("LISTEN anything")
        listener.commit()
        listener.execute("SELECT 1")
        with contextlib.suppress(errors.ProgramLimitExceeded):
            while True:
                notifier.execute("SELECT pg_notify('anything', repeat('x', 7000))")
        yield listener


def test_a_full_queue_stops_no_command_and_is_said_with_who_fills_it(
    postgres_server: EmbeddedPostgres,
) -> None:
    with psycopg.connect(postgres_server.url, autocommit=True) as superuser:
        superuser.execute(f"ALTER SYSTEM SET max_notify_queue_pages = {LEAST_PAGES}")
    postgres_server.stop()
    postgres_server.start()
    url = create_database(postgres_server.url)
    migrate_all(url)

    def told() -> list[str]:
        asked = stepping_down(url)  # as `ledgerctl status` asks
        found = Vitals(database.ask(asked), reasons=database.reasons(asked)).alarms()
        return [text for one, text in found if one.condition.alert == "LedgerNotificationsFill"]

    with psycopg.connect(url, autocommit=True) as woken, Ledger(url) as ledger:
        assert told() == []
        with full_queue(postgres_server.url) as listener:
            for _ in range(3):
                assert ledger.execute([open_account(uuid7())])[0].status == "ACCEPTED"
            (message,) = told()
            assert f"session {listener.info.backend_pid} (" in message
            assert "forgotten" in message
        assert told() == []
        woken.execute("LISTEN ledger_events")
        ledger.execute([open_account(uuid7())])
        assert list(woken.notifies(timeout=5, stop_after=1))
