"""What the clock does for whoever is not heard of."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from uuid_utils.compat import uuid7

from ledger.clock.jobs import all_jobs
from ledger.operate.settings import Settings
from tests.clock.test_scheduler import standing
from tests.programs.services import client, list_instrument, open_account, rows, running_worker


async def test_the_cancel_of_what_rests_is_asked_for_once_nothing_is_heard(
    database_url: str, nats_url: str
) -> None:
    (job,) = [one for one in all_jobs(Settings()) if one.name == "heartbeats"]
    async with running_worker(database_url, nats_url), await client(nats_url) as ledger:
        instrument = await list_instrument(ledger)
        terms = {"instrument": instrument, "side": "BUY", "order_type": "LIMIT"}
        terms |= {"quantity": "1", "price": "10"}
        accounts = [await open_account(ledger) for _ in range(2)]
        for account in accounts:
            deposit = {"asset": "USDT", "amount": "100", "reference": str(uuid7())}
            assert (await ledger.submit("Deposit", deposit, account_id=account)).accepted

        async def ordered(account: UUID) -> str:
            order = str(uuid7())
            sent = await ledger.submit(
                "SubmitOrder", terms | {"order_id": order}, account_id=account
            )
            assert sent.accepted, sent
            return order

        def asked() -> list[tuple[str, str]]:
            return rows(
                database_url,
                "SELECT stream_id::text, event_data::jsonb ->> 'reason' FROM event_store "
                "WHERE event_type = 'order.cancel_requested' ORDER BY position",
            )

        watched, other = accounts
        first, _ = await ordered(watched), await ordered(other)
        about = {"scope": "ACCOUNT", "reference": str(watched)}
        promised = about | {"timeout_seconds": 600, "sender": "test"}
        (await ledger.submit("PromiseHeartbeat", promised)).raise_for_rejection()
        async with standing(database_url, ledger, job) as clock:
            now = datetime.now(UTC)
            clock.begin(now)
            (run,) = await clock.turn(now + timedelta(seconds=60))
            assert (run.outcomes, asked()) == ([], []), "it is not awaited yet"
            (run,) = await clock.turn(now + timedelta(seconds=700))
            reason = "nothing was heard of who looks after it"
            assert [one.accepted for one in run.outcomes] == [True, True]
            assert asked() == [(first, reason)], "of its scope, and of no other"
            second = await ordered(watched)
            await clock.turn(now + timedelta(seconds=720))
            assert asked() == [(first, reason), (second, reason)], "each once, also what came since"
