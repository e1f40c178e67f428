"""Both servers asked, within a bounded time: what cannot be asked is told as such."""

import asyncio
import contextlib
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import nats.errors
import nats.js.errors
import psycopg
from cryptography import x509

from ledger.bus.security import BusSecurity
from ledger.kernel.errors import LedgerError
from ledger.operate.backups.catalogue import Catalogue, verified_age_seconds
from ledger.operate.settings import Settings
from ledger.vitals import bus, condition, database
from ledger.vitals.condition import Alarm
from ledger.vitals.measure import Sample

BUS_SECONDS = 5.0
"""For everything that is asked of the bus: dozens of requests of a millisecond each."""


_OF_COMMANDS = ("commands_stalled_seconds", "commands_oldest_seconds", "append_held_seconds")

_CERTIFICATES = (
    *("nats_tls_ca_file", "nats_tls_cert_file", "database_tls_ca_file", "database_tls_cert_file"),
)
"""The settings that name files of certificates."""
_SIGNS_OF_WORK = (
    *("command_workers", "command_workers_silent", "commands_waiting", "commands_in_work"),
    *("projection_owned", "projection_silent"),
)


class Vitals(NamedTuple):
    """How the ledger is; and why a server could not be asked, None where it could."""

    samples: list[Sample]
    database_error: str | None = None
    bus_error: str | None = None
    reasons: database.Reasons = database.NO_REASONS

    def value(self, name: str, label: str = "") -> float | None:
        """The number, None where nobody told it."""
        return next(
            (one.value for one in self.samples if (one.name, one.label) == (name, label)), None
        )

    @property
    def anybody_at_work(self) -> bool:
        """Whether any program works, or went without a word, or something waits for one."""
        return any(one.value for one in self.samples if one.name in _SIGNS_OF_WORK)

    def alarms(self) -> list[tuple[Alarm, str]]:
        """What needs a person, each with all that is known of it."""
        return [(one, self._told(one)) for one in condition.alarms(self.samples)]

    def _told(self, alarm: Alarm) -> str:
        name, label, _ = alarm.sample
        because: list[str | None] = []
        if name in _OF_COMMANDS:
            because = [*self.reasons.of_commands]
        elif name == "database_up":
            because = [self.database_error]
        elif name == "bus_up":
            because = [self.bus_error]
        elif name in self.reasons.of_measures:
            because = [*self.reasons.of_measures[name]]
        elif label in self.reasons.of_followers:
            because = [self.reasons.of_followers[label]]
        return ": ".join([alarm.message, *filter(None, because)])


def examine(
    settings: Settings,
    database_url: str | None,
    nats_url: str | None,
    *,
    why: bool = False,
    as_program: bool = False,
) -> Vitals:
    """Asks what is there; a URL that is None is not asked and not told as away. `why`: with what
    the numbers do not say. `as_program`: as a user of the bus who may ask everything."""
    found: list[Sample] = [*_disk(settings), *_backups(settings), *_certificates(settings)]
    database_error = bus_error = None
    reasons = database.NO_REASONS
    if database_url is not None:
        try:
            found += database.ask(database_url)
            reasons = database.reasons(database_url) if why else reasons
        except (psycopg.Error, LedgerError) as error:
            database_error = _one_line(error)
        found.append(Sample("database_up", "", float(database_error is None)))
    if nats_url is not None:
        try:
            security = BusSecurity.of(settings)
            as_program = as_program or security.user is None
            found += asyncio.run(_of_bus(nats_url, security, as_program))
        except (nats.errors.Error, OSError, LedgerError) as error:
            bus_error = _one_line(error)
        found.append(Sample("bus_up", "", float(bus_error is None)))
    found += _log(found, database_url)
    return Vitals(found, database_error, bus_error, reasons)


async def _of_bus(url: str, security: BusSecurity, as_program: bool) -> list[Sample]:
    async with asyncio.timeout(BUS_SECONDS):
        return await bus.ask(url, security, as_program=as_program)


def _disk(settings: Settings) -> list[Sample]:
    """Only where a server of ours keeps its data: elsewhere it says nothing."""
    ours = settings.database_url is None or settings.nats_url is None
    if not ours or not settings.data_dir.exists():
        return []
    return [Sample("disk_free_bytes", "", shutil.disk_usage(settings.data_dir).free)]


def _log(found: list[Sample], database_url: str | None) -> list[Sample]:
    """Whether the log reaches as far as what was published."""
    published = next((one.value for one in found if one.name == "published_position"), None)
    head = next((one.value for one in found if one.name == "head_position"), None)
    if published is None or head is None or database_url is None:
        return []
    if published > head:  # it may have grown since it was asked
        with contextlib.suppress(psycopg.Error):
            head = database.head(database_url)
    return [Sample("log_behind", "", float(published > head))]


def _backups(settings: Settings) -> list[Sample]:
    """Only where backups are made here, or are to be."""
    age = verified_age_seconds(Catalogue.of(settings))
    if age is None and settings.backup_dir is None:
        return []
    return [Sample("backup_verified_age_seconds", "", float("inf") if age is None else age)]


def _certificates(settings: Settings) -> list[Sample]:
    """Of each file that a setting names and that can be read, the certificate that ends first."""
    now = datetime.now(UTC)
    found: list[Sample] = []
    for name in _CERTIFICATES:
        path: Path | None = getattr(settings, name)
        if path is None:
            continue
        with contextlib.suppress(OSError, ValueError):
            ends = [
                one.not_valid_after_utc
                for one in x509.load_pem_x509_certificates(path.read_bytes())
            ]
            seconds = min((end - now).total_seconds() for end in ends)
            found.append(Sample("certificate_valid_seconds", name, seconds))
    return found


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
