"""Where and as whom the embedded PostgreSQL runs. For root that takes some thought.

PostgreSQL refuses to run as root. It runs as the owner of the cluster, or as `postgres` or
`nobody` when there is none yet. Whether that account can reach a directory is tried, not
reasoned about; if it cannot, data and programs go below ROOT_DIRECTORY:

    ROOT_DIRECTORY/programs-<checksum>/   copied once, read-only to all
    ROOT_DIRECTORY/data-<id>/             for one data directory, which has a link to it
    ROOT_DIRECTORY/data-<id>.link         the path of that link; when it is gone, so is the data
"""

import contextlib
import hashlib
import os
import pwd
import shutil
import subprocess
from pathlib import Path
from uuid import uuid4

from ledger.operate.processes import SystemUser

ROOT_DIRECTORY = Path("/var/lib/trading-ledger")
"""Traversable for every account, and kept over restarts of the machine."""


def home(wanted: Path) -> tuple[Path, SystemUser | None]:
    """The directory for the cluster and its socket, made if need be, and the account for the
    server: None is ours."""
    if os.geteuid() != 0:
        wanted.mkdir(mode=0o700, exist_ok=True)
        return wanted, None
    if wanted.is_symlink():
        target = wanted.readlink()
        account = _account(target)
        if not target.exists():  # deleted by hand: begin again in the same place
            _make_root_directory()
        make_private(target, account)
        return target, account
    account = _account(wanted)
    make_private(wanted, account)
    if _can(account, "cd", wanted):
        return wanted, account
    wanted.rmdir()
    return _elsewhere(wanted, account), account


def reachable(programs: Path, account: SystemUser | None) -> Path:
    """The directory of PostgreSQL's programs, or of a copy that the account can reach."""
    if account is None or _can(account, "--version", programs / "initdb"):
        return programs
    # With the package come the libraries it was built with, beside it and found from there.
    package = programs.parent.parent
    libraries = package.with_name(f"{package.name}.libs")
    checksum = hashlib.sha256((programs / "postgres").read_bytes()).hexdigest()[:16]
    copy = ROOT_DIRECTORY / f"programs-{checksum}"
    if not copy.exists():
        _make_root_directory()
        unfinished = ROOT_DIRECTORY / f"unfinished-{uuid4().hex}"
        for tree in (package, libraries):
            if tree.exists():
                shutil.copytree(
                    tree,
                    unfinished / tree.name,
                    symlinks=True,
                    ignore=shutil.ignore_patterns("include", "__pycache__"),
                )
        _open_to_all(unfinished)
        try:
            unfinished.rename(copy)
        except OSError:  # another process was faster
            shutil.rmtree(unfinished)
    return copy / programs.relative_to(package.parent)


def make_private(directory: Path, account: SystemUser | None) -> None:
    """A directory that only the account (and root) can enter."""
    directory.mkdir(mode=0o700, exist_ok=True)
    if account is not None:
        os.chown(directory, account.uid, account.gid)


def _account(cluster_home: Path) -> SystemUser:
    with contextlib.suppress(FileNotFoundError):
        owner = cluster_home.stat()
        if owner.st_uid != 0:
            return SystemUser(owner.st_uid, owner.st_gid)
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return SystemUser(entry.pw_uid, entry.pw_gid)
    return SystemUser(65_534, 65_534)  # what `nobody` is where there is no list of accounts


def _can(account: SystemUser, action: str, path: Path) -> bool:
    enter = ["/bin/sh", "-c", 'cd "$0"', str(path)]
    command = enter if action == "cd" else [str(path), action]
    try:
        outcome = subprocess.run(
            command,
            user=account.uid,
            group=account.gid,
            extra_groups=[],
            cwd="/",
            env={"PATH": os.defpath},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except PermissionError:
        return False
    return outcome.returncode == 0


def _open_to_all(tree: Path) -> None:
    for path in (tree, *tree.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


def _elsewhere(wanted: Path, account: SystemUser) -> Path:
    _make_root_directory()
    _remove_abandoned()
    directory = ROOT_DIRECTORY / f"data-{uuid4().hex}"
    wanted.symlink_to(directory)  # first, or another process could take it for abandoned
    directory.with_suffix(".link").write_text(str(wanted))
    make_private(directory, account)
    return directory


def _remove_abandoned() -> None:
    """Deletes data whose data directory was deleted."""
    for note in ROOT_DIRECTORY.glob("data-*.link"):
        link, directory = Path(note.read_text()), note.with_suffix("")
        if not (link.is_symlink() and link.readlink() == directory):
            shutil.rmtree(directory, ignore_errors=True)
            note.unlink(missing_ok=True)


def _make_root_directory() -> None:
    ROOT_DIRECTORY.mkdir(mode=0o755, parents=True, exist_ok=True)
    ROOT_DIRECTORY.chmod(0o755)
