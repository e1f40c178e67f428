"""`python -m ledger.operate.readiness NAME` exits 0 if the program does its work: the health check
of containers. Over HTTP each program says the same at /ready (ledger/operate/http.py). What it
asks is the program's own (ledger/programs/registry.py).
"""

import sys

from ledger.operate import terminal
from ledger.operate.settings import load
from ledger.programs.registry import Places, find, names


def main() -> None:
    """Exit code 0 if the program named on the command line is ready, 1 if it is not or cannot be
    asked."""
    from ledger.operate.errors import explain

    if len(sys.argv) != 2 or sys.argv[1] not in names():
        terminal.say(f"usage: python -m ledger.operate.readiness {'|'.join(names())}", error=True)
        sys.exit(1)
    try:
        ready = find(sys.argv[1]).ready(Places(load()))
    except Exception as error:  # noqa: BLE001 - whatever it is, a health check's log has a line
        terminal.say(f"error: {explain(error)}", error=True)
        sys.exit(1)
    sys.exit(0 if ready else 1)


if __name__ == "__main__":
    main()
