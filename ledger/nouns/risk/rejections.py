"""Why commands about risk events are refused."""

from ledger.kernel.rejection import RejectionCode


class RiskRejection(RejectionCode):
    UNKNOWN_RISK_EVENT = "UNKNOWN_RISK_EVENT", "ask for those there are: ledger.query.risk_events"
    RISK_EVENT_NOT_OPEN = "RISK_EVENT_NOT_OPEN", "nothing is to be done about it"
