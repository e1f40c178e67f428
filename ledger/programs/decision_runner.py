"""Batches become outcomes, whatever goes wrong: the worker's way to `Ledger`.

    decide    ahead, while the batch before commits; a failure here is no news, `commit` asks again
    commit    with patience: until the database is there; decided again where it was not kept

A batch that cannot be recorded is halved, and each half that cannot, until the commands at fault
are alone: of five hundred commands, one at fault costs the others nine commits.

A command that fails through a fault of ours (FAILED) is tried again later, a few times, and then
set aside: its outcome is recorded and answered. One that needs a stream which cannot be read is set
aside at once.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
import structlog

from ledger.bus.delivery import Delivery
from ledger.eventstore.store import VersionConflict
from ledger.kernel.command import FAILED, Command, InvalidCommand, Outcome
from ledger.kernel.rejection import GeneralRejection
from ledger.programs.partition_leases import LeaseLost
from ledger.subscriptions.retry import Patience
from ledger.write.ledger import Decision, Fence, Ledger

Batch = Sequence[Delivery]
Keep = Callable[[psycopg.Cursor[Any], Batch, Sequence[Outcome]], None]
"""Keeps, in the transaction of the outcomes, what of a batch a person must look at."""

_log = structlog.get_logger(__name__)


class Decisions:
    """Of one worker."""

    def __init__(self, ledger: Ledger, patience: Patience, max_deliver: int, keep: Keep) -> None:
        self._ledger = ledger
        self._patience = patience
        self._max_deliver = max_deliver
        self._keep = keep
        self.out_of_step = False
        """A batch is decided again, or was not decided ahead: what is decided before it is
        committed would be decided in vain, and so would all that follows."""

    def is_last_try(self, one: Delivery) -> bool:
        return one.tries >= self._max_deliver

    async def decide(self, batch: Batch) -> Decision | None:
        """None when that is not possible now."""
        commands = [one.command for one in batch]
        try:
            return await asyncio.to_thread(self._ledger.decide, commands)
        except Exception as fault:  # noqa: BLE001 - whatever it is, it comes again
            _log.info("not_decided_ahead", commands=len(batch), error=str(fault).strip())
            self.out_of_step = True
            return None

    async def commit(
        self, batch: Batch, decision: Decision | None, fence: Fence
    ) -> list[Outcome] | None:
        """One outcome per delivery; None when stopped before there were any. Raises LeaseLost."""
        try:
            return await self._record(batch, decision, fence)
        except LeaseLost:
            raise
        except Exception as fault:  # noqa: BLE001 - whatever it is, the worker goes on
            if len(batch) == 1:
                _log.exception("command_not_recorded", command_id=str(batch[0].command.id))
                return [_unrecorded(batch[0].command, fault)]
            _log.warning("batch_halved", commands=len(batch), fault=" ".join(str(fault).split()))
        half = len(batch) // 2
        first = await self.commit(batch[:half], None, fence)
        second = None if first is None else await self.commit(batch[half:], None, fence)
        return None if first is None or second is None else first + second

    async def _record(
        self, batch: Batch, decision: Decision | None, fence: Fence
    ) -> list[Outcome] | None:
        commands = [one.command for one in batch]
        last_tries = frozenset(
            one.command.id for one in batch if self.is_last_try(one) and one.command.id is not None
        )
        decided_ahead = [decision] if decision is not None else []

        def keep(cursor: psycopg.Cursor[Any], outcomes: Sequence[Outcome]) -> None:
            self._keep(cursor, batch, outcomes)

        def record() -> list[Outcome]:
            if decided_ahead:
                try:
                    return self._ledger.commit(decided_ahead.pop(), last_tries, fence, keep)
                except VersionConflict:  # it is decided again
                    self.out_of_step = True
                except BaseException:
                    self.out_of_step = True
                    raise
            return self._ledger.execute(commands, None, last_tries, fence, keep)

        return await self._patience.until_done(record)


def _unrecorded(command: Command | InvalidCommand, fault: Exception) -> Outcome:
    return Outcome(
        command_id=command.id,
        status=FAILED,
        code=GeneralRejection.NOT_RECORDED.value,
        message=f"{type(fault).__name__}: the ledger could not record this; it was set aside",
    )
