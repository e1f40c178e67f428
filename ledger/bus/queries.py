"""Questions to the read models on the bus: their subjects, and what a refusal says.

    ledger.query.<question>                 of whatever the question names
    ledger.query.<question>.<account id>    of that account alone: what the bus grants a service
    ledger.query.position-of                how far the log and the read models are
    ledger.query.risk-check                 what an order would meet; of exact state, and no rows
    ledger.query.limit-use                  what the limits of an account are at; likewise

A question is a JSON object, the answer is one, too: `position` that the rows are as of, `rows`,
`more` if there are more of them, and then `next`, which asks for those as `after`.
"""

from ledger.kernel.errors import LedgerError

QUERY_PREFIX = "ledger.query"
POSITION_OF = "position-of"
RISK_CHECK, LIMIT_USE = "risk-check", "limit-use"

ERROR_HEADER, ERROR_CODE_HEADER = "Nats-Service-Error", "Nats-Service-Error-Code"
"""In the headers of a refusal: its message and its code, by the rules of NATS services (ADR 32)."""
INVALID_QUERY, NOT_REACHED = "INVALID_QUERY", "POSITION_NOT_REACHED"
UNAVAILABLE, BUSY, TOO_LARGE = "READ_MODELS_UNAVAILABLE", "BUSY", "ANSWER_TOO_LARGE"


class QueryRefused(LedgerError):
    """Why a question has no answer; `code` is stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
