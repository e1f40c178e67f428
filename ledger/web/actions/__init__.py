"""Acting: what a person does at the console, in four steps.

    preview    what will be sent and what it will do, as things are now; nothing happens
    reason     in words, kept with the deed; what cannot be taken back is confirmed by its name
    approval   where two people are needed: another one, within fifteen minutes
    result     what became of it, with its position in the log

    commands   actions that are commands: the ledger decides them, as any other service's
    deeds      what operators do with the database: recorded in the log with who and why

Who may what is one table (`ledger/web/rights.py`): what it does not allow is not offered, and is
refused. Pages and the API call the same functions (`acts.py`).
"""
