"""What limits refuse and let pass, decided by the ledger itself."""

from collections.abc import Iterator
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from tests.commands import INSTRUMENT, USER, command
from tests.limits.desk import PERPETUAL, Desk, order_id, sent_by


@pytest.fixture
def desk(database_url: str) -> Iterator[Desk]:
    desk = Desk(database_url)
    yield desk
    desk.ledger.close()


def cancelled(desk: Desk, order: UUID) -> None:
    desk.accepted(command("CancelOrder", desk.account, order_id=order))


def test_of_five_orders_that_fit_one_by_one_the_fifth_is_refused_until_one_is_cancelled(
    desk: Desk,
) -> None:
    desk.deposit("10000")
    desk.limit("MAX_EXPOSURE", "80", "%")
    orders = [desk.buy("20", "100") for _ in range(5)]
    assert [one.accepted for one in orders] == [True, True, True, True, False]
    assert desk.failed(orders[4]) == ["MAX_EXPOSURE"]
    (failed,) = desk.risk_of(orders[4])["failed"]
    assert (failed["before"], failed["after"], failed["value"]) == ("80", "100", "80")
    cancelled(desk, order_id(orders[0]))
    assert desk.buy("20", "100").accepted


def test_buys_and_sells_that_rest_are_not_netted(desk: Desk) -> None:
    desk.deposit("10000")
    desk.price("100")
    desk.limit("MAX_POSITION", "5", "UNITS")
    assert desk.buy("5").accepted
    assert desk.sell("5").accepted
    refused = desk.buy("1")
    assert desk.failed(refused) == ["MAX_POSITION"]
    assert desk.risk_of(refused)["failed"][0]["after"] == "6"


@pytest.mark.parametrize("instrument", [INSTRUMENT, PERPETUAL])
def test_a_short_is_exposure(desk: Desk, instrument: str) -> None:
    desk.deposit("10000")
    desk.price("100", instrument)
    desk.limit("MAX_EXPOSURE", "500", "USDT")
    assert desk.failed(desk.sell("6", instrument=instrument)) == ["MAX_EXPOSURE"]
    assert desk.sell("5", instrument=instrument).accepted


def test_what_reduces_passes_whatever_is_exceeded_or_missing(desk: Desk) -> None:
    desk.deposit("10000")
    desk.limit("MAX_POSITION", "5", "UNITS")
    desk.limit("MAX_EXPOSURE", "100", "USDT")
    desk.traded("BUY", "10", instrument=PERPETUAL, order_type="LIMIT")
    assert desk.sell("10", instrument=PERPETUAL).accepted
    refused = desk.sell("1", instrument=PERPETUAL)
    assert set(desk.failed(refused)) == {"MAX_POSITION", "MAX_EXPOSURE"}


def test_an_order_that_turns_round_is_refused_for_the_part_beyond(desk: Desk) -> None:
    desk.deposit("10000")
    desk.price("100", PERPETUAL)
    desk.limit("MAX_POSITION", "5", "UNITS")
    desk.traded("BUY", "8", instrument=PERPETUAL)
    assert desk.failed(desk.sell("14", instrument=PERPETUAL)) == ["MAX_POSITION"]
    assert desk.sell("3", instrument=PERPETUAL).accepted


def test_a_loss_of_the_day_stays_tripped_through_restarts_until_the_next_day(desk: Desk) -> None:
    desk.deposit("100", "BTC")
    desk.price("1")
    desk.limit("MAX_DAILY_LOSS", "10", "%")
    desk.price("0.91")
    assert desk.buy("0.1", "0.9").accepted
    desk.price("0.90")
    assert desk.failed(desk.buy("0.1", "0.9")) == ["MAX_DAILY_LOSS"]
    desk.price("0.80")
    desk.restart()
    assert desk.failed(desk.buy("0.1", "0.9")) == ["MAX_DAILY_LOSS"]
    desk.price("0.99")
    again = desk.buy("0.1", "0.9")
    assert desk.failed(again) == ["MAX_DAILY_LOSS"]
    assert "tripped_at" in desk.risk_of(again)["failed"][0]
    desk.later(days=1)
    desk.price("0.80")
    assert desk.buy("0.1", "0.8").accepted
    desk.price("0.73")
    assert desk.buy("0.1", "0.7").accepted


