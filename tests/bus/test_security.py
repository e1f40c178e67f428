"""The bus with users and TLS: everyone gets what is theirs, and the server refuses the rest."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import nats
import nats.errors
import orjson
import pytest
from uuid_utils.compat import uuid7

from ledger.bus import connection as bus
from ledger.bus import users as bus_users
from ledger.bus.command_subjects import command_subject
from ledger.bus.connection import REPLY_TO
from ledger.bus.security import BusSecurity, UnusableCredentials
from ledger.bus.users import UnusableUser
from ledger.client.client import LedgerClient, LedgerUnavailable, NotPermitted
from ledger.kernel.command import COMMAND_CLASSES
from ledger.operate import servers
from ledger.operate.settings import Settings
from tests.bus.secured import SecuredBus
from tests.cli.running import run
from tests.programs.publishing import running_publisher
from tests.programs.services import ANSWER_SECONDS, message, open_account, rows
from tests.questions.test_query_service import running_queries


class Secured(NamedTuple):
    """A whole ledger on a server with users, and two services' credentials."""

    bus: SecuredBus
    operator: BusSecurity
    auditor: BusSecurity
    mine: BusSecurity
    theirs: BusSecurity
    my_account: UUID
    their_account: UUID
    sender: BusSecurity

    async def client(self, security: BusSecurity, **options: UUID) -> LedgerClient:
        source = security.user or "nobody"
        return await LedgerClient.connect(
            self.bus.url,
            source=source,
            security=security,
            **options,  # type: ignore[arg-type]
        )


@pytest.fixture
async def secured(server_directory: Path, database_url: str) -> AsyncIterator[Secured]:
    from ledger.programs.commands import CommandWorker

    server = SecuredBus(server_directory)
    ours = server.add_user("ledger", "ledger")
    accounts = uuid7(), uuid7()
    secured = Secured(
        server,
        server.add_user("operator", "operator", may=COMMAND_CLASSES),
        server.add_user("auditor", "auditor"),
        server.add_user(
            "service", "strategy-7", accounts=[accounts[0]], may=("trade", "report", "money")
        ),
        server.add_user("service", "strategy-8", accounts=[accounts[1]]),
        *accounts,
        server.add_user("sender", "web"),
    )
    settings: dict[str, Any] = {
        "nats_user": ours.user,
        "nats_nkey_seed_file": ours.nkey_seed_file,
        "nats_tls_ca_file": ours.tls_ca_file,
    }
    with server.running():
        worker = CommandWorker(database_url, server.url, Settings(**settings))
        working = asyncio.create_task(worker.run())
        async with (
            running_publisher(database_url, server.url, **settings),
            running_queries(database_url, server.url, security=ours, **settings),
            await secured.client(secured.operator) as operator,
        ):
            for account_id in accounts:
                await open_account(operator, account_id=account_id)
            yield secured
        worker.stop()
        await asyncio.wait_for(working, ANSWER_SECONDS)


async def test_a_service_works_on_its_own_accounts_and_is_refused_others_by_the_server(
    secured: Secured,
) -> None:
    deposit = {"asset": "USDT", "amount": "100"}
    mine, theirs = secured.my_account, secured.their_account
    async with await secured.client(secured.mine) as ledger:
        outcome = await ledger.submit("Deposit", deposit, account_id=mine)
        assert outcome.status == "ACCEPTED"
        assert (await ledger.outcome(outcome.command_id or uuid7())).status == "ACCEPTED"
        async with aclosing(ledger.events(name="strategy-7", account_id=mine)) as events:
            assert (await anext(events)).type == "account.opened"
            assert (await anext(events)).position == outcome.position
        later = ledger.events(name=f"strategy-7-{mine}", account_id=mine, after=outcome.position)
        following = asyncio.create_task(anext(later))
        again = await ledger.submit("Deposit", deposit, account_id=mine)
        assert (await asyncio.wait_for(following, ANSWER_SECONDS)).position == again.position
        await later.aclose()
        assert (await ledger.queries.balances(mine)).rows == []  # nobody folds here

        async with asyncio.timeout(ANSWER_SECONDS):
            with pytest.raises(NotPermitted, match=rf"ledger\.commands\.{theirs}"):
                await ledger.submit("Deposit", deposit, account_id=theirs)
            with pytest.raises(NotPermitted, match=rf"ledger\.query\.balances\.{theirs}"):
                await ledger.queries.balances(theirs)
            with pytest.raises(NotPermitted, match="followers"):
                await anext(ledger.events(name="strategy-7-x", account_id=mine))
            await ledger.forget_events("strategy-7")
            for others in ({"account_id": theirs}, {}):
                with pytest.raises(NotPermitted, match="consumer"):
                    await anext(ledger.events(name="strategy-7", **others))  # type: ignore[arg-type]
        # One refusal spoils nothing else of the same connection.
        many = [
            await ledger.send("Deposit", deposit, account_id=account)
            for account in (mine, theirs, mine)
        ]
        assert (await many[0]).status == (await many[2]).status == "ACCEPTED"
        with pytest.raises(NotPermitted):
            await many[1]


