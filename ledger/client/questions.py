"""Asking the read models over NATS, typed: `ledger.queries.balances(account_id)` of a LedgerClient.

Every question of the read side is a method: what it takes is what the question declares
(`ledgerctl query NAME --help`, docs/services.md), its rows are of the question's own type. Each
answer says the position that its rows are as of. With `min_position`, an outcome's position, the
answer shows what that outcome did, or there is a QueryRefused with POSITION_NOT_REACHED.

    answer = await ledger.queries.fills(account_id, instrument="BINANCE:BTCUSDT", limit=100)
    async for fill in ledger.queries.fills.all(account_id):     page after page, to the end
        …
"""

from collections.abc import AsyncGenerator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, cast
from uuid import UUID

import msgspec
import nats.errors
import orjson
from nats.aio.client import Client

from ledger.bus import envelope
from ledger.bus.permission_errors import Denials
from ledger.bus.queries import (
    ERROR_CODE_HEADER,
    ERROR_HEADER,
    INVALID_QUERY,
    LIMIT_USE,
    POSITION_OF,
    QUERY_PREFIX,
    RISK_CHECK,
    QueryRefused,
)
from ledger.client.submission import LedgerUnavailable
from ledger.kernel import read_side
from ledger.kernel.command import CommandData
from ledger.kernel.known_types import known
from ledger.nouns.limits.answers import LimitUseAnswer, RiskCheckAnswer

if TYPE_CHECKING:
    import polars

    from projections.portfolio.series import AssetValue, PortfolioSpan, Snapshot, StrategyEquity
    from projections.questions.question import Question
    from projections.read_models.accounts import Account
    from projections.read_models.allocations import Assignment
    from projections.read_models.balance_history import BalanceCheckpoint
    from projections.read_models.balances import Balance, ContraBalance
    from projections.read_models.fills import Fill
    from projections.read_models.instruments import Symbol
    from projections.read_models.orders import Order
    from projections.read_models.transactions import Transaction

ANSWER_TIMEOUT_SECONDS = 10.0
"""Longer than the service waits for a position (LEDGER_QUERY_WAIT_SECONDS)."""

FilterValue: TypeAlias = str | UUID | datetime | bool | None


class PositionRow(msgspec.Struct, frozen=True):
    """How far something is: `log`, a read model by name, or a command or event by its id."""

    of: str
    position: int


RowType = TypeVar("RowType")


class Answer(msgspec.Struct, Generic[RowType], frozen=True):
    """Rows as of a position; `more` when there are others, which `after=next` asks for."""

    position: int
    rows: list[RowType]
    more: bool = False
    next: str | None = None


class Asking(Generic[RowType]):
    """One question, to be asked: a method of `Queries`."""

    def __init__(self, queries: "Queries", question: "Question[Any]") -> None:
        self._queries = queries
        self._question = question
        self._answer = cast("type[Answer[RowType]]", Answer[question.row])  # type: ignore[name-defined]

    async def __call__(
        self,
        first: UUID | str | None = None,
        /,
        *,
        limit: int | None = None,
        after: str | None = None,
        min_position: int | None = None,
        **filters: FilterValue,
    ) -> Answer[RowType]:
        """The rows for which the filters hold; `first` is the account, or what the question is
        about (an order's id). Raises QueryRefused, NotPermitted and LedgerUnavailable."""
        asked = self._filters(first, filters)
        account_id = asked.pop("account_id", None)
        asked |= {"limit": limit, "after": after, "min_position": min_position}
        body = await self._queries.ask(self._question.name, account_id, asked)
        return msgspec.json.decode(body, type=known(self._answer))

    async def all(
        self,
        first: UUID | str | None = None,
        /,
        *,
        page_rows: int | None = None,
        min_position: int | None = None,
        **filters: FilterValue,
    ) -> AsyncGenerator[RowType, None]:
        """Every row, page after page. A page is as of its own moment: a row that changes its place
        meanwhile, which few questions allow, may be missed or come twice. Raises the same."""
        after: str | None = None
        while True:
            answer = await self(
                first, limit=page_rows, after=after, min_position=min_position, **filters
            )
            for row in answer.rows:
                yield row
            after = answer.next
            if after is None:
                return

    async def frame(
        self,
        first: UUID | str | None = None,
        /,
        *,
        min_position: int | None = None,
        **filters: FilterValue,
    ) -> "polars.DataFrame":
        """Every row as a DataFrame, with all digits (frames.py). Raises FramesMissing, and the
        same as `all`."""
        from ledger.client.frames import frame

        every = self.all(first, page_rows=None, min_position=min_position, **filters)
        rows = [row async for row in every]
        return frame(cast("list[msgspec.Struct]", rows), self._question.row)

    def _filters(
        self, first: UUID | str | None, filters: Mapping[str, FilterValue]
    ) -> dict[str, FilterValue | int]:
        asked: dict[str, FilterValue | int] = {
            name: value for name, value in filters.items() if value is not None
        }
        if first is not None:
            if self._question.first is None or self._question.first in asked:
                raise QueryRefused(
                    INVALID_QUERY, f"{self._question.name} does not take {first} without a name"
                )
            asked[self._question.first] = first
        return asked


