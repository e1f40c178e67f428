"""Whoever follows the log: one keeps its place, and another goes on there when it is gone.

A subscription is a name with a row in event_projections, its place in the log, and a row in
projection_leases, which says whose it is. The read models are subscriptions, so are the publisher
and the sealer; a further one is one file (subscription.py).

    claim       one owner at a time: who comes first, or after the one before was killed, fell
                silent or gave it up. Each claim raises the epoch            (lease.py)
    read        the events behind the place, which are final and without gaps, so that having
                handled one means having handled all before it               (eventstore/reader.py)
    handle      what the subscription is for: rows, messages, seals, alarms
    advance     the place moves on, in the transaction of what was handled   (checkpoint.py)
    wait        until an append, an operator, or the look-out of the poll    (wakeup.py)
    release     at a stop: another may claim it at once

    what goes wrong              what happens
    killed                       its session at the database is gone: others claim at once
    machine vanished, hangs      the lease is not renewed any more: others claim when it is over,
                                 and end the session that might still hold locks
    believes to be the owner     its next advance finds another epoch: `Fenced`, and what it did
                                 in that transaction is rolled back
    paused by an operator        the row has no owner and a higher epoch: as above, and no claim
    database away                connect and claim again, less and less often  (connection.py)
    an event cannot be handled   the handler's business: it is asked again, or it parks the event

So what is handled in the transaction that advances happens once. What leaves the database (a
message to NATS) happens at least once, and needs a way of its own to recognise what it did before:
the publisher names the message that each batch follows.

The commands are not followed but handed out, by NATS, and what a worker owns of them is a share of
partitions and not a place; programs/partition_leases.py says how that differs. When a session is
gone is the same in both (sessions.py).
"""