async def test_a_service_sends_the_classes_it_is_granted_in_its_own_name(
    secured: Secured, database_url: str
) -> None:
    deposit = {"asset": "USDT", "amount": "100"}
    account = secured.their_account
    async with await secured.client(secured.theirs) as ledger:  # may trade and report
        cancel = await ledger.submit("RequestCancel", {"order_id": uuid7()}, account_id=account)
        assert cancel.code == "UNKNOWN_ORDER"
        async with asyncio.timeout(ANSWER_SECONDS):
            for command, data in (("Deposit", deposit), ("SuspendAccount", {})):
                with pytest.raises(NotPermitted, match=r"\.(money|admin)\.strategy-8"):
                    await ledger.submit(command, data, account_id=account)
        ledger._sender = "strategy-7"
        async with asyncio.timeout(ANSWER_SECONDS):
            with pytest.raises(NotPermitted, match=r"\.trade\.strategy-7"):
                await ledger.submit("RequestCancel", {"order_id": uuid7()}, account_id=account)
    senders = "SELECT DISTINCT sender FROM command_inbox WHERE command_type = 'RequestCancel'"
    assert rows(database_url, senders) == [("strategy-8",)]


async def test_a_sender_sends_for_every_account_asks_for_outcomes_and_hears_nothing_else(
    secured: Secured,
) -> None:
    """What the console and the clock have: they read the database."""
    await_answer = asyncio.timeout(ANSWER_SECONDS)
    async with await secured.client(secured.sender) as ledger, await_answer:
        for account in (secured.my_account, secured.their_account):
            suspended = await ledger.submit("SuspendAccount", {}, account_id=account)
            assert suspended.status == "ACCEPTED"
            assert (await ledger.outcome(suspended.command_id or uuid7())).status == "ACCEPTED"
        deposit = {"asset": "USDT", "amount": "1"}
        with pytest.raises(NotPermitted, match=r"\.money\.web"):
            await ledger.submit("Deposit", deposit, account_id=secured.my_account)
        with pytest.raises(NotPermitted, match=r"ledger\.query"):
            await ledger.queries.balances(secured.my_account)
        with pytest.raises(NotPermitted):
            await anext(ledger.events(name="web"))


async def test_an_outcome_goes_to_an_inbox_of_its_sender_and_nowhere_else(
    secured: Secured,
) -> None:
    mine = await bus.connect_once(secured.bus.url, "mine", security=secured.mine)
    theirs = await bus.connect_once(secured.bus.url, "theirs", security=secured.theirs)
    overheard = await theirs.subscribe("_INBOX.strategy-8.>")
    await theirs.flush()
    answers = await mine.subscribe("_INBOX.strategy-7.>")
    subject = command_subject(str(secured.my_account), "money", "strategy-7")
    deposit = {"asset": "USDT", "amount": "1"}
    for reply_to in ("_INBOX.strategy-8.x", "_INBOX.strategy-7", "anything", "_INBOX.strategy-7.x"):
        body = orjson.dumps(message("Deposit", secured.my_account, deposit))
        await mine.publish(subject, body, headers={REPLY_TO: reply_to})
    answer = await answers.next_msg(ANSWER_SECONDS)
    assert answer.subject == "_INBOX.strategy-7.x"
    await theirs.flush()
    with pytest.raises(nats.errors.TimeoutError):
        await overheard.next_msg(0.05)
    await mine.close()
    await theirs.close()


async def test_the_user_in_the_message_must_be_the_accounts(secured: Secured) -> None:
    deposit = {"asset": "USDT", "amount": "100"}
    async with await secured.client(secured.mine, user_id=uuid7()) as ledger:
        outcome = await ledger.submit("Deposit", deposit, account_id=secured.my_account)
    assert (outcome.status, outcome.code) == ("REJECTED", "NOT_YOUR_ACCOUNT")


async def test_nobody_reads_anothers_outcomes(secured: Secured) -> None:
    denied: asyncio.Queue[str] = asyncio.Queue()

    async def note(error: Exception) -> None:
        denied.put_nowait(str(error))

    options = secured.theirs.options()
    connection = await nats.connect(secured.bus.url, error_cb=note, **options)
    try:
        for subject in ("_INBOX.strategy-7.>", "_INBOX.>", "ledger.events.>", ">"):
            overheard = await connection.subscribe(subject)
            told = await asyncio.wait_for(denied.get(), ANSWER_SECONDS)
            assert "permissions violation for subscription" in told.lower()
            assert subject.lower() in told.lower()
            with pytest.raises(nats.errors.Error):
                await overheard.next_msg(0.05)
    finally:
        await connection.close()


