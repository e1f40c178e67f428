"""Heads as they are kept outside: a file, the directory of a witness, or its git repository.

    FILE                        one head as `ledgerctl audit seal --head` prints it, or one a line
    DIRECTORY/heads.jsonl       what `ledgerctl audit witness` keeps: one a line, oldest first
    DIRECTORY/.git              the same in a git repository: head.json, committed for each head

Read one after the other: a witness keeps them for years.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from ledger.audit.prove.seals import Seal, UnreadableSeal, from_document

HEADS_FILE = "heads.jsonl"
GIT_FILE = "head.json"
CONTRADICTIONS_FILE = "contradictions.jsonl"
"""Beside either: what a witness saw that did not go on from the heads it had."""
HEADS_AT_ONCE = 1_000
"""Heads that git is asked for at once: half a megabyte."""


def heads_in(path: Path) -> Iterator[Seal]:
    """The heads that are kept there now, oldest first: a witness at work may add some while these
    are read, which the moment of the database that they are compared with does not have. Raises
    UnreadableSeal, now or when they are read."""
    if not path.is_dir():
        documents = _of_file(path, path.stat().st_size)
    elif (path / HEADS_FILE).is_file():
        documents = _of_file(path / HEADS_FILE, (path / HEADS_FILE).stat().st_size)
    elif (path / ".git").exists():
        revisions = git(path, "rev-list", "--reverse", "HEAD", "--", GIT_FILE).decode().split()
        documents = _of_repository(path, revisions)
    else:
        documents = iter(())
    return _in_order(path, documents)


def _in_order(path: Path, documents: Iterator[bytes]) -> Iterator[Seal]:
    newest: Seal | None = None
    for document in documents:
        try:
            seal = from_document(document)
        except UnreadableSeal as error:
            raise UnreadableSeal(f"{path}: {error}") from error
        if newest is not None and seal.number <= newest.number:
            raise UnreadableSeal(
                f"{path}: seal {seal.number} comes after seal {newest.number}: these are not the "
                "heads of one history, oldest first. Give what the witness wrote, unchanged."
            )
        newest = seal
        yield seal
    if newest is None:
        raise UnreadableSeal(f"{path} has no head. Give the file or the directory of a witness.")


def _of_file(path: Path, size: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        first = file.readline()
        if b'"hash"' not in first:  # printed over several lines: one head
            yield first + file.read()
            return
        read = len(first)
        yield first
        for line in file:
            read += len(line)
            if read > size or not line.endswith(b"\n"):  # it is being written
                return
            yield line


def _of_repository(path: Path, revisions: list[str]) -> Iterator[bytes]:
    for at in range(0, len(revisions), HEADS_AT_ONCE):
        some = revisions[at : at + HEADS_AT_ONCE]
        asked = "".join(f"{revision}:{GIT_FILE}\n" for revision in some)
        rest = git(path, "cat-file", "--batch", asked=asked.encode())
        while rest:  # a line with the size, the content, an empty line
            line, _, rest = rest.partition(b"\n")
            size = line.rpartition(b" ")[2]
            if not size.isdigit():
                raise UnreadableSeal(f"{path}: git says {line.decode(errors='replace')!r}")
            yield rest[: int(size)]
            rest = rest[int(size) + 1 :]


def git(repository: Path, *arguments: str, asked: bytes = b"") -> bytes:
    """What git says about the repository, whatever is configured elsewhere: nothing of it is run.
    Raises UnreadableSeal."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment |= {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "LC_ALL": "C"}
    options = ["-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false"]
    options += ["-c", "commit.gpgSign=false", "-c", "core.pager=cat"]
    try:
        done = subprocess.run(
            ["git", "-C", repository, *options, *arguments],
            env=environment,
            input=asked,
            capture_output=True,
            check=False,
        )
    except OSError as error:
        raise UnreadableSeal(f"git cannot be run: {error.strerror}. Install it.") from error
    if done.returncode:
        said = " ".join(done.stderr.decode(errors="replace").split())
        raise UnreadableSeal(f"git {arguments[0]} in {repository} failed: {said}")
    return done.stdout
