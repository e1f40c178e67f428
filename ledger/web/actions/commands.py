"""Actions that are commands: sent over the bus with who is signed in, and decided by the ledger."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from ledger.kernel.command import REJECTED, UNKNOWN, Outcome
from ledger.nouns.limits.terms import LimitMeasure, LimitScope
from ledger.web.actions.action import (
    Action,
    ActionArgument,
    ActionPreview,
    ActionRequest,
    ActionResult,
    ArgumentKind,
)
from ledger.web.answers import NotVisible, Reading
from ledger.web.person import OF_ONE_USER
from ledger.web.problems import Problem

if TYPE_CHECKING:
    from ledger.web.application import Web

MOST_ORDERS = 500
"""Orders that are asked to be cancelled at once; more are named by a narrower filter, or halted."""
WAIT_SECONDS = 5.0
"""How long the result of an action waits for its outcome: a person looks on."""
ACCOUNT = ActionArgument("account_id", "Account", ArgumentKind.ID)
INSTRUMENT = ActionArgument("instrument", "Instrument", required=False)

Sending = tuple[str, UUID | None, Mapping[str, Any]]
"""A command's type, its account, its data."""


def _order(reading: Reading, order_id: UUID) -> Mapping[str, Any]:
    """Raises NotVisible."""
    rows = reading.ask("order", {"order_id": order_id}).rows
    if not rows:
        raise NotVisible(f"there is no order {order_id}, or it is not visible to you")
    return rows[0]


