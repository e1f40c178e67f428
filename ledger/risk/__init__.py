"""What follows from the log about risk: `ledgerctl serve risk`.

    memory     what has to be remembered of the log: who holds what, streaks, prices, what is open
    flags      risk events of facts that did not fit
    fold       how an event changes it, and what it says of itself (a fact with a flag)
    look       what an account is at, asked of the states that decisions are made on
    judgement  what that opens and resolves, and which breakers it trips
    actions    what a tripped breaker does: halts, cancels, exits

All of it ends in commands with ids of the event that they follow from (ledger/kernel/consequence).
"""