class Queries:
    """The read models, asked over a connection. What is not listed for the type checker, such as
    the questions of another package, is there all the same."""

    if TYPE_CHECKING:
        accounts: Asking[Account]
        allocations: Asking[Assignment]
        balances: Asking[Balance]
        checkpoints: Asking[BalanceCheckpoint]
        contra_balances: Asking[ContraBalance]
        fills: Asking[Fill]
        instruments: Asking[Symbol]
        order: Asking[Order]
        orders: Asking[Order]
        asset_values: Asking[AssetValue]
        portfolio_daily: Asking[PortfolioSpan]
        portfolio_hourly: Asking[PortfolioSpan]
        snapshots: Asking[Snapshot]
        strategy_equity: Asking[StrategyEquity]
        transactions: Asking[Transaction]

    def __init__(self, connection: Client, denials: Denials) -> None:
        self._nats = connection
        self._denials = denials

    def __getattr__(self, name: str) -> Asking[Any]:
        try:
            return Asking(self, read_side.question(name))
        except read_side.UnknownQuestion as error:
            raise AttributeError(str(error)) from None

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *read_side.questions()})

    async def position_of(
        self, *, command_id: UUID | None = None, event_id: UUID | None = None
    ) -> Answer[PositionRow]:
        """Where a command or an event is in the log; without either, how far the log and every
        read model are."""
        asked: dict[str, FilterValue] = {"command_id": command_id, "event_id": event_id}
        body = await self.ask(POSITION_OF, None, asked)
        return msgspec.json.decode(body, type=known(Answer[PositionRow]))

    async def risk_check(
        self,
        command: str | CommandData,
        data: Mapping[str, Any] | None = None,
        *,
        account_id: UUID | str,
    ) -> RiskCheckAnswer:
        """What an order (SubmitOrder), or a change of one (RequestReplace), would meet if it were
        sent now: decided as a command is, and nothing is recorded. Raises QueryRefused,
        NotPermitted and LedgerUnavailable."""
        if isinstance(command, CommandData):
            data, command = envelope.data_of(command), type(command).__name__
        asked = orjson.loads(envelope.encoded({"type": command, "data": dict(data or {})}))
        body = await self._of_limits(RISK_CHECK, account_id, asked)
        return msgspec.json.decode(body, type=known(RiskCheckAnswer))

    async def limit_use(self, account_id: UUID | str) -> LimitUseAnswer:
        """What the limits of an account are at. Raises QueryRefused, NotPermitted and
        LedgerUnavailable."""
        body = await self._of_limits(LIMIT_USE, account_id, {})
        return msgspec.json.decode(body, type=known(LimitUseAnswer))

    async def _of_limits(
        self, name: str, account_id: UUID | str, asked: Mapping[str, Any]
    ) -> bytes:
        return await self.ask(name, str(account_id), asked, answered_by="commands")

    async def ask(
        self,
        name: str,
        account_id: FilterValue | int,
        asked: Mapping[str, object],
        *,
        answered_by: str = "queries",
    ) -> bytes:
        """The body of the answer to a question of one account, or of none. Raises QueryRefused,
        NotPermitted and LedgerUnavailable."""
        subject = ".".join([QUERY_PREFIX, name, *([str(account_id)] if account_id else [])])
        body = orjson.dumps({name: value for name, value in asked.items() if value is not None})
        try:
            answer = await self._denials.or_denied(
                subject, self._nats.request(subject, body, timeout=ANSWER_TIMEOUT_SECONDS)
            )
        except nats.errors.Error as error:
            raise LedgerUnavailable(
                f"nobody answers on {subject}: {error}. Check that `ledgerctl serve {answered_by}` "
                "runs."
            ) from error
        headers = answer.headers or {}
        if ERROR_CODE_HEADER in headers:
            raise QueryRefused(headers[ERROR_CODE_HEADER], headers.get(ERROR_HEADER, ""))
        return answer.data
