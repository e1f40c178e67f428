"""A witness beside the demo: it keeps the heads of the seals in a directory of its own, and what
the demo says of history in the end it says on the word of those heads."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ledger.audit.prove.heads import heads_in
from ledger.audit.prove.seals import UnreadableSeal
from ledger.audit.prove.verify import verify_database
from ledger.demo.proofs import Proof
from ledger.demo.temporary import Running
from ledger.kernel.errors import LedgerError
from ledger.operate import processes

KEPT_TIMEOUT_SECONDS = 60.0
"""The last events are sealed within five seconds, and their head kept a second later."""
LOOK_SECONDS = 0.1
"""Pause between two looks at what is kept."""
STOP_TIMEOUT_SECONDS = 5.0
"""For a witness that is stopped: what it has kept is on the disk."""


class HeadsMissing(LedgerError):
    """The witness has no head of the last events."""


@contextmanager
def witness(ledger: Running) -> Iterator[Path]:
    """A witness at work; where it keeps heads."""
    directory = ledger.directory / "witness"
    arguments = ["-m", "ledger", "audit", "witness", str(directory), "--source", "database"]
    with (ledger.directory / "witness.log").open("ab") as output:
        process = processes.start(
            [sys.executable, *arguments],
            environment=os.environ | {"LEDGER_DATABASE_URL": ledger.database_url},
            output=output,
        )
    try:
        yield directory
    finally:
        processes.stop(process, timeout=STOP_TIMEOUT_SECONDS)


def prove(ledger: Running, directory: Path, position: int) -> Proof:
    """That nothing was altered up to the position, once a head of it is kept. Raises
    HeadsMissing."""
    _wait_until_kept(directory, position)
    verdict = verify_database(ledger.database_url, kept=heads_in(directory))
    faults = len(verdict.findings)
    return Proof(
        "no event was altered since it was sealed, on the word of heads kept outside",
        verdict.events,
        "events",
        faults if verdict.holds and verdict.held_to >= position else max(faults, 1),
    )


def _wait_until_kept(directory: Path, position: int) -> None:
    deadline = time.monotonic() + KEPT_TIMEOUT_SECONDS
    while _kept_to(directory) < position:
        if time.monotonic() > deadline:
            raise HeadsMissing(
                f"the demo's witness has no head of position {position} after "
                f"{KEPT_TIMEOUT_SECONDS:.0f} s. Look at the log of `ledgerctl serve seals` and at "
                f"{directory.parent / 'witness.log'}."
            )
        time.sleep(LOOK_SECONDS)


def _kept_to(directory: Path) -> int:
    try:
        return max(head.last_position for head in heads_in(directory))
    except (OSError, UnreadableSeal):
        return 0  # it keeps nothing yet
