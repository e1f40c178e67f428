"""The sealer: gathers events into blocks and seals each.

    look     how far the seals and the log are, every LOOK_SECONDS
    gather   a block is whole when it has `block_events`, or when its oldest event, or record
             beside the log, has waited for `block_age_seconds`
    seal     read the events as they are stored and the entries of the records' journal, hash each,
             build the trees, hash and sign the seal
    commit   the seal and the sealer's checkpoint, in one transaction (ledger/subscriptions)

It reads what is committed and writes to tables of its own, so appending does not know of it. What
cannot be sealed (a gap in the log, seals that do not fit their own progress or are not those that
the sealer made) stops it with an error that says so: sealing an altered log would make the
alteration look right. So does another key than the one in force: nobody could tell such a seal from
a forgery, for ever.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from uuid import UUID

import psycopg
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.audit.prove import journal, seals
from ledger.audit.prove.canonical import leaf_hash
from ledger.audit.prove.keys import load_private
from ledger.audit.prove.merkle import root
from ledger.audit.prove.printed_events import rows
from ledger.audit.prove.seals import Seal
from ledger.eventstore import reader
from ledger.kernel.errors import LedgerError
from ledger.operate.settings import Settings
from ledger.subscriptions import checkpoint
from ledger.subscriptions.checkpoint import Checkpoint, Fenced, NotInstalled
from ledger.subscriptions.connection import until_stopped
from ledger.subscriptions.lease import LeaseKeeper, LeaseOptions, leases_kept, while_owner
from ledger.subscriptions.retry import Backoff
from ledger.subscriptions.wakeup import Bell

LOOK_SECONDS = 0.5
"""Pause between two looks when nothing is to be sealed: small beside the age of a block."""
RETRY_SECONDS = 1.0
"""Pause before a log that cannot be sealed is looked at again."""

_log = structlog.get_logger(__name__)

_OLDEST_AGE = """
    SELECT extract(epoch FROM clock_timestamp() - recorded_at)::float8 FROM event_store
    WHERE position > %s ORDER BY position LIMIT 1"""
_NOW = """
    SELECT replace(rtrim(rtrim(to_char(clock_timestamp() AT TIME ZONE 'UTC',
        'YYYY-MM-DD HH24:MI:SS.US'), '0'), '.'), ' ', 'T') || 'Z'"""
_INSERT = """
    INSERT INTO event_seals (number, format, first_position, last_position, root, previous_hash,
        public_key, sealed_at, hash, signature, journal_last, journal_root, change, previous_key,
        previous_signature, reason, leaf_hashes)
    VALUES (%(number)s, %(format)s, %(first_position)s, %(last_position)s, %(root)s,
        %(previous_hash)s, %(public_key)s, %(sealed_at)s, %(hash)s, %(signature)s,
        %(journal_last)s, %(journal_root)s, %(change)s, %(previous_key)s, %(previous_signature)s,
        %(reason)s, %(leaves)s)"""


class CannotSeal(LedgerError):
    """The log or the seals are not as they were left."""


@dataclass(frozen=True)
class SealerOptions:
    """When a block is whole, what it is signed with, and how long others wait for the sealer."""

    block_events: int
    block_age_seconds: float
    key: Ed25519PrivateKey | None = None
    lease: LeaseOptions = field(default_factory=LeaseOptions)


def options_of(settings: Settings) -> SealerOptions:
    """The sealer's share of the settings. Raises UnusableKey."""
    path = settings.seal_key_file
    return SealerOptions(
        block_events=settings.seal_block_events,
        block_age_seconds=settings.seal_block_age_seconds,
        key=load_private(path) if path is not None else None,
        lease=LeaseOptions(settings.seal_lease_seconds),
    )


def place(connection: psycopg.Connection[Any]) -> Checkpoint:
    """The sealer's checkpoint as it is, whoever owns it. Where there is none (a database of which
    only some tables were restored), the seals tell it."""
    newest = seals.head(connection)
    # Also where it is: who may not seal is told so, and does not wait for a row it may not lock.
    checkpoint.install(connection, seals.PROJECTION, newest.last_position if newest else 0)
    found = checkpoint.read(connection, seals.PROJECTION)
    assert found is not None
    return found


def paused(connection: psycopg.Connection[Any]) -> bool:
    """Whether a person has paused the sealer."""
    return checkpoint.paused(connection, seals.PROJECTION)


def seal_all(connection: psycopg.Connection[Any], options: SealerOptions) -> Iterator[Seal]:
    """Seals everything that is appended, whatever its age, block by block. Raises CannotSeal."""
    while True:
        try:
            seal = seal_block(connection, place(connection), options, at_once=True)
        except Fenced:  # the service sealed this block: go on behind it
            if paused(connection):
                raise
            continue
        if seal is None:
            return
        yield seal


