"""Where commands are sent to: `ledger.commands.<account_id | family>.<class>.<sender>`.

    account_id   the account that the command is about, in the usual form: lower case, with hyphens
    family       what a command is about that belongs to no account: `instruments`
    class        trade, report, money or admin (`kernel/command.py`): what is granted apart
    sender       who sends it. On a bus with users each may publish to subjects that end in its own
                 name and to no other, so the last token is what the server vouches for

In a stream with partitions the commands are stored behind the number of their partition. Before
there were classes and senders a command was sent to `ledger.commands.<account_id>`; such are
still in the streams of those days, and are decided without a class or a sender.
"""

from typing import NamedTuple

COMMANDS_PREFIX = "ledger.commands."
COMMANDS = f"{COMMANDS_PREFIX}*.*.*"
"""All subjects that commands are sent to."""
ANONYMOUS = "anonymous"
"""The sender who does not say who it is, on a bus that asks nobody."""
MAX_TOKEN_LENGTH = 200
"""Characters kept of a class or a sender; what an operator grants is far shorter."""


class CommandSubject(NamedTuple):
    """What the subject of a command says. `command_class` and `sender` are None for a command of
    the days before there were any; `fault` says why a subject says nothing at all."""

    about: str
    command_class: str | None = None
    sender: str | None = None
    fault: str | None = None

    @property
    def tokens(self) -> str:
        """As it is sent to, behind the prefix."""
        if self.command_class is None or self.sender is None:
            return self.about
        return f"{self.about}.{self.command_class}.{self.sender}"


def command_subject(about: str, command_class: str, sender: str) -> str:
    """The subject to send a command to."""
    return f"{COMMANDS_PREFIX}{about}.{command_class}.{sender}"


def read(subject: str) -> CommandSubject:
    """What the subject says that a command was sent to, or that it is stored under."""
    tokens = subject.removeprefix(COMMANDS_PREFIX).split(".")
    if len(tokens) in {2, 4} and tokens[0].isdigit():
        del tokens[0]  # the partition
    if len(tokens) == 1:
        return CommandSubject(tokens[0])
    if len(tokens) == 3:
        about, command_class, sender = tokens
        return CommandSubject(about, _kept(command_class), _kept(sender))
    return CommandSubject(
        tokens[-1],
        fault=f"subject {subject[:MAX_TOKEN_LENGTH]!r} is not "
        f"{COMMANDS_PREFIX}<account_id>.<class>.<sender>",
    )


def _kept(token: str) -> str:
    """Kept to a sane length and free of what PostgreSQL cannot store."""
    return token[:MAX_TOKEN_LENGTH].replace("\x00", "")
