"""History asked: typed answers, each from the log itself.

    events         which events, by whatever can be said of them   (payload: conditions on payloads)
    commands       what was sent, and what became of it
    trace          what caused what, from a command to the money that moved; trace_check compares
                   the inbox with the log
    explain        why a balance is what it is; explain_order: why an order is; explain_position:
                   why a position, and what was won by it
    gains          what disposals won, lot by lot, by any method
    statement      what an account had, what moved, what it had then; statement_page: as a page

An answer is read on one snapshot of the database, streamed, and in position order. What is
explained is compared with what the read side says; nothing of the explanation comes from there.
None of it relies on seals: that the log is the one that was written is shown by `prove`.
"""
