"""The rows of a past moment: `Question.past` names the function here that tells them.

balances.py        a checkpoint and a stretch of the log
orders.py          the events that count, folded again (fold.py, venue_time.py)
fills.py           the rows there are, those that changed since folded again
positions.py       the account's events, folded again; by the venue's clock, told anew
portfolio.py       the rows there are; by the venue's clock, the account reckoned again
transactions.py    the rows there are, which never change
"""
