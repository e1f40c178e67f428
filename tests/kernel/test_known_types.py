"""Threads that read classes for the first time do not meet a class that is half known."""

import subprocess
import sys

RACE = """
import sys, threading
from decimal import Decimal
import msgspec
from ledger.kernel.known_types import known

sys.setswitchinterval(1e-6)
FIELDS = [f"f{number}" for number in range(40)]
PART = "{" + ",".join(f'"{name}":"1"' for name in FIELDS) + "}"

for number in range(int(sys.argv[1])):
    part = msgspec.defstruct(f"Part{number}", [(name, "Decimal") for name in FIELDS],
                             namespace={"__module__": __name__})
    kinds = [msgspec.defstruct(f"Whole{number}_{one}", [("parts", list[part])]) for one in range(8)]
    together = threading.Barrier(len(kinds))

    def read(kind):
        together.wait()
        msgspec.json.decode('{"parts":[' + PART + ']}', type=known(kind))

    threads = [threading.Thread(target=read, args=(kind,)) for kind in kinds]
    for one in threads: one.start()
    for one in threads: one.join()
print("whole")
"""
CLASSES = 100
"""That many were never read to the end without `known`: it crashed at one of the first."""


def test_threads_that_read_a_class_for_the_first_time_do_not_crash() -> None:
    done = subprocess.run(
        [sys.executable, "-c", RACE, str(CLASSES)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "whole\n"), done.stderr[-2_000:]
