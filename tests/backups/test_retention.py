"""Which backups are kept, whatever was made when."""

from datetime import UTC, datetime, timedelta
from random import Random

from ledger.operate.backups.catalogue import Backup, BackupStatus
from ledger.operate.backups.retention import Retention, kept, wal_base

TODAY = datetime(2026, 11, 27, 2, tzinfo=UTC)
USUAL = Retention(30, 12, 12, 7, 7.0)


def made(started_at: datetime) -> Backup:
    return Backup(
        id=f"{started_at:%Y%m%dT%H%M%SZ}-0000", status=BackupStatus.COMPLETED, by="cron",
        started_at=started_at, ended_at=started_at + timedelta(minutes=5), server_version=180_000,
        superuser="ledger", database="ledger",
    )  # fmt: skip


def nightly(nights: int) -> list[Backup]:
    return [made(TODAY - timedelta(days=ago)) for ago in reversed(range(nights))]


def test_of_ten_years_of_nights_days_weeks_months_and_years_are_left() -> None:
    backups = nightly(3_650)
    left = sorted(kept(backups, USUAL, TODAY))
    assert len([one for one in left if one >= "20261029"]) == 30
    assert "20251231T020000Z-0000" in left  # the newest of its month and of its year
    assert {one[:4] for one in left} == {str(year) for year in range(2020, 2027)}
    assert len(left) < 30 + 12 + 12 + 7


def test_the_newest_is_kept_whatever_is_set() -> None:
    backups = nightly(3)
    assert kept(backups, Retention(0, 0, 0, 0, 1.0), TODAY) >= {backups[-1].id}
    assert kept([], USUAL, TODAY) == set()


def test_any_moment_of_the_last_days_can_be_restored() -> None:
    """From what is kept, whenever backups were made: the base of the WAL is one, and older than the
    days for which any moment is promised, if there is one that old."""
    random = Random(3)
    for _ in range(200):
        moments = sorted(
            TODAY - timedelta(hours=random.uniform(1, 24 * 60))
            for _ in range(random.randint(1, 40))
        )
        backups = [made(moment) for moment in moments]
        retention = Retention(random.randint(0, 9), 1, 1, 1, random.uniform(0.5, 20))
        base = wal_base(backups, retention, TODAY)
        assert base is not None
        assert base.id in kept(backups, retention, TODAY)
        begin = TODAY - timedelta(days=retention.wal_days)
        assert base.ended_at is not None
        if backups[0].ended_at is not None and backups[0].ended_at <= begin:
            assert base.ended_at <= begin
            later = [one for one in backups if base.id < one.id and one.ended_at <= begin]  # type: ignore[operator]
            assert later == []
        else:
            assert base == backups[0]


def test_backups_that_are_kept_stay_kept_for_their_time() -> None:
    """Pruned every night, what is left is what a single look would have left."""
    backups: list[Backup] = []
    for one in nightly(500):
        backups = [*backups, one]
        left = kept(backups, USUAL, one.started_at)
        backups = [each for each in backups if each.id in left]
    whole = kept(nightly(500), USUAL, TODAY)
    assert {one.id for one in backups} >= whole - {min(whole)}
