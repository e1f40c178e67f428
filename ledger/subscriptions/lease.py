"""Who works on a subscription, and for how long others wait for it.

    claim      only what has no owner, is ours already, whose lease is over, or whose owner has no
               session any more, because it was killed (sessions.py). Raises the epoch, which fences
               whoever was the owner (checkpoint.py), and ends that one's session, so that an owner
               that hangs in the middle of a transaction leaves no lock behind
    renew      a thread of its own renews all leases of the process, on its own connection: long
               batches, waits after an error and idle hours alike. It stops for an owner that has
               given no sign of life for long, so that a hung one does not look alive for ever
    release    at an orderly stop: the next owner need not wait, and is told

The lease decides who tries; that two never apply the same batch is the fence's work alone. All
times are the database's, so that no machine's clock matters.
"""

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import structlog

from ledger.subscriptions.checkpoint import Checkpoint, Fenced, NotInstalled
from ledger.subscriptions.connection import until_stopped
from ledger.subscriptions.retry import Backoff
from ledger.subscriptions.sessions import MINE, lives
from ledger.subscriptions.wakeup import CONTROL_CHANNEL, Bell

CLAIM_LOCK_TIMEOUT_SECONDS = 2
"""How long a claim waits for the transaction of the owner before: it has been ended by then, or
the next try comes soon."""

LEASE_SECONDS = 6.0
"""With the second until others look, they take over well within ten seconds; a pause of the network
or of the garbage collector is shorter."""
HANG_SECONDS = 30.0
"""Without a sign of life for this long an owner hangs: far longer than any of its steps."""
RENEWALS_PER_LEASE = 3
"""So that one may get lost, and one be late, before anybody else takes over."""

log = structlog.get_logger()

_LOOK = f"""
    SELECT event_projections.epoch, status <> 'PAUSED' AND (event_projections.owner IS NULL
        OR event_projections.owner = %(owner)s
        OR leased_until IS NULL OR leased_until < clock_timestamp()
        OR NOT {lives("lease.backend_pid", "lease.backend_start")})
    FROM event_projections LEFT JOIN projection_leases AS lease USING (projection_name)
    WHERE projection_name = %(name)s"""
_ENSURE = "INSERT INTO projection_leases (projection_name) VALUES (%(name)s) ON CONFLICT DO NOTHING"
_LOCK = "SELECT FROM projection_leases WHERE projection_name = %(name)s FOR UPDATE"
_END_EARLIER = """
    SELECT pg_terminate_backend(pid)
    FROM projection_leases JOIN pg_stat_activity
        ON pid = backend_pid AND pg_stat_activity.backend_start = projection_leases.backend_start
    WHERE projection_name = %(name)s AND pid <> pg_backend_pid()"""
_CLAIM = """
    UPDATE event_projections
    SET owner = %(owner)s, epoch = epoch + 1, status = 'RUNNING', updated_at = clock_timestamp()
    WHERE projection_name = %(name)s AND epoch = %(epoch)s AND status <> 'PAUSED'
    RETURNING epoch, last_processed_position, generation, code_version"""
_LEASE = f"""
    UPDATE projection_leases
    SET changes = changes + (owner IS DISTINCT FROM %(owner)s)::int, owner = %(owner)s,
        leased_until = clock_timestamp() + make_interval(secs => %(seconds)s),
        acquired_at = clock_timestamp(), renewed_at = clock_timestamp(),
        (backend_pid, backend_start) = ({MINE})
    WHERE projection_name = %(name)s"""
_RENEW = """
    UPDATE projection_leases AS lease
    SET leased_until = clock_timestamp() + make_interval(secs => %(seconds)s),
        renewed_at = clock_timestamp()
    FROM event_projections AS projection
    WHERE projection.projection_name = lease.projection_name
        AND lease.projection_name = ANY(%(names)s)
        AND lease.owner = %(owner)s AND projection.owner = %(owner)s
        AND projection.status <> 'PAUSED'
    RETURNING lease.projection_name"""
_OFFER = "SELECT public.wake(%(channel)s, %(projection_name)s)"
_RELEASE = """
    UPDATE event_projections
    SET owner = NULL, status = CASE status WHEN 'RUNNING' THEN 'STOPPED' ELSE status END,
        updated_at = clock_timestamp()
    WHERE projection_name = %(projection_name)s AND owner = %(owner)s AND epoch = %(epoch)s"""


@dataclass(frozen=True)
class LeaseOptions:
    """How long a subscription stays with an owner that has gone silent, and with one whose process
    lives and that gives no sign of life itself."""

    lease_seconds: float = LEASE_SECONDS
    hang_seconds: float = HANG_SECONDS

    @property
    def renewal_seconds(self) -> float:
        return self.lease_seconds / RENEWALS_PER_LEASE


