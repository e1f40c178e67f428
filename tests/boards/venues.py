"""Venues and reconciliation: what venues tell, what of it was no use, what does not add up."""

from tests.boards.board import OF, RATE, Board, Panel, Query

FACTS = (
    *("RecordFill", "VoidFill", "CorrectCommission", "AcceptOrder", "RejectOrder", "CancelOrder"),
    *("ExpireOrder", "RecordPrices", "RecordCashFlow", "RecordWithdrawal", "Deposit"),
)
"""Commands that say what happened at a venue."""
_FACTS = "|".join(FACTS)

VENUES = Board(
    uid="ledger-venues",
    title="Venues & reconciliation",
    about="Facts of venues: how fresh, how fast, what was refused, what is on its way.",
    topics=(),
    console="/overview",
    verdict=(
        Panel(
            "Venues that are silent", "That did not answer in the last five minutes.",
            "programs.md", "none",
            (Query(
                f'count(increase(ledger_venue_answers_total{{answer="TOLD",{OF}}}[5m]) == 0) '
                "or vector(0)"
            ),), kind="stat", red=1,
        ),
        Panel(
            "Messages that nobody can read", "Kept, with the reason.", "commands.md", "none",
            (Query(f"max(ledger_unreadable_messages{{{OF}}})"),), kind="stat", red=1,
        ),
        Panel(
            "Facts refused", "In the last hour: a fact is refused only where it cannot be "
            "understood.", "commands.md", "none",
            (Query(
                f'sum(increase(ledger_commands_total{{status="REJECTED",type=~"{_FACTS}",{OF}}}[1h]))'
                " or vector(0)"
            ),), kind="stat", red=1,
        ),
        Panel(
            "Transfers that do not add up", "Sent and not received, for more than an hour.",
            "commands.md", "none",
            (Query(
                "SELECT count(*) AS open FROM transfers WHERE difference <> 0 "
                "AND begun_at < now() - interval '1 hour'"
            ),), kind="stat", red=1, sql=True,
        ),
    ),
    panels=(
        Panel(
            "Answers of venues", "Asked for prices: told, or not.", "programs.md", "cps",
            (Query(
                f"sum by (venue, answer) (rate(ledger_venue_answers_total{{{OF}}}[{RATE}]))",
                "{{venue}} {{answer}}",
            ),),
        ),
        Panel(
            "Until prices are in the ledger", "From the question to the outcome, p95.",
            "programs.md", "s",
            (Query(
                "histogram_quantile(0.95, sum by (venue, le) "
                f"(rate(ledger_venue_answer_seconds_bucket{{{OF}}}[{RATE}])))", "{{venue}}"
            ),), red=10,
        ),
        Panel(
            "Prices told", "By venue.", "programs.md", "ops",
            (Query(
                f"sum by (venue) (rate(ledger_venue_prices_total{{{OF}}}[{RATE}]))", "{{venue}}"
            ),),
        ),
        Panel(
            "Facts recorded", "By type.", "commands.md", "cps",
            (Query(
                f'sum by (type) (rate(ledger_commands_total{{type=~"{_FACTS}",{OF}}}[{RATE}]))',
                "{{type}}",
            ),),
        ),
        Panel(
            "Facts told twice", "Decided before, and told again: a venue, or a reader of it, "
            "repeats itself.", "commands.md", "cps",
            (Query(
                f'sum by (type) (rate(ledger_commands_total{{status="REPLAYED",type=~"{_FACTS}",'
                f"{OF}}}[{RATE}]))", "{{type}}"
            ),),
        ),
        Panel(
            "Age of prices", "Of the newest price of each source.", "programs.md", "s",
            (Query(
                "SELECT source, extract(epoch FROM now() - max(\"time\")) AS age FROM prices "
                "GROUP BY source ORDER BY 2 DESC LIMIT 20"
            ),), kind="bargauge", red=300, sql=True,
        ),
        Panel(
            "Transfers on their way", "What was sent and is not there yet.", "commands.md", "none",
            (Query(
                "SELECT begun_at, transfer_id, asset, status, sent, received, difference "
                "FROM transfers WHERE difference <> 0 ORDER BY begun_at LIMIT 50"
            ),), kind="table", sql=True,
        ),
    ),
)  # fmt: skip
