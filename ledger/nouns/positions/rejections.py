"""Why commands about positions, and orders that would make some, are refused."""

from ledger.kernel.rejection import RejectionCode


class PositionRejection(RejectionCode):
    MARGIN_ACCOUNT_REQUIRED = (
        "MARGIN_ACCOUNT_REQUIRED",
        "use an account of type MARGIN",
    )
    NOT_A_CONTRACT = "NOT_A_CONTRACT", "name a PERPETUAL, FUTURE or OPTION"
    LEVERAGE_TOO_HIGH = "LEVERAGE_TOO_HIGH", "ask for less"
    WRONG_POSITION_SIDE = (
        "WRONG_POSITION_SIDE",
        "say LONG or SHORT of a contract on an account in HEDGE mode, else BOTH or nothing",
    )
    CORPORATE_ACTION_CONFLICT = (
        "CORPORATE_ACTION_CONFLICT",
        "look at which is right; another action has an id of its own",
    )
    NOTHING_TO_REDUCE = (
        "NOTHING_TO_REDUCE",
        "ask for no more than is held and other open orders do not close already",
    )
