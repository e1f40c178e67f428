"""Why commands about breakers are refused."""

from ledger.kernel.rejection import RejectionCode


class BreakerRejection(RejectionCode):
    UNKNOWN_BREAKER = "UNKNOWN_BREAKER", "ask for those there are: ledgerctl breakers list"
    BREAKER_FIXED = "BREAKER_FIXED", "remove it, and set another"
    BREAKER_NOT_REACHED = "BREAKER_NOT_REACHED", "it trips at its threshold and not before"
    BREAKER_NOT_TRIPPED = "BREAKER_NOT_TRIPPED", "nothing is to be resumed"
