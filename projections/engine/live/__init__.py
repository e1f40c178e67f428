"""Keeping read models up to date: a thread for each, at most one worker anywhere for each.

    crew         starts the workers of a process and what serves all of them
    worker       claim by a lease, take a batch, fold and write it, wait for the next
    log_reader   the newest events, read and decoded once for all workers   (source: reading)
    build        a build's tables, the rows in memory, the folds
    rows         what a fold sees: looked up before, changed in memory, written after
    writer       rows in bulk: COPY, and one statement for those that change
    last_event   which event last touched a row

A batch is one transaction: rows and checkpoint, or neither. What is in memory is dropped whenever
the worker is fenced, so memory never outlives the right to write.
"""
