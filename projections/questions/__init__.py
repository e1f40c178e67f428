"""What may be asked of the read models, and the answers.

    question.py     how a question is declared, beside its read model (projections/read_models)
    catalogue.py    all questions there are; `ledger` finds them by the entry point ledger.questions
    statement.py    a question as SQL, with parameters
    paging.py       the place in an answer where the next page begins
    answers.py      asking a database, now or about a past moment
    commands.py     ledgerctl query, which prints what it is answered

All but the last two need no database: whoever asks over NATS uses them too.
"""
