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

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ledger.eventstore.library.factory import LedgerFactory as LedgerFactory


class _EventStore(ModuleType):
    """`eventsourcing` looks for its factory through all that a persistence module has: then the
    library's side is loaded, which takes longer than all else here, and not before. A client has
    not even its packages."""

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
        self.__getattr__("LedgerFactory")
        return globals()

    def __getattr__(self, name: str) -> Any:
        if name != "LedgerFactory":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from ledger.eventstore.library.factory import LedgerFactory

        setattr(self, name, LedgerFactory)
        return LedgerFactory


sys.modules[__name__].__class__ = _EventStore
