"""What happens to the log as a whole. Appended by `ledgerctl recover`, decided by no rule.

They change no balance and no order, and no read model is made of them. They are in the log so that
it tells its own story, sealed and published like everything else.
"""

from typing import Any, ClassVar
from uuid import UUID, uuid5

from ledger.kernel.event import Event

STREAM_TYPE = "log"
STREAM_ID = uuid5(UUID("3f1b5b4e-5d0c-5c0e-9c55-6f6c6c0a7a04"), STREAM_TYPE)
"""Of the one stream there is of this kind."""


class LogRecovered(Event, frozen=True, kw_only=True):
    """The database was restored to an earlier moment, and the log goes on from there as another
    incarnation, whose id is that of this event: what the one before had behind position `after` is
    not in it. Version 1 said `commands_acknowledged`, the last one that was answered."""

    type: ClassVar[str] = "log.recovered"
    schema: ClassVar[int] = 2

    previous: UUID | None
    """The incarnation before; None when nothing was left of it."""
    after: int
    commands_up_to: int
    """The last message that LEDGER_COMMANDS had: up to there commands are decided, again or for the
    first time, before the recovery is over."""
    seals: int | None = None
    """The number of the newest seal that was left: further ones that were kept outside are lost."""
    actor: str
    reason: str


# --- older schemas --------------------------------------------------------------------


def _recovered_1(data: dict[str, Any]) -> dict[str, Any]:
    """What was answered is the least that has to be decided again."""
    return data | {"commands_up_to": data.pop("commands_acknowledged", 0)}


UPCASTERS = {("log.recovered", 1): _recovered_1}
"""(event type, version the payload has) -> the step to the next version."""
