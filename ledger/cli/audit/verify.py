"""ledgerctl audit verify: the log against its seals, or an export against the seals it brings.

Exit 0 only on the word of something from outside, a key or a head; CONSISTENT_ONLY where log and
seals fit each other and nothing from outside says more, because whoever runs the database could
have made both.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ledger.operate import terminal

if TYPE_CHECKING:
    from ledger.audit.prove.trust import TrustedKey
    from ledger.audit.prove.verdict import RecordsCheck, Verdict
    from ledger.operate.settings import Settings

CONSISTENT_ONLY = 3
"""Exit code: it fits, and nothing from outside shows who sealed it."""

PublicKey = Annotated[
    list[str] | None,
    typer.Option(
        "--public-key",
        metavar="KEY[:FROM-TO]",
        help="The sealer's public key: a PEM file or 64 hexadecimal digits, for all that it signed "
        "or for a range of positions. Several if it changed.",
    ),
]
Head = Annotated[
    Path | None,
    typer.Option("--head", help="A head kept outside (`audit seal --head`), or a file of them."),
]
Witness = Annotated[
    Path | None,
    typer.Option("--witness", help="The directory of a witness: all heads that it kept."),
]


def register(app: typer.Typer) -> None:
    """Adds the command of this file."""
    app.command()(verify)


def verify(
    first: Annotated[int | None, typer.Option("--from", min=1, help="First position.")] = None,
    last: Annotated[int | None, typer.Option("--to", min=1, help="Last position.")] = None,
    head: Head = None,
    witness: Witness = None,
    public_key: PublicKey = None,
    export: Annotated[
        Path | None, typer.Option("--export", help="Verify an exported directory instead.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check that nobody altered history. Exit 0: nothing was altered, on the word of a key or head
    from outside; 3: all fits, and nothing from outside was given; 1: it does not hold."""
    from ledger.audit.prove.heads import CONTRADICTIONS_FILE

    if first is not None and last is not None and last < first:
        raise typer.BadParameter(f"--to {last} is before --from {first}")
    if head is not None and witness is not None:
        raise typer.BadParameter("give --head or --witness, not both")
    if export is not None:
        if first is not None or last is not None:
            raise typer.BadParameter("an export is verified as a whole: leave --from and --to away")
        verdict, seconds = _verify_export(export, head or witness, public_key or [])
    else:
        verdict, seconds = _verify_log(first or 1, last, head or witness, public_key or [])
    if json:
        terminal.say_json(_plain(verdict, seconds))
    else:
        _tell(verdict, seconds)
    if witness is not None and (witness / CONTRADICTIONS_FILE).exists():
        place = witness / CONTRADICTIONS_FILE
        terminal.say(f"ALARM: the witness has seen heads that contradict: {place}", error=True)
    raise typer.Exit({"held": 0, "altered": 1, "consistent": CONSISTENT_ONLY}[verdict.standing])


def _verify_log(
    first: int, last: int | None, heads: Path | None, public_keys: list[str]
) -> "tuple[Verdict, float]":

    from ledger.audit.prove.heads import heads_in
    from ledger.audit.prove.verify import verify_database
    from ledger.eventstore import reader
    from ledger.operate.database import connect
    from ledger.operate.servers import database
    from ledger.operate.settings import load

    settings = load()
    trusted = trusted_keys(settings, public_keys)
    kept = heads_in(heads) if heads is not None else ()
    with database(settings) as url:
        with connect(url, "verify") as connection:
            total = min(last or reader.head(connection), reader.head(connection)) - first + 1
        started = time.monotonic()
        with progress("verifying", total) as report:
            verdict = verify_database(
                url, first=first, last=last, trusted=trusted, kept=kept, report=report
            )
    return verdict, time.monotonic() - started


def _verify_export(
    directory: Path, heads: Path | None, public_keys: list[str]
) -> "tuple[Verdict, float]":
    from ledger.audit.export.verify import verify_export
    from ledger.audit.prove.heads import heads_in
    from ledger.operate.settings import load

    started = time.monotonic()
    kept = heads_in(heads) if heads is not None else ()
    with progress("verifying", None) as report:
        verdict = verify_export(
            directory,
            trusted=trusted_keys(load(), public_keys),
            kept=kept,
            report=report,
        )
    return verdict, time.monotonic() - started


