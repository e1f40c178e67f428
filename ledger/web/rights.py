"""What each role may do: the one table that pages offer by and that requests are refused by.

An action that is not here is nobody's. What a person may see, the database decides.
"""

from dataclasses import dataclass

from ledger.kernel.command import CommandClass
from ledger.web.person import Person, Role, Scope

_ALL = frozenset(Role)
_DESK = frozenset({Role.TRADER, Role.OPERATOR, Role.ADMIN})
_OPERATORS = frozenset({Role.OPERATOR, Role.ADMIN})
_ADMINS = frozenset({Role.ADMIN})


@dataclass(frozen=True)
class Right:
    """Who may, with which scope a token needs."""

    roles: frozenset[Role]
    scope: Scope


RIGHTS: dict[str, Right] = {
    "read": Right(_ALL, Scope.READ),
    # What the log says of everybody, and not of one's own accounts alone.
    "read_log": Right(frozenset({Role.AUDITOR, Role.OPERATOR, Role.ADMIN}), Scope.READ),
    "end_own_session": Right(_ALL, Scope.READ),
    # Commands as they are, by class.
    "send_trade": Right(frozenset({Role.TRADER, Role.ADMIN}), Scope.TRADE),
    "send_report": Right(_ADMINS, Scope.ADMIN),
    "send_money": Right(_ADMINS, Scope.ADMIN),
    "send_admin": Right(_ADMINS, Scope.ADMIN),
    "end_session": Right(_ADMINS, Scope.ADMIN),
    "revoke_token": Right(_ADMINS, Scope.ADMIN),
    # What is previewed first (`ledger/web/actions`).
    "approve": Right(_OPERATORS, Scope.RISK),
    "cancel_order": Right(_DESK, Scope.TRADE),
    "cancel_orders": Right(_DESK, Scope.TRADE),
    "halt": Right(_DESK, Scope.RISK),
    "resume": Right(_OPERATORS, Scope.RISK),
    "set_limit": Right(_OPERATORS, Scope.RISK),
    "approve_limit": Right(_OPERATORS, Scope.RISK),
    "remove_limit": Right(_OPERATORS, Scope.RISK),
    "acknowledge_alert": Right(_OPERATORS, Scope.RISK),
    "resolve_alert": Right(_OPERATORS, Scope.RISK),
    "adjust": Right(_OPERATORS, Scope.ADMIN),
    "pause_projection": Right(_OPERATORS, Scope.ADMIN),
    "resume_projection": Right(_OPERATORS, Scope.ADMIN),
    "verify_projection": Right(_OPERATORS, Scope.ADMIN),
    "rebuild_projection": Right(_OPERATORS, Scope.ADMIN),
    "swap_projection": Right(_OPERATORS, Scope.ADMIN),
    "rollback_projection": Right(_OPERATORS, Scope.ADMIN),
    "retry_dead_letter": Right(_OPERATORS, Scope.ADMIN),
    "skip_dead_letter": Right(_OPERATORS, Scope.ADMIN),
    "retry_command": Right(_OPERATORS, Scope.ADMIN),
    "dismiss_command": Right(_OPERATORS, Scope.ADMIN),
    "verify_log": Right(_OPERATORS, Scope.ADMIN),
}
"""By action."""

OF_CLASS: dict[CommandClass, str] = {
    "trade": "send_trade",
    "report": "send_report",
    "money": "send_money",
    "admin": "send_admin",
}


def may(person: Person, action: str) -> bool:
    """Whether the person may, with what it is signed in by."""
    right = RIGHTS.get(action)
    return right is not None and person.role in right.roles and right.scope in person.scopes
