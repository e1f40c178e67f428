"""Builds of a read model beside the live one: the same folds, tables of their own.

    generations ─ where the tables of a build are, and the views over the live ones
    catalogue   ─ which builds there are, how far, whose

    rebuild     fill ──▶ candidate ──▶ compare ──▶ swap ──▶ settle
                  │        the last events, one process
                  └ parallel_fill, parts: a long log by all cores, each part with its own place
    verify      the same, compared and dropped; the live rows are only read
    rollback    the generation before, brought up to date and swapped back
    past        read models as they were at a position, in a schema to look at
    previous    what was live before: its disk, its settling, its end
    snapshots   who may still see the database as it was before a swap

Readers notice none of it: a view gives each the generation that was live as of its own snapshot,
and no lock that a reader waits for is held for longer than a named time (swap.py).
"""
