"""Which backups are kept: the newest of each of the last days, weeks, months and years."""

from collections.abc import Callable, Hashable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from ledger.operate.backups.catalogue import Backup
from ledger.operate.settings import Settings


class Retention(NamedTuple):
    """Of how many days, weeks, months and years a backup is kept; and for how many days the log of
    the server, so that any moment of theirs can be restored."""

    daily: int
    weekly: int
    monthly: int
    yearly: int
    wal_days: float

    @classmethod
    def of(cls, settings: Settings) -> "Retention":
        return cls(
            settings.backup_keep_days,
            settings.backup_keep_weeks,
            settings.backup_keep_months,
            settings.backup_keep_years,
            settings.backup_wal_days,
        )


def _day(moment: datetime) -> Hashable:
    return moment.date()


def _week(moment: datetime) -> Hashable:
    return moment.isocalendar()[:2]


def _month(moment: datetime) -> Hashable:
    return moment.year, moment.month


def _year(moment: datetime) -> Hashable:
    return moment.year


def kept(backups: Sequence[Backup], retention: Retention, now: datetime) -> set[str]:
    """The ids of the complete backups to keep, of those given oldest first: the newest of each
    period, counted back over periods that have one; and the one that WAL needs to reach back."""
    rules: list[tuple[int, Callable[[datetime], Hashable]]] = [
        (retention.daily, _day),
        (retention.weekly, _week),
        (retention.monthly, _month),
        (retention.yearly, _year),
    ]
    found: set[str] = set()
    for count, period in rules:
        newest: dict[Hashable, str] = {}
        for one in reversed(backups):
            newest.setdefault(period(one.started_at.astimezone(UTC)), one.id)
        found.update(list(newest.values())[:count])
    base = wal_base(backups, retention, now)
    return found | ({base.id} if base else set()) | {one.id for one in backups[-1:]}


def wal_base(backups: Sequence[Backup], retention: Retention, now: datetime) -> Backup | None:
    """From which backup on WAL is kept: the newest that is older than the days for which any moment
    can be restored, else the oldest."""
    before = now - timedelta(days=retention.wal_days)
    older = [one for one in backups if one.ended_at is not None and one.ended_at <= before]
    return older[-1] if older else next(iter(backups), None)