def test_without_a_price_or_with_a_stale_one_what_raises_is_refused(desk: Desk) -> None:
    desk.deposit("10000")
    desk.limit("MAX_EXPOSURE", "5000", "USDT")
    refused = desk.sell("1")
    (failed,) = desk.risk_of(refused)["failed"]
    assert failed["missing"] == [f"a price of {INSTRUMENT}"]
    desk.price("100", age_seconds=301)
    refused = desk.sell("1")
    (missing,) = desk.risk_of(refused)["failed"][0]["missing"]
    assert "301 s old" in missing
    desk.price("100", age_seconds=300)
    assert desk.sell("1").accepted


def test_a_market_order_is_valued_at_the_price_and_never_at_nothing(desk: Desk) -> None:
    desk.deposit("100000")
    desk.limit("MAX_ORDER_NOTIONAL", "1000", "USDT")
    sent = desk.order("SELL", "11", "0.01", order_type="MARKET")
    assert "missing" in desk.risk_of(desk.one(sent))["failed"][0]
    desk.price("100")
    sent = desk.order("SELL", "11", "0.01", order_type="MARKET")
    assert desk.risk_of(desk.one(sent))["failed"][0]["after"] == "1100"
    assert desk.sell("10", "0.01", order_type="MARKET").accepted


def test_a_replace_is_checked_as_the_order_that_it_becomes(desk: Desk) -> None:
    desk.deposit("10000")
    desk.limit("MAX_EXPOSURE", "1000", "USDT")
    order = order_id(desk.buy("5", "100"))
    desk.accepted(command("AcceptOrder", desk.account, order_id=order))
    dearer = desk.one(command("RequestReplace", desk.account, order_id=order, price="201"))
    assert desk.failed(dearer) == ["MAX_EXPOSURE"]
    assert dearer.events[0].type == "order.replace_denied"
    larger = desk.one(command("RequestReplace", desk.account, order_id=order, quantity="11"))
    assert desk.failed(larger) == ["MAX_EXPOSURE"]
    desk.accepted(command("RequestReplace", desk.account, order_id=order, quantity="10"))
    assert desk.failed(desk.buy("1", "100")) == ["MAX_EXPOSURE"], "what was asked for counts"


def test_two_orders_of_one_batch_that_fit_alone_and_not_together(desk: Desk) -> None:
    desk.deposit("10000")
    desk.limit("MAX_EXPOSURE", "1000", "USDT")
    first, second = desk.send(desk.order("BUY", "6"), desk.order("BUY", "6"))
    assert first.accepted
    assert desk.failed(second) == ["MAX_EXPOSURE"]


def test_a_bot_gone_wild_is_refused_by_duplicates_first_and_by_its_rate_then(desk: Desk) -> None:
    desk.deposit("10000")
    desk.limit("DUPLICATE_ORDER", "1", "ORDERS", window="1s")
    desk.limit("ORDER_RATE", "3", "ORDERS", window="1s")
    outcomes = [desk.buy("1") for _ in range(5)]
    assert outcomes[0].accepted
    told = [desk.failed(one) for one in outcomes[1:]]
    assert told == [
        ["DUPLICATE_ORDER"],
        ["DUPLICATE_ORDER"],
        ["DUPLICATE_ORDER", "ORDER_RATE"],
        ["DUPLICATE_ORDER", "ORDER_RATE"],
    ]
    desk.later(seconds=1)
    assert desk.buy("1").accepted


def test_a_loosened_limit_waits_for_somebody_else(desk: Desk) -> None:
    desk.deposit("10000")
    limit = desk.limit("MAX_ORDER_QUANTITY", "5", "UNITS", by="alice")
    desk.limit("MAX_ORDER_QUANTITY", "10", "UNITS", by="alice", limit_id=limit)
    assert desk.failed(desk.buy("6")) == ["MAX_ORDER_QUANTITY"]
    own = desk.one(sent_by("alice", "ApproveLimit", "limits", limit_id=limit))
    assert own.code == "APPROVER_IS_SETTER"
    assert desk.failed(desk.buy("6")) == ["MAX_ORDER_QUANTITY"]
    desk.accepted(sent_by("bob", "ApproveLimit", "limits", limit_id=limit))
    assert desk.buy("6").accepted
    desk.limit("MAX_ORDER_QUANTITY", "5", "UNITS", by="alice", limit_id=limit)
    assert desk.failed(desk.buy("6")) == ["MAX_ORDER_QUANTITY"], "tighter is at once"


