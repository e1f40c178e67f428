"""`query limits`: what was set, by whom, who approved it, and what was known of it when."""

from ledger.eventstore.moments import Moment
from ledger.operate.database import connect
from projections.read_models.limits import PROJECTION, QUESTIONS
from tests.limits.desk import Desk, sent_by
from tests.projections.workers import caught_up, running


def test_which_limits_held_at_a_trade_can_be_asked_later(database_url: str) -> None:
    desk = Desk(database_url)
    limit = desk.limit("MAX_ORDER_QUANTITY", "5", "UNITS", by="alice")
    before = desk.accepted(desk.order("BUY", "1"))[0].position
    desk.limit("MAX_ORDER_QUANTITY", "9", "UNITS", by="alice", limit_id=limit)
    waiting = desk.accepted(desk.order("BUY", "1"))[0].position
    desk.accepted(sent_by("bob", "ApproveLimit", "limits", limit_id=limit))
    desk.accepted(sent_by("alice", "RemoveLimit", "limits", limit_id=limit))
    desk.accepted(sent_by("bob", "ApproveLimit", "limits", limit_id=limit))
    desk.halt("SYSTEM")
    desk.ledger.close()
    with running(database_url, [PROJECTION]):
        caught_up(database_url, "limits")
    limits, history = QUESTIONS
    account = str(desk.account)
    with connect(database_url, "test") as connection, connection.transaction():

        def at(position: int | None) -> tuple[object, ...]:
            assert position is not None
            (row,) = limits.at(connection, Moment(position, None), reference=account)
            return row.value, row.status, row.proposed_value, row.set_by, row.approved_by

        assert at(before) == (5, "ACTIVE", None, "alice", None)
        assert at(waiting) == (5, "PROPOSED", 9, "alice", None)
        (now,) = limits.find(connection, reference=account)
        assert (str(now.value), str(now.status), now.approved_by) == ("9", "REMOVED", "bob")
        told = [row.change for row in history.find(connection, reference=account)]
        assert told == ["REMOVED", "REMOVAL_PROPOSED", "SET", "PROPOSED", "SET"]
        (halted,) = history.find(connection, reference="SYSTEM")
        assert (halted.change, halted.description) == ("HALTED", "enough")
