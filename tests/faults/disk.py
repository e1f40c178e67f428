"""A small disk that can be filled: a file system in memory whose size is changed while in use.

Mounting needs root. Where that is not possible the fault cannot be injected, and the run says so.
"""

import shutil
import subprocess
from pathlib import Path

ROOM = "2g"
"""Far more than a run writes."""


class SmallDisk:
    """Mounted on `directory` for the length of the block."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @staticmethod
    def possible(directory: Path) -> bool:
        """Whether one can be mounted here; tried, because being root does not say it."""
        directory.mkdir(exist_ok=True)
        tried = _run("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(directory))
        if tried:
            _run("umount", str(directory))
        directory.rmdir()
        return tried

    def __enter__(self) -> "SmallDisk":
        self.directory.mkdir(exist_ok=True)
        options = f"size={ROOM},mode=711"
        if not _run("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.directory)):
            raise OSError(f"no file system can be mounted on {self.directory}")
        return self

    def __exit__(self, *_: object) -> None:
        _run("umount", "--lazy", str(self.directory))

    def fill(self) -> None:
        """From now on nothing can be written that needs a new block."""
        # What is written between the look and the change makes the new size too small.
        while not self._resized(f"{shutil.disk_usage(self.directory).used // 1024 + 64}k"):
            pass

    def free(self) -> None:
        assert self._resized(ROOM)

    def _resized(self, size: str) -> bool:
        return _run("mount", "-o", f"remount,size={size}", str(self.directory))


def _run(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