def trusted_keys(settings: "Settings", given: list[str]) -> "list[TrustedKey]":
    """The public keys that were given; else that of the key which is set, if there is one."""
    from ledger.audit.prove.keys import load_private
    from ledger.audit.prove.trust import trusted, trusted_key

    if given or settings.seal_key_file is None:
        return [trusted_key(one) for one in given]
    return trusted([load_private(settings.seal_key_file).public_key().public_bytes_raw()])


@contextmanager
def progress(doing: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, with rate and time left; nothing elsewhere."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = terminal.progress_console()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(doing, total=total, rate="")
        started = time.monotonic()

        def report(count: int) -> None:
            bar.advance(task, count)
            rate = bar.tasks[0].completed / max(time.monotonic() - started, 1e-6)
            bar.update(task, rate=f"{rate:,.0f} events/s")

        yield report


def _plain(verdict: "Verdict", seconds: float) -> dict[str, Any]:
    first = verdict.first
    return {
        "holds": verdict.holds,
        "standing": verdict.standing,
        "held_to": verdict.held_to,
        "signed_to": verdict.signed_to,
        "kept_head": verdict.kept_head.document() if verdict.kept_head else None,
        "from": verdict.first_position,
        "to": verdict.last_position,
        "events": verdict.events,
        "seals": verdict.seals,
        "signed_seals": verdict.signed_seals,
        "public_keys": list(verdict.public_keys),
        "lost_keys": [seal.document() for seal in verdict.losses],
        "head": verdict.head.document() if verdict.head else None,
        "unsealed_events": verdict.unsealed.events,
        "unsealed_seconds": round(verdict.unsealed.seconds, 3),
        "records": {
            name: getattr(verdict.records, name)
            for name in verdict.records.__struct_fields__
            if name != "findings"
        }
        if verdict.records is not None
        else None,
        "seconds": round(seconds, 3),
        "events_per_s": round(verdict.events / max(seconds, 1e-6)),
        "first_bad_position": first.position if first else None,
        "tampering": first.tampering if first else None,
        "findings": [
            {"position": one.position, "tampering": one.tampering, "message": one.message}
            for one in verdict.findings
        ],
    }


def _tell(verdict: "Verdict", seconds: float) -> None:
    from ledger.cli.audit.seal import describe

    terminal.say(
        f"{verdict.events} events under {verdict.seals} seals checked, positions "
        f"{verdict.first_position}-{verdict.last_position}, in {seconds:.1f} s"
    )
    if verdict.head is not None:
        terminal.say(describe(verdict.head))
    for loss in verdict.losses:
        lost = loss.previous_key.hex() if loss.previous_key else "unknown"
        terminal.say(
            f"key lost: {lost} since position {loss.first_position}, it says: {loss.reason}"
        )
    terminal.say(
        f"not sealed yet: {verdict.unsealed.events} events, the oldest for "
        f"{verdict.unsealed.seconds:.1f} s; until they are sealed, changes of them do not show"
    )
    if verdict.records is not None:
        _tell_records(verdict.records)
    for finding in verdict.findings:
        terminal.say(f"position {finding.position}: {finding.tampering}: {finding.message}")
    terminal.say(_conclusion(verdict))


def _conclusion(verdict: "Verdict") -> str:
    first = verdict.first
    if first is not None:
        return f"It does not hold: first bad position {first.position}, {first.tampering}."
    if not verdict.holds:
        return (
            "It is consistent in itself; nothing from outside shows who sealed it. Give a key or a "
            "head that was kept: --public-key, --head, --witness."
        )
    sealed = min(verdict.head.last_position if verdict.head else 0, verdict.last_position)
    held = min(verdict.held_to, sealed)
    by = []
    if verdict.signed_to:
        by.append(f"signed up to {verdict.signed_to} on the word of the key given")
    if verdict.kept_head is not None:
        by.append(f"leads to the head kept outside, up to {verdict.kept_head.last_position}")
    rest = (
        f" Positions {held + 1}-{sealed} are consistent in themselves; nothing from outside shows "
        "who sealed them."
    )
    return (
        f"It holds: nothing was altered in positions {verdict.first_position}-{held} "
        f"({'; '.join(by)}).{rest if held < sealed else ''}"
    )


def _tell_records(records: "RecordsCheck") -> None:
    terminal.say(
        f"beside the log: {records.outcomes} outcomes, {records.failed_commands} failed commands, "
        f"{records.unreadable_messages} unreadable messages, {records.unsealed_entries} changes of "
        f"them not sealed yet; {records.forgotten} outcomes were forgotten"
    )
    terminal.say(f"cached states: {records.cached_states} made again from the log")
