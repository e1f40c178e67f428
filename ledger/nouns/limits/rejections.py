"""Why a limit refuses, and why commands about limits are refused."""

from ledger.kernel.rejection import RejectionCode


class LimitRejection(RejectionCode):
    RISK_LIMIT_EXCEEDED = (
        "RISK_LIMIT_EXCEEDED",
        "ask for less, close something first, or have the limit changed",
    )
    SELF_MATCH = (
        "SELF_MATCH",
        "cancel your own order on the other side first, or ask for a price that does not reach it",
    )
    TRADING_HALTED = "TRADING_HALTED", "close what is open, or wait until a person resumes"
    UNKNOWN_LIMIT = "UNKNOWN_LIMIT", "set it first (SetLimit)"
    LIMIT_ID_TAKEN = (
        "LIMIT_ID_TAKEN",
        "give another limit an id of its own; what a limit is about never changes",
    )
    NOTHING_TO_APPROVE = "NOTHING_TO_APPROVE", "nothing waits"
    APPROVER_IS_SETTER = "APPROVER_IS_SETTER", "another person must approve it"
    HALTED_ALREADY = "HALTED_ALREADY", "resume it first"
    NOT_HALTED = "NOT_HALTED", "there is nothing to resume"