def test_a_deposit_on_a_day_of_loss_is_no_profit(desk: Desk) -> None:
    desk.deposit("100", "BTC")
    desk.price("10")
    desk.limit("MAX_DAILY_LOSS", "10", "%")
    desk.price("8.9")
    desk.deposit("1000")
    refused = desk.buy("0.1", "9")
    assert desk.failed(refused) == ["MAX_DAILY_LOSS"]
    assert desk.risk_of(refused)["failed"][0]["after"] == "11"


def test_a_change_for_a_while_ends_by_itself(desk: Desk) -> None:
    desk.deposit("10000")
    limit = desk.limit("MAX_ORDER_QUANTITY", "5", "UNITS")
    until = desk.now.replace(hour=12).isoformat()
    desk.limit("MAX_ORDER_QUANTITY", "2", "UNITS", limit_id=limit, effective_until=until)
    assert desk.failed(desk.buy("3")) == ["MAX_ORDER_QUANTITY"]
    desk.later(hours=2)
    assert desk.buy("3").accepted
    assert desk.failed(desk.buy("6")) == ["MAX_ORDER_QUANTITY"]


def test_nothing_that_raises_passes_a_halt_and_exits_do(desk: Desk) -> None:
    desk.deposit("10000")
    desk.traded("BUY", "5", instrument=PERPETUAL)
    halts = [
        ("SYSTEM", None),
        ("USER", str(USER)),
        ("ACCOUNT", str(desk.account)),
        ("INSTRUMENT", PERPETUAL),
    ]
    for scope, reference in halts:
        assert desk.halt(scope, reference).accepted
        refused = desk.buy("1", instrument=PERPETUAL)
        assert (refused.code, refused.events[0].type) == ("TRADING_HALTED", "order.denied")
        exit_order = desk.sell("1", instrument=PERPETUAL)
        assert exit_order.accepted, exit_order
        named = {} if reference is None else {"reference": reference}
        desk.accepted(command("Resume", "limits", scope=scope, reason="it is over", **named))
        assert desk.buy("0.001", instrument=PERPETUAL).accepted


def test_zero_means_none_at_all(desk: Desk) -> None:
    desk.deposit("10000")
    desk.limit("MAX_POSITION", "0", "UNITS", scope="INSTRUMENT", reference=INSTRUMENT)
    assert desk.failed(desk.buy("0.001")) == ["MAX_POSITION"]


def test_what_comes_near_to_a_limit_is_accepted_with_its_numbers(desk: Desk) -> None:
    desk.deposit("10000")
    desk.limit("MAX_EXPOSURE", "1000", "USDT", warning_threshold="800")
    silent, warned = desk.buy("5"), desk.buy("3")
    assert "risk" not in desk.event(silent)
    risk = desk.event(warned)["risk"]
    assert [(one["measure"], one["after"]) for one in risk["warned"]] == [("MAX_EXPOSURE", "800")]


def test_accounts_of_one_user_are_limited_together(desk: Desk) -> None:
    other = uuid7()
    desk.accepted(desk.opened(other))
    desk.deposit("10000")
    desk.deposit("10000", account=other)
    desk.price("100")
    desk.limit("MAX_EXPOSURE", "1000", "USDT", scope="USER", reference=str(USER))
    assert desk.buy("6").accepted
    refused = desk.buy("5", account=other)
    assert desk.failed(refused) == ["MAX_EXPOSURE"]
    (failed,) = desk.risk_of(refused)["failed"]
    assert (failed["before"], failed["after"]) == ("600", "1100")
    first, second = desk.send(desk.order("BUY", "3", account=other), desk.order("BUY", "3"))
    assert first.accepted
    assert desk.failed(second) == ["MAX_EXPOSURE"], "those of one batch count at once"
    desk.restart()
    assert desk.failed(desk.buy("2", account=other)) == ["MAX_EXPOSURE"]
    assert desk.buy("1", account=other).accepted


@pytest.mark.parametrize("scope", ["SYSTEM", "STRATEGY", "INSTRUMENT"])
def test_other_scopes_are_of_all_accounts_too(desk: Desk, scope: str) -> None:
    other = uuid7()
    desk.accepted(desk.opened(other, user_id=uuid7()))
    for account in (desk.account, other):
        desk.deposit("10000", account=account)
        assign = {"strategy_id": "trend", "allocation_percent": "50"}
        desk.accepted(command("AssignStrategy", account, **assign))
    desk.price("100")
    reference = {"SYSTEM": None, "STRATEGY": "trend", "INSTRUMENT": INSTRUMENT}[scope]
    desk.limit("MAX_EXPOSURE", "1000", "USDT", scope=scope, reference=reference)
    assert desk.buy("6", strategy_id="trend").accepted
    assert desk.failed(desk.buy("5", account=other, strategy_id="trend")) == ["MAX_EXPOSURE"]
    assert desk.buy("4", account=other, strategy_id="trend").accepted


