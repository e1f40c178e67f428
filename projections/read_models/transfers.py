"""`transfers`: what went from one account to another, both sides together.

Each side is told by itself: a withdrawal of one account, a deposit of the other, with one
`transfer_id`. What has left and not come is in the book `transit:<transfer_id>` of the accounts;
here is since when. What comes in parts, or is less than was sent, shows in `difference`.

Each account has a row of its own, so whoever may see one account sees its side of the transfer:
both rows say the same but for whose they are.
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from ledger.kernel.money import ZERO
from ledger.nouns.accounts.events import (
    AccountDeposited,
    AccountWithdrawn,
    OuterMovement,
    transit_book,
)
from projections.engine.live.rows import RowSet
from projections.engine.projection import Key, Projection, Recorded, Row, Table
from projections.questions.question import Question, ascending, between, exactly, newest_first


class TransferDirection(StrEnum):
    OUT = "OUT"
    IN = "IN"


class TransferStatus(StrEnum):
    UNDER_WAY = "UNDER_WAY"
    """It has left, and nothing has come."""
    ARRIVED = "ARRIVED"
    UNSENT = "UNSENT"
    """It has come, and nobody has said that it left."""


class TransferSide(Row, kw_only=True):
    transfer_id: str
    asset: str
    account_id: UUID
    direction: TransferDirection
    user_id: UUID | None
    other_account_id: UUID | None
    status: TransferStatus
    sent: Decimal
    received: Decimal
    difference: Decimal
    begun_at: datetime
    sent_at: datetime | None
    arrived_at: datetime | None
    updated_at: datetime
    last_position: int


class WholeTransfer(Row):
    """What both sides have told, and whose they are: direction -> [account, user]."""

    transfer_id: str
    asset: str
    sent: Decimal
    received: Decimal
    sent_at: datetime | None
    arrived_at: datetime | None
    sides: dict[str, list[str | None]]


TRANSFERS = Table(
    "transfers", TransferSide, key=("transfer_id", "asset", "account_id", "direction")
)
WHOLE = Table("whole_transfers", WholeTransfer, key=("transfer_id", "asset"), private=True)


def _left(recorded: Recorded, event: AccountWithdrawn, rows: RowSet) -> None:
    if event.transfer_id is None:
        return
    whole = _whole(event, rows)
    whole.sent += _in_transit(event)
    whole.sent_at = min(whole.sent_at or recorded.occurred_at, recorded.occurred_at)
    _tell(recorded, whole, TransferDirection.OUT, rows)


def _arrived(recorded: Recorded, event: AccountDeposited, rows: RowSet) -> None:
    if event.transfer_id is None:
        return
    whole = _whole(event, rows)
    whole.received -= _in_transit(event)
    whole.arrived_at = max(whole.arrived_at or recorded.occurred_at, recorded.occurred_at)
    _tell(recorded, whole, TransferDirection.IN, rows)


def _whole(event: OuterMovement, rows: RowSet) -> WholeTransfer:
    assert event.transfer_id is not None
    whole = rows[WHOLE].change((event.transfer_id, event.asset))
    if whole is None:
        whole = WholeTransfer(event.transfer_id, event.asset, ZERO, ZERO, None, None, {})
        rows[WHOLE].insert(whole)
    return whole


def _in_transit(event: OuterMovement) -> Decimal:
    """What the book of the transfer gains."""
    book = transit_book(event.transfer_id or "")
    return sum((one.amount for one in event.postings if one.book == book), ZERO)


def _tell(
    recorded: Recorded, whole: WholeTransfer, direction: TransferDirection, rows: RowSet
) -> None:
    """Writes the rows of all sides. The newest account of a direction is the one that is named."""
    user = None if recorded.user_id is None else str(recorded.user_id)
    whole.sides = {**whole.sides, direction.value: [str(recorded.stream_id), user]}
    begun_at = whole.sent_at or whole.arrived_at
    assert begun_at is not None
    for one in TransferDirection:
        if one not in whole.sides:
            continue
        account, user = whole.sides[one]
        other = TransferDirection.IN if one is TransferDirection.OUT else TransferDirection.OUT
        other_account = whole.sides.get(other, [None])[0]
        rows[TRANSFERS].put(
            TransferSide(
                transfer_id=whole.transfer_id,
                asset=whole.asset,
                account_id=UUID(account),
                direction=one,
                user_id=None if user is None else UUID(user),
                other_account_id=None if other_account is None else UUID(other_account),
                status=_status(whole),
                sent=whole.sent,
                received=whole.received,
                difference=whole.sent - whole.received,
                begun_at=begun_at,
                sent_at=whole.sent_at,
                arrived_at=whole.arrived_at,
                updated_at=recorded.recorded_at,
                last_position=recorded.position,
            )
        )


def _status(whole: WholeTransfer) -> TransferStatus:
    if whole.arrived_at is None:
        return TransferStatus.UNDER_WAY
    return TransferStatus.UNSENT if whole.sent_at is None else TransferStatus.ARRIVED


def _keys(recorded: Recorded, event: OuterMovement) -> Iterable[tuple[Table[Any], Key]]:  # noqa: ARG001
    if event.transfer_id is None:
        return ()
    return ((WHOLE, (event.transfer_id, event.asset)),)


PROJECTION = Projection(
    name="transfers",
    version=1,
    tables=(TRANSFERS, WHOLE),
    folds={AccountWithdrawn: _left, AccountDeposited: _arrived},
    keys=_keys,
)  # not by_stream: a transfer is of two accounts

QUESTIONS = (
    Question(
        name="transfers",
        table=TRANSFERS,
        about="A transfer between accounts, as one of them has it; the newest first.",
        paths=(
            newest_first("account_id", "begun_at", "transfer_id", "asset", "direction"),
            newest_first("user_id", "begun_at", "transfer_id", "asset", "account_id", "direction"),
            ascending("transfer_id", "asset", "account_id", "direction"),
        ),
        filters=(
            exactly("status"),
            exactly("asset"),
            exactly("direction"),
            *between("begun_at"),
        ),
        shown=("begun_at", "direction", "status", "asset", "sent", "difference", "transfer_id"),
    ),
)