def owner_name() -> str:
    """Names one run of one process among all that might own a subscription: a process that starts
    anew may get the same id."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


def claim(
    connection: psycopg.Connection[Any], name: str, owner: str, *, lease_seconds: float
) -> Checkpoint | None:
    """Makes `owner` the owner and fences whoever was; None while another's lease runs or the
    subscription is paused. Only reads in that case. Raises NotInstalled."""
    parameters: dict[str, Any] = {"name": name, "owner": owner, "seconds": lease_seconds}
    if not _look(connection, parameters)[1]:
        return None
    try:
        with connection.transaction():
            # A claim must not be lost with the server, or an older owner could come back to life.
            connection.execute("SELECT public.commit_durably()")
            # As the login itself: the role that a service works as (ledger/operate/roles.py) may
            # neither see since when a session of that login is there, nor end it.
            connection.execute("SET LOCAL ROLE NONE")
            connection.execute(f"SET LOCAL lock_timeout = '{CLAIM_LOCK_TIMEOUT_SECONDS}s'")
            connection.execute(_ENSURE, parameters)
            connection.execute(_LOCK, parameters)
            # Once more, now that nobody can renew or claim in between.
            epoch, free = _look(connection, parameters)
            if not free:
                return None
            _end_earlier(connection, parameters)
            row = connection.execute(_CLAIM, parameters | {"epoch": epoch}).fetchone()
            if row is None:
                return None
            connection.execute(_LEASE, parameters)
    except psycopg.errors.LockNotAvailable:
        return None
    claimed, position, generation, code_version = row
    return Checkpoint(name, owner, claimed, position, generation, code_version)


def release(connection: psycopg.Connection[Any], checkpoint: Checkpoint) -> None:
    """Gives the subscription up, so that another may claim it at once."""
    with connection.transaction():
        connection.execute(_RELEASE, vars(checkpoint))
        connection.execute(_OFFER, vars(checkpoint) | {"channel": CONTROL_CHANNEL})


def _look(connection: psycopg.Connection[Any], parameters: dict[str, Any]) -> tuple[int, bool]:
    row = connection.execute(_LOOK, parameters).fetchone()
    if row is None:
        raise NotInstalled(
            f"subscription {parameters['name']} is not installed. Run: ledgerctl migrate"
        )
    return row[0], row[1]


def _end_earlier(connection: psycopg.Connection[Any], parameters: dict[str, Any]) -> None:
    try:
        with connection.transaction():
            connection.execute(_END_EARLIER, parameters)
    except psycopg.errors.InsufficientPrivilege as error:
        # Another role's connection: its locks go when the server notices that it is gone.
        log.warning("subscription.earlier_owner_not_ended", error=str(error).strip())


@dataclass
class _Held:
    alive_at: float = field(default_factory=time.monotonic)
    lost: bool = False


class LeaseKeeper:
    """Renews the leases that this process holds."""

    def __init__(
        self, database_url: str, options: LeaseOptions, stop: threading.Event, *, owner: str
    ) -> None:
        self.owner = owner
        self.options = options
        self._database_url = database_url
        self._stop = stop
        self._held: dict[str, _Held] = {}
        self._backoff = Backoff()

    # --- for owners --------------------------------------------------------------------

    def hold(self, name: str) -> None:
        """From now on the lease of this subscription is renewed."""
        self._held[name] = _Held()

    def drop(self, name: str) -> None:
        """No longer."""
        self._held.pop(name, None)

    def alive(self, name: str) -> bool:
        """The owner's sign of life. False if the lease was lost."""
        held = self._held.get(name)
        if held is None:
            return False
        held.alive_at = time.monotonic()
        return not held.lost

    def check(self, name: str) -> None:
        """The owner's sign of life. Raises Fenced if the lease was lost."""
        if not self.alive(name):
            raise Fenced(f"the lease of {name} was lost")

    # --- the thread --------------------------------------------------------------------

    def run(self) -> None:
        """Renews until stopped."""
        until_stopped(
            self._keep,
            self._database_url,
            "leases",
            stop=self._stop,
            backoff=self._backoff,
            on_trouble=_say_not_renewed,
        )

    def _keep(self, connection: psycopg.Connection[Any]) -> None:
        while not self._stop.wait(self.options.renewal_seconds):
            self._renew(connection)
            self._backoff.reset()

    def _renew(self, connection: psycopg.Connection[Any]) -> None:
        since = time.monotonic() - self.options.hang_seconds
        asked = dict(self._held)
        for name in [name for name, held in asked.items() if held.alive_at < since]:
            log.error("subscription.hangs", subscription=name, seconds=self.options.hang_seconds)
            del asked[name]
        if not asked:
            return
        parameters = {
            "names": list(asked),
            "owner": self.owner,
            "seconds": self.options.lease_seconds,
        }
        renewed = {name for (name,) in connection.execute(_RENEW, parameters)}
        for name in asked.keys() - renewed:
            asked[name].lost = True


def _say_not_renewed(error: Exception) -> None:
    log.warning("subscriptions.leases_not_renewed", error=str(error).strip())


@contextmanager
def leases_kept(database_url: str, options: LeaseOptions) -> Iterator[LeaseKeeper]:
    """A keeper that renews, in a thread of its own, as long as the block lasts."""
    stop = threading.Event()
    keeper = LeaseKeeper(database_url, options, stop, owner=owner_name())
    # Nobody need wait for it: what it does last is to renew a lease that is given up already.
    threading.Thread(target=keeper.run, name="leases", daemon=True).start()
    try:
        yield keeper
    finally:
        stop.set()


def while_owner(
    connection: psycopg.Connection[Any],
    name: str,
    work: Callable[[Checkpoint], None],
    *,
    keeper: LeaseKeeper,
    stop: threading.Event,
    control: Bell,
    look_seconds: float,
) -> None:
    """Calls `work` whenever this process has become the owner, until stopped. It returns when it is
    stopped; Fenced is the end of its ownership and of nothing else. What else it raises is raised
    when the lease is released, if the connection still can."""
    while not stop.is_set():
        heard = control.rings
        claimed = claim(connection, name, keeper.owner, lease_seconds=keeper.options.lease_seconds)
        if claimed is None:
            control.wait(heard, look_seconds)
            continue
        log.info(
            "subscription.claimed",
            subscription=name,
            epoch=claimed.epoch,
            position=claimed.position,
        )
        keeper.hold(name)
        try:
            work(claimed)
        except Fenced as fenced:
            log.info("subscription.fenced", subscription=name, reason=str(fenced))
        finally:
            keeper.drop(name)
            if not connection.broken and not connection.closed:
                release(connection, claimed)