def _open_orders(reading: Reading, arguments: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Raises NotVisible for an account that is not one's own, and Problem where there are more."""
    account: UUID = arguments["account_id"]
    with reading.of_account(account):
        pass
    filters = {"account_id": account, "status": "OPEN"}
    if arguments.get("instrument"):
        filters["instrument"] = arguments["instrument"]
    found: list[Mapping[str, Any]] = []
    after = None
    while True:
        page = reading.ask("orders", filters, limit=MOST_ORDERS, after=after)
        found += page.rows
        if page.next is None:
            return found
        if len(found) >= MOST_ORDERS:
            raise Problem(
                "TOO_LARGE",
                f"there are more than {MOST_ORDERS} open orders: cancel them by instrument, and "
                "halt the account first",
            )
        after = page.next


def _said(order: Mapping[str, Any]) -> str:
    return f"{order['side']} {order['quantity']} {order['instrument']} ({order['status']})"


# --- sending ----------------------------------------------------------------------------


async def _sent(web: "Web", request: ActionRequest, sending: Sending, command_id: UUID) -> Outcome:
    command_type, account_id, data = sending
    return await web.commands.send(
        request.person,
        command_type,
        data,
        account_id=account_id,
        command_id=command_id,
        wait_seconds=WAIT_SECONDS,
        correlation_id=request.command_id,
    )


def result_of(outcome: Outcome, command_id: UUID) -> ActionResult:
    """An outcome as the result of an action."""
    message = outcome.message
    if outcome.status == UNKNOWN:
        message = "it is sent, and not decided yet: its outcome can be asked for"
    elif outcome.code is not None:
        message = f"{outcome.code}: {outcome.message}"
    events = [{"id": one.id, "type": one.type, "position": one.position} for one in outcome.events]
    return ActionResult(outcome.status, command_id, outcome.position, message, {"events": events})


Makes = Callable[[Reading, Mapping[str, Any], str], Sending]
"""The command of some arguments and a reason. Raises what says that it may not be."""
Says = Callable[[Reading, Mapping[str, Any]], list[str]]


def _one_command(
    name: str,
    title: str,
    about: str,
    arguments: tuple[ActionArgument, ...],
    makes: Makes,
    says: Says,
    *,
    approval: Callable[[Mapping[str, Any]], bool] = lambda _: False,
) -> Action:
    """An action that sends one command."""

    def foresees(reading: Reading, given: Mapping[str, Any]) -> ActionPreview:
        command_type, account_id, data = makes(reading, given, "…")
        command = {"type": command_type, "account_id": account_id, "data": data}
        return ActionPreview(says(reading, given), (command,), needs_approval=approval(given))

    async def does(web: "Web", request: ActionRequest) -> ActionResult:
        sending = await web.read_as(
            request.person, lambda reading: makes(reading, request.arguments, request.reasons)
        )
        outcome = await _sent(web, request, sending, request.command_id)
        return result_of(outcome, request.command_id)

    return Action(name, title, about, arguments, foresees, does)


# --- orders -----------------------------------------------------------------------------


def _cancel(reading: Reading, given: Mapping[str, Any], reason: str) -> Sending:
    order = _order(reading, given["order_id"])
    data = {"order_id": str(given["order_id"]), "reason": reason}
    return "RequestCancel", order["account_id"], data


def _cancel_says(reading: Reading, given: Mapping[str, Any]) -> list[str]:
    order = _order(reading, given["order_id"])
    return [f"The venue is asked to cancel {_said(order)}.", "What is filled meanwhile stays."]


def _cancels_foreseen(reading: Reading, given: Mapping[str, Any]) -> ActionPreview:
    orders = _open_orders(reading, given)
    where = f" in {given['instrument']}" if given.get("instrument") else ""
    effect = [f"The venue is asked to cancel {len(orders)} open orders{where}."]
    sends = [
        {"type": "RequestCancel", "account_id": one["account_id"], "data": {
            "order_id": one["order_id"]}}
        for one in orders
    ]  # fmt: skip
    return ActionPreview([*effect, *map(_said, orders[:20])], sends)


async def _cancels(web: "Web", request: ActionRequest) -> ActionResult:
    orders = await web.read_as(
        request.person, lambda reading: _open_orders(reading, request.arguments)
    )
    counts: dict[str, int] = {}
    position = None
    for order in orders:
        order_id: UUID = order["order_id"]
        data = {"order_id": str(order_id), "reason": request.reasons}
        sending: Sending = ("RequestCancel", order["account_id"], data)
        # The same order of the same request has the same id, however often it is sent.
        outcome = await _sent(web, request, sending, uuid5(request.command_id, str(order_id)))
        counts[outcome.status] = counts.get(outcome.status, 0) + 1
        position = max(position or 0, outcome.position or 0) or position
    told = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    status = "DONE" if set(counts) <= {"ACCEPTED", REJECTED} else UNKNOWN
    message = told or "there was nothing to cancel"
    return ActionResult(status, request.command_id, position, message, {"orders": counts})


# --- halts and limits -------------------------------------------------------------------


def _scope(reading: Reading, given: Mapping[str, Any]) -> dict[str, Any]:
    """Raises NotVisible, Problem: a user halts own accounts alone."""
    scope, reference = given["scope"], given.get("reference") or None
    if reading.person.role in OF_ONE_USER:
        if scope != LimitScope.ACCOUNT.value:
            raise Problem("FORBIDDEN", "you may halt your own accounts, and nothing else")
        try:
            account = UUID(str(reference))
        except ValueError:
            raise Problem("INVALID_REQUEST", "reference must be the account's id") from None
        with reading.of_account(account):
            pass
    return {"scope": scope} | ({} if reference is None else {"reference": reference})


def _of_scope(given: Mapping[str, Any]) -> str:
    return " ".join(str(given[name]) for name in ("scope", "reference") if given.get(name))


SCOPE = (
    ActionArgument("scope", "Scope", ArgumentKind.CHOICE, tuple(one.value for one in LimitScope)),
    ActionArgument("reference", "Which (account, user, strategy, instrument)", required=False),
)
LIMIT = ActionArgument("limit_id", "Limit", ArgumentKind.ID)


def _set_limit(reading: Reading, given: Mapping[str, Any], reason: str) -> Sending:
    data = _scope(reading, given) | {
        "limit_id": str(given["limit_id"]),
        "measure": given["measure"],
        "value": given["value"],
        "unit": given["unit"],
        "description": reason,
    }
    for name in ("warning_threshold", "window"):
        if given.get(name):
            data[name] = given[name]
    return "SetLimit", None, data


# --- money ------------------------------------------------------------------------------


def _adjust(reading: Reading, given: Mapping[str, Any], reason: str) -> Sending:
    with reading.of_account(given["account_id"]):
        pass
    data = {
        "asset": given["asset"],
        "amount": given["amount"],
        "sub_account": given.get("sub_account") or "main",
        "reason": reason,
    }
    return "AdjustBalance", given["account_id"], data


def _adjust_says(reading: Reading, given: Mapping[str, Any]) -> list[str]:
    asked = {"account_id": given["account_id"], "asset": given["asset"]}
    sub_account = given.get("sub_account") or "main"
    rows = [one for one in reading.ask("balances", asked).rows if one["sub_account"] == sub_account]
    before = rows[0]["total"] if rows else 0
    return [
        f"The balance of {given['asset']} in {sub_account}, now {before}, changes by "
        f"{given['amount']}.",
        "It is booked against `external`, with your name, the approver's and the reason.",
    ]


# --- alerts -----------------------------------------------------------------------------


def _alert(command_type: str, reason_field: str) -> Makes:
    def makes(reading: Reading, given: Mapping[str, Any], reason: str) -> Sending:
        rows = reading.ask("alerts", {"alert_id": given["alert_id"]}).rows
        if not rows:
            raise NotVisible(f"there is no alert {given['alert_id']}")
        data = {"alert_id": str(given["alert_id"]), reason_field: reason}
        return command_type, None, data

    return makes


def _alert_says(reading: Reading, given: Mapping[str, Any]) -> list[str]:
    rows = reading.ask("alerts", {"alert_id": given["alert_id"]}).rows
    if not rows:
        raise NotVisible(f"there is no alert {given['alert_id']}")
    return [f"{rows[-1]['severity']}: {rows[-1]['title']} ({rows[-1]['status']})"]


def actions() -> Iterator[Action]:
    """All of this file."""
    yield from _of_orders()
    yield from _of_halts()
    yield from _of_limits()
    yield _one_command(
        "adjust",
        "Adjust a balance",
        "Books what nothing else explains; needs another person.",
        (
            ACCOUNT,
            ActionArgument("asset", "Asset"),
            ActionArgument("amount", "Amount (signed)", ArgumentKind.AMOUNT),
            ActionArgument("sub_account", "Sub-account", required=False),
        ),
        _adjust,
        _adjust_says,
        approval=lambda _: True,
    )
    yield from _of_alerts()


def _of_orders() -> Iterator[Action]:
    yield _one_command(
        "cancel_order",
        "Cancel an order",
        "Asks the venue to cancel an order.",
        (ActionArgument("order_id", "Order", ArgumentKind.ID),),
        _cancel,
        _cancel_says,
    )
    yield Action(
        "cancel_orders",
        "Cancel open orders",
        "Asks the venue to cancel the open orders of an account.",
        (ACCOUNT, INSTRUMENT),
        _cancels_foreseen,
        _cancels,
    )


def _of_halts() -> Iterator[Action]:
    yield _one_command(
        "halt",
        "Halt trading",
        "Nothing that raises exposure is accepted any more; exits are.",
        SCOPE,
        lambda reading, given, reason: (
            "Halt",
            None,
            _scope(reading, given) | {"reason": reason},
        ),
        lambda _, given: [
            f"Orders that raise exposure are refused in {_of_scope(given)} from the next batch on.",
            "Exits are accepted. Orders that are open stay: cancel them beside.",
        ],
    )
    yield _one_command(
        "resume",
        "Resume trading",
        "Takes a halt back.",
        SCOPE,
        lambda reading, given, reason: (
            "Resume",
            None,
            _scope(reading, given) | {"reason": reason},
        ),
        lambda _, given: [f"Orders are accepted again in {_of_scope(given)}, within the limits."],
        approval=lambda given: given["scope"] == LimitScope.SYSTEM.value,
    )


def _of_alerts() -> Iterator[Action]:
    alert = (ActionArgument("alert_id", "Alert", ArgumentKind.ID),)
    yield _one_command(
        "acknowledge_alert",
        "Acknowledge an alert",
        "Says that somebody sees to it.",
        alert,
        _alert("AcknowledgeAlert", "note"),
        _alert_says,
    )
    yield _one_command(
        "resolve_alert",
        "Resolve an alert",
        "Says that its cause is gone.",
        alert,
        _alert("ResolveAlert", "reason"),
        _alert_says,
    )


def _of_limits() -> Iterator[Action]:
    yield _one_command(
        "set_limit",
        "Set a limit",
        "Sets a limit; what would allow more waits for another person (approve_limit).",
        (
            LIMIT,
            *SCOPE,
            ActionArgument(
                "measure", "Measure", ArgumentKind.CHOICE, tuple(one.value for one in LimitMeasure)
            ),
            ActionArgument("value", "Value", ArgumentKind.AMOUNT),
            ActionArgument("unit", "Unit"),
            ActionArgument(
                "warning_threshold", "Warning from", ArgumentKind.AMOUNT, required=False
            ),
            ActionArgument("window", "Window", required=False),
        ),
        _set_limit,
        lambda _, given: [
            f"{given['measure']} of {_of_scope(given)} is at most {given['value']} {given['unit']}."
        ],
    )
    yield _one_command(
        "approve_limit",
        "Approve a limit",
        "Lets a limit that waits take effect: another person than who set it.",
        (LIMIT,),
        lambda _, given, __: ("ApproveLimit", None, {"limit_id": str(given["limit_id"])}),
        lambda _, given: [f"What waits of limit {given['limit_id']} takes effect."],
    )
    yield _one_command(
        "remove_limit",
        "Remove a limit",
        "Asks for a limit to be removed, which another person approves.",
        (LIMIT,),
        lambda _, given, __: ("RemoveLimit", None, {"limit_id": str(given["limit_id"])}),
        lambda _, given: [f"Limit {given['limit_id']} is gone once another person approves it."],
    )
