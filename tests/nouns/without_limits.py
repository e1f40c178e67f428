"""What limits would look at: nothing, where there are none."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn
from uuid import UUID

from ledger.kernel.noun import Aggregate


class WithoutLimits:
    """Of a unit of work in which nothing is limited."""

    now = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
    price_max_age = timedelta(minutes=5)

    def look(self, aggregate: Aggregate[Any], stream_id: UUID) -> Any:
        raise AssertionError(f"who looks for the {aggregate.stream_type} {stream_id}?")

    def look_all(self, stream_ids: Collection[UUID]) -> None:
        raise AssertionError(f"who looks for {stream_ids}?")

    def risk_book(self, account_id: UUID, since: datetime | None = None) -> NoReturn:
        raise AssertionError(f"who adds up the orders of {account_id} since {since}?")

    def in_scope(self, scope: Any, reference: str | None, own: Any) -> NoReturn:
        raise AssertionError(f"who adds up what {scope} {reference} has beside {own}?")

    def books_beside(self, own: Any) -> NoReturn:
        raise AssertionError(f"who looks for the orders of the user's other accounts beside {own}?")
