"""`accounts`: every exchange account and whether it may trade."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from ledger.nouns.accounts.events import (
    AccountClosed,
    AccountHalted,
    AccountOpened,
    AccountReactivated,
    AccountStatus,
    AccountSuspended,
    AccountType,
    CostBasis,
    Environment,
    PositionMode,
)
from ledger.nouns.accounts.state import STATUS_AFTER
from projections.engine.live.row_change import changed
from projections.engine.live.rows import RowSet
from projections.engine.projection import Key, Projection, Recorded, Row, Table
from projections.questions.question import Question, ascending, exactly


class Account(Row, kw_only=True):
    account_id: UUID
    user_id: UUID
    exchange: str
    account_name: str
    account_type: AccountType
    environment: Environment
    base_currency: str
    status: AccountStatus
    status_reason: str | None
    created_at: datetime
    updated_at: datetime
    last_position: int
    cost_basis: CostBasis
    position_mode: PositionMode


ACCOUNTS = Table("accounts", Account, key=("account_id",))


def _opened(recorded: Recorded, event: AccountOpened, rows: RowSet) -> None:
    rows[ACCOUNTS].insert(
        Account(
            account_id=recorded.stream_id,
            user_id=event.user_id,
            exchange=event.exchange,
            account_name=event.name,
            account_type=event.account_type,
            environment=event.environment,
            base_currency=event.base_currency,
            cost_basis=event.cost_basis,
            position_mode=event.position_mode,
            status=AccountStatus.ACTIVE,
            status_reason=None,
            created_at=recorded.occurred_at,
            updated_at=recorded.recorded_at,
            last_position=recorded.position,
        )
    )


def _status_changed(
    recorded: Recorded,
    event: AccountSuspended | AccountHalted | AccountReactivated | AccountClosed,
    rows: RowSet,
) -> None:
    row = changed(recorded, ACCOUNTS, recorded.stream_id, rows)
    row.status = STATUS_AFTER[type(event)]
    row.status_reason = event.reason


def _keys(recorded: Recorded, event: Any) -> Iterable[tuple[Table[Any], Key]]:  # noqa: ARG001
    return ((ACCOUNTS, recorded.stream_id),)


PROJECTION = Projection(
    name="accounts",
    version=2,
    tables=(ACCOUNTS,),
    folds={
        AccountOpened: _opened,
        **dict.fromkeys(STATUS_AFTER, _status_changed),
    },
    keys=_keys,
    by_stream=True,
)

QUESTIONS = (
    Question(
        name="accounts",
        table=ACCOUNTS,
        about="An exchange account, and whether it may trade.",
        paths=(
            ascending("account_id", "account_id"),
            ascending("user_id", "account_id"),
            ascending(None, "account_id"),
        ),
        filters=(exactly("status"), exactly("environment"), exactly("exchange")),
        shown=(
            *("account_id", "account_name", "exchange", "status", "environment"),
            *("base_currency", "account_type", "created_at"),
        ),
    ),
)
