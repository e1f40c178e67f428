"""What msgspec knows of types: found out by one thread at a time.

msgspec looks at a class when it first reads one of it, and keeps what it has found out on the
class, where all threads see it, before it is done. Whoever reads an object of that class meanwhile
reads through an empty place: the process ends with SIGSEGV. Workers, questions and services read in
threads, and share classes (a position, a quote). So nothing is read but through `known`.
"""

import threading
from typing import Any, TypeVar

import msgspec

Kind = TypeVar("Kind")

_FINDING_OUT = threading.Lock()
_KNOWN: set[Any] = set()


def known(kind: type[Kind]) -> type[Kind]:
    """The class itself, once msgspec has found out all of it and of what it is made of."""
    if kind not in _KNOWN:
        with _FINDING_OUT:
            msgspec.json.Decoder(kind)
            _KNOWN.add(kind)
    return kind
