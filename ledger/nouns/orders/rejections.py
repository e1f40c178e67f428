"""Why commands about orders are refused."""

from ledger.kernel.rejection import RejectionCode


class OrderRejection(RejectionCode):
    UNKNOWN_ORDER = "UNKNOWN_ORDER", "submit it first"
    ORDER_ALREADY_EXISTS = "ORDER_ALREADY_EXISTS", "give a new order an id of its own"
    ORDER_CLOSED = "ORDER_CLOSED", "submit a new order"
    ORDER_OF_ANOTHER_ACCOUNT = (
        "ORDER_OF_ANOTHER_ACCOUNT",
        "send the command for the account that the order was submitted on",
    )
    PRICE_ESTIMATE_REQUIRED = (
        "PRICE_ESTIMATE_REQUIRED",
        "give quote_quantity as its budget, or price as the estimate",
    )
    CANCEL_ALREADY_REQUESTED = "CANCEL_ALREADY_REQUESTED", "wait for its answer"
    REPLACE_ALREADY_REQUESTED = "REPLACE_ALREADY_REQUESTED", "ask again when it is answered"
    NOTHING_TO_REPLACE = (
        "NOTHING_TO_REPLACE",
        "name another quantity, price or stop_price",
    )
    FILL_CONFLICT = (
        "FILL_CONFLICT",
        "void the first report if it was wrong and send this again, or give the trade its own id",
    )
