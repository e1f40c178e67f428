"""Verification of an export, without the ledger it came from.

    files    are those of the manifest, by their hashes
    seals    each one's hash and signature, and that each hashes the one before; the keys and heads
             that were given vouch for them
    events   read from the file, hashed, and the roots of their blocks made again
    books    a Beancount file is made again from the events and compared

What was exported before it was sealed is held by the file's hash only, and counted as not sealed.
The export is somebody else's: it is read with care (reader.py), and nothing is written into it.
"""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
import orjson

from ledger.audit.export import beancount
from ledger.audit.export.export import BEANCOUNT_FILE, FORMAT, MANIFEST
from ledger.audit.export.files import READERS, CannotExport, read_jsonl
from ledger.audit.export.reader import UnreadableExport, opened, size_and_digest
from ledger.audit.prove import kept_heads
from ledger.audit.prove.canonical import jcs
from ledger.audit.prove.kept_heads import HeadComparison
from ledger.audit.prove.merkle import root
from ledger.audit.prove.seal_chain import ChainCheck
from ledger.audit.prove.seals import Seal, Unsealed, from_document
from ledger.audit.prove.trust import TrustedKey
from ledger.audit.prove.verdict import Finding, Verdict
from ledger.kernel import money, strict_json
from ledger.kernel.known_types import known

_MALFORMED = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError)
"""What reading values of any form can raise, RecursionError and Arrow's own errors among them."""


_Hash = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    bytes: int
    sha256: str


