"""The base of every exception of this project that a caller may want to catch."""


class LedgerError(Exception):
    """Its text is a sentence for a person: the thing, the value and the remedy."""
