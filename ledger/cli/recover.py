"""ledgerctl recover: what is to be done after the database was restored to an earlier moment."""

import asyncio
import getpass
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ledger.cli.audit.verify import Head, PublicKey, Witness, trusted_keys
from ledger.operate import terminal

if TYPE_CHECKING:
    from ledger.audit.prove.verdict import Verdict
    from ledger.bus.connection import Connection
    from ledger.operate.settings import Settings
    from ledger.programs.recovery import Plan, Recovered, Recovery

EXPLAINED = ("truncated", "restored")
"""What a restore does to a log, seen from the heads that were kept outside."""
SHOWN = 10
"""Lines of each kind; all of it is in the file and in --json."""

Told = dict[str, Any]


def register(app: typer.Typer) -> None:
    """Adds the command of this file."""
    app.command()(recover)


def recover(
    by: Annotated[
        str | None, typer.Option("--by", help="Who does it; kept in the log. You, if not given.")
    ] = None,
    reason: Annotated[
        str | None, typer.Option("--reason", help="What was restored, and why; kept in the log.")
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do it without asking: for scripts; needs --reason.")
    ] = False,
    lost: Annotated[
        Path | None,
        typer.Option("--lost", help="File for the published events that the log has lost."),
    ] = None,
    heads: Annotated[
        Path | None,
        typer.Option(
            "--heads",
            help="As the bus's administrator: keep the heads in LEDGER_SEALS in this new file, and "
            "remove them there where a restore took their seals away; the sealer then goes on.",
        ),
    ] = None,
    head: Head = None,
    witness: Witness = None,
    public_key: PublicKey = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Recover the log after the database was restored to an earlier moment: tell what is missing,
    verify what there is, decide acknowledged commands again, begin another incarnation. Nothing is
    done where nothing is missing; broken off, it goes on when it is run again. Exit 0: all is well
    now; 1: it is not, or was not to be done."""
    from ledger.operate.logging import configure
    from ledger.operate.roles import WRITER, as_role
    from ledger.operate.servers import bus, database
    from ledger.operate.settings import load

    if yes and not (reason or "").strip():
        raise typer.BadParameter("--yes needs --reason: it is kept in the log")
    settings = load()
    configure("recover", "WARNING")
    with database(settings, role=None) as url, bus(settings) as nats_url:
        verified = _verified(url, settings, head or witness, public_key or [])
        if verified is not None:
            terminal.say(verified, error=True)
            raise typer.Exit(1)
        asked = _Asked(by or getpass.getuser(), reason, lost, heads, yes=yes, json=json)
        holds = asyncio.run(
            _recover(as_role(url, WRITER, "ledgerctl recover"), nats_url, settings, asked)
        )
    raise typer.Exit(0 if holds else 1)


class _Asked:
    """What the person wants, and how it is told."""

    def __init__(
        self,
        by: str,
        reason: str | None,
        lost: Path | None,
        heads: Path | None,
        *,
        yes: bool,
        json: bool,
    ) -> None:
        self.by, self.reason, self.lost, self.heads = by, reason, lost, heads
        self.yes, self.json = yes, json

    def say(self, text: str) -> None:
        if not self.json:
            terminal.say(text)

    def confirmed(self) -> str | None:
        """The reason, if it is to be done."""
        if self.yes:
            return self.reason
        if self.json or not terminal.is_terminal(sys.stdin):
            terminal.say("nothing was done: say --yes and --reason to do it", error=True)
            return None
        if not typer.confirm("Do it?"):
            return None
        reason: str = self.reason or typer.prompt("What was restored, and why (kept in the log)")
        return reason


def _verified(
    url: str, settings: "Settings", heads: Path | None, public_keys: list[str]
) -> str | None:
    """Why the log is not to be gone on with; None if it may be."""
    from ledger.audit.prove import seals
    from ledger.audit.prove.heads import heads_in
    from ledger.audit.prove.verify import verify_database
    from ledger.operate.database import connect
    from ledger.operate.roles import stepping_down

    auditor = stepping_down(url)
    with connect(auditor, "recover") as connection:
        newest = seals.head(connection)
    # Of later heads the seals are lost, which is no forgery and is what this is for.
    there = newest.number if newest is not None else 0
    kept = [one for one in heads_in(heads) if one.number <= there] if heads is not None else []
    verdict: Verdict = verify_database(
        auditor, trusted=trusted_keys(settings, public_keys), kept=kept
    )
    altered = [one for one in verdict.findings if one.tampering not in EXPLAINED]
    if not altered:
        return None
    first = altered[0]
    return (
        f"the log was not only restored, it was altered: position {first.position}, "
        f"{first.tampering}: {first.message}. Nothing was done. Run `ledgerctl audit verify`, keep "
        "what it says, and restore another backup."
    )


async def _recover(url: str, nats_url: str, settings: "Settings", asked: _Asked) -> bool:
    """Whether nothing is left to be done."""
    from ledger.bus.connection import connect_once
    from ledger.bus.security import BusSecurity
    from ledger.programs.recovery import Recovery

    recovery = Recovery(url, nats_url, settings)
    connection = await connect_once(nats_url, "ledgerctl", security=BusSecurity.of(settings))
    try:
        plan = await recovery.plan(connection)
        if not plan.needed:
            asked.say(f"The log has all that the bus knows of, up to position {plan.head}.")
            await _set_heads_aside(recovery, connection, asked)
            _print(asked, plan, None)
            return True
        _tell_plan(asked, plan)
        reason = asked.confirmed()
        if reason is None:
            _print(asked, plan, None)
            return False
        lost = asked.lost or settings.data_dir / f"lost-behind-{plan.common}.jsonl"
        lost.parent.mkdir(parents=True, exist_ok=True)
        done = await recovery.run(
            connection, plan, by=asked.by, reason=reason, lost_file=lost, tell=asked.say
        )
        _tell_done(asked, done)
        await _set_heads_aside(recovery, connection, asked)
        _print(asked, plan, done)
        return True
    finally:
        recovery.close()
        await connection.close()


async def _set_heads_aside(recovery: "Recovery", connection: "Connection", asked: _Asked) -> None:
    if asked.heads is None:
        return
    kept = await recovery.set_heads_aside(connection, asked.heads)
    if kept:
        asked.say(f"{kept} heads are in {asked.heads}, and no longer in LEDGER_SEALS")
    else:
        asked.say("LEDGER_SEALS leads to the seals that there are: it stays as it is")


def _tell_plan(asked: _Asked, plan: "Plan") -> None:
    asked.say(f"The log ends at position {plan.head}, as incarnation {plan.incarnation}.")
    asked.say(f"{len(plan.lost_commands)} acknowledged commands are not decided here;")
    asked.say(
        f"{len(plan.lost_events)} published events are not in it, behind position {plan.common};"
    )
    if plan.lost_head is not None:
        asked.say(f"the head in LEDGER_SEALS, seal {plan.lost_head.number}, is none of its seals;")
    asked.say(f"{len(plan.too_far)} names under which events are followed have handled such:")
    _some(asked, [f"  {one.user} {one.name}: up to {one.place}" for one in plan.too_far])
    begun = "has begun already" if plan.begun else f"begins behind position {plan.common}"
    asked.say("To be done:")
    asked.say(f"  1. Another incarnation of the log {begun}.")
    asked.say(
        f"  2. Commands are decided again in their order, up to message {plan.up_to}, "
        "before any new one."
    )
    asked.say("  3. The lost events are written to a file and taken out of LEDGER_EVENTS; the")
    asked.say("     publisher goes on, and followers that went too far are told (LogRestored).")


def _tell_done(asked: _Asked, done: "Recovered") -> None:
    asked.say(f"Recovered: incarnation {done.incarnation}, the log ends at position {done.head}.")
    asked.say(
        f"{done.lost_events - len(done.differing)} of {done.lost_events} lost events came again "
        "as they were."
    )
    if done.differing:
        asked.say("These did not: whoever acted upon them must know.")
    _some(
        asked,
        [
            f"  position {one.lost.position} {one.lost.content['type']} of "
            f"{one.lost.content['streamid']}: {one.why}"
            for one in done.differing
        ],
    )
    asked.say("What else is to be done: docs/runbooks/restore.md, from the seals on.")


def _some(asked: _Asked, lines: Sequence[str]) -> None:
    for line in lines[:SHOWN]:
        asked.say(line)
    if len(lines) > SHOWN:
        asked.say(f"  and {len(lines) - SHOWN} more")


def _print(asked: _Asked, plan: "Plan", done: "Recovered | None") -> None:
    if not asked.json:
        return
    told: Told = {
        "needed": plan.needed,
        "head": plan.head,
        "common": plan.common,
        "lost_commands": len(plan.lost_commands),
        "lost_events": len(plan.lost_events),
        "lost_seal": plan.lost_head.number if plan.lost_head else None,
        "followers": [one._asdict() for one in plan.too_far],
        "recovered": None,
    }
    if done is not None:
        told["recovered"] = {
            "incarnation": done.incarnation,
            "after": done.after,
            "head": done.head,
            "lost_file": str(done.lost_file) if done.lost_file else None,
            "differing": [{"event": one.lost.content, "why": one.why} for one in done.differing],
        }
    terminal.say_json(told)