def test_another_workers_orders_count_once_they_are_committed(desk: Desk) -> None:
    other = uuid7()
    desk.accepted(desk.opened(other))
    desk.deposit("10000")
    desk.deposit("10000", account=other)
    desk.price("100")
    desk.limit("MAX_EXPOSURE", "1000", "USDT", scope="USER", reference=str(USER))
    assert desk.buy("1").accepted
    beside = Desk.of(desk, other)
    assert beside.buy("7").accepted
    assert desk.buy("1").accepted, "it is known with the commit of this one"
    assert desk.failed(desk.buy("2")) == ["MAX_EXPOSURE"]
    beside.ledger.close()


def test_an_order_that_would_trade_with_ones_own_is_refused(desk: Desk) -> None:
    desk.deposit("10000")
    desk.price("100")
    desk.limit("SELF_MATCH", "0", "ORDERS")
    resting = order_id(desk.sell("1", "101"))
    assert desk.sell("1", "103").accepted
    assert desk.sell("1", "102", order_type="STOP_LIMIT", stop_price="99").accepted
    assert desk.buy("1", "100.99").accepted, "it does not reach"
    refused = desk.buy("1", "102")
    assert (refused.code, refused.events[0].type) == ("SELF_MATCH", "order.denied")
    risk = desk.risk_of(refused)
    assert [(one["measure"], one["after"]) for one in risk["failed"]] == [("SELF_MATCH", "1")]
    (match,) = risk["inputs"]["matches"]
    assert (match["side"], match["best"], match["at"]) == ("SELL", "101", "102")
    assert desk.buy("1", "102", order_type="STOP_LIMIT", stop_price="104").accepted
    cancelled(desk, resting)
    assert desk.buy("1", "102").accepted


def test_changes_exits_and_other_accounts_of_the_user_do_not_trade_with_oneself_either(
    desk: Desk,
) -> None:
    other = uuid7()
    desk.accepted(desk.opened(other))
    for account in (desk.account, other):
        desk.deposit("10000", account=account)
    desk.price("100", PERPETUAL)
    desk.limit("SELF_MATCH", "0", "ORDERS", scope="USER", reference=str(USER))
    desk.traded("BUY", "2", instrument=PERPETUAL)
    order = order_id(desk.buy("1", "99", instrument=PERPETUAL, account=other))
    exit_order = {"instrument": PERPETUAL, "reduce_only": True}
    assert desk.sell("1", "99", **exit_order).code == "SELF_MATCH"
    change = command("RequestReplace", other, order_id=order, price="105")
    desk.accepted(command("AcceptOrder", other, order_id=order))
    assert desk.sell("1", "100", **exit_order).accepted
    assert desk.one(change).code == "SELF_MATCH"
    desk.restart()
    assert desk.one(change).code == "SELF_MATCH"
    assert desk.sell("1", None, **exit_order).accepted, "at the market nothing of one's own lies"


def test_a_ladder_of_orders_walks_no_farther_than_the_collar(desk: Desk) -> None:
    desk.deposit("100000")
    desk.price("100")
    desk.limit("PRICE_WALK", "3", "%", window="10s")
    assert all(desk.buy("1", str(price)).accepted for price in (100, 101, 99, 101))
    refused = desk.buy("1", "101.01")
    assert desk.failed(refused) == ["PRICE_WALK"]
    assert desk.risk_of(refused)["failed"][0]["after"] == "3.01"
    assert desk.sell("1", "90").accepted, "the other side has not moved"
    order = order_id(desk.buy("1", "101"))
    desk.accepted(command("AcceptOrder", desk.account, order_id=order))
    change = command("RequestReplace", desk.account, order_id=order, price="102")
    assert desk.failed(desk.one(change)) == ["PRICE_WALK"]
    desk.later(seconds=10)
    desk.accepted(command("RequestReplace", desk.account, order_id=order, price="103"))
    desk.accepted(command("ReplaceOrder", desk.account, order_id=order))
    assert desk.buy("1", "106").accepted
    assert desk.failed(desk.buy("1", "106.01")) == ["PRICE_WALK"], "a change is a step of it, too"
    desk.restart()
    assert desk.failed(desk.buy("1", "106.01")) == ["PRICE_WALK"]
