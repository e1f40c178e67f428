"""ledgerctl status, and commands status: how the ledger is; exit 1 if something does not go on."""

import contextlib
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ledger.operate import terminal
from ledger.operate.table import Columns, Wide

if TYPE_CHECKING:
    from ledger.operate.settings import Settings
    from ledger.vitals.condition import Alarm
    from ledger.vitals.examination import Vitals

    Alarms = list[tuple[Alarm, str]]

WATCH_SECONDS = 2.0
"""Between two looks of --watch."""
_OF_COMMANDS = ("commands.md", "lock.md", "programs.md", "stuck-stream.md", "servers.md")
"""Runbooks of what keeps commands from going on."""
_MEASURES_OF_COMMANDS = ("command", "failed_commands", "append_", "streams_held")
_NUMBERS = ("position", "behind", "seconds", "stalled")


def register(app: typer.Typer) -> None:
    """Adds the command of this file."""
    app.command("status")(show_status)


def show_status(
    watch: Annotated[bool, typer.Option(help="Look again and again, until Ctrl-C.")] = False,
    columns: Columns = None,
    wide: Wide = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """What waits, what stands still and why: commands, who follows the log, seals, streams. Exit 1
    if something does not go on."""
    from ledger.operate.logging import configure
    from ledger.operate.settings import load

    settings = load()
    configure("status", "ERROR")
    if watch:
        _watch(settings, columns, wide)
        return
    vitals = examined(settings)
    if json:
        terminal.say_json(as_json(vitals, vitals.alarms()), pretty=True)
    else:
        terminal.say_page(page(vitals, columns, wide))
    raise typer.Exit(1 if _pages(vitals.alarms()) else 0)


def show_commands(
    json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """How many commands wait and since when, whose they are, and why they do not go on. Exit 1 if
    they do not."""
    from ledger.operate.logging import configure
    from ledger.operate.settings import load

    configure("status", "ERROR")
    vitals = examined(load())
    alarms = [one for one in vitals.alarms() if one[0].condition.runbook in _OF_COMMANDS]
    shown = vitals._replace(
        samples=[one for one in vitals.samples if one.name.startswith(_MEASURES_OF_COMMANDS)]
    )
    if json:
        terminal.say_json(as_json(shown, alarms), pretty=True)
    else:
        terminal.say_page(_page_of_commands(vitals, alarms))
    raise typer.Exit(1 if _pages(alarms) else 0)


def examined(settings: "Settings") -> "Vitals":
    """Both servers, as far as they are to be had; one of ours that nobody runs is away."""
    import psycopg

    from ledger.operate.roles import AUDITOR, stepping_down
    from ledger.operate.servers import NotRunning, find_database, find_nats
    from ledger.vitals.examination import Vitals, examine
    from ledger.vitals.measure import Sample

    urls: list[str | None] = [None, None]
    away = []
    for place, (find, name) in enumerate(((find_database, "database_up"), (find_nats, "bus_up"))):
        try:
            urls[place] = find(settings)
        except NotRunning as error:
            away.append((Sample(name, "", 0.0), str(error)))
    database_url = urls[0]
    if database_url is not None:
        with contextlib.suppress(psycopg.Error):  # a database that is away is told as such
            database_url = stepping_down(database_url, AUDITOR)
    found = examine(settings, database_url, urls[1], why=True)
    errors = {sample.name: error for sample, error in away}
    return Vitals(
        [*(sample for sample, _ in away), *found.samples],
        found.database_error or errors.get("database_up"),
        found.bus_error or errors.get("bus_up"),
        found.reasons,
    )


def _pages(alarms: "Alarms") -> bool:
    """Whether something does not go on; what only will not for long may wait for the day."""
    from ledger.vitals.condition import PAGE

    return any(alarm.condition.severity == PAGE for alarm, _ in alarms)


def as_json(vitals: "Vitals", alarms: "Alarms") -> dict[str, Any]:
    return {
        "ok": not _pages(alarms),
        "findings": [
            {
                "alert": alarm.condition.alert,
                "severity": alarm.condition.severity,
                "message": message,
                "runbook": f"docs/runbooks/{alarm.condition.runbook}",
            }
            for alarm, message in alarms
        ],
        "measures": [one._asdict() for one in vitals.samples],
    }


def page(vitals: "Vitals", columns: str | None = None, wide: bool = False) -> terminal.Page:
    """What is well on top, what is not below it."""
    shown = terminal.Page()
    for name, text in _lines(vitals):
        shown.say(f"{name:<10} {text}")
    rows = list(_subscriptions(vitals))
    if rows:
        shown.say()
        names = ("follows", *_NUMBERS, "state")
        shown.say_table(names, rows, right=_NUMBERS, columns=columns, wide=wide)
    _say_alarms(shown, vitals.alarms())
    return shown


def _page_of_commands(vitals: "Vitals", alarms: "Alarms") -> terminal.Page:
    shown = terminal.Page()
    shown.say(_commands(vitals))
    stalled = vitals.value("commands_stalled_seconds")
    if stalled:
        shown.say(f"nothing was decided for {stalled:,.0f} s")
    by_consumer: dict[str, dict[str, float]] = {}
    for one in vitals.samples:
        if one.name in ("commands_waiting", "commands_in_work"):
            by_consumer.setdefault(one.label, {})[one.name] = one.value
    if by_consumer:
        shown.say()
        rows = [
            [name, f"{told['commands_waiting']:,.0f}", f"{told['commands_in_work']:,.0f}"]
            for name, told in sorted(by_consumer.items())
        ]
        shown.say_table(("partition", "waiting", "in work"), rows, right=("waiting", "in work"))
    _say_alarms(shown, alarms)
    return shown


def _say_alarms(shown: terminal.Page, alarms: "Alarms") -> None:
    if alarms:
        shown.say()
    for alarm, message in alarms:
        shown.say(f"{alarm.condition.severity:<6} {message}")
        shown.say(f"       → {alarm.remedy}")


def _lines(vitals: "Vitals") -> list[tuple[str, str]]:
    told = vitals.value
    if told("database_up"):
        log = f"position {told('head_position'):,.0f}"
        seals = (
            f"{told('unsealed_events'):,.0f} events wait to be sealed, the oldest for "
            f"{told('unsealed_seconds'):,.0f} s; {'signed' if told('seals_signed') else 'unsigned'}"
        )
    else:
        log = seals = "the database does not answer"
    return [("log", log), ("commands", _commands(vitals)), ("seals", seals), *_streams(vitals)]


def _commands(vitals: "Vitals") -> str:
    told = vitals.value
    if not told("bus_up"):
        return "NATS does not answer"
    waiting, in_work = (
        sum(one.value for one in vitals.samples if one.name == name)
        for name in ("commands_waiting", "commands_in_work")
    )
    workers, failed = told("command_workers"), told("failed_commands_waiting")
    at_work = "" if workers is None else f"; services: {workers:.0f}"
    return (
        f"{waiting:,.0f} waiting, {in_work:,.0f} in work, the oldest for "
        f"{told('commands_oldest_seconds') or 0:,.0f} s{at_work}"
        + (f"; {failed:,.0f} failed" if failed else "")
    )


def _streams(vitals: "Vitals") -> list[tuple[str, str]]:
    rooms = {one.label: one.value for one in vitals.samples if one.name == "stream_room_used_ratio"}
    text = ", ".join(f"{name} {used:.0%}" for name, used in rooms.items())
    return [("streams", f"room used: {text}")] if rooms else []


def _subscriptions(vitals: "Vitals") -> list[list[str]]:
    from ledger.cli.live_view import state

    by_name: dict[str, dict[str, float]] = {}
    for one in vitals.samples:
        kind, _, name = one.name.partition("_")
        if kind == "projection":
            by_name.setdefault(one.label, {})[name] = one.value
    return [
        [
            label,
            f"{told['position']:,.0f}",
            f"{told['lag_events']:,.0f}",
            f"{told['lag_seconds']:,.1f}",
            f"{told['stalled_seconds']:,.0f}",
            state(told),
        ]
        for label, told in sorted(by_name.items())
    ]


def _watch(settings: "Settings", columns: str | None, wide: bool) -> None:
    import time

    try:
        with terminal.watched() as show:
            while True:
                show(page(examined(settings), columns, wide))
                time.sleep(WATCH_SECONDS)
    except KeyboardInterrupt:
        pass  # that is how one ends it
