"""How any read model runs. Its author declares rows, folds and keys; this does the rest.

    log ──▶ live ──▶ rows and checkpoint, one transaction ──▶ views ──▶ whoever asks
              │ an event that cannot be handled                 ▲
              ▼                                                 │ swap
           letters: parked with its key, retried later       builds: the same folds, beside it

    live/      a worker per read model: claim, read, fold, write, checkpoint; one reading of the log
               for all of a process
    letters/   what could not be handled: its key waits, all others go on
    builds/    verify, rebuild, swap, rollback, the past: builds in a schema of their own
    access/    who sees and changes rows, in every build alike

Held by the database, whatever a process believes (`ledger/subscriptions`, of which this is one):

    checkpoint   moves only from the position, owner, epoch and generation that the writer knows; so
                 of two workers at most one commits
    lease        who tries, and for how long others wait

What operators do (pause, skip, rebuild, swap) is itself an event (operator_events.py). How
everything is: status.py, metrics.py.
"""
