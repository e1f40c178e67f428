"""Why an account is worth what it is: at a snapshot, by asset and contract, down to balances."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from ledger.kernel.money import ZERO, exact
from ledger.web.answers import NotVisible, Reading
from ledger.web.pages.frame import url
from ledger.web.pages.why import Arithmetic, Term, Why, event_at

MICROSECOND = timedelta(microseconds=1)
MOST_ROWS = 500
NAMES = {
    "equity": "Equity",
    "total_balance": "Cash and holdings",
    "day_pnl": "P&L of the day",
    "external_flows": "Deposits less withdrawals",
    "gross_exposure": "Gross exposure",
    "net_exposure": "Net exposure",
    "unrealized_pnl": "Unrealised P&L",
}
CONTRACTS = ("PERPETUAL", "FUTURE")

Row = Mapping[str, Any]


def newest(reading: Reading, account_id: UUID, known_at: str | None = None) -> Row | None:
    """What the account was worth last, as known at a moment."""
    rows = reading.ask("snapshots", {"account_id": account_id}, known_at=known_at, limit=1).rows
    return rows[0] if rows else None


def day_begin(reading: Reading, row: Row, known_at: str | None = None) -> Row | None:
    """The last snapshot before the day (UTC) of a snapshot, where `portfolio_daily` begins, too."""
    midnight = row["time"].astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    asked = {"account_id": row["account_id"], "to_time": midnight}
    rows = reading.ask("snapshots", asked, known_at=known_at, limit=1).rows
    return rows[0] if rows else None


def day_pnl(row: Row, begin: Row) -> Decimal:
    """What was won since the day began: what came in and left is no profit."""
    with exact():
        flows = row["external_flows"] - begin["external_flows"]
        found: Decimal = row["equity"] - begin["equity"] - flows
    return found


def link(row: Row, part: str, known_at: str | None = None) -> str:
    """Where the explanation of a snapshot's number is."""
    return url(
        "/why/worth",
        account_id=row["account_id"],
        time=row["time"].isoformat(),
        at=row["last_position"],
        part=part,
        known_at=known_at,
    )


def of_worth(
    reading: Reading,
    *,
    account_id: UUID,
    time: datetime,
    at: int,
    part: str,
    known_at: str | None = None,
) -> Why:
    """Of a number of a snapshot. Raises NotVisible."""
    asked = {"account_id": account_id, "from_time": time, "to_time": time + MICROSECOND}
    rows = reading.ask("snapshots", asked, known_at=known_at, limit=MOST_ROWS).rows
    row = next((one for one in rows if one["last_position"] == at), None)
    if row is None:
        raise NotVisible(f"there is no snapshot of {account_id} at {time}, or it is not visible")
    if part == "equity":
        return _equity(reading, row, known_at)
    if part == "day_pnl":
        begin = day_begin(reading, row, known_at)
        if begin is not None:
            return _day(row, begin, known_at)
    if part == "total_balance":
        found = _holdings(reading, row)
        if found is not None:
            return found
    if part.startswith("asset:"):
        found = _asset(reading, row, part.removeprefix("asset:"))
        if found is not None:
            return found
    return _told(reading, row, part)


def _made(row: Row, part: str, formula: str, terms: list[Term], value: Decimal | None) -> Why:
    name = NAMES.get(part, part.replace("_", " "))
    return Why(name, value, row["base_currency"], formula, Arithmetic.SUM, terms,
               position=row["through_position"])  # fmt: skip