class _Block(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    seal: dict[str, Any]
    hash: str
    signature: str | None
    leaves_before: list[_Hash]
    leaves_after: list[_Hash]
    previous_signature: str | None = None

    def sealed(self) -> Seal:
        """The seal. Raises UnreadableSeal."""
        return from_document(orjson.dumps(msgspec.structs.asdict(self)))


class _Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: str
    tool: str
    exported_at: str
    file_format: str
    first_position: int
    last_position: int
    events: int
    unsealed_events: int
    files: list[_File]
    opening: list[tuple[str, str, str, str]]
    blocks: list[_Block]


class _Checked(NamedTuple):
    events: int
    findings: list[Finding]


def verify_export(
    directory: Path,
    *,
    trusted: Sequence[TrustedKey] = (),
    kept: Iterable[Seal] = (),
    report: Callable[[int], None] | None = None,
) -> Verdict:
    """Verifies the export against public keys that the auditor was given and heads that were kept
    outside, oldest first. Raises UnreadableExport, or UnreadableSeal for a seal that is none."""
    manifest = _manifest(directory)
    sealed = [block.sealed() for block in manifest.blocks]
    outside = _held_outside(manifest, sealed, kept)
    chain = ChainCheck(trusted, _presumed_before(sealed), kept=outside.newest)
    chain.take(sealed)
    chain.finish()
    findings = [*chain.findings, *outside.findings, *_counts(manifest, sealed)]
    damaged = [file for file in manifest.files if not _is_whole(directory, file)]
    findings += [
        Finding(
            manifest.first_position,
            "changed",
            f"{file.name} is not the file of the manifest: its size or hash differs",
        )
        for file in damaged
    ]
    try:
        checked = _events(directory, manifest, sealed, report)
    except UnreadableExport:
        if not damaged:
            raise
        checked = _Checked(0, [])  # what is wrong with the file has been said
    findings += checked.findings
    if manifest.file_format == "beancount" and not findings:
        findings += _books(directory, manifest)
    return Verdict(
        first_position=manifest.first_position,
        last_position=manifest.last_position,
        events=checked.events,
        seals=chain.seals,
        signed_seals=chain.signed,
        public_keys=chain.public_keys,
        losses=chain.losses,
        signed_to=min(chain.signed_to, manifest.last_position),
        kept_head=outside.newest,
        head=sealed[-1] if sealed else None,
        unsealed=Unsealed(manifest.unsealed_events, 0.0),
        findings=tuple(sorted(findings, key=lambda finding: finding.position)),
    )


def _manifest(directory: Path) -> _Manifest:
    path = directory / MANIFEST
    try:
        with opened(directory, MANIFEST) as file:
            manifest = msgspec.convert(strict_json.loads(file.read()), known(_Manifest))
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise UnreadableExport(f"{path} is not a manifest: {error}. Export again.") from error
    if manifest.format != FORMAT:
        raise UnreadableExport(
            f"{path} has format {manifest.format}, this version reads {FORMAT}. Use the version "
            f"that wrote it, {manifest.tool}."
        )
    if manifest.file_format not in (*READERS, "beancount"):
        raise UnreadableExport(
            f"{path} has file_format {manifest.file_format}, which is none. Export again."
        )
    expected = [_events_file(manifest)]
    expected += [BEANCOUNT_FILE] if manifest.file_format == "beancount" else []
    if [file.name for file in manifest.files] != expected:
        raise UnreadableExport(
            f"{path} names other files than {' and '.join(expected)}, which an export as "
            f"{manifest.file_format} has. Export again."
        )
    return manifest


def _events_file(manifest: _Manifest) -> str:
    kind = "jsonl" if manifest.file_format == "beancount" else manifest.file_format
    return f"events.{kind}"


def _presumed_before(sealed: list[Seal]) -> Seal | None:
    """The seal before the first of the export, as far as that one tells."""
    if not sealed or sealed[0].number == 1:
        return None
    first = sealed[0]
    return msgspec.structs.replace(
        first,
        number=first.number - 1,
        last_position=first.first_position - 1,
        hash=first.previous_hash,
        public_key=None,
    )


def _held_outside(manifest: _Manifest, sealed: list[Seal], kept: Iterable[Seal]) -> HeadComparison:
    """Of the heads that were kept, those of the export's range. Raises UnreadableExport if there is
    none: then nothing of them says anything about the export."""
    hashes = {seal.number: seal.hash for seal in sealed}
    range_of_seals = range(manifest.first_position, sealed[-1].last_position + 1 if sealed else 0)
    newest = None
    matching = []
    for newest in kept:
        if newest.number in hashes or newest.last_position in range_of_seals:
            matching.append(newest)
    if newest is not None and not matching:
        raise UnreadableExport(
            f"no head that was kept is in the export; the newest is seal {newest.number} up to "
            f"position {newest.last_position}. Export a range with that position, or verify "
            "without what was kept."
        )
    return kept_heads.compare(matching, hashes.get, manifest.last_position)


def _counts(manifest: _Manifest, sealed: list[Seal]) -> list[Finding]:
    first, last = manifest.first_position, manifest.last_position
    sealed_end = min(sealed[-1].last_position, last) if sealed else first - 1
    fits = (
        manifest.events == last - first + 1
        and manifest.unsealed_events == last - sealed_end
        and (not sealed or sealed[0].first_position <= first <= sealed[0].last_position)
    )
    if fits:
        return []
    return [Finding(first, "changed", "positions and counts of the manifest do not fit its seals")]


def _is_whole(directory: Path, file: _File) -> bool:
    return size_and_digest(directory, file.name) == (file.bytes, file.sha256)


def _events(
    directory: Path,
    manifest: _Manifest,
    sealed: list[Seal],
    report: Callable[[int], None] | None,
) -> _Checked:
    """Reads the events of the file and compares them with the seals."""
    pairs = zip(manifest.blocks, sealed, strict=True)
    blocks = iter([pair for pair in pairs if pair[1].event_count])
    current = next(blocks, None)
    leaves = _bytes(current[0].leaves_before) if current else []
    found: list[Finding] = []
    events = 0
    expected = manifest.first_position
    for position, leaf in _leaves(directory, manifest):
        if position != expected:
            return _Checked(events, [*found, _misplaced(position, expected)])
        expected += 1
        if current is None:
            continue
        leaves.append(leaf)
        events += 1
        block, seal = current
        if position in (seal.last_position, manifest.last_position):
            if root([*leaves, *_bytes(block.leaves_after)]) != seal.root:
                found.append(_does_not_hash(manifest, seal))
            if report is not None:
                report(len(leaves))
            current, leaves = next(blocks, None), []
    if expected <= manifest.last_position:
        message = f"the file ends before position {expected}, the manifest at "
        found.append(Finding(expected, "truncated", f"{message}{manifest.last_position}"))
    elif expected > manifest.last_position + 1:
        message = "the file has more events than the manifest says"
        found.append(Finding(manifest.last_position + 1, "inserted", message))
    return _Checked(events, found)


def _leaves(directory: Path, manifest: _Manifest) -> Iterator[tuple[int, bytes]]:
    name = _events_file(manifest)
    reader = READERS[name.rpartition(".")[2]]
    with opened(directory, name) as file, _explained(directory / name):
        for event in reader(file):
            yield event["position"], sha256(b"\x00" + jcs(event)).digest()


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Says of values that no export has that the file is not as it was exported."""
    try:
        yield
    except (*_MALFORMED, OSError, csv.Error, CannotExport) as error:
        raise UnreadableExport(
            f"{path} cannot be read: {error}. It is not as it was exported."
        ) from error


def _misplaced(position: int, expected: int) -> Finding:
    if position > expected:
        return Finding(expected, "removed", f"position {position} follows {expected - 1}")
    return Finding(expected, "inserted", f"position {position} comes again after {expected - 1}")


def _does_not_hash(manifest: _Manifest, seal: Seal) -> Finding:
    first = max(seal.first_position, manifest.first_position)
    last = min(seal.last_position, manifest.last_position)
    message = f"the events {first}-{last} do not hash to the root of seal {seal.number}"
    return Finding(first, "changed", message)


def _books(directory: Path, manifest: _Manifest) -> list[Finding]:
    """Makes the Beancount file again from the events, which have been checked, line by line."""
    again = sha256()
    name = _events_file(manifest)
    with _explained(directory / name), money.exact():
        opening = {
            (account, book, asset): Decimal(amount)
            for account, book, asset, amount in manifest.opening
        }
        with opened(directory, name) as file:
            rounded = beancount.places(read_jsonl(file), opening)
        with opened(directory, name) as file:
            for part in beancount.render(read_jsonl(file), opening, rounded):
                again.update(part.encode())
    if again.hexdigest() == size_and_digest(directory, BEANCOUNT_FILE)[1]:
        return []
    message = f"{BEANCOUNT_FILE} does not say what the events say"
    return [Finding(manifest.first_position, "changed", message)]


def _bytes(leaves: list[str]) -> list[bytes]:
    return [bytes.fromhex(leaf) for leaf in leaves]
