"""The event store: one append-only table, what is written to it and read from it.

codec.py                 event objects <-> stored payloads
store.py                 appending, loading streams
inbox.py                 the outcome of each command, in the transaction of its events
snapshots.py             states of long streams
reader.py                the log in position order
library/                 the same table for the `eventsourcing` library:
                         PERSISTENCE_MODULE=ledger.eventstore
"""

from ledger.eventstore.library.factory import LedgerFactory

__all__ = ["LedgerFactory"]
