"""Heads that were kept outside tell a log that was restored from one that was tampered with."""

import psycopg
import pytest

from ledger.audit.prove import seals
from ledger.audit.prove.seals import Seal
from ledger.audit.prove.verify import verify
from ledger.eventstore import incarnations, reader
from ledger.programs.recovery import Plan, begin
from tests.audit import history
from tests.programs.restoring import copied


def sealed(database_url: str, events: int) -> Seal:
    with psycopg.connect(database_url, autocommit=True) as connection:
        history.append(connection, events)
        history.seal(connection)
        head = seals.head(connection)
        assert head is not None
        return head


def recovered(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        head, newest = reader.head(connection), incarnations.lineage(connection).newest
        plan = Plan(
            head=head, common=head, incarnation=newest, lost_commands=(), lost_events=(),
            lost_head=None,
            too_far=(),
            begun=False, up_to=0, undecided=False,
        )  # fmt: skip
        begin(plan, "ada", "the disk broke", connection)


@pytest.fixture
def lost(postgres_url: str, database_url: str) -> tuple[str, list[Seal]]:
    """A restored database, and the heads that were kept: one before and two after its moment."""
    kept = [sealed(database_url, 20)]
    restored = copied(postgres_url, database_url)
    return restored, [*kept, sealed(database_url, 20), sealed(database_url, 20)]


def test_a_restored_log_says_so_and_a_truncated_one_does_not(lost: tuple[str, list[Seal]]) -> None:
    restored, kept = lost
    with psycopg.connect(restored, autocommit=True) as connection:
        verdict = verify(connection, trusted=history.TRUSTED, kept=kept)
        assert [one.tampering for one in verdict.findings] == ["truncated"]
    recovered(restored)
    new = sealed(restored, 30)  # the lost seals' numbers and positions have come again
    with psycopg.connect(restored, autocommit=True) as connection:
        verdict = verify(connection, trusted=history.TRUSTED, kept=kept)
        (found,) = verdict.findings
        assert (found.tampering, found.position) == ("restored", 21)
        assert "restored to position 20" in found.message
        assert "by ada: the disk broke" in found.message
        # Heads that were kept since hold, beside those of before the restored moment.
        assert verify(connection, trusted=history.TRUSTED, kept=[kept[0], new]).holds


def test_what_a_restore_does_not_explain_is_still_found(lost: tuple[str, list[Seal]]) -> None:
    restored, kept = lost
    recovered(restored)
    new = sealed(restored, 30)
    with psycopg.connect(restored, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE event_store SET occurred_at = now() WHERE position = 7")
        verdict = verify(connection, trusted=history.TRUSTED, kept=[*kept, new])
    assert {one.tampering for one in verdict.findings} >= {"changed", "restored"}
    assert verdict.first is not None
    assert verdict.first.position == 7
