"""What is measured of what accounts are worth: performance and risk, called by the fold.

flowed   money comes from outside, or leaves: `before` is what the account is worth without it
traded   a trade has settled, or was taken back; positions and books are those after it
valued   a snapshot is taken: the figures of risk that go into its row
"""

from decimal import Decimal
from typing import Any, NamedTuple

from ledger.nouns.accounts.events import TradeSettled, TradeVoided
from projections.engine.live.rows import RowSet
from projections.engine.projection import Recorded, Table
from projections.portfolio.worth import Worth

TABLES: tuple[Table[Any], ...] = ()


class RiskFigures(NamedTuple):
    """Of an account at a snapshot; None is not known."""

    var_95: Decimal | None = None
    max_drawdown: Decimal | None = None
    correlation_risk: Decimal | None = None
    risk_score: Decimal | None = None


def flowed(recorded: Recorded, rows: RowSet, before: Worth, amount: Decimal) -> None:
    """`amount` in the account's currency; below zero it leaves."""


def traded(recorded: Recorded, rows: RowSet, event: TradeSettled | TradeVoided) -> None:
    """Of the account whose stream it is."""


def valued(recorded: Recorded, rows: RowSet, worth: Worth) -> RiskFigures:  # noqa: ARG001
    """Of the account that is worth this."""
    return RiskFigures()


def finish(rows: RowSet) -> None:
    """Before each write, for rows that follow from others."""
