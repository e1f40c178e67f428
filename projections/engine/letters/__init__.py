"""Events that a read model could not handle, and those that wait behind them.

    failures          what went wrong: is an event to blame, or the database?
    parking           the batch applied around the event: it is found, its key is parked, the rest
                      goes on; parked and applied commit together
    dead_letters      the table: PARKED, SKIPPED by an operator, APPLIED by a later try
    retry             tried again, in order, key by key; skipped by an operator
    passed_over       what decisions are made without is left out here, too
    excluded_events   what a build beside the live one leaves out, so that both can be compared

Only the key of an event waits (its order, its account), no other. A read model whose rows depend
on each other parks nothing and stops before the event.
"""