def seal_block(
    connection: psycopg.Connection[Any],
    at: Checkpoint,
    options: SealerOptions,
    *,
    at_once: bool = False,
    remembered: Sequence[Seal] = (),
) -> Seal | None:
    """Seals the next block in a transaction of its own; None if there is none that is whole. With
    `at_once` a block is whole as soon as it has one event or record. `remembered` are seals that
    were made before, and still have to be there. Raises Fenced or CannotSeal."""
    started = time.monotonic()
    with connection.transaction():
        # A seal that was published must not be lost with the server.
        connection.execute("SELECT public.commit_durably()")
        checkpoint.hold(connection, at)
        before = head_to_go_on_from(connection, at)
        _check_remembered(connection, remembered)
        _check_key(before, options.key)
        last = _end_of_block(connection, at.position, options, at_once)
        if last is None:
            return None
        leaves, event_id = _leaves(connection, at.position + 1, last)
        records = _records(connection)
        seal = seals.signed(
            Seal(
                number=before.number + 1 if before else 1,
                format=seals.FORMAT,
                first_position=at.position + 1,
                last_position=last,
                root=root(leaves),
                previous_hash=before.hash if before else seals.NO_HASH,
                public_key=options.key.public_key().public_bytes_raw() if options.key else None,
                sealed_at=now(connection),
                hash=b"",
                signature=None,
                journal_last=records.last,
                journal_root=records.root,
            ),
            options.key,
        )
        insert(connection, seal, leaves)
        checkpoint.advance(
            connection,
            at,
            to=last,
            handled=len(leaves),
            event_id=event_id,
            rate=len(leaves) / max(time.monotonic() - started, 1e-6),
        )
    return seal


def _end_of_block(
    connection: psycopg.Connection[Any], sealed: int, options: SealerOptions, at_once: bool
) -> int | None:
    head = reader.head(connection)
    if head < sealed:
        raise CannotSeal(
            f"the log ends at position {head}, but it is sealed up to {sealed}: events were "
            "removed. Run: ledgerctl audit verify"
        )
    if head - sealed >= options.block_events:
        return sealed + options.block_events
    records = journal.waiting(connection, seals.journaled(connection))
    if records.entries < 0:
        raise CannotSeal(
            f"the journal of the records beside the log ends {-records.entries} entries before "
            "what is sealed: they were removed. Run: ledgerctl audit verify"
        )
    if head == sealed and records.entries == 0:
        return None
    row = connection.execute(_OLDEST_AGE, [sealed]).fetchone()
    oldest = max(row[0] if row else 0.0, records.seconds)
    return head if at_once or oldest >= options.block_age_seconds else None


def _leaves(
    connection: psycopg.Connection[Any], first: int, last: int
) -> tuple[list[bytes], UUID | None]:
    """The leaf hashes of the block, and the id of its last event. Raises CannotSeal."""
    leaves: list[bytes] = []
    event_id = None
    for row in rows(connection, first, last):
        if row[0] == str(first + len(leaves)):
            leaves.append(leaf_hash(row))
            event_id = UUID(row[1])
    if len(leaves) != last - first + 1:
        raise CannotSeal(
            f"there is no event at position {first + len(leaves)}: it was removed before it was "
            "sealed. Run: ledgerctl audit verify"
        )
    return leaves, event_id


def head_to_go_on_from(connection: psycopg.Connection[Any], at: Checkpoint) -> Seal | None:
    """The newest seal, if it is where the sealer had come to. Raises CannotSeal."""
    before = seals.head(connection)
    reached = before.last_position if before else 0
    if reached != at.position:
        raise CannotSeal(
            f"the last seal ends at position {reached}, but the sealer had reached "
            f"{at.position}: seals were removed or added. Run: ledgerctl audit verify"
        )
    return before


def _records(connection: psycopg.Connection[Any]) -> journal.JournalBlock:
    """The records beside the log that the next seal stands for. Raises CannotSeal."""
    try:
        return journal.next_block(connection, seals.journaled(connection))
    except journal.MissingEntry as error:
        raise CannotSeal(f"{error}: it was removed. Run: ledgerctl audit verify") from error


def _check_remembered(connection: psycopg.Connection[Any], remembered: Sequence[Seal]) -> None:
    """Raises CannotSeal if a seal that was made is not there as it was."""
    for seal in remembered:
        if seals.numbered(connection, seal.number) != seal:
            raise CannotSeal(
                f"seal {seal.number} up to position {seal.last_position} was made, and is no "
                f"longer in event_seals as it was (hash {seal.hash.hex()}): seals were removed or "
                "made anew. Run: ledgerctl audit verify --witness DIRECTORY. If the database was "
                "restored to an earlier moment: docs/auditors.md, After a restore"
            )


def _check_key(before: Seal | None, key: Ed25519PrivateKey | None) -> None:
    """Raises CannotSeal if another key is in force than the one to sign with."""
    in_force = before.public_key if before else None
    ours = key.public_key().public_bytes_raw() if key else None
    if in_force is None or in_force == ours:
        return
    signing = f"with {ours.hex()}" if ours else "without a key"
    raise CannotSeal(
        f"the seals are signed with key {in_force.hex()}, and this one would be made {signing}: "
        "nothing could ever tell it from a forgery. Set LEDGER_SEAL_KEY_FILE to the key in force; "
        "change keys with: ledgerctl audit rotate-key"
    )


