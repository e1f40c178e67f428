"""ledgerctl alerts: what a person should know, what was told of it, and what is done about it."""

import getpass
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from ledger.operate import terminal

if TYPE_CHECKING:
    from ledger.operate.settings import Settings
    from projections.questions.question import Question
    from projections.read_models.alerts import Alert, AlertDelivery

app = typer.Typer(no_args_is_help=True, help="What a person should know, and who was told.")

AlertId = Annotated[UUID, typer.Argument(metavar="ALERT", help="The alert's id, as `list` shows.")]
Rule = Annotated[str, typer.Argument(metavar="RULE", help="The name of a rule.")]
Entity = Annotated[
    str | None,
    typer.Option("--entity", metavar="TYPE:ID", help="Only of this, like ACCOUNT:…; else of all."),
]
By = Annotated[str | None, typer.Option("--by", help="Who says so; else who is logged in here.")]
Reason = Annotated[str | None, typer.Option("--reason", help="Why.")]


def register(parent: typer.Typer) -> None:
    """Adds the commands of this file."""
    parent.add_typer(app, name="alerts")


@app.callback()
def alerts() -> None:
    """What a person should know."""


@app.command("list")
def list_alerts(
    everything: Annotated[bool, typer.Option("--all", help="Also what is over.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
) -> None:
    """What is open, the newest first, and on which channels it was told."""
    from ledger.kernel import read_side
    from ledger.operate.database import connect
    from ledger.operate.roles import AUDITOR
    from ledger.operate.servers import database

    settings = _settings()
    asked = {} if everything else {"status": "OPEN"}
    question: Question[Alert] = read_side.question("alerts")
    told: Question[AlertDelivery] = read_side.question("alert_deliveries")
    with (
        database(settings, role=AUDITOR) as url,
        connect(url, "alerts") as connection,
        connection.transaction(),
    ):
        found = question.find(connection, **asked)
        ids = {row.alert_id for row in found}
        deliveries = {one: told.find(connection, alert_id=one) for one in ids}
    if json:
        terminal.say_json([_told(one, deliveries[one.alert_id]) for one in found], pretty=True)
        return
    rows = [_row(one, deliveries[one.alert_id]) for one in found]
    terminal.say_table(("since", "severity", "status", "rule", "title", "told", "alert"), rows)


@app.command()
def ack(
    alert: AlertId,
    by: By = None,
    note: Annotated[str | None, typer.Option("--note", help="What is done about it.")] = None,
) -> None:
    """Look after an alert: it is not escalated any more."""
    _decide("AcknowledgeAlert", alert_id=alert, actor=by or getpass.getuser(), note=note)


@app.command()
def resolve(alert: AlertId, by: By = None, reason: Reason = None) -> None:
    """Say that an alert is done with."""
    _decide("ResolveAlert", alert_id=alert, actor=by or getpass.getuser(), reason=reason)


@app.command()
def suppress(
    rule: Rule,
    entity: Entity = None,
    until: Annotated[
        str | None, typer.Option("--until", help="A time; else until `unsuppress`.")
    ] = None,
    by: By = None,
    reason: Reason = None,
) -> None:
    """Keep what a rule says and do not send it."""
    actor = by or getpass.getuser()
    about = _about(entity)
    _decide("SuppressAlerts", rule=rule, until=until, reason=reason, actor=actor, **about)


@app.command()
def unsuppress(rule: Rule, entity: Entity = None, by: By = None, reason: Reason = None) -> None:
    """Send what a rule says again, and what still holds."""
    actor = by or getpass.getuser()
    _decide("UnsuppressAlerts", rule=rule, reason=reason, actor=actor, **_about(entity))


@app.command("test")
def try_channel(
    channel: Annotated[str, typer.Argument(metavar="CHANNEL", help="The name of a channel.")],
) -> None:
    """Send one message on a channel, now; tell what it answered. Exit 1 if it did not take it."""
    from ledger.alerting import delivery
    from ledger.alerting.channels import UnusableChannels, channels_of
    from ledger.nouns.alerts.events import AlertSeverity

    channels = channels_of(_settings())
    address = channels.get(channel)
    if address is None:
        raise UnusableChannels(
            f"there is no channel {channel!r}; there are: {', '.join(channels) or 'none'}. Name it "
            "in LEDGER_ALERT_CHANNELS_FILE or LEDGER_ALERT_CHANNELS."
        )
    delivery.check_installed()
    message = delivery.AlertMessage(
        "INFO: a test of this channel", "ledgerctl alerts test", AlertSeverity.INFO, "test"
    )
    answer = delivery.send(address, message)
    terminal.say(f"{channel}: " + ("taken" if answer.sent else f"not taken: {answer.error}"))
    raise typer.Exit(0 if answer.sent else 1)


@app.command()
def rules() -> None:
    """Print all rules as they are now, as a file to begin with (LEDGER_ALERT_RULES)."""
    from ledger.alerting.rules import as_file, rules_of

    for line in as_file(rules_of(_settings().alert_rules)):
        terminal.say(line)


# --- what they share ------------------------------------------------------------------------


def _settings() -> "Settings":
    from ledger.operate.logging import configure
    from ledger.operate.settings import load

    configure("alerts", "WARNING")
    return load()


def _decide(command: str, **data: Any) -> None:
    from ledger.cli.decision import decide

    done = decide(command, data)
    terminal.say("done" if done else "nothing changes: it was so already")


def _about(entity: str | None) -> dict[str, Any]:
    if entity is None:
        return {}
    kind, _, name = entity.partition(":")
    return {"entity_type": kind.upper(), "entity_id": name}


def _row(alert: "Alert", deliveries: "list[AlertDelivery]") -> tuple[str, ...]:
    status = f"{alert.status}, not sent" if alert.suppressed else str(alert.status)
    told = [one for one in deliveries if one.number == alert.number]
    return (
        f"{alert.raised_at:%m-%d %H:%M:%S}",
        *(alert.severity, status, alert.rule, alert.title),
        ", ".join(f"{one.channel} {one.status}" for one in told),
        str(alert.alert_id),
    )


def _told(alert: "Alert", deliveries: "list[AlertDelivery]") -> dict[str, Any]:
    from msgspec import to_builtins

    of_opening = [one for one in deliveries if one.number == alert.number]
    return {**to_builtins(alert), "deliveries": to_builtins(of_opening)}
