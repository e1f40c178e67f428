"""The package as a service installs it: its wheel, and the packages that a client needs."""

import importlib.metadata
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PROJECT = "trading-ledger"


def python_with_client(directory: Path) -> Path:
    """The interpreter of an environment in the directory that has the client and nothing else. The
    packages are copies of those installed here, which the lock names: no network is asked."""
    environment = directory / "environment"
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True, timeout=60
    )
    (site,) = environment.glob("lib/python*/site-packages")
    for package in sorted(_needed()):
        _copy(package, site)
    with zipfile.ZipFile(_wheel(directory / "wheel")) as wheel:
        wheel.extractall(site)
    return environment / "bin" / "python"


def site_packages(python: Path) -> Path:
    (site,) = python.parents[1].glob("lib/python*/site-packages")
    return site


def _needed() -> set[str]:
    """The packages of the project's own requirements without an extra, and of theirs in turn."""
    needed: set[str] = set()
    waiting = [(PROJECT, "")]
    seen = set(waiting)
    while waiting:
        package, extra = waiting.pop()
        for line in importlib.metadata.requires(package) or []:
            wanted = Requirement(line)
            if wanted.marker is not None and not wanted.marker.evaluate({"extra": extra}):
                continue
            needed.add(wanted.name)
            new = {(wanted.name, one) for one in ("", *wanted.extras)} - seen
            seen |= new
            waiting += new
    return needed


def _copy(package: str, site: Path) -> None:
    distribution = importlib.metadata.distribution(package)
    for file in distribution.files or []:
        if ".." not in file.parts:  # no scripts
            target = site / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(str(file.locate()), target)


def _wheel(directory: Path) -> Path:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)],
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=60,
    )
    (wheel,) = directory.glob("*.whl")
    return wheel
