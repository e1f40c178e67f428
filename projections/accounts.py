"""`accounts`: every exchange account and whether it may trade."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from ledger.domain import account
from projections.engine.projection import Key, Projection, Row, Table
from projections.engine.rows import RowSet
from projections.engine.source import Recorded


class Account(Row, kw_only=True):
    account_id: UUID
    user_id: UUID
    exchange: str
    account_name: str
    account_type: account.AccountType
    environment: account.Environment
    base_currency: str
    status: account.AccountStatus
    status_reason: str | None
    created_at: datetime
    updated_at: datetime
    last_position: int


ACCOUNTS = Table("accounts", Account, key=("account_id",))


def _opened(recorded: Recorded, event: account.AccountOpened, rows: RowSet) -> None:
    rows[ACCOUNTS].insert(
        Account(
            account_id=recorded.stream_id,
            user_id=event.user_id,
            exchange=event.exchange,
            account_name=event.name,
            account_type=event.account_type,
            environment=event.environment,
            base_currency=event.base_currency,
            status=account.AccountStatus.ACTIVE,
            status_reason=None,
            created_at=recorded.occurred_at,
            updated_at=recorded.recorded_at,
            last_position=recorded.position,
        )
    )


def _status_changed(
    recorded: Recorded,
    event: account.AccountSuspended | account.AccountReactivated | account.AccountClosed,
    rows: RowSet,
) -> None:
    row = rows[ACCOUNTS].change(recorded.stream_id)
    if row is None:
        raise LookupError(f"account {recorded.stream_id} was never opened")
    row.status = _STATUS[type(event)]
    row.status_reason = event.reason
    row.updated_at = recorded.recorded_at
    row.last_position = recorded.position


_STATUS: dict[type[account.AccountEvent], account.AccountStatus] = {
    account.AccountSuspended: account.AccountStatus.SUSPENDED,
    account.AccountReactivated: account.AccountStatus.ACTIVE,
    account.AccountClosed: account.AccountStatus.CLOSED,
}


def _keys(recorded: Recorded, event: Any) -> Iterable[tuple[Table[Any], Key]]:  # noqa: ARG001
    return ((ACCOUNTS, recorded.stream_id),)


PROJECTION = Projection(
    name="accounts",
    version=1,
    tables=(ACCOUNTS,),
    folds={
        account.AccountOpened: _opened,
        account.AccountSuspended: _status_changed,
        account.AccountReactivated: _status_changed,
        account.AccountClosed: _status_changed,
    },
    keys=_keys,
    by_stream=True,
)
