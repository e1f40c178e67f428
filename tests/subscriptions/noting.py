"""A subscription in one file, as a process: notes every event that it is told of.

Nothing in its table keeps it from noting one twice: that is left to the subscription.
"""

import os
import sys
import threading
from collections.abc import Sequence
from typing import Any

import psycopg

from ledger.eventstore.reader import RecordedEvent
from ledger.subscriptions.subscription import Subscription

NAME = "noting"
TABLE = """
    CREATE TABLE noted (
        number   bigint GENERATED ALWAYS AS IDENTITY,
        position bigint NOT NULL,
        pid      integer NOT NULL
    )"""


def handle(connection: psycopg.Connection[Any], events: Sequence[RecordedEvent]) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO noted (position, pid) VALUES (%s, %s)",
            [(event.position, os.getpid()) for event in events],
        )


if __name__ == "__main__":
    Subscription(NAME, handle, database_url=sys.argv[1], stop=threading.Event()).run()
