"""ledgerctl limits: what orders must hold to, who may loosen it, and the switch that stops them.

What a command needs is asked of the command service, over the bus, and not of read models: limits
are set, checked and shown, and trading is halted, however far those are behind.
"""

import asyncio
import sys
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar
from uuid import UUID

import typer

from ledger.operate import terminal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from ledger.client.client import LedgerClient
    from ledger.kernel.command import CommandData, Outcome
    from ledger.nouns.limits.answers import LimitUse, LimitUseAnswer, RiskCheckAnswer
    from ledger.nouns.limits.terms import LimitScope
    from ledger.operate.settings import Settings

app = typer.Typer(no_args_is_help=True, help="What orders must hold to; and stopping them.")

System = Annotated[bool, typer.Option("--system", help="Of everything.")]
User = Annotated[str | None, typer.Option("--user", help="Of a user's accounts.")]
Account = Annotated[str | None, typer.Option("--account", help="Of an account.")]
Strategy = Annotated[str | None, typer.Option("--strategy", help="Of a strategy.")]
Instrument = Annotated[str | None, typer.Option("--instrument", help="Of an instrument.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
CANCELS_IN_FLIGHT = 2_000
"""Cancels on their way at once: what the command service takes in some batches."""


Result = TypeVar("Result")


class Where(NamedTuple):
    """What a limit or a halt is about."""

    scope: "LimitScope"
    reference: str | None


def register(parent: typer.Typer) -> None:
    """Adds the commands of this file."""
    parent.add_typer(app, name="limits")


@app.callback()
def limits() -> None:
    """What orders must hold to."""


@app.command(name="set")
def set_limit(
    measure: Annotated[str, typer.Argument(help="MAX_POSITION, MAX_DAILY_LOSS …")],
    value: Annotated[str, typer.Argument(help="0 is none at all.")],
    unit: Annotated[str, typer.Argument(help="UNITS, ORDERS, RATIO, % or an asset: USDT.")],
    system: System = False,
    user: User = None,
    account: Account = None,
    strategy: Strategy = None,
    instrument: Instrument = None,
    limit_id: Annotated[
        UUID | None, typer.Option("--id", help="Of a limit that is to change; else a new one.")
    ] = None,
    warn: Annotated[
        str | None, typer.Option("--warn", help="Accepted from here on, but told.")
    ] = None,
    window: Annotated[str | None, typer.Option("--window", help="1s, 5m, 1h; DAILY …")] = None,
    begins: Annotated[datetime | None, typer.Option("--from", help="In force from, UTC.")] = None,
    ends: Annotated[
        datetime | None, typer.Option("--until", help="And then as it was before, UTC.")
    ] = None,
    description: Annotated[str | None, typer.Option("--description")] = None,
    json: Json = False,
) -> None:
    """Set a limit, or change one. What would allow more waits for somebody else's `approve`."""
    from uuid_utils.compat import uuid7

    from ledger.nouns.limits.commands import SetLimit

    where = _where(system, user, account, strategy, instrument)
    command = _made(
        SetLimit,
        limit_id=limit_id or uuid7(),
        scope=where.scope,
        reference=where.reference,
        measure=measure.upper(),
        value=value,
        unit=unit,
        warning_threshold=warn,
        window=window,
        effective_from=_utc(begins),
        effective_until=_utc(ends),
        description=description,
    )
    outcome = _submitted(command)
    waits = any(event.type == "limits.proposed" for event in outcome.events)
    said = "waits for somebody else: ledgerctl limits approve" if waits else "in force"
    _tell(outcome, f"limit {command.limit_id}: {said}", json=json)


@app.command()
def approve(limit_id: UUID, json: Json = False) -> None:
    """Let a change take effect that somebody else has asked for."""
    from ledger.nouns.limits.commands import ApproveLimit

    _tell(_submitted(ApproveLimit(limit_id=limit_id)), f"limit {limit_id}: approved", json=json)


@app.command()
def remove(limit_id: UUID, json: Json = False) -> None:
    """Ask for a limit to go: it waits for somebody else's `approve`."""
    from ledger.nouns.limits.commands import RemoveLimit

    said = f"limit {limit_id}: its end waits for somebody else: ledgerctl limits approve"
    _tell(_submitted(RemoveLimit(limit_id=limit_id)), said, json=json)


@app.command()
def preset(
    name: Annotated[str, typer.Argument(help="patriot")],
    currency: Annotated[
        str, typer.Option("--currency", help="What money is told in: an asset that prices lead to.")
    ] = "USD",
    told: Annotated[
        bool,
        typer.Option(
            "--told/--no-told",
            help="With value at risk and correlation, which refuse as long as nobody tells them.",
        ),
    ] = True,
    user: User = None,
    account: Account = None,
    json: Json = False,
) -> None:
    """Set the limits that are known by a name, for all accounts or those of one user."""
    from ledger.nouns.limits.presets import PRESETS, of_preset

    if name not in PRESETS:
        raise typer.BadParameter(f"there is no preset {name!r}; there are: {', '.join(PRESETS)}")
    where = _where(user is None and account is None, user, account, None, None)
    commands = of_preset(name, currency, where.scope, where.reference, told=told)
    outcomes = _run(lambda client: _submit_all(client, commands))
    if json:
        _say_json(outcomes)
    else:
        for command, outcome in zip(commands, outcomes, strict=True):
            of = f"{command.measure} {command.value} {command.unit}"
            waits = any(event.type == "limits.proposed" for event in outcome.events)
            said = "waits for somebody else" if waits else "in force"
            terminal.say(f"{of}: {said if outcome.accepted else outcome.message}")
    raise typer.Exit(0 if all(one.accepted for one in outcomes) else 1)


@app.command()
def show(
    account: Annotated[UUID, typer.Option("--account", help="Of this account.")],
    json: Json = False,
) -> None:
    """What applies to an account, and what each limit is at now. Exit 1 if one is exceeded."""

    async def ask(client: "LedgerClient") -> "LimitUseAnswer":
        return await client.queries.limit_use(account)

    answer = _run(ask)
    if json:
        _say_json(answer)
    else:
        for scope, reason in answer.halts.items():
            terminal.say(f"HALTED: {scope}: {reason}")
        if not answer.rows:
            terminal.say("nothing is limited")
        else:
            terminal.say_table(
                ("limit", "of", "value", "measured", "used", ""),
                [_shown(one) for one in answer.rows],
                right={"value", "measured", "used"},
            )
    raise typer.Exit(1 if any(one.exceeded for one in answer.rows) else 0)


def _shown(one: "LimitUse") -> tuple[str, ...]:
    from ledger.kernel.money import round_down
    from ledger.kernel.money import shown as number

    of = one.scope.value if one.reference is None else f"{one.scope} {one.reference[:20]}"
    state = "EXCEEDED" if one.exceeded else "warning" if one.warning else ""
    return (
        one.measure.value,
        of,
        f"{number(one.value)} {one.unit}",
        "" if one.measured is None else number(round_down(one.measured, 6)),
        "" if one.percent is None else f"{number(round_down(one.percent, 1))} %",
        f"unknown: {', '.join(one.missing)}" if one.missing else state,
    )


@app.command()
def check(
    account: Annotated[UUID, typer.Option("--account", help="Of this account.")],
    instrument: Annotated[str, typer.Option("--instrument", help="VENUE:SYMBOL")],
    side: Annotated[str, typer.Option("--side", help="BUY or SELL")],
    quantity: Annotated[str, typer.Option("--quantity")],
    price: Annotated[str | None, typer.Option("--price", help="Of a LIMIT order.")] = None,
    market: Annotated[
        bool, typer.Option("--market", help="A MARKET order; its price is an estimate.")
    ] = False,
    stop_price: Annotated[str | None, typer.Option("--stop-price")] = None,
    strategy: Annotated[str | None, typer.Option("--strategy")] = None,
    reduce_only: Annotated[bool, typer.Option("--reduce-only")] = False,
    json: Json = False,
) -> None:
    """What an order would meet, without sending it. Exit 1 if it would be refused."""
    from uuid_utils.compat import uuid7

    if not market and price is None:
        raise typer.BadParameter("give --price, or --market")
    data = {
        "order_id": str(uuid7()),
        "instrument": instrument,
        "side": side.upper(),
        "order_type": "MARKET" if market else "LIMIT",
        "quantity": quantity,
        "reduce_only": reduce_only,
    }
    given = {"price": price, "stop_price": stop_price, "strategy_id": strategy}
    data |= {name: value for name, value in given.items() if value is not None}

    async def ask(client: "LedgerClient") -> "RiskCheckAnswer":
        return await client.queries.risk_check("SubmitOrder", data, account_id=account)

    answer = _run(ask)
    if json:
        _say_json(answer)
    elif answer.allowed:
        terminal.say(f"it would be accepted, as of position {answer.position}")
        for one in answer.warned:
            terminal.say(f"near to {one.measure} {one.value} {one.unit}: at {one.after}")
    else:
        terminal.say(f"it would be refused, as of position {answer.position}: {answer.code}")
        terminal.say(str(answer.message))
    raise typer.Exit(0 if answer.allowed else 1)


@app.command()
def halt(
    reason: Annotated[str, typer.Argument(help="Why; it is kept.")],
    system: System = False,
    user: User = None,
    account: Account = None,
    strategy: Strategy = None,
    instrument: Instrument = None,
    cancel_all: Annotated[
        bool, typer.Option("--cancel-all", help="And ask for the cancel of every open order.")
    ] = False,
    json: Json = False,
) -> None:
    """Stop everything that raises exposure; exits go on. Exit 1 if it is not halted, or a cancel
    could not be asked for."""
    from ledger.nouns.limits.commands import Halt

    where = _where(system, user, account, strategy, instrument)
    outcome = _submitted(_made(Halt, scope=where.scope, reference=where.reference, reason=reason))
    halted = outcome.accepted or outcome.code == "HALTED_ALREADY"
    if not json:
        at = f" at position {outcome.position}" if outcome.accepted else ""
        terminal.say(f"halted{at}" if halted else f"not halted: {outcome.message}")
    counts: dict[str, int] = {}
    if halted and cancel_all:
        counts = _cancelled(where, reason)
        if not json:
            terminal.say("cancels: " + ", ".join(f"{n} {what}" for what, n in counts.items()))
    if json:
        _say_json({"outcome": outcome, "cancels": counts})
    raise typer.Exit(0 if halted and not counts.get("failed") else 1)


@app.command()
def resume(
    reason: Annotated[str, typer.Argument(help="Why; it is kept.")],
    system: System = False,
    user: User = None,
    account: Account = None,
    strategy: Strategy = None,
    instrument: Instrument = None,
    json: Json = False,
) -> None:
    """Let trading go on in a scope that was halted."""
    from ledger.nouns.limits.commands import Resume

    where = _where(system, user, account, strategy, instrument)
    command = _made(Resume, scope=where.scope, reference=where.reference, reason=reason)
    _tell(_submitted(command), "resumed", json=json)


# --- cancels ----------------------------------------------------------------------------------


def _cancelled(where: Where, reason: str) -> dict[str, int]:
    """Asks for the cancel of every open order of the scope; how many of each outcome."""
    from ledger.operate.database import connect
    from ledger.operate.roles import AUDITOR
    from ledger.operate.servers import database
    from ledger.operate.settings import load
    from ledger.write.open_orders import open_orders

    settings = load()
    with database(settings, role=AUDITOR) as url, connect(url, "limits halt") as connection:
        orders = list(open_orders(connection, where.scope, where.reference))

    async def ask(client: "LedgerClient") -> dict[str, int]:
        counts = {"asked for": 0, "asked for before": 0, "ended meanwhile": 0, "failed": 0}
        with _progress(len(orders)) as advance:
            for start in range(0, len(orders), CANCELS_IN_FLIGHT):
                sent = [
                    await client.send(
                        "RequestCancel",
                        {"order_id": str(one.order_id), "reason": reason},
                        account_id=one.account_id,
                    )
                    for one in orders[start : start + CANCELS_IN_FLIGHT]
                ]
                for one in sent:
                    counts[_word(await one)] += 1
                    advance()
        return counts

    return _run(ask) if orders else {"asked for": 0}


@contextmanager
def _progress(total: int) -> "Iterator[Callable[[], None]]":
    """Counts cancels on a terminal."""
    if not terminal.is_terminal(sys.stderr):
        yield lambda: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=terminal.progress_console()) as bar:
        task = bar.add_task("cancels", total=total)
        yield lambda: bar.advance(task)


def _word(outcome: "Outcome") -> str:
    if outcome.accepted:
        return "asked for"
    words = {"CANCEL_ALREADY_REQUESTED": "asked for before", "ORDER_CLOSED": "ended meanwhile"}
    return words.get(outcome.code or "", "failed")


# --- asking the command service ---------------------------------------------------------------


def _where(
    system: bool,
    user: str | None,
    account: str | None,
    strategy: str | None,
    instrument: str | None,
) -> Where:
    """The one scope that was named."""
    from ledger.nouns.limits.terms import LimitScope

    named = {
        LimitScope.USER: user,
        LimitScope.ACCOUNT: account,
        LimitScope.STRATEGY: strategy,
        LimitScope.INSTRUMENT: instrument,
    }
    found = [Where(scope, reference) for scope, reference in named.items() if reference is not None]
    if system:
        found.append(Where(LimitScope.SYSTEM, None))
    if len(found) != 1:
        raise typer.BadParameter(
            "name one of --system, --user, --account, --strategy and --instrument"
        )
    return found[0]


def _made(command: type[Any], **given: Any) -> Any:
    """The command. What is wrong with it is told as wrong usage."""
    from pydantic import ValidationError

    try:
        return command(**given)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False)
        raise typer.BadParameter(
            "; ".join(fault["msg"].removeprefix("Value error, ") for fault in faults)
        ) from None


