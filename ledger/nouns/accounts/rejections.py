"""Why commands about accounts, and about their money, are refused."""

from ledger.kernel.rejection import RejectionCode


class AccountRejection(RejectionCode):
    UNKNOWN_ACCOUNT = "UNKNOWN_ACCOUNT", "open it first (OpenAccount)"
    NOT_YOUR_ACCOUNT = "NOT_YOUR_ACCOUNT", "send the account's own user, or none"
    ACCOUNT_ALREADY_EXISTS = "ACCOUNT_ALREADY_EXISTS", "give a new account an id of its own"
    ACCOUNT_NOT_SUSPENDED = "ACCOUNT_NOT_SUSPENDED", "nothing to do"
    ACCOUNT_SUSPENDED = "ACCOUNT_SUSPENDED", "reactivate it first"
    ACCOUNT_HALTED = "ACCOUNT_HALTED", "only what makes positions smaller goes on; reactivate it"
    ACCOUNT_CLOSED = "ACCOUNT_CLOSED", "use another account"
    ACCOUNT_NOT_EMPTY = "ACCOUNT_NOT_EMPTY", "let its orders end and withdraw everything first"
    INSUFFICIENT_FUNDS = "INSUFFICIENT_FUNDS", "deposit or reduce the quantity"
    SAME_SUB_ACCOUNT = "SAME_SUB_ACCOUNT", "name two sub-accounts"
    UNKNOWN_SUB_ACCOUNT = "UNKNOWN_SUB_ACCOUNT", "assign a strategy of that name first"
    OCO_GROUP_FULL = "OCO_GROUP_FULL", "cancel some of them, or give the order no group"
    EXIT_ON_WRONG_SIDE = (
        "EXIT_ON_WRONG_SIDE",
        "put the stop loss where the position loses and the take profit where it gains",
    )
    DUPLICATE_REFERENCE = (
        "DUPLICATE_REFERENCE",
        "no money moved; if it is another movement, say so by repeats_reference",
    )
    FLOW_CONFLICT = "FLOW_CONFLICT", "no money moved; give another flow an id of its own"
    WRONG_VENUE = "WRONG_VENUE", "use an account on the instrument's venue"
