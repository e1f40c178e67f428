"""The event store: one append-only table, what is written to it and read from it.

codec.py                 event objects <-> stored payloads
store.py                 appending, loading streams
inbox.py                 the outcome of each command, in the transaction of its events
snapshots.py             states of long streams
repairs.py               what operators did to streams that cannot be read
reader.py                the log in position order
library/                 the same table for the `eventsourcing` library:
                         PERSISTENCE_MODULE=ledger.eventstore
"""

from importlib.util import find_spec

if find_spec("eventsourcing") is not None:  # a client has no use for it
    from ledger.eventstore.library.factory import LedgerFactory as LedgerFactory
