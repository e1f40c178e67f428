"""How many requests of one account are decided in a second.

What is above is refused (RATE_LIMITED) and recorded like every rejection, so that its sender has a
definite outcome. Holding it back instead would hold up what comes after it, or let that overtake.

    never limited   facts, which say what happened and cannot be refused; cancels, which a desk in
                    trouble needs most; commands of nouns that belong to no account
    time            that at which the server received a command: a backlog is judged as it was sent,
                    and not by how fast it is worked off
    again           what is delivered again after a crash was counted the first time

An account has `burst` requests at once, and gets `rate` each second. Its partition is one worker's,
so that worker's count is the whole one; another that takes over begins with the burst.
"""

from ledger.bus import delivery
from ledger.bus.wire import Message
from ledger.kernel.command import Command, CommandKind, InvalidCommand
from ledger.kernel.rejection import GeneralRejection
from ledger.operate.settings import Settings

MAX_ACCOUNTS = 100_000
"""Accounts remembered, some 20 MB; beyond them those that could send a whole burst are dropped."""


class RateLimit:
    """For one worker."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._full_again: dict[str, float] = {}
        """Of each account, when it will have its whole burst again."""

    @classmethod
    def of(cls, settings: Settings) -> "RateLimit | None":
        """None when nothing is limited."""
        rate = settings.command_rate_per_account_second
        return cls(rate, settings.command_burst_per_account_commands) if rate else None

    def passed(
        self, message: Message, command: Command | InvalidCommand
    ) -> Command | InvalidCommand:
        """The command, or in its place the refusal of what is too much."""
        if (
            isinstance(command, InvalidCommand)
            or not _is_limited(command)
            or delivery.tries(message) > 1
            or self.allows(command.subject, delivery.received_at(message).timestamp())
        ):
            return command
        return InvalidCommand(
            id=command.id,
            type=command.type,
            subject=command.subject,
            source=command.source,
            fingerprint=command.fingerprint,
            sender=command.sender,
            code=GeneralRejection.RATE_LIMITED.value,
            message=f"account {command.subject} sends more than {self._rate:g} requests a second "
            f"({self._burst} at once): send it again later, under a new command id",
        )

    def allows(self, account: str, at: float) -> bool:
        """Whether one more request is taken, at this time in seconds; it is counted if so."""
        full_again = max(self._full_again.get(account, at), at)
        if full_again - at > (self._burst - 1) / self._rate + _ROUNDING_SECONDS:
            return False
        if len(self._full_again) >= MAX_ACCOUNTS:
            self._full_again = {one: when for one, when in self._full_again.items() if when > at}
        self._full_again[account] = full_again + 1 / self._rate
        return True


_ROUNDING_SECONDS = 1e-6
"""Times are floats of seconds since 1970, exact to a microsecond."""


def _is_limited(command: Command) -> bool:
    data = command.data
    return (
        data.rate_limited
        and data.command_kind is CommandKind.REQUEST
        and command.account_id is not None
    )
