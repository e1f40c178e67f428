"""Asking the read models over NATS, typed: `ledger.queries.balances(account_id)` of a LedgerClient.

Each answer says the position that its rows are as of. With `min_position`, an outcome's position,
the answer shows what that outcome did, or there is a QueryRefused with POSITION_NOT_REACHED.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec
import nats.errors
import orjson
from nats.aio.client import Client
from nats.micro.request import ERROR_CODE_HEADER, ERROR_HEADER

from ledger.bus.permission_errors import Denials
from ledger.client.submission import LedgerUnavailable
from projections.query_service import POSITION_OF, QUERY_PREFIX, QueryRefused

ANSWER_TIMEOUT_SECONDS = 10.0
"""Longer than the service waits for a position (LEDGER_QUERY_WAIT_SECONDS)."""


class BalanceRow(msgspec.Struct, frozen=True):
    """What a sub-account holds of an asset."""

    account_id: UUID
    sub_account: str
    asset: str
    total: Decimal
    available: Decimal
    locked: Decimal
    updated_at: datetime
    user_id: UUID | None = None
    last_position: int = 0


class OrderRow(msgspec.Struct, frozen=True, kw_only=True):
    """An order as it is."""

    order_id: UUID
    account_id: UUID
    sub_account: str
    instrument: str
    side: str
    order_type: str
    status: str
    quantity: Decimal
    filled_quantity: Decimal
    leaves_quantity: Decimal
    cancelled_quantity: Decimal
    overfill_quantity: Decimal
    cum_quote: Decimal
    commission: Decimal
    time_in_force: str
    origin: str
    created_at: datetime
    updated_at: datetime
    last_position: int
    sized_by_quote: bool
    reduce_only: bool
    post_only: bool
    cancel_requested: bool
    replace_requested: bool
    user_id: UUID | None = None
    strategy_id: str | None = None
    venue_order_id: str | None = None
    client_order_id: str | None = None
    position_side: str | None = None
    quote_quantity: Decimal | None = None
    price: Decimal | None = None
    stop_price: Decimal | None = None
    avg_fill_price: Decimal | None = None
    commission_asset: str | None = None
    other_commissions: dict[str, Decimal] | None = None
    iceberg_qty: Decimal | None = None
    reject_code: str | None = None
    reject_reason: str | None = None
    cancel_reason: str | None = None
    filled_at: datetime | None = None
    cancelled_at: datetime | None = None


class FillRow(msgspec.Struct, frozen=True, kw_only=True):
    """A trade of an order."""

    order_id: UUID
    trade_id: str
    account_id: UUID
    sub_account: str
    instrument: str
    side: str
    quantity: Decimal
    price: Decimal
    commission: Decimal
    late: bool
    voided: bool
    conflicted: bool
    fill_timestamp: datetime
    created_at: datetime
    event_id: UUID
    position: int
    last_position: int
    user_id: UUID | None = None
    strategy_id: str | None = None
    commission_asset: str | None = None
    is_maker: bool | None = None
    voided_at: datetime | None = None


class TransactionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One movement of money in one book."""

    position: int
    line: int
    event_id: UUID
    account_id: UUID
    sub_account: str
    asset: str
    direction: str
    reason: str
    amount: Decimal
    closing_balance: Decimal
    timestamp: datetime
    recorded_at: datetime
    user_id: UUID | None = None
    price: Decimal | None = None
    quote_asset: str | None = None
    order_id: UUID | None = None
    trade_id: str | None = None
    reference: str | None = None


class PositionRow(msgspec.Struct, frozen=True):
    """How far something is: `log`, a read model by name, or a command or event by its id."""

    of: str
    position: int


RowType = TypeVar("RowType")


class Answer(msgspec.Struct, Generic[RowType], frozen=True):
    """Rows as of a position; `more` when the limit cut them off."""

    position: int
    rows: list[RowType]
    more: bool = False


class Queries:
    """The read models, asked over a connection. All methods raise QueryRefused, NotPermitted
    and LedgerUnavailable."""

    def __init__(self, connection: Client, denials: Denials) -> None:
        self._nats = connection
        self._denials = denials

    async def balances(
        self, account_id: UUID, *, asset: str | None = None, min_position: int | None = None
    ) -> Answer[BalanceRow]:
        """What each sub-account of the account holds."""
        asked = {"asset": asset, "min_position": min_position}
        return _typed(await self._ask("balances", account_id, asked), Answer[BalanceRow])

    async def orders(
        self,
        account_id: UUID,
        *,
        status: str | None = None,
        limit: int | None = None,
        min_position: int | None = None,
    ) -> Answer[OrderRow]:
        """The account's orders, newest first."""
        asked = {"status": status, "limit": limit, "min_position": min_position}
        return _typed(await self._ask("orders", account_id, asked), Answer[OrderRow])

    async def order(
        self, order_id: UUID, *, account_id: UUID | None = None, min_position: int | None = None
    ) -> Answer[OrderRow]:
        """One order, or no row. A service that may ask for its own accounts only names the
        account."""
        asked = {"order_id": str(order_id), "min_position": min_position}
        return _typed(await self._ask("order", account_id, asked), Answer[OrderRow])

    async def fills(
        self,
        account_id: UUID,
        *,
        order_id: UUID | None = None,
        limit: int | None = None,
        min_position: int | None = None,
    ) -> Answer[FillRow]:
        """The trades of the account's orders, newest first."""
        order = None if order_id is None else str(order_id)
        asked = {"order_id": order, "limit": limit, "min_position": min_position}
        return _typed(await self._ask("fills", account_id, asked), Answer[FillRow])

    async def transactions(
        self,
        account_id: UUID,
        *,
        asset: str | None = None,
        limit: int | None = None,
        min_position: int | None = None,
    ) -> Answer[TransactionRow]:
        """Each movement of the account's money, both sides of it, newest first."""
        asked = {"asset": asset, "limit": limit, "min_position": min_position}
        return _typed(await self._ask("transactions", account_id, asked), Answer[TransactionRow])

    async def position_of(
        self, *, command_id: UUID | None = None, event_id: UUID | None = None
    ) -> Answer[PositionRow]:
        """Where a command or an event is in the log; without either, how far the log and every
        read model are."""
        ids = {"command_id": command_id, "event_id": event_id}
        asked = {name: str(value) for name, value in ids.items() if value is not None}
        return _typed(await self._ask(POSITION_OF, None, asked), Answer[PositionRow])

    async def _ask(self, name: str, account_id: UUID | None, asked: Mapping[str, Any]) -> bytes:
        subject = ".".join([QUERY_PREFIX, name, *([str(account_id)] if account_id else [])])
        body = orjson.dumps({name: value for name, value in asked.items() if value is not None})
        try:
            answer = await self._denials.or_denied(
                subject, self._nats.request(subject, body, timeout=ANSWER_TIMEOUT_SECONDS)
            )
        except nats.errors.Error as error:
            raise LedgerUnavailable(
                f"nobody answers on {subject}: {error}. Check that `ledgerctl serve queries` runs."
            ) from error
        headers = answer.headers or {}
        if ERROR_CODE_HEADER in headers:
            raise QueryRefused(headers[ERROR_CODE_HEADER], headers.get(ERROR_HEADER, ""))
        return answer.data


_Typed = TypeVar("_Typed")


def _typed(body: bytes, kind: type[_Typed]) -> _Typed:
    return msgspec.json.decode(body, type=kind)
