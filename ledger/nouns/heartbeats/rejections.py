"""Why commands about heartbeats are refused."""

from ledger.kernel.rejection import RejectionCode


class HeartbeatRejection(RejectionCode):
    UNKNOWN_HEARTBEAT = "UNKNOWN_HEARTBEAT", "have it promised first (PromiseHeartbeat)"
    NOT_ITS_SENDER = "NOT_ITS_SENDER", "send it as who it was promised of, or promise it anew"
