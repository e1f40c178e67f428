"""Why commands about allocations are refused."""

from ledger.kernel.rejection import RejectionCode


class AllocationRejection(RejectionCode):
    STRATEGY_ALREADY_ASSIGNED = "STRATEGY_ALREADY_ASSIGNED", "change its allocation"
    STRATEGY_NOT_ASSIGNED = "STRATEGY_NOT_ASSIGNED", "assign it first"
    ALLOCATION_EXCEEDED = "ALLOCATION_EXCEEDED", "give less, or change the others first"
