"""Who asks: a person who signed in, or a program with a token of theirs.

    role     ADMIN     all there is, and who may do what
             TRADER    own accounts, and requests about their orders
             VIEWER    own accounts
             AUDITOR   everything, and changes nothing
             OPERATOR  everything, and what keeps the ledger going
    scopes   what a token may at most; a person at the console has all of them

Which database role a request runs as follows from the role (`OF_DATABASE`); what it may do, from
one table (rights.py).
"""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from ledger.operate.roles import AUDITOR


class Role(StrEnum):
    """What a person is here."""

    ADMIN = "ADMIN"
    TRADER = "TRADER"
    VIEWER = "VIEWER"
    AUDITOR = "AUDITOR"
    OPERATOR = "OPERATOR"


class Scope(StrEnum):
    """What a token may at most be used for."""

    READ = "read"
    TRADE = "trade"
    RISK = "risk"
    ADMIN = "admin"


USER = "ledger_user"
"""The database role that sees the rows of one user."""
OF_DATABASE = {
    Role.ADMIN: AUDITOR,
    Role.TRADER: USER,
    Role.VIEWER: USER,
    Role.AUDITOR: AUDITOR,
    Role.OPERATOR: AUDITOR,
}
"""As which database role a person's questions are asked. None of them changes anything."""
OF_ONE_USER = frozenset({Role.TRADER, Role.VIEWER})
"""Roles that belong to a user of the ledger, whose rows they see."""
ALL_SCOPES = frozenset(Scope)


@dataclass(frozen=True)
class Person:
    """Who asks. `user_id` is the user whose rows are seen, None for those who see all rows.
    `key` tells sessions and tokens apart, for limits and logs; it opens nothing."""

    name: str
    role: Role
    key: str
    user_id: UUID | None = None
    scopes: frozenset[Scope] = ALL_SCOPES
    csrf: str | None = None
    """Of a session: what its forms carry. None for a token, which no browser sends by itself."""
