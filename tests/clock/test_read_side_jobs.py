"""What the clock finds due in the read models."""

from datetime import UTC, datetime, timedelta

from uuid_utils.compat import uuid7

from ledger.clock.job import Job
from ledger.clock.jobs import all_jobs
from ledger.operate.settings import Settings
from projections.clock_jobs import EXPIRED
from projections.read_models.accounts import PROJECTION as ACCOUNTS
from projections.read_models.allocations import PROJECTION as ALLOCATIONS
from projections.read_models.orders import PROJECTION as ORDERS
from tests.clock.test_scheduler import standing
from tests.programs.services import client, list_instrument, open_account, rows, running_worker
from tests.projections.workers import caught_up, running

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def job(name: str) -> Job:
    return {one.name: one for one in all_jobs(Settings())}[name]


async def test_the_cancellation_of_an_order_whose_time_is_over_is_asked_for_once(
    database_url: str, nats_url: str
) -> None:
    async with running_worker(database_url, nats_url), await client(nats_url) as ledger:
        instrument = await list_instrument(ledger)
        terms = {
            "instrument": instrument,
            "side": "BUY",
            "order_type": "LIMIT",
            "quantity": "1",
            "price": "10",
        }
        orders = {}
        for environment, lasts, expires_at in (
            ("PAPER", "GTD", NOON),
            ("PAPER", "DAY", NOON + timedelta(hours=1)),
            ("PAPER", "DAY", None),
            ("BACKTEST", "GTD", NOON),
        ):
            account = await open_account(ledger, environment=environment)
            deposit = {"asset": "USDT", "amount": "100", "reference": str(uuid7())}
            assert (await ledger.submit("Deposit", deposit, account_id=account)).accepted
            order = uuid7()
            said = terms | {"order_id": str(order), "time_in_force": lasts}
            if expires_at is not None:
                said["expires_at"] = expires_at.isoformat()
            assert (await ledger.submit("SubmitOrder", said, account_id=account)).accepted
            orders[order] = account
        with running(database_url, [ORDERS]):
            caught_up(database_url, "orders")
            async with standing(database_url, ledger, job("expiries")) as ticking:
                ticking.begin(NOON - timedelta(seconds=10))
                (run,) = await ticking.turn(NOON)
                assert [one.accepted for one in run.outcomes] == [True]
                caught_up(database_url, "orders")
                (run,) = await ticking.turn(NOON + timedelta(seconds=10))
                assert run.outcomes == []
    asked = rows(
        database_url,
        "SELECT stream_id, event_data::jsonb ->> 'reason' FROM event_store "
        "WHERE event_type = 'order.cancel_requested'",
    )
    assert asked == [(next(iter(orders)), EXPIRED)]


async def test_accounts_with_a_strategy_of_auto_rebalance_are_rebalanced_and_told_of(
    database_url: str, nats_url: str
) -> None:
    async with running_worker(database_url, nats_url), await client(nats_url) as ledger:
        accounts = {}
        for auto in (True, False):
            account = accounts[auto] = await open_account(ledger)
            deposit = {"asset": "USDT", "amount": "100", "reference": str(uuid7())}
            await ledger.submit("Deposit", deposit, account_id=account)
            share = {"strategy_id": "trend", "allocation_percent": "40", "auto_rebalance": auto}
            assert (await ledger.submit("AssignStrategy", share, account_id=account)).accepted
        with running(database_url, [ACCOUNTS, ALLOCATIONS]):
            caught_up(database_url, "accounts", "user_strategy_assignments")
            jobs = (job("rebalances"), job("rebalance_snapshots"))
            async with standing(database_url, ledger, *jobs) as ticking:
                ticking.begin(NOON)
                went = await ticking.turn(NOON + timedelta(days=1))
    assert [[one.accepted for one in run.outcomes] for run in went] == [[True], [True]]
    told = rows(
        database_url,
        "SELECT event_type, coalesce(event_data::jsonb ->> 'account_id', stream_id::text) "
        "FROM event_store WHERE event_type IN ('account.rebalanced', 'clock.snapshots_taken') "
        "ORDER BY event_type",
    )
    both = [str(accounts[True])] * 2
    assert told == list(zip(("account.rebalanced", "clock.snapshots_taken"), both, strict=True))
