"""A ledger full of texts that somebody wrote who means ill: escape sequences, rows that nobody
recorded, marks that turn the reading direction, formulas, markup."""

from uuid import UUID

import psycopg

from ledger.write import failed_commands
from ledger.write.failed_commands import FailedMessage
from ledger.write.ledger import Ledger
from tests.audit.trading import PROJECTIONS
from tests.commands import (
    INSTRUMENT,
    command,
    list_instrument,
    message,
    open_account,
    parsed,
    submit_order,
)
from tests.projections.workers import caught_up, running

ACCOUNT, ORDER = UUID(int=1), UUID(int=2)
COMMAND, FAILED, LETTER = UUID(int=3), UUID(int=4), UUID(int=5)
ROW = "7  2026-11-21T10:00:00Z  main  FAKE  1  1"
TEXT = (
    f"=1+1\x1b]0;pwned\x07\x9b2J\r\n{ROW}\u202e\u2066\u200b\u2028[red][link=http://x]x[/]\x7f\\x1b"
)


def trade(database_url: str) -> None:
    """Fills the ledger: each text that a sender may choose is the hostile one."""
    told = {"order_id": ORDER, "venue_order_id": TEXT[:100]}
    told_flow: dict[str, object] = {"flow_id": TEXT, "kind": "FEE", "asset": "USDT", "amount": "-1"}
    told_flow |= {"info": {TEXT: TEXT}}
    told_alert: dict[str, object] = {"rule": "y", "severity": "INFO", "title": "a title"}
    told_alert |= {"message": TEXT, "entity_id": TEXT, "metadata": {TEXT: TEXT}}
    told_risk: dict[str, object] = {"event_type": "LIMIT", "scope": "ACCOUNT", "reference": TEXT}
    told_risk |= {"severity": "INFO", "message": TEXT, "what": TEXT, "data": {TEXT: TEXT}}
    told_breaker: dict[str, object] = {"breaker_id": str(UUID(int=9)), "kind": "DRAWDOWN"}
    told_breaker |= {"scope": "USER", "reference": TEXT, "threshold": "0.1", "reason": TEXT}
    told_limit: dict[str, object] = {"limit_id": str(UUID(int=10)), "scope": "STRATEGY"}
    told_limit |= {"reference": TEXT, "measure": "MAX_OPEN_ORDERS", "value": "1", "unit": "ORDERS"}
    told_limit |= {"description": TEXT}
    told_prices: dict[str, object] = {
        "source": "feed",
        "kind": "MARK",
        "time": "2026-01-01T00:00:00Z",
    }
    told_prices |= {"prices": {INSTRUMENT: "100"}}
    fill = {"trade_id": TEXT, "last_qty": "0.5", "last_px": "100"}
    commands = [
        list_instrument(),
        open_account(ACCOUNT, name=TEXT),
        command("Deposit", ACCOUNT, asset="USDT", amount="1000", reference=TEXT, transfer_id="x"),
        command("RecordCashFlow", ACCOUNT, **told_flow),
        command("AdjustBalance", ACCOUNT, asset="USDT", amount="1", reason=TEXT, actor=TEXT),
        command("RecordPrices", "prices", **told_prices),
        submit_order(ACCOUNT, ORDER, client_order_id=TEXT),
        command("AcceptOrder", ACCOUNT, **told),
        command("RecordFill", ACCOUNT, **told, **fill),
        command("VoidFill", ACCOUNT, order_id=ORDER, trade_id=TEXT, reason=TEXT),
        command("SuspendAccount", ACCOUNT, reason=TEXT, actor=TEXT),
        command("SuppressAlerts", "alerts", rule="x", reason=TEXT, actor=TEXT),
        command("RaiseAlert", "alerts", **told_alert),
        command("ReportRisk", "risk", **told_risk),
        command("SetBreaker", "breakers", **told_breaker),
        command("SetLimit", "limits", **told_limit),
        command("Halt", "limits", scope="STRATEGY", reference=TEXT, reason=TEXT),
    ]
    sent = message("Withdraw", ACCOUNT, asset="USDT", amount="999999")
    refused = parsed(sent | {"id": str(COMMAND), "source": TEXT[:100]})
    with Ledger(database_url) as ledger:
        outcomes = ledger.execute([*commands, refused])
    assert [outcome.status for outcome in outcomes] == ["ACCEPTED"] * 17 + ["REJECTED"]
    with running(database_url, PROJECTIONS):
        caught_up(database_url)
    with psycopg.connect(database_url, autocommit=True) as connection:
        _set_aside(connection)


def _set_aside(connection: psycopg.Connection[object]) -> None:
    """What operators are shown: a failed command and an event that could not be folded."""
    source, body = TEXT.replace("\x00", ""), TEXT.encode()
    failed_commands.keep(
        connection,
        [FailedMessage(FAILED, "Deposit", source, source, b"x", body, "INTERNAL", source, 3)],
    )
    connection.execute(
        """INSERT INTO projection_dead_letters (id, projection_name, generation, partition_key,
               position, event_id, event_type, status, kind, error, traceback, code_version)
           SELECT %s, 'orders', generation, %s, 3, gen_random_uuid(), 'order.filled', 'PARKED',
               'fold', %s, %s, 1
           FROM event_projections WHERE projection_name = 'orders'""",
        (LETTER, TEXT, TEXT, TEXT),
    )
