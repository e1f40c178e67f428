"""ledgerctl clock: what is due at a time, and how far it was done."""

from typing import TYPE_CHECKING, Annotated

import typer

from ledger.operate import terminal

if TYPE_CHECKING:
    from ledger.clock.job import Job
    from ledger.clock.scheduler import JobRow

app = typer.Typer(no_args_is_help=True, help="What is due at a time, and how far it was done.")


def register(parent: typer.Typer) -> None:
    """Adds the commands of this file."""
    parent.add_typer(app, name="clock")


@app.callback()
def clock() -> None:
    """What is due at a time."""


@app.command()
def status(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
) -> None:
    """The jobs: when each was due last and is next, when it was done, and what came of it. Exit 1
    if what is due is not done."""
    from ledger.clock import scheduler
    from ledger.clock.jobs import all_jobs
    from ledger.operate.database import connect
    from ledger.operate.logging import configure
    from ledger.operate.roles import AUDITOR
    from ledger.operate.servers import database
    from ledger.operate.settings import load
    from ledger.programs.clock import BEHIND_SECONDS

    settings = load()
    configure("clock", "WARNING")
    with database(settings, role=AUDITOR) as url, connect(url, "clock status") as connection:
        time = scheduler.now(connection)
        known = scheduler.rows(connection)
    jobs = all_jobs(settings)
    behind = {
        name
        for name, row in known.items()
        if (time - row.next_due).total_seconds() > BEHIND_SECONDS
    }
    if json:
        terminal.say_json([_told(job, known.get(job.name)) for job in jobs], pretty=True)
    elif not known:
        terminal.say("no clock has run here yet: ledgerctl serve clock")
    else:
        rows = [_row(job, known[job.name]) for job in jobs if job.name in known]
        terminal.say_table(
            ("job", "last due", "done", "next", "moments", "outcome"), rows, right={"moments"}
        )
        for name in sorted(behind):
            terminal.say(f"{name} is behind since {known[name].next_due:%Y-%m-%d %H:%M:%S}")
    raise typer.Exit(1 if behind else 0)


def _row(job: "Job", row: "JobRow") -> tuple[str, ...]:
    done = "never" if row.last_run is None else f"{row.last_run:%m-%d %H:%M:%S}"
    outcome = row.outcome or ""
    if row.passed_over:
        outcome += f", {row.passed_over} moments passed over"
    if row.error is not None:
        outcome = f"not done: {row.error}"
    times = (f"{row.last_due:%m-%d %H:%M:%S}", done, f"{row.next_due:%m-%d %H:%M:%S}")
    return (job.name, *times, str(row.moments), outcome)


def _told(job: "Job", row: "JobRow | None") -> dict[str, object]:
    return {"job": job.name, "about": job.about} | ({} if row is None else row._asdict())
