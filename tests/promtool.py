"""Prometheus' own tool for rules and queries, where there is one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def agrees(tests: Path) -> str:
    """What `promtool test rules` has against the file: nothing, if it agrees. Skips where there is
    no promtool."""
    beside_us = Path(sys.executable).parent / "promtool"
    found = (
        os.environ.get("LEDGER_TEST_PROMTOOL")
        or shutil.which("promtool")
        or (str(beside_us) if beside_us.exists() else None)
    )
    if found is None:
        pytest.skip("no promtool here: make promtool, or set LEDGER_TEST_PROMTOOL to it")
    done = subprocess.run([found, "test", "rules", tests], capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stdout + done.stderr
