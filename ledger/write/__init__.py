"""From messages to committed outcomes, however many at once.

    parser            a message becomes a command, or an invalid one that says why; never an error
    ledger            a batch of commands: inbox, load, decide, commit, outcomes
    batch             which commands are decided here, which were before, and the outcomes of all
    unit_of_work      one command being decided: what its handler reads and records
    aggregates        states, from batch to batch; never trusted beyond the log
    stream_reader     streams read from the log, or held because they cannot be
    held_streams      which are held, for an operator, who may have them go on
    failed_commands   what a fault of ours stopped, set aside for an operator
    blockers          who holds up an append

Nothing here knows NATS but by the subject that a message came on. What a command means is its
noun's (`ledger/nouns`), how it is stored the event store's.
"""