def insert(connection: psycopg.Connection[Any], seal: Seal, leaves: Sequence[bytes]) -> None:
    """Adds a seal and the leaf hashes of its events."""
    values = {name: getattr(seal, name) for name in seal.__struct_fields__}
    connection.execute(_INSERT, values | {"leaves": b"".join(leaves)})


def now(connection: psycopg.Connection[Any]) -> str:
    """The database's time as a seal has it."""
    row = connection.execute(_NOW).fetchone()
    assert row is not None
    return str(row[0])


class Sealer:
    """The service: seals what is whole until `stop` is set. `on_head` is told the newest seal: each
    once it is committed, and the one that there is when it begins; and None when that is not known
    any more to be one of the seals that were made.

    It remembers the newest seal, and those that it is told of (`remember`), and makes no further
    one when one of them has gone: so whoever empties event_seals does not get all of an altered
    history sealed anew by the sealer itself."""

    def __init__(
        self,
        database_url: str,
        options: SealerOptions,
        *,
        stop: threading.Event,
        on_head: Callable[[Seal | None], None],
    ) -> None:
        self._database_url = database_url
        self._options = options
        self._stop = stop
        self._on_head = on_head
        self._backoff = Backoff()
        self._telling = threading.Lock()
        self._news = True
        self._told: list[Seal] = []
        self._remembered: list[Seal] = []

    def remember(self, seal: Seal) -> None:
        """Tells of a seal that was published before, from any thread."""
        with self._telling:
            self._told.append(seal)
            self._on_head(None)

    def run(self) -> None:
        """Returns when `stop` is set."""
        with leases_kept(self._database_url, self._options.lease) as keeper:
            until_stopped(
                partial(self._serve, keeper),
                self._database_url,
                "seals",
                stop=self._stop,
                backoff=self._backoff,
                on_trouble=self._lost,
                tries_again=(psycopg.OperationalError, NotInstalled),
            )

    def _serve(self, keeper: LeaseKeeper, connection: psycopg.Connection[Any]) -> None:
        place(connection)
        while_owner(
            connection,
            seals.PROJECTION,
            partial(self._own, keeper, connection),
            keeper=keeper,
            stop=self._stop,
            control=Bell(),  # nobody rings it: the age of blocks makes us look all the time
            look_seconds=LOOK_SECONDS,
        )

    def _own(
        self, keeper: LeaseKeeper, connection: psycopg.Connection[Any], at: Checkpoint
    ) -> None:
        """Seals as the owner until stopped. Raises Fenced."""
        self._begin(connection)
        self._news = True
        try:
            while not self._stop.is_set():
                keeper.check(seals.PROJECTION)
                try:
                    at = self._step(connection, at)
                except Fenced:  # unless somebody else is the owner, a person sealed meanwhile
                    self._stop.wait(LOOK_SECONDS)
                    at, self._news = checkpoint.reread(connection, at), True
                except CannotSeal as error:
                    _log.error("seals.cannot_seal", error=str(error))
                    self._tell(None)
                    self._news = True
                    checkpoint.fail(connection, at, str(error))
                    self._stop.wait(RETRY_SECONDS)
        except Fenced:
            self._tell(None)
            raise

    def _step(self, connection: psycopg.Connection[Any], at: Checkpoint) -> Checkpoint:
        """Seals a block that is whole, or waits a moment for one. Raises Fenced, CannotSeal."""
        self._news |= self._take_told()
        seal = seal_block(connection, at, self._options, remembered=self._remembered)
        self._backoff.reset()
        if seal is not None:
            self._sealed(seal)
            return replace(at, position=seal.last_position)
        if self._news:
            self._tell(seals.head(connection))
            self._news = False
        self._stop.wait(LOOK_SECONDS)
        return at

    def _lost(self, error: Exception) -> None:
        _log.warning("seals.database_lost", error=" ".join(str(error).split()))
        self._tell(None)

    def _begin(self, connection: psycopg.Connection[Any]) -> None:
        """Takes the newest seal for what it should be, if nobody has said otherwise yet."""
        newest = seals.head(connection)
        if newest is not None and not self._remembered:
            self._remembered = [newest]

    def _take_told(self) -> bool:
        """Whether there are further seals to remember."""
        with self._telling:
            told, self._told = self._told, []
        self._remembered += told
        return bool(told)

    def _sealed(self, seal: Seal) -> None:
        _log.info(
            "seals.sealed", number=seal.number, events=seal.event_count, position=seal.last_position
        )
        self._remembered = [seal]  # it was made upon those that were remembered
        self._tell(seal)

    def _tell(self, seal: Seal | None) -> None:
        with self._telling:
            if not self._told:  # else it is told once it was held against those
                self._on_head(seal)
