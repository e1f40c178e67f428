"""The client for code without an event loop: the same methods, which wait.

    from ledger.sync import LedgerClient

    with LedgerClient.connect(url, source="strategy-7") as ledger:
        outcome = ledger.submit(Deposit(account_id=id, asset="USD", amount="100"))
        for event in ledger.events(name="strategy-7"):
            …

Behind it is the asynchronous client on an event loop in a thread of its own. Any thread may use it;
what one of them waits for keeps no other from its own.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import aclosing
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeVar
from uuid import UUID

from ledger.bus.events import LedgerEvent
from ledger.bus.security import BusSecurity
from ledger.client import client as asynchronous
from ledger.client import questions, submission
from ledger.client.client import (
    CONNECT_TIMEOUT_SECONDS,
    MAX_IN_FLIGHT,
    OUTCOME_TIMEOUT_SECONDS,
)
from ledger.client.follower import LEASE_SECONDS, Unknown
from ledger.client.loop_thread import LoopThread
from ledger.client.questions import Answer, FilterValue, PositionRow
from ledger.client.submission import DEADLINE_SECONDS, LedgerUnavailable
from ledger.kernel.command import CommandData, Outcome
from ledger.nouns.limits.answers import LimitUseAnswer, RiskCheckAnswer

if TYPE_CHECKING:
    import polars

    from projections.portfolio.series import AssetValue, PortfolioSpan, Snapshot, StrategyEquity
    from projections.read_models.accounts import Account
    from projections.read_models.allocations import Assignment
    from projections.read_models.balance_history import BalanceCheckpoint
    from projections.read_models.balances import Balance, ContraBalance
    from projections.read_models.fills import Fill
    from projections.read_models.instruments import Symbol
    from projections.read_models.orders import Order
    from projections.read_models.transactions import Transaction

__all__ = ["LedgerClient"]

RowType = TypeVar("RowType")


class BlockingSent:
    """A command on its way: `result` waits for its outcome, `received` for the bus to have it."""

    def __init__(self, loop: LoopThread, sent: submission.Sent) -> None:
        self._loop = loop
        self._sent = sent

    @property
    def command_id(self) -> UUID | None:
        """None when the sender gave something that is no id."""
        return self._sent.command_id

    def received(self) -> None:
        """Returns when the bus has stored the command. Raises LedgerUnavailable."""
        self._loop.wait(self._sent.received())

    def result(self) -> Outcome:
        """The outcome. Raises LedgerUnavailable, OutcomeTimeout, CommandNotSendable,
        NotPermitted."""

        async def outcome() -> Outcome:
            return await self._sent

        return self._loop.wait(outcome())


class BlockingQuestion(Generic[RowType]):
    """One question, to be asked: a method of `BlockingQueries`."""

    def __init__(self, loop: LoopThread, asking: questions.Asking[RowType]) -> None:
        self._loop = loop
        self._asking = asking

    def __call__(
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
        asked = self._asking(first, limit=limit, after=after, min_position=min_position, **filters)
        return self._loop.wait(asked)

    def all(
        self,
        first: UUID | str | None = None,
        /,
        *,
        page_rows: int | None = None,
        min_position: int | None = None,
        **filters: FilterValue,
    ) -> Generator[RowType, None, None]:
        """Every row, page after page, as the asynchronous client has them."""
        after: str | None = None
        while True:
            answer = self(first, limit=page_rows, after=after, min_position=min_position, **filters)
            yield from answer.rows
            after = answer.next
            if after is None:
                return

    def frame(
        self,
        first: UUID | str | None = None,
        /,
        *,
        min_position: int | None = None,
        **filters: FilterValue,
    ) -> "polars.DataFrame":
        """Every row as a DataFrame, as the asynchronous client has it."""
        return self._loop.wait(self._asking.frame(first, min_position=min_position, **filters))


class BlockingQueries:
    """The read models. What is not listed for the type checker is there all the same."""

    if TYPE_CHECKING:
        accounts: BlockingQuestion[Account]
        allocations: BlockingQuestion[Assignment]
        balances: BlockingQuestion[Balance]
        checkpoints: BlockingQuestion[BalanceCheckpoint]
        contra_balances: BlockingQuestion[ContraBalance]
        fills: BlockingQuestion[Fill]
        instruments: BlockingQuestion[Symbol]
        order: BlockingQuestion[Order]
        orders: BlockingQuestion[Order]
        asset_values: BlockingQuestion[AssetValue]
        portfolio_daily: BlockingQuestion[PortfolioSpan]
        portfolio_hourly: BlockingQuestion[PortfolioSpan]
        snapshots: BlockingQuestion[Snapshot]
        strategy_equity: BlockingQuestion[StrategyEquity]
        transactions: BlockingQuestion[Transaction]

    def __init__(self, loop: LoopThread, queries: questions.Queries) -> None:
        self._loop = loop
        self._queries = queries

    def __getattr__(self, name: str) -> BlockingQuestion[Any]:
        return BlockingQuestion(self._loop, getattr(self._queries, name))

    def __dir__(self) -> list[str]:
        return dir(self._queries)

    def position_of(
        self, *, command_id: UUID | None = None, event_id: UUID | None = None
    ) -> Answer[PositionRow]:
        """Where a command or an event is in the log; without either, how far the log and every
        read model are."""
        return self._loop.wait(self._queries.position_of(command_id=command_id, event_id=event_id))

    def risk_check(
        self,
        command: str | CommandData,
        data: Mapping[str, Any] | None = None,
        *,
        account_id: UUID | str,
    ) -> RiskCheckAnswer:
        """What an order (SubmitOrder), or a change of one (RequestReplace), would meet if it were
        sent now: decided as a command is, and nothing is recorded."""
        return self._loop.wait(self._queries.risk_check(command, data, account_id=account_id))

    def limit_use(self, account_id: UUID | str) -> LimitUseAnswer:
        """What the limits of an account are at."""
        return self._loop.wait(self._queries.limit_use(account_id))


class BlockingLedgerClient:
    """One connection; any number of commands in flight. Made by `connect`."""

    def __init__(self, loop: LoopThread, client: asynchronous.LedgerClient) -> None:
        self._loop = loop
        self._client = client

    @classmethod
    def connect(
        cls,
        url: str,
        *,
        source: str,
        user_id: UUID | None = None,
        max_in_flight: int = MAX_IN_FLIGHT,
        ask_after: float = OUTCOME_TIMEOUT_SECONDS,
        connect_timeout: float = CONNECT_TIMEOUT_SECONDS,
        security: BusSecurity | None = None,
    ) -> Self:
        """A client for the service `source`. With a `user_id`, commands are accepted for that
        user's accounts only. `security` says who we are on a server with users. Raises
        LedgerUnavailable, UnusableCredentials."""
        loop = LoopThread()
        connecting = asynchronous.LedgerClient.connect(
            url,
            source=source,
            user_id=user_id,
            max_in_flight=max_in_flight,
            ask_after=ask_after,
            connect_timeout=connect_timeout,
            security=security,
        )
        try:
            return cls(loop, loop.wait(connecting))
        except BaseException:
            loop.end()
            raise

    def submit(
        self,
        command: str | CommandData,
        data: Mapping[str, Any] | None = None,
        *,
        account_id: UUID | str | None = None,
        command_id: UUID | None = None,
        time: datetime | None = None,
        correlation_id: UUID | None = None,
        causation_id: UUID | None = None,
        timeout: float = DEADLINE_SECONDS,
    ) -> Outcome:
        """Sends a command and waits for its outcome. `command` is a type with its `data`, or data
        as a model. To repeat a command whose outcome is in doubt, give its `command_id` again.
        Raises LedgerUnavailable, OutcomeTimeout, CommandNotSendable, NotPermitted."""
        submitting = self._client.submit(
            command,
            data,
            account_id=account_id,
            command_id=command_id,
            time=time,
            correlation_id=correlation_id,
            causation_id=causation_id,
            timeout=timeout,
        )
        return self._loop.wait(submitting)

    def send(
        self,
        command: str | CommandData,
        data: Mapping[str, Any] | None = None,
        *,
        account_id: UUID | str | None = None,
        command_id: UUID | None = None,
        time: datetime | None = None,
        correlation_id: UUID | None = None,
        causation_id: UUID | None = None,
        timeout: float = DEADLINE_SECONDS,
    ) -> BlockingSent:
        """As `submit`, but returns as soon as the command is on its way, so that many can be."""
        sending = self._client.send(
            command,
            data,
            account_id=account_id,
            command_id=command_id,
            time=time,
            correlation_id=correlation_id,
            causation_id=causation_id,
            timeout=timeout,
        )
        return BlockingSent(self._loop, self._loop.wait(sending))

    def send_envelope(
        self, message: Mapping[str, Any], *, timeout: float = DEADLINE_SECONDS
    ) -> BlockingSent:
        """Sends a CloudEvent as given; what it lacks (all but type and data) is filled in."""
        sending = self._client.send_envelope(message, timeout=timeout)
        return BlockingSent(self._loop, self._loop.wait(sending))

    def outcome(self, command_id: UUID, *, timeout: float = OUTCOME_TIMEOUT_SECONDS) -> Outcome:
        """The outcome recorded for a command id; status UNKNOWN while there is none.
        Raises LedgerUnavailable."""
        return self._loop.wait(self._client.outcome(command_id, timeout=timeout))

    def events(
        self,
        *,
        name: str | None = None,
        after: int | Literal["now"] | None = None,
        incarnation: UUID | None = None,
        account_id: UUID | str | None = None,
        event_type: str | None = None,
        unknown: Unknown = "raise",
        lease_seconds: float = LEASE_SECONDS,
    ) -> Generator[LedgerEvent, None, None]:
        """The ledger's events in order, without end, as the asynchronous client has them: an event
        is done when the next is asked for. Close the iterator, or the client, to give back the
        name. Raises EventsMissing, EventsTaken, LogRestored, PositionAhead,
        UnreadableEvent, NotPermitted."""

        async def made() -> AsyncGenerator[LedgerEvent, None]:
            return self._client.events(
                name=name,
                after=after,
                incarnation=incarnation,
                account_id=account_id,
                event_type=event_type,
                unknown=unknown,
                lease_seconds=lease_seconds,
            )

        return _one_by_one(self._loop, self._loop.wait(made()))

    @property
    def queries(self) -> BlockingQueries:
        """The read models, to be asked."""
        return BlockingQueries(self._loop, self._client.queries)

    def forget_events(self, name: str) -> None:
        """Forgets the place in the events that is remembered under the name. A process that
        follows under it gets EventsTaken."""
        self._loop.wait(self._client.forget_events(name))

    def close(self) -> None:
        """Ends the connection, with the places of followers stored. Commands still in flight raise
        LedgerUnavailable to who waits."""
        with contextlib.suppress(LedgerUnavailable):  # it was closed before
            self._loop.wait(self._client.close())
        self._loop.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _one_by_one(
    loop: LoopThread, events: AsyncGenerator[LedgerEvent, None]
) -> Generator[LedgerEvent, None, None]:
    """The events, each asked for when the one before is done."""
    wishes: asyncio.Queue[asyncio.Future[LedgerEvent | None]] = asyncio.Queue()

    async def follow() -> None:
        # One task from the first event to the last: what the iterator holds is bound to its task.
        async with aclosing(events):
            while True:
                wished = await wishes.get()
                try:
                    event = await anext(events, None)
                except Exception as error:  # noqa: BLE001 - it is for who waits
                    if not wished.done():
                        wished.set_exception(error)
                else:
                    if not wished.done():
                        wished.set_result(event)

    async def following() -> LedgerEvent | None:
        wished: asyncio.Future[LedgerEvent | None] = asyncio.get_running_loop().create_future()
        wishes.put_nowait(wished)
        return await wished

    task = loop.begin(follow())
    try:
        while (event := loop.wait(following())) is not None:
            yield event
    finally:
        loop.stop(task)


LedgerClient = BlockingLedgerClient
"""As services call it: only the import differs from the asynchronous one."""
