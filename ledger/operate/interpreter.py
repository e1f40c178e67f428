"""How the interpreter is set for the process that decides commands.

The collector of cycles is made for programs that leave cycles behind. Deciding leaves next to none,
but keeps hundreds of thousands of states, and looking through them again and again took a sixth of
the worker's time (docs/decisions/0010). It still runs, when there is something to look for.
"""

import gc
import sys

COLLECT_AFTER_ALLOCATIONS = 20_000
"""Containers made and not freed, net, after which the young ones are looked through; Python's own
700 are a few commands. It is thirty batches or more."""
SWITCH_SECONDS = 0.001
"""After this a thread lets another one go on. A commit that hears from the database waits so long
for the thread that decides, several times: with Python's own 5 ms that was longer than the disk."""


def for_deciding() -> None:
    """To be called once, when all modules are loaded."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER_ALLOCATIONS)
    sys.setswitchinterval(SWITCH_SECONDS)