async def test_an_auditor_reads_everything_and_sends_nothing(secured: Secured) -> None:
    async with await secured.client(secured.auditor) as ledger:
        async with aclosing(ledger.events(name="auditor")) as events:
            assert (await anext(events)).account_id == secured.my_account
        assert (await ledger.queries.balances(secured.my_account)).rows == []
        async with asyncio.timeout(ANSWER_SECONDS):
            with pytest.raises(NotPermitted):
                await ledger.submit(
                    "Deposit", {"asset": "X", "amount": "1"}, account_id=secured.my_account
                )


async def test_who_is_unknown_or_does_not_trust_the_server_gets_no_connection(
    secured: Secured, tmp_path: Path
) -> None:
    async def refused(security: BusSecurity) -> str:
        with pytest.raises(LedgerUnavailable) as told:
            await LedgerClient.connect(
                secured.bus.url, source="x", security=security, connect_timeout=1.5
            )
        return str(told.value).lower()

    assert "authorization" in await refused(replace(secured.mine, nkey_seed_file=None))
    stranger = tmp_path / "stranger.nk"
    from ledger.bus.users import public_key

    public_key(stranger)
    assert "authorization" in await refused(replace(secured.mine, nkey_seed_file=stranger))
    assert "certificate" in await refused(replace(secured.mine, tls_ca_file=None))


async def test_secrets_that_others_can_read_are_not_used(tmp_path: Path) -> None:
    seed = tmp_path / "seed.nk"
    with pytest.raises(UnusableCredentials, match="cannot be read"):
        BusSecurity(nkey_seed_file=seed).options()
    seed.write_text("SUA")
    seed.chmod(0o644)
    with pytest.raises(UnusableCredentials, match="chmod 600"):
        BusSecurity(nkey_seed_file=seed).options()
    with pytest.raises(UnusableCredentials, match="LEDGER_NATS_TLS_CA_FILE"):
        BusSecurity(tls_ca_file=seed).options()


async def test_ledgerctl_makes_users_changes_what_they_may_and_revokes_them(tmp_path: Path) -> None:
    account, other = str(uuid7()), str(uuid7())
    make = ("bus", "user", "s-7", "--role", "service", "--may", "report,trade", "--json")
    first = await run(*make, "--account", account, cwd=tmp_path)
    assert first.exit_code == 0, first.stderr
    assert orjson.loads(first.stdout)["may"] == ["trade", "report"]
    assert (tmp_path / "s-7.nk").stat().st_mode & 0o077 == 0
    second = await run(*make, "--account", other, cwd=tmp_path)
    assert orjson.loads(first.stdout)["nkey"] == orjson.loads(second.stdout)["nkey"]
    users = (tmp_path / "users.conf").read_text(encoding="utf-8")
    assert account not in users
    assert f"ledger.commands.{other}.trade.s-7" in users
    assert f"ledger.commands.{other}.money.s-7" not in users
    named = ("bus", "user", "service", "--name", "s-8", "--account", account, "--json")
    as_before = await run(*named, cwd=tmp_path)
    assert orjson.loads(as_before.stdout)["may"] == ["trade", "report"]  # none that moves money
    revoked = await run("bus", "user", "s-7", "--revoke", cwd=tmp_path)
    assert "revoked" in revoked.stdout
    assert list(bus_users.read_users(tmp_path / "users.conf")) == ["s-8"]
    for wrong in (("s-9",), ("s-9", "--role", "king"), ("s-9", "--revoke"),
                  ("s-9", "--account", account, "--may", "steal")):  # fmt: skip
        assert (await run("bus", "user", *wrong, cwd=tmp_path)).exit_code == 2


def test_a_user_without_sense_is_refused(tmp_path: Path) -> None:
    account = uuid7()
    for name, role, granted in (
        ("a b", "service", {"accounts": [account]}),
        ("anonymous", "service", {"accounts": [account]}),
        (f"s-{account}", "service", {"accounts": [account]}),  # as consumers of s are named
        ("s", "service", {"families": ["everything"]}),
        ("a", "auditor", {"accounts": [account]}),
        ("a", "auditor", {"may": ["money"]}),
        ("web", "operator", {}),  # its word is taken for others
        ("web", "service", {"accounts": [account]}),
    ):
        with pytest.raises(UnusableUser):
            bus_users.user(name, role, "U", **granted)  # type: ignore[arg-type]
    (tmp_path / "users.conf").write_text("users: []")
    with pytest.raises(UnusableUser, match="was not written by"):
        bus_users.read_users(tmp_path / "users.conf")


def test_the_databases_url_gets_the_tls_that_is_set() -> None:
    settings = Settings(
        database_url="postgresql://ledger@db/ledger?application_name=x",
        database_tls_ca_file=Path("/etc/ca.pem"),
        database_tls_cert_file=Path("/etc/me.pem"),
        database_tls_key_file=Path("/etc/me.key"),
    )
    url = servers.find_database(settings)
    for part in ("sslmode=verify-full", "sslrootcert=%2Fetc%2Fca.pem", "application_name=x"):
        assert part in url
    assert servers.find_database(settings.model_copy(update={"database_url": url})) == url