def _equity(reading: Reading, row: Row, known_at: str | None) -> Why:
    unit = row["base_currency"]
    terms = [
        Term("cash and holdings", row["total_balance"], unit, link(row, "total_balance", known_at))
    ]
    kinds = {
        one["instrument"]: str(one["kind"])
        for one in reading.ask("instruments", {}, limit=MOST_ROWS).rows
    }
    asked = {"account_id": row["account_id"], "status": "OPEN"}
    moment = str(row["through_position"])
    for one in reading.ask("positions", asked, known_at=moment, limit=MOST_ROWS).rows:
        settled_alike = one["settlement_asset"] == unit
        if kinds.get(one["instrument"]) in CONTRACTS and settled_alike and one["unrealized_pnl"]:
            where = url("/why/position", account_id=one["account_id"], known_at=moment,
                        position_id=one["position_id"], part="unrealized_pnl")  # fmt: skip
            name = f"unrealised of {one['instrument']}, {one['sub_account']}"
            terms.append(Term(name, one["unrealized_pnl"], unit, where))
    with exact():
        rest = row["equity"] - sum((one.value or ZERO for one in terms), ZERO)
    if rest:
        terms.append(
            Term("contracts, valued at the rates of the snapshot", rest, unit,
                 event_id=event_at(reading, row["last_position"]).id,
                 position=row["last_position"])
        )  # fmt: skip
    formula = "cash and holdings + what open contracts would bring"
    return _made(row, "equity", formula, terms, row["equity"])


def _day(row: Row, begin: Row, known_at: str | None) -> Why:
    unit = row["base_currency"]
    with exact():
        flows = row["external_flows"] - begin["external_flows"]
    terms = [
        Term("equity now", row["equity"], unit, link(row, "equity", known_at), time=row["time"]),
        Term("equity when the day began", -begin["equity"], unit, link(begin, "equity", known_at),
             time=begin["time"]),
        Term("what came in less what left since", -flows, unit,
             link(row, "external_flows", known_at)),
    ]  # fmt: skip
    formula = "equity now − equity when the day (UTC) began − flows since"
    return _made(row, "day_pnl", formula, terms, day_pnl(row, begin))


def _holdings(reading: Reading, row: Row) -> Why | None:
    """By asset, where the values of this snapshot are kept: the last of its hour."""
    values = _asset_values(reading, row)
    if not values:
        return None
    unit = row["base_currency"]
    terms = [
        Term(one["asset"], one["value"], unit, link(row, f"asset:{one['asset']}"),
             note="" if one["value"] is not None else "has no price, and is not in the sum")
        for one in values
    ]  # fmt: skip
    return _made(row, "total_balance", "the sum of what is held, each at its price", terms,
                 row["total_balance"])  # fmt: skip


def _asset(reading: Reading, row: Row, asset: str) -> Why | None:
    one = next((each for each in _asset_values(reading, row) if each["asset"] == asset), None)
    if one is None:
        return None
    moment = row["through_position"]
    balance = url("/why/balance", account_id=row["account_id"], asset=asset, known_at=moment)
    terms = [Term("held, all sub-accounts", one["total"], asset, balance)]
    reckoned = one["total"]
    if one["path"]:
        history = url("/questions/price_history", instrument=one["path"][0])
        way = ", ".join(one["path"])
        terms.append(Term(f"price, by {way}", one["price"], row["base_currency"], history,
                          time=one["price_time"]))  # fmt: skip
        with exact():
            reckoned = None if one["price"] is None else one["total"] * one["price"]
    known = reckoned == one["value"]
    return Why(
        f"Value of {asset}", one["value"], row["base_currency"], "held × price",
        Arithmetic.FORMULA if known else Arithmetic.TOLD, terms,
        reckoned=reckoned if known else None, position=moment,
        notes=[] if known else ["It is rounded on its way through several markets."],
    )  # fmt: skip


def _asset_values(reading: Reading, row: Row) -> list[Row]:
    hour = row["time"].replace(minute=0, second=0, microsecond=0)
    asked = {"account_id": row["account_id"], "from_time": hour, "to_time": hour + MICROSECOND}
    rows = reading.ask("asset_values", asked, limit=MOST_ROWS).rows
    return [one for one in rows if one["last_position"] == row["last_position"]]


def _told(reading: Reading, row: Row, part: str) -> Why:
    event = event_at(reading, row["last_position"])
    told = Term(event.event_type, None, event_id=event.id, position=event.position,
                time=event.occurred_at)  # fmt: skip
    value = row.get(part)
    return Why(
        NAMES.get(part, part.replace("_", " ")),
        value if isinstance(value, Decimal) else None,
        row["base_currency"],
        "reckoned when the snapshot was taken, from all that the log held up to then",
        Arithmetic.TOLD,
        [told],
        position=row["through_position"],
    )
