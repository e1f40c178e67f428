"""Verification of an export, without the ledger it came from.

    files    are those of the manifest, by their hashes
    seals    each one's hash and signature, and that each hashes the one before
    events   read from the file, hashed, and the roots of their blocks made again
    books    a Beancount file is made again from the events and compared

What was exported before it was sealed is held by the file's hash only, and counted as not sealed.
"""

from collections.abc import Callable, Collection, Iterator
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import orjson

from ledger.audit.canonical import jcs
from ledger.audit.export import BEANCOUNT_FILE, FORMAT, MANIFEST, digest, write_beancount
from ledger.audit.export_files import READERS, read_jsonl
from ledger.audit.merkle import root
from ledger.audit.seal_chain import ChainCheck
from ledger.audit.seals import Seal, Unsealed, from_document
from ledger.audit.verdict import Finding, Verdict


class UnreadableExport(Exception):
    """The directory has no export that can be verified."""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    bytes: int
    sha256: str


class _Block(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    seal: dict[str, Any]
    hash: str
    signature: str | None
    leaves_before: list[str]
    leaves_after: list[str]

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
    trusted: Collection[bytes] = (),
    kept_head: Seal | None = None,
    report: Callable[[int], None] | None = None,
) -> Verdict:
    """Verifies the export. Raises UnreadableExport, or UnreadableSeal for a seal that is none."""
    manifest = _manifest(directory)
    sealed = [block.sealed() for block in manifest.blocks]
    chain = ChainCheck(trusted, _presumed_before(sealed))
    chain.take(sealed)
    chain.finish()
    findings = [*chain.findings, *_kept(sealed, kept_head), *_counts(manifest, sealed)]
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
        public_keys=tuple(chain.public_keys),
        key_known=bool(trusted),
        head=sealed[-1] if sealed else None,
        unsealed=Unsealed(manifest.unsealed_events, 0.0),
        findings=tuple(sorted(findings, key=lambda finding: finding.position)),
    )


def _manifest(directory: Path) -> _Manifest:
    path = directory / MANIFEST
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=_Manifest)
    except OSError as error:
        raise UnreadableExport(
            f"{path} cannot be read ({error.strerror}): {directory} is no whole export. Export "
            "again: ledgerctl audit export"
        ) from error
    except msgspec.MsgspecError as error:
        raise UnreadableExport(f"{path} is not a manifest: {error}. Export again.") from error
    if manifest.format != FORMAT:
        raise UnreadableExport(
            f"{path} has format {manifest.format}, this version reads {FORMAT}. Use the version "
            f"that wrote it, {manifest.tool}."
        )
    return manifest


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


def _kept(sealed: list[Seal], kept: Seal | None) -> list[Finding]:
    if kept is None:
        return []
    ours = next((seal for seal in sealed if seal.number == kept.number), None)
    if ours is None:
        raise UnreadableExport(
            f"the head that was kept is seal {kept.number}, which is not in the export. Export a "
            f"range with position {kept.last_position}, or verify without --head."
        )
    if ours.hash == kept.hash:
        return []
    message = f"seal {kept.number} is not the one that was kept outside"
    return [Finding(ours.first_position, "re-sealed", message)]


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
    path = directory / file.name
    if Path(file.name).name != file.name or not path.is_file():
        return False
    return path.stat().st_size == file.bytes and digest(path) == file.sha256


def _events(
    directory: Path,
    manifest: _Manifest,
    sealed: list[Seal],
    report: Callable[[int], None] | None,
) -> _Checked:
    """Reads the events of the file and compares them with the seals."""
    pairs = zip(manifest.blocks, sealed, strict=True)
    blocks = iter([(block, seal) for block, seal in pairs if seal.event_count])
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
    kind = "jsonl" if manifest.file_format == "beancount" else manifest.file_format
    reader = READERS.get(kind)
    if reader is None:
        raise UnreadableExport(
            f"the manifest's file_format is {kind}, which is none. Export again."
        )
    path = directory / f"events.{kind}"
    try:
        for event in reader(path):
            yield event["position"], sha256(b"\x00" + jcs(event)).digest()
    except (ValueError, KeyError, TypeError, OSError) as error:
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
    """Makes the Beancount file again from the events, which have been checked."""
    opening = {
        (account, book, asset): Decimal(amount) for account, book, asset, amount in manifest.opening
    }
    again = directory / f"{BEANCOUNT_FILE}.again"
    try:
        write_beancount(again, read_jsonl(directory / "events.jsonl"), opening)
        same = digest(again) == digest(directory / BEANCOUNT_FILE)
    finally:
        again.unlink(missing_ok=True)
    if same:
        return []
    message = f"{BEANCOUNT_FILE} does not say what the events say"
    return [Finding(manifest.first_position, "changed", message)]


def _bytes(leaves: list[str]) -> list[bytes]:
    return [bytes.fromhex(leaf) for leaf in leaves]
