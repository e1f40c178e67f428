"""ledgerctl publisher, as an operator runs it: who follows, and events sent again."""

import asyncio
from contextlib import aclosing
from pathlib import Path

import orjson
from nats.js import api

from tests.cli.running import run
from tests.client.following import events_on, until_kept
from tests.programs.publishing import Log, connected
from tests.programs.services import ANSWER_SECONDS, client


async def test_events_are_sent_again_in_order_below_another_subject(
    tmp_path: Path, database_url: str, nats_url: str
) -> None:
    log = Log(database_url)
    head = log.grow(700)
    arguments = ("publisher", "replay", "--from", "101", "--subject", "replay.risk", "--json")
    async with connected(nats_url) as connection:
        heard = await connection.subscribe("replay.risk.>")
        await connection.flush()
        finished = await run(
            *arguments, cwd=tmp_path, LEDGER_DATABASE_URL=database_url, LEDGER_NATS_URL=nats_url
        )
        assert finished.exit_code == 0, finished.stderr
        assert orjson.loads(finished.stdout) == {
            "from_position": 101, "to_position": head, "events": head - 100, "stream": None,
        }  # fmt: skip
        bodies = [
            orjson.loads((await heard.next_msg(ANSWER_SECONDS)).data) for _ in range(head - 100)
        ]
        assert [body["id"] for body in bodies] == log.ids()[100:]

        jetstream = connection.jetstream()
        await jetstream.add_stream(api.StreamConfig(name="RISK", subjects=["replay.risk.>"]))
        for _ in range(2):  # the second is no copy of the first
            finished = await run(
                *arguments, cwd=tmp_path, LEDGER_DATABASE_URL=database_url, LEDGER_NATS_URL=nats_url
            )
            assert orjson.loads(finished.stdout)["stream"] == "RISK"
        assert (await jetstream.stream_info("RISK")).state.messages == 2 * (head - 100)


async def test_what_cannot_be_replayed_is_said(
    tmp_path: Path, database_url: str, nats_url: str
) -> None:
    replay = ("publisher", "replay", "--from", "5")
    finished = await run(
        *replay,
        "--subject",
        "replay.risk",
        cwd=tmp_path,
        LEDGER_DATABASE_URL=database_url,
        LEDGER_NATS_URL=nats_url,
    )
    assert finished.exit_code == 1
    assert "positions 1 to 0" in finished.stderr
    for prefix in ("ledger.events", "$JS.x", "a b"):
        finished = await run(
            *replay,
            "--subject",
            prefix,
            cwd=tmp_path,
            LEDGER_DATABASE_URL=database_url,
            LEDGER_NATS_URL=nats_url,
        )
        assert finished.exit_code == 2
        assert "replay.risk" in finished.stderr


async def test_an_operator_sees_who_follows_how_far_behind(tmp_path: Path, nats_url: str) -> None:
    async def shown(*more: str) -> str:
        finished = await run(
            "publisher", "followers", *more, cwd=tmp_path, LEDGER_NATS_URL=nats_url
        )
        assert finished.exit_code == 0, finished.stderr
        return finished.stdout

    async with events_on(nats_url) as events:
        assert await shown() == "nobody follows the events under a name\n"
        await events.publish(30)
        async with await client(nats_url) as ledger, asyncio.timeout(3 * ANSWER_SECONDS):
            following = ledger.events(name="risk")
            for _ in range(21):
                await anext(following)
            async with aclosing(ledger.events(name="audit", after=5)) as audit:
                await anext(audit)
            await until_kept(ledger._nats, "risk", b'"place":20')
            table = [line.split() for line in (await shown()).splitlines()]
            assert table[0] == ["user", "name", "owner", "place", "behind"]
            assert table[1] == ["anonymous", "audit", "nobody", "5", "25"]
            assert (table[2][1], *table[2][3:]) == ("risk", "20", "10")
            row = orjson.loads(await shown("--json"))[1]
            assert (row["events"], row["owner"]) == ("ledger.events.>", table[2][2])
            hostile = b'{"filter":"","epoch":1,"place":1,"lease_seconds":1,"owner":"\\u001b[2J"}'
            await ledger._nats.jetstream().publish("ledger.followers.anonymous.x", hostile)
            assert "\x1b" not in await shown()
            await following.aclose()
