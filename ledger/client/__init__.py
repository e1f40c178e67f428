"""What services import, and nothing that only a server needs.

    client            LedgerClient: connects, submits, says what became of each command
    submission        one command on its way, until its outcome is known
    send_queue        commands that wait to be published, in their order, many at once
    reader            its reading half: events, and questions to the read models
    follower          the events in order, with a place that is remembered under a name:
                      follower_claim   whose the name is: the protocol, without clock or server
                      follower_keeper  carries it out; event_feed: the events themselves
    questions         the read models, asked and typed

`ledger/__init__.py` has the names that services use. `ledger/sync.py` is the same without an event
loop of the caller's (loop_thread: ours).
"""
