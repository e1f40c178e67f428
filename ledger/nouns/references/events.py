"""References: the names that the world has for movements of money.

A cash flow has its `flow_id`, a deposit or withdrawal the bank's reference or the transaction's
hash, a transfer between accounts an id on both sides. Whoever tells of a movement again, under
another command id or from another source, uses the same name: so it is known.
"""

from decimal import Decimal
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

import msgspec

from ledger.kernel.event import Event


class ReferenceScope(StrEnum):
    """What a reference is unique among, in its account."""

    CASH_FLOW = "CASH_FLOW"
    DEPOSIT = "DEPOSIT"
    WITHDRAWAL = "WITHDRAWAL"
    ARRIVAL = "ARRIVAL"
    """A transfer, where it comes in."""
    DEPARTURE = "DEPARTURE"
    """A transfer, where it goes out."""


class ToldMovement(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A movement as somebody told it: what must be equal for it to be the same."""

    kind: str
    asset: str
    amount: Decimal
    sub_account: str | None = None
    instrument: str | None = None
    position_side: str | None = None
    counter_asset: str | None = None
    counter_amount: Decimal | None = None
    fee: Decimal | None = None
    fee_asset: str | None = None


class ReferenceEvent(Event, frozen=True, kw_only=True):
    account_id: UUID
    scope: ReferenceScope
    reference: str
    movement: ToldMovement


class ReferenceRecorded(ReferenceEvent, frozen=True, kw_only=True):
    """A movement was recorded under this name."""

    type: ClassVar[str] = "reference.recorded"


class ReferenceRepeated(ReferenceEvent, frozen=True, kw_only=True):
    """A movement was told under a name that another one has; no money moved."""

    type: ClassVar[str] = "reference.repeated"
