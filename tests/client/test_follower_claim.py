"""What a claim does when the server, or another, did what it should not."""

from ledger.bus.follower_record import KeptRecord, Record
from ledger.client.follower_claim import End, FollowerClaim, Write
from tests.client.test_follower_claim_machine import LEASE_SECONDS, Server


def kept(server: Server, **changes: object) -> None:
    """Another's record on the server."""
    terms = {"filter": "ledger.events.>", "epoch": 3, "place": 7, "lease_seconds": LEASE_SECONDS}
    server.write(Write(Record(**(terms | changes)), server.kept.version))  # type: ignore[arg-type]


def test_who_follows_other_events_under_the_name_is_told() -> None:
    server = Server()
    kept(server, filter="ledger.events.order.*.*")
    claim = FollowerClaim("me", "ledger.events.>", LEASE_SECONDS)
    claim.found(server.kept, 0.0)
    assert claim.end is End.OTHER_EVENTS


def test_a_server_that_lost_the_record_gets_it_again() -> None:
    claim = FollowerClaim("me", "ledger.events.>", LEASE_SECONDS)
    server = Server()
    kept(server)
    claim.found(server.kept, 0.0)
    claimed = claim.next(0.0)
    assert isinstance(claimed, Write)
    claim.stored(claimed.record, 2, 0.0)
    claim.handed_out()
    claim.done(8)
    for lost in (KeptRecord(None, 0), KeptRecord(None, 9), server.kept):
        claim.failed()
        claim.found(lost, 1.0)
        written = claim.next(1.0)
        assert isinstance(written, Write)
        assert (written.record.place, written.record.epoch, written.version) == (
            8,
            4,
            lost.version,
        )


def test_a_place_that_is_forgotten_ends_the_owner() -> None:
    claim = FollowerClaim("me", "ledger.events.>", LEASE_SECONDS)
    server = Server()
    kept(server)
    claim.found(server.kept, 0.0)
    claimed = claim.next(0.0)
    assert isinstance(claimed, Write)
    server.write(claimed)
    claim.stored(claimed.record, 2, 0.0)
    kept(server, epoch=5, place=None)
    claim.hint(server.kept.record)  # type: ignore[arg-type]
    assert isinstance(claim.next(0.1), Write)
    claim.refused()
    claim.found(server.kept, 0.2)
    assert claim.end is End.TAKEN
    assert not claim.may_hand_out(0.2)
