"""ledgerctl audit explain: why a balance, an order, a position or a profit is what it is."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from ledger.audit.ask import documents
from ledger.cli.output import Format, write
from ledger.kernel.text import json_of, plain
from ledger.operate import terminal
from ledger.operate.table import Columns, Wide

if TYPE_CHECKING:
    from ledger.audit.ask.explain import Explanation
    from ledger.audit.ask.explain_position import PositionsExplanation

_LINE = (
    "position", "recorded_at", "sub_account", "reason", "amount", "sum", "order_id", "trade_id",
    "event_type", "event_id", "command_type", "command_id", "sender", "source",
)  # fmt: skip
_STEP = (
    "position", "occurred_at", "event_type", "status", "cum_qty", "leaves_qty", "held",
    "held_asset", "trade_id", "late", "command_type", "sender", "source", "event_id",
)  # fmt: skip

_MADE = (
    "log_position", "occurred_at", "what", "arithmetic", "realized_pnl", "commission", "funding",
    "quantity", "cost", "settlement_asset", "instrument", "sub_account", "number", "trade_id",
    "order_id", "event_type", "event_id",
)  # fmt: skip

_WORTH = (
    "what", "quantity", "price", "value", "log_position", "note", "event_id", "occurred_at",
)  # fmt: skip

Account = Annotated[UUID, typer.Option("--account", help="The account's id.")]
AsOf = Annotated[str | None, typer.Option(help="As known at this position or time; else now.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

app = typer.Typer(no_args_is_help=True, help="Why a number is what it is.")


def register(parent: typer.Typer) -> None:
    """Adds the commands of this file."""
    parent.add_typer(app, name="explain")


@app.command()
def balance(
    account: Annotated[UUID, typer.Option("--account", help="The account's id.")],
    asset: Annotated[str, typer.Option("--asset", help="The asset.")],
    sub_account: Annotated[str | None, typer.Option(help="Only this sub-account.")] = None,
    as_of: Annotated[
        str | None, typer.Option(help="As known at this position or time; else now.")
    ] = None,
    columns: Columns = None,
    wide: Wide = False,
    json: Json = False,
) -> None:
    """Every posting behind a balance, its subtotals by reason, and whether their sum is the
    balance to the last unit: exit 1 if it is not."""
    from ledger.audit.ask.explain import explain_balance
    from ledger.eventstore.moments import InvalidMoment, position_of
    from ledger.eventstore.session import reading
    from ledger.operate.servers import database
    from ledger.operate.settings import load

    with database(load()) as url, reading(url) as connection:
        try:
            position = None if as_of is None else position_of(connection, as_of)
        except InvalidMoment as error:
            raise typer.BadParameter(str(error), param_hint="--as-of") from error
        found = explain_balance(connection, account, asset, sub_account=sub_account, as_of=position)
        lines = map(documents.posting, found.lines(connection))
        if json:
            _print_json(found, lines)
        else:
            write(lines, _LINE, Format.TABLE, terminal.output(), _LINE, columns, wide)
            _print_sums(found)
    raise typer.Exit(0 if found.equal else 1)


@app.command()
def order(
    order_id: Annotated[UUID, typer.Argument(help="The order's id.")],
    columns: Columns = None,
    wide: Wide = False,
    json: Json = False,
) -> None:
    """Every event of an order with what it changed, and whether that is what the order's row
    says: exit 1 if it is not."""
    from ledger.audit.ask.explain_order import explain_order
    from ledger.eventstore.session import reading
    from ledger.operate.servers import database
    from ledger.operate.settings import load

    with database(load()) as url, reading(url) as connection:
        found = explain_order(connection, order_id)
    if json:
        terminal.say_json(plain(documents.order(found)), pretty=True)
    else:
        steps = (asdict(step) for step in found.steps)
        write(steps, _STEP, Format.TABLE, terminal.output(), _STEP, columns, wide)
        for column, (log, shown) in found.differences.items():
            terminal.say(f"NOT EQUAL: {column} is {log} by the log, {shown} in orders")
        if found.equal:
            terminal.say(f"Equal to the row in orders at position {found.position}.")
    raise typer.Exit(0 if found.equal else 1)


@app.command()
def position(
    account: Account,
    instrument: Annotated[str, typer.Option(help="The instrument, VENUE:SYMBOL.")],
    sub_account: Annotated[str, typer.Option(help="In this sub-account.")] = "main",
    number: Annotated[
        int | None, typer.Option(min=1, help="Which, counted from the first; else all of them.")
    ] = None,
    as_of: AsOf = None,
    columns: Columns = None,
    wide: Wide = False,
    json: Json = False,
) -> None:
    """Every trade, fee and flow behind a position, with the arithmetic, and whether that is what
    its row says: exit 1 if it is not."""
    _explain_positions(
        account,
        as_of,
        (columns, wide),
        json,
        instrument=instrument,
        sub_account=sub_account,
        number=number,
    )


@app.command()
def pnl(
    account: Account,
    instrument: Annotated[str | None, typer.Option(help="Only of this instrument.")] = None,
    sub_account: Annotated[str | None, typer.Option(help="Only in this sub-account.")] = None,
    as_of: AsOf = None,
    columns: Columns = None,
    wide: Wide = False,
    json: Json = False,
) -> None:
    """Every trade, fee and flow behind what an account made, what they come to in each settlement
    asset, and whether that is what the rows of its positions say: exit 1 if it is not."""
    _explain_positions(
        account, as_of, (columns, wide), json, instrument=instrument, sub_account=sub_account
    )


@app.command()
def equity(
    account: Account,
    at: Annotated[
        str | None, typer.Option(help="Of the newest snapshot that is not after this time, UTC.")
    ] = None,
    columns: Columns = None,
    wide: Wide = False,
    json: Json = False,
) -> None:
    """What an account held at a snapshot, at which prices of which age, from which events, and
    whether their sum is what the snapshot says: exit 1 if it is not."""
    from ledger.eventstore.moments import InvalidMoment, time_of
    from ledger.eventstore.session import reading
    from ledger.kernel import read_side
    from ledger.operate.servers import database
    from ledger.operate.settings import load

    try:
        time = None if at is None else time_of(at)
    except InvalidMoment as error:
        raise typer.BadParameter(str(error), param_hint="--at") from error
    with database(load()) as url, reading(url) as connection:
        found = read_side.report("equity")(connection, account, time)
    if json:
        terminal.say_json(plain(found.document()), pretty=True)
    else:
        lines = found.lines()
        write(lines, _WORTH, Format.TABLE, terminal.output(), _WORTH, columns, wide)
        terminal.say()
        terminal.say(
            f"{plain(found.equity)} {found.currency} at {plain(found.time)}, of "
            f"{len(found.assets)} assets and {len(found.contracts)} contracts; quality "
            f"{plain(found.data_quality_score)}; stale: {', '.join(found.stale) or 'nothing'}"
        )
        for name, reason in sorted(found.unvalued.items()):
            terminal.say(f"not valued, and in no sum: {name}: {reason}")
        verdict = "Equal to" if found.equal else "NOT EQUAL to"
        terminal.say(f"{verdict} the snapshot, {plain(found.snapshot_equity)}.")
    raise typer.Exit(0 if found.equal else 1)


def _explain_positions(
    account: UUID, as_of: str | None, view: tuple[str | None, bool], as_json: bool, **which: Any
) -> None:
    from ledger.audit.ask.explain_position import explain_positions
    from ledger.eventstore.moments import InvalidMoment, position_of
    from ledger.eventstore.session import reading
    from ledger.operate.servers import database
    from ledger.operate.settings import load

    with database(load()) as url, reading(url) as connection:
        try:
            known_at = None if as_of is None else position_of(connection, as_of)
        except InvalidMoment as error:
            raise typer.BadParameter(str(error), param_hint="--as-of") from error
        found = explain_positions(connection, account, as_of=known_at, **which)
    if as_json:
        terminal.say_json(plain(documents.positions(found)), pretty=True)
    else:
        steps = (asdict(step) for step in found.steps)
        write(steps, _MADE, Format.TABLE, terminal.output(), _MADE, *view)
        _print_positions(found)
    raise typer.Exit(0 if found.equal else 1)


def _print_positions(found: "PositionsExplanation") -> None:
    terminal.say()
    for one in found.positions:
        position = one.position
        name = f"{position.instrument} {position.sub_account} {position.number}"
        asset = position.settlement_asset
        terminal.say(
            f"{name}: {plain(position.quantity)} for {plain(position.cost)} {asset}; realised "
            f"{plain(position.realized_pnl)} - commission {plain(position.commission)} + funding "
            f"{plain(position.funding)} = net {plain(position.net_pnl)} {asset}"
        )
        for other, paid in position.other_commissions.items():
            terminal.say(f"{name}: and {plain(paid)} {other} in commissions")
        marked = one.marked
        if marked.mark_price is not None and marked.unrealized_pnl is not None:
            terminal.say(
                f"{name}: unrealised {plain(marked.unrealized_pnl)} {asset} at {marked.mark_kind} "
                f"{plain(marked.mark_price)} of {plain(marked.mark_time)}"
            )
        for column, (log, shown) in one.differences.items():
            terminal.say(f"{name}: NOT EQUAL: {column} is {log} by the log, {shown} in its row")
    for which in found.unknown_rows:
        terminal.say(f"NOT EQUAL: there is a row of position {which}, of which the log has nothing")
    for asset, sums in found.sums().items():
        terminal.say(
            f"Together: realised {plain(sums['realized'])} - commission "
            f"{plain(sums['commission'])} + funding {plain(sums['funding'])} = net "
            f"{plain(sums['net'])} {asset}"
        )
    compared = f"{found.compared_with} at position {found.log_position}"
    terminal.say(f"{'Equal' if found.equal else 'NOT equal'} to {compared}.")


def _print_sums(found: "Explanation") -> None:
    terminal.say()
    for (sub_account, reason), amount in sorted(found.by_reason.items()):
        count = found.postings[sub_account, reason]
        terminal.say(
            f"{sub_account}  {reason}  {plain(amount)} {found.asset} in {count:,} postings"
        )
    for (sub_account, order_id), amount in sorted(found.holds.items()):
        terminal.say(f"{sub_account}  locked  {plain(amount)} {found.asset} for order {order_id}")
    for name, one in sorted(found.sub_accounts.items()):
        sums = f"total {plain(one.total)}, locked {plain(one.locked)} {found.asset}"
        said = f"total {plain(one.said_total)}, locked {plain(one.said_locked)}"
        if one.equal:
            terminal.say(f"{name}: {sums}: equal to {found.compared_with}")
        else:
            terminal.say(f"{name}: {sums} by the log, NOT EQUAL to {found.compared_with}: {said}")
    terminal.say(f"{'All equal' if found.equal else 'NOT equal'} at position {found.position}.")


def _print_json(found: "Explanation", lines: Iterator[Mapping[str, Any]]) -> None:
    """The postings are written as they come; there may be more than memory."""
    out = terminal.output()
    head = {"account_id": str(found.account_id), "asset": found.asset, "position": found.position}
    out.write(json_of(head)[:-1] + b',"postings":')
    write(lines, _LINE, Format.JSON, out, _LINE)
    rest = plain(documents.balance_sums(found))
    out.write(b"," + json_of(rest)[1:] + b"\n")
    out.flush()
