"""All commands of ledgerctl, as the command line itself lists them, and arguments for each."""

import importlib.metadata
from typing import Any
from uuid import UUID

import typer

from ledger.cli.main import app

OF_AN_ACCOUNT = (
    "query balances",
    "query orders",
    "query fills",
    "query transactions",
    "query accounts",
    "query allocations",
    "query checkpoints",
    "query late-movements",
    "query contra-balances",
    "query cash-flows",
    "query transfers",
    "query snapshots",
    "query portfolio-hourly",
    "query portfolio-daily",
    "query asset-values",
    "query strategy-equity",
    "query positions",
    "query round-trips",
    "query lots",
    "query gains",
    "audit explain pnl",
    "query equity",
    "query performance",
    "query risk",
    "query daily-transactions",
    "query user-portfolios",
    "audit explain equity",
    "report gains",
    "report performance",
)
SERVER_STATISTICS = ("performance", "statements", "indexes", "tables", "maintenance")
NOT_RUN = {
    "up": "runs until it is stopped",
    "wipe": "removes files; it has no database",
    "top": "runs until it is stopped; it looks as `status` does",
    "serve": "runs until it is stopped; tests/roles/test_services.py",
    "demo": "makes servers and a database of its own",
    "submit": "asks the command service; it has no database",
    "bus user": "has no database",
    "breakers set": "has no database",
    "breakers remove": "has no database",
    "breakers resume": "has no database",
    "alerts ack": "has no database",
    "alerts resolve": "has no database",
    "alerts suppress": "has no database",
    "alerts unsuppress": "has no database",
    "alerts test": "has no database",
    "alerts rules": "has no database",
    "bus url": "has no database",
    "publisher followers": "has no database",
    "snapshots take": "asks the command service",
    "limits set": "asks the command service",
    "limits approve": "asks the command service",
    "limits remove": "asks the command service",
    "limits preset": "asks the command service",
    "limits show": "asks the command service",
    "limits check": "asks the command service",
    "limits halt": "asks the command service; tests/limits/test_risk_checks.py",
    "limits resume": "asks the command service",
    "web url": "has no database",
    "web user add": "has no database",
    "web user remove": "has no database",
    "web user list": "has no database",
    "web token create": "has no database",
    "web token revoke": "has no database",
    "web token list": "has no database",
    "backup create": "connects as who may replicate; tests/backups",
    "backup receive": "connects as who may replicate; tests/backups",
    "backup list": "has no database",
    "backup verify": "has a database of its own",
    "backup prune": "has no database",
    "restore": "has a database of its own",
    "recover": "has nothing to ask without a bus; tests/programs/test_recovery.py",
    "schema export": "has no database",
    "audit check-proof": "has no database",
    "audit proof-page": "has no database",
    "audit rotate-key": "connects as `audit seal` does; needs two keys",
}


def commands() -> list[str]:
    """Their names, groups first: `audit verify`."""
    found = _leaves(typer.main.get_command(app), ())
    for entry_point in importlib.metadata.entry_points(group="ledger.cli"):
        found += _leaves(typer.main.get_command(entry_point.load()), (entry_point.name,))
    return sorted(found)


def _leaves(command: Any, words: tuple[str, ...]) -> list[str]:
    if not hasattr(command, "commands"):
        return [" ".join(words)]
    return [
        leaf for name, child in command.commands.items() for leaf in _leaves(child, (*words, name))
    ]


def arguments_of(event_id: UUID, account_id: UUID) -> dict[str, list[str]]:
    """Arguments with which each can be run. Some find nothing, which they say with exit 1."""
    account = ["--account", str(account_id)]
    who = ["--by", "ada", "--reason", "a test"]
    nothing = "00000000-0000-0000-0000-000000000000"
    day = ["2020-01-01", "2030-01-01"]
    return {
        **dict.fromkeys(OF_AN_ACCOUNT, account),
        "migrate": [],
        "doctor": [],
        "status": [],
        "clock status": [],
        "alerts list": [],
        "breakers list": [],
        "query breakers": [],
        "query breaker-trips": [],
        "query risk-events": [],
        "query limits": [],
        "query limit-history": [],
        "query alerts": [],
        "query alert-deliveries": [],
        "query alert-suppressions": [],
        **{f"database {name}": [] for name in SERVER_STATISTICS},
        "query order": [nothing],
        "query instruments": [],
        "query strategy-analytics": [],
        "query portfolio": [nothing],
        "query user-statistics": [nothing],
        "query prices": [],
        "query price-history": ["BINANCE:BTCUSDT"],
        "audit events": [],
        "audit commands": [],
        "audit trace": [str(event_id)],
        "audit explain position": [*account, "--instrument", "BINANCE:BTCUSDT"],
        "audit statement": [*account, "--from", day[0], "--to", day[1]],
        "web session list": [],
        "web session end": ["--user", "nobody", "--by", "ada"],
        "audit seal": [],
        "audit verify": [],
        "audit witness": ["kept", "--source", "database", "--once"],
        "audit prove": [str(event_id)],
        "audit export": ["--format", "jsonl", "exported"],
        "archive create": ["archived", "--by", "ada"],
        "archive list": [],
        "archive verify": [],
        "archive restore": ["--by", "ada"],
        "audit explain balance": [*account, "--asset", "USDT"],
        "audit explain order": [nothing],
        "commands status": [],
        "commands failed list": [],
        "commands failed show": [nothing],
        "commands failed retry": [nothing, *who],
        "commands failed dismiss": [nothing, *who],
        "streams held": [],
        "streams repair": [nothing, "--at", "1", *who],
        "publisher replay": ["--from", "1", "--subject", "replay.test"],
        **_of_projections(who),
    }


def _of_projections(who: list[str]) -> dict[str, list[str]]:
    nothing = "00000000-0000-0000-0000-000000000000"
    return {
        "projections status": [],
        "projections pause": ["balances", *who],
        "projections resume": ["balances", *who],
        "projections verify": ["balances"],
        "projections rebuild": ["balances", *who],
        "projections rollback": ["balances", *who],
        "projections generations list": [],
        "projections generations settle": ["balances"],
        "projections generations drop": ["balances", *who],
        "projections dead-letters list": [],
        "projections dead-letters show": [nothing],
        "projections dead-letters retry": ["--all"],
        "projections dead-letters skip": [nothing, *who],
    }
