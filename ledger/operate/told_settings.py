"""What a running program was told: the value of each setting and where it comes from, kept as a
file beside the data, for the console's page of settings.

    default       nobody said anything
    environment   a variable LEDGER_…
    file          `.env`

Programs that share a data directory see each other's. Others tell nobody: a container without one,
a pod of its own. Of a secret is told whether it is set, and of a URL everything but its password.
"""

import importlib.metadata
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec
import structlog
from pydantic import SecretStr
from pydantic_settings import BaseSettings

from ledger.kernel.known_types import known
from ledger.kernel.masking import masked
from ledger.operate.settings import InvalidSettings, load_as

KINDS = "ledger.settings"
"""The group of entry points of all kinds of settings, by what they are of."""
DIRECTORY = "told"
"""In the data directory; readable by its owner only, as all that is there."""
IS_SET, UNSET = "set, secret", "unset"

_log = structlog.get_logger(__name__)


class SettingSource(StrEnum):
    """Where a value comes from."""

    DEFAULT = "default"
    ENVIRONMENT = "environment"
    FILE = "file"


class ToldSetting(msgspec.Struct, frozen=True):
    """A value as it may be shown."""

    value: str
    source: SettingSource
    is_secret: bool = False


class ToldSettings(msgspec.Struct, frozen=True):
    """What a program of a machine was told when it began."""

    program: str
    host: str
    process: int
    since: datetime
    settings: dict[str, ToldSetting]

    @property
    def has_ended(self) -> bool:
        """Whether it is over without having said so; of another machine nobody knows."""
        if self.host != socket.gethostname():
            return False
        try:
            os.kill(self.process, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return False


def kinds() -> dict[str, type[BaseSettings]]:
    """All kinds of settings, by what they are of: those that all programs have first."""
    found = {one.name: one for one in importlib.metadata.entry_points(group=KINDS)}
    return {name: found[name].load() for name in sorted(found, key=lambda name: name != "write")}


def variable(name: str) -> str:
    return f"LEDGER_{name.upper()}"


def of_this_process() -> dict[str, ToldSetting]:
    """By variable: what this process would be told of each setting. A kind that cannot be is left
    out, as no program of its part runs here."""
    found: dict[str, ToldSetting] = {}
    for kind in kinds().values():
        try:
            settings = load_as(kind)
        except InvalidSettings:
            continue
        for name in kind.model_fields:
            found.setdefault(variable(name), told(settings, name))
    return found


def told(settings: BaseSettings, name: str) -> ToldSetting:
    """One setting as it may be shown."""
    value: Any = getattr(settings, name)
    is_secret = isinstance(value, SecretStr)
    if name not in settings.model_fields_set:
        source = SettingSource.DEFAULT
    elif any(key.upper() == variable(name) for key in os.environ):
        source = SettingSource.ENVIRONMENT
    else:
        source = SettingSource.FILE
    text = UNSET if value is None else IS_SET if is_secret else masked(str(value))
    return ToldSetting(text, source, is_secret)


@contextmanager
def telling(program: str, data_directory: Path) -> Iterator[None]:
    """Inside the block, the file says what this process was told. Where there is no data directory,
    or it cannot be written, there is none."""
    path = None
    if data_directory.is_dir():
        try:
            path = _write(program, data_directory / DIRECTORY)
        except OSError as error:
            _log.warning("settings_not_told", error=str(error))
    try:
        yield
    finally:
        if path is not None:
            with suppress(OSError):
                path.unlink()


def _write(program: str, directory: Path) -> Path:
    directory.mkdir(mode=0o700, exist_ok=True)
    for one in read(directory.parent):
        if one.program == program and one.has_ended:
            _path(directory, one).unlink(missing_ok=True)
    own = ToldSettings(
        program, socket.gethostname(), os.getpid(), datetime.now(UTC), of_this_process()
    )
    path = _path(directory, own)
    unfinished = path.with_suffix(".unfinished")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(own))
    unfinished.replace(path)
    return path


def _path(directory: Path, one: ToldSettings) -> Path:
    return directory / f"{one.program}-{one.host}-{one.process}.json"


def read(data_directory: Path) -> list[ToldSettings]:
    """What running programs told that share the directory, by name."""
    found = []
    for path in sorted((data_directory / DIRECTORY).glob("*.json")):
        with suppress(OSError, msgspec.DecodeError):  # just gone, or of another version
            found.append(msgspec.json.decode(path.read_bytes(), type=known(ToldSettings)))
    return found


def as_env_file(settings: Mapping[str, ToldSetting]) -> str:
    """What is not the default, as a file `.env` has it. Secrets are to be filled in."""
    lines = ["# What is not the default. Secrets and passwords in URLs are to be filled in."]
    for name, one in sorted(settings.items()):
        if one.source is SettingSource.DEFAULT or one.value == UNSET:
            continue
        if one.is_secret:
            lines.append(f"# {name}=")
        else:
            lines.append(f"{name}={_quoted(one.value)}")
    return "\n".join(lines) + "\n"


def _quoted(value: str) -> str:
    if value and not any(character in value for character in " '\"#$\\\n\r\t"):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", " ") + "'"