def _utc(time: datetime | None) -> datetime | None:
    from datetime import UTC

    return None if time is None else time.replace(tzinfo=UTC) if time.tzinfo is None else time


def _submitted(command: "CommandData") -> "Outcome":
    (outcome,) = _run(lambda client: _submit_all(client, [command]))
    return outcome


async def _submit_all(client: "LedgerClient", commands: "Sequence[CommandData]") -> "list[Outcome]":
    return [await client.submit(command) for command in commands]


def _run(work: "Callable[[LedgerClient], Awaitable[Result]]") -> "Result":
    """What a piece of work gives that is done with a client."""
    from ledger.operate.logging import configure
    from ledger.operate.settings import load

    settings = load()
    configure("limits", "ERROR")
    return asyncio.run(_connected(settings, work))


async def _connected(
    settings: "Settings", work: "Callable[[LedgerClient], Awaitable[Result]]"
) -> "Result":
    from ledger.bus.security import BusSecurity
    from ledger.client.client import LedgerClient
    from ledger.operate.servers import find_nats

    client = await LedgerClient.connect(
        find_nats(settings), source="ledgerctl", security=BusSecurity.of(settings)
    )
    async with client:
        return await work(client)


def _tell(outcome: "Outcome", said: str, *, json: bool) -> None:
    if json:
        _say_json(outcome)
    elif outcome.accepted:
        terminal.say(said)
    else:
        terminal.say(f"refused: {outcome.code}: {outcome.message}", error=True)
    raise typer.Exit(0 if outcome.accepted else 1)


def _say_json(told: object) -> None:
    import msgspec

    terminal.say_written(msgspec.json.encode(told) + b"\n")
