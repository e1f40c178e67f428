"""What `ledgerctl serve NAME` runs, one file each, and what these are made of.

    registry       what a program registers, and the only list of them
    process        runs one: metrics and health, the database, its role, until a signal
    readiness      whether one does its work

    commands       LEDGER_COMMANDS decided, many at once; made of
                   partition_leases, command_room               whose they are, room for more
                   decision_runner, step, keep_alive, replies   from messages to answers
                   rate_limit, quarantine, unreadable_messages  what is refused or set aside
                   outcome_service, operator_retry              asked, and tried again
                   housekeeping                                 outcomes that nobody can ask for
                   stream_examination                           streams that cannot be read, again
    publisher      the log sent to LEDGER_EVENTS, in order; replay: sent again
                   consumer_guard                               consumers for users of the bus
    seals          the sealer; head_publisher sends each head

The programs of the read side, which are found by the same list, are in `projections`.
"""
