"""What operators do with read models, failed commands and the log: on the database as operator,
told in the log with who and why. One at a time: each may read the whole log."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

import nats.errors
import psycopg

from ledger.audit.prove.verify import verify_database
from ledger.bus.connection import connect_once
from ledger.bus.security import BusSecurity
from ledger.kernel import read_side
from ledger.kernel.command import Outcome
from ledger.kernel.errors import LedgerError
from ledger.operate.servers import find_nats
from ledger.programs.operator_retry import retry as send_again
from ledger.web.actions.action import (
    Action,
    ActionArgument,
    ActionPreview,
    ActionRequest,
    ActionResult,
    ArgumentKind,
)
from ledger.web.actions.commands import WAIT_SECONDS, result_of
from ledger.web.answers import NotVisible, Reading
from ledger.write import failed_commands

if TYPE_CHECKING:
    from ledger.web.application import Web

DONE, FAILED = "DONE", "FAILED"
PROJECTION = ActionArgument("projection", "Read model")
LETTER = ActionArgument("letter_id", "Dead letter", ArgumentKind.ID)
COMMAND = ActionArgument("failed_id", "Failed command", ArgumentKind.ID)

_STATUS = """
    SELECT status, last_processed_position, generation FROM public.event_projections
    WHERE projection_name = %s"""
_LETTER = """
    SELECT projection_name, event_type, position, error FROM public.projection_dead_letters
    WHERE id = %s AND status = 'PARKED'"""
_FAILED = """
    SELECT command_type, code, message, tries FROM public.failed_commands
    WHERE command_id = %s AND status = 'FAILED' ORDER BY id DESC LIMIT 1"""


def _projection_foreseen(effect: str, *, approval: bool = False) -> Callable[..., ActionPreview]:
    def foresees(reading: Reading, given: Mapping[str, Any]) -> ActionPreview:
        row = reading.connection.execute(_STATUS, [given["projection"]]).fetchone()
        if row is None:
            raise NotVisible(f"there is no read model {given['projection']}")
        now = f"{given['projection']} is {row[0]} at position {row[1]}, generation {row[2]}."
        return ActionPreview([now, effect], confirm=given["projection"] if approval else None,
                       needs_approval=approval)  # fmt: skip

    return foresees


def _letter_foreseen(effect: str, *, forever: bool = False) -> Callable[..., ActionPreview]:
    def foresees(reading: Reading, given: Mapping[str, Any]) -> ActionPreview:
        row = reading.connection.execute(_LETTER, [given["letter_id"]]).fetchone()
        if row is None:
            raise NotVisible(f"{given['letter_id']} is not parked")
        now = f"{row[0]} parked {row[1]} of position {row[2]}: {row[3]}"
        return ActionPreview([now, effect], confirm=row[0] if forever else None)

    return foresees


def _failed_foreseen(effect: str) -> Callable[..., ActionPreview]:
    def foresees(reading: Reading, given: Mapping[str, Any]) -> ActionPreview:
        row = reading.connection.execute(_FAILED, [given["failed_id"]]).fetchone()
        if row is None:
            raise NotVisible(f"command {given['failed_id']} does not wait for a decision")
        return ActionPreview([f"{row[0]} failed {row[3]} times with {row[1]}: {row[2]}", effect])

    return foresees


def _log_foreseen(reading: Reading, given: Mapping[str, Any]) -> ActionPreview:
    standing = reading.standing()
    first, last = given.get("first") or 1, given.get("last") or standing.sealed_to
    return ActionPreview([f"Positions {first} to {last} are held against their seals."])


def _deed(name: str) -> Callable[["Web", ActionRequest], Any]:
    """One that the read side brings."""

    async def does(web: "Web", request: ActionRequest) -> ActionResult:
        def work() -> dict[str, Any]:
            deed = read_side.deeds()[name]
            return deed(
                web.database.operator_url,
                **request.arguments,
                actor=request.person.name,
                reason=request.reasons,
            )

        return await _done(web, request, work)

    return does


async def _done(
    web: "Web", request: ActionRequest, work: Callable[[], dict[str, Any]]
) -> ActionResult:
    """The result of what is done in a thread, alone."""
    try:
        details = await web.alone(work)
    except (LedgerError, psycopg.Error) as error:
        return ActionResult(FAILED, request.command_id, message=str(error).strip())
    position = await web.read_as(request.person, lambda reading: reading.standing().head)
    return ActionResult(DONE, request.command_id, position, details=details)


async def _dismiss(web: "Web", request: ActionRequest) -> ActionResult:
    failed: UUID = request.arguments["failed_id"]

    def work() -> dict[str, Any]:
        with web.database.operating() as connection, connection.transaction():
            failed_commands.settle(
                connection, failed, "DISMISSED", by=request.person.name, reason=request.reasons
            )
        return {"command_id": failed, "outcome": "FAILED"}

    return await _done(web, request, work)


async def _retry(web: "Web", request: ActionRequest) -> ActionResult:
    failed: UUID = request.arguments["failed_id"]
    settings = web.settings

    async def work() -> Outcome:
        bus = await connect_once(
            find_nats(settings),
            "web retry",
            security=BusSecurity.of(settings),
            timeout=WAIT_SECONDS,
        )
        try:
            with web.database.operating() as connection:
                return await send_again(
                    connection,
                    bus,
                    failed,
                    by=request.person.name,
                    reason=request.reasons,
                    timeout=WAIT_SECONDS,
                )
        finally:
            await bus.close()

    try:  # in a loop of its own: the database holds up nobody else's request
        outcome = await web.alone(lambda: asyncio.run(work()))
    except (LedgerError, psycopg.Error, nats.errors.Error, OSError) as error:
        return ActionResult(FAILED, request.command_id, message=str(error).strip())
    return result_of(outcome, failed)


async def _verify_log(web: "Web", request: ActionRequest) -> ActionResult:
    def work() -> dict[str, Any]:
        given = request.arguments
        verdict = verify_database(
            web.database.auditor_url,
            first=given.get("first") or 1,
            last=given.get("last"),
            processes=1,
        )
        return {
            "standing": verdict.standing,
            "first_position": verdict.first_position,
            "last_position": verdict.last_position,
            "events": verdict.events,
            "seals": verdict.seals,
            "held_to": verdict.held_to,
            "findings": [one.message for one in verdict.findings],
        }

    return await _done(web, request, work)


def actions() -> Iterator[Action]:
    """All of this file."""
    yield from _of_projections()
    yield from _of_letters()
    yield from _of_commands()
    yield Action(
        "verify_log",
        "Verify the log",
        "Holds the log against its seals.",
        (
            ActionArgument("first", "From position", ArgumentKind.POSITION, required=False),
            ActionArgument("last", "To position", ArgumentKind.POSITION, required=False),
        ),
        _log_foreseen,
        _verify_log,
    )


def _of_projections() -> Iterator[Action]:
    of_projection = (PROJECTION,)
    for name, title, effect in (
        ("pause_projection", "Pause a read model", "It stops at a batch boundary, and stays."),
        ("resume_projection", "Resume a read model", "It goes on where it stopped."),
        (
            "verify_projection",
            "Verify a read model",
            "Everything is folded again and compared; nothing changes.",
        ),
        (
            "rebuild_projection",
            "Rebuild a read model",
            "Its tables are made anew beside the live ones, and swapped in if they are equal.",
        ),
        ("rollback_projection", "Roll a read model back", "The tables of before are live again."),
    ):
        yield Action(name, title, effect, of_projection, _projection_foreseen(effect), _deed(name))
    swaps = "Its tables are made anew and swapped in also where rows differ: the old ones are kept."
    yield Action(
        "swap_projection",
        "Swap a read model in with its differences",
        swaps,
        of_projection,
        _projection_foreseen(swaps, approval=True),
        _deed("swap_projection"),
    )


def _of_letters() -> Iterator[Action]:
    retries = "What is parked of its key is folded again, in order."
    yield Action(
        "retry_dead_letter",
        "Retry a dead letter",
        retries,
        (LETTER,),
        _letter_foreseen(retries),
        _deed("retry_dead_letter"),
    )
    skips = "The event is left out for ever, also by every rebuild; later ones of its key go on."
    yield Action(
        "skip_dead_letter",
        "Skip a dead letter",
        skips,
        (LETTER,),
        _letter_foreseen(skips, forever=True),
        _deed("skip_dead_letter"),
    )


def _of_commands() -> Iterator[Action]:
    again = "It is decided after all, under its own id."
    yield Action(
        "retry_command",
        "Retry a failed command",
        again,
        (COMMAND,),
        _failed_foreseen(again),
        _retry,
    )
    never = "It stays undecided for ever: FAILED is its outcome."
    yield Action(
        "dismiss_command",
        "Dismiss a failed command",
        never,
        (COMMAND,),
        _failed_foreseen(never),
        _dismiss,
    )
