"""Where alerts are told: names, and behind each an address of apprise (appriseit.com), which has
the secrets: tokens, passwords, the ids of chats.

They come from a file that nobody else can read, or from the environment, and leave this process
only towards the channel. What is logged, recorded or shown of a channel is its name.
"""

import re
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path

from ledger.kernel.errors import LedgerError
from ledger.operate.settings import Settings

_NAME = re.compile(r"[A-Za-z0-9._\-]{1,64}")


class UnusableChannels(LedgerError):
    """The channels cannot be read, or somebody else can read them. The message has no address."""


def channels_of(settings: Settings) -> dict[str, str]:
    """The address of each channel by its name; the environment's before the file's. Raises
    UnusableChannels."""
    found: dict[str, str] = {}
    if settings.alert_channels_file is not None:
        found |= _of_file(settings.alert_channels_file)
    if settings.alert_channels is not None:
        found |= _of_text(settings.alert_channels.get_secret_value())
    return found


def _of_file(path: Path) -> dict[str, str]:
    try:
        mode = path.stat().st_mode
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise UnusableChannels(f"the channels {path} are open to others: chmod 600 {path}")
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise UnusableChannels(
            f"the channels {path} cannot be read: {why}. Correct LEDGER_ALERT_CHANNELS_FILE."
        ) from None
    except tomllib.TOMLDecodeError as error:  # which quotes nothing of the file but a place
        raise UnusableChannels(
            f'the channels {path} are no TOML: {error}. Write lines like ops = "mailto://…".'
        ) from None
    return _checked(given, str(path))


def _of_text(text: str) -> dict[str, str]:
    """`NAME=ADDRESS`, separated by blanks or lines."""
    pairs = [one.partition("=") for one in text.split()]
    return _checked({name: address for name, _, address in pairs}, "LEDGER_ALERT_CHANNELS")


def _checked(given: Mapping[str, object], where: str) -> dict[str, str]:
    for name, address in given.items():
        if not _NAME.fullmatch(name) or not isinstance(address, str) or "://" not in address:
            raise UnusableChannels(
                f"a channel of {where} cannot be used: give each a name of letters, digits, `.`, "
                "`_`, `-` and an address of apprise, like mailto://user:password@host"
            )
    return {name: str(address) for name, address in given.items()}
