"""The rule book: events, state and decisions of each aggregate.

Everything below this package is pure. No I/O, no clock, no randomness, no float,
and no import of ours from outside it; `tests/test_architecture.py` holds that.
"""
