"""Why commands about alerts are refused."""

from ledger.kernel.rejection import RejectionCode


class AlertRejection(RejectionCode):
    UNKNOWN_ALERT = "UNKNOWN_ALERT", "ask for those there are: ledgerctl alerts list"
    ALERT_NOT_OPEN = "ALERT_NOT_OPEN", "nothing is to be done about it"
    NOT_YOUR_ALERT = "NOT_YOUR_ALERT", "it is another user's"
    DELIVERY_NOT_DUE = "DELIVERY_NOT_DUE", "somebody else tells it, or it was told"
    NOT_SUPPRESSED = "NOT_SUPPRESSED", "nothing is to be taken back"
