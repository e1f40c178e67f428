"""`symbols`: what can be traded where, and on which grid."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from ledger.nouns.instruments.contract import InstrumentKind
from ledger.nouns.instruments.events import InstrumentDelisted, InstrumentListed, InstrumentUpdated
from projections.engine.live.row_change import changed
from projections.engine.live.rows import RowSet
from projections.engine.projection import Key, Projection, Recorded, Row, Table
from projections.questions.question import Question, ascending, exactly


class Symbol(Row, kw_only=True):
    instrument: str
    exchange: str
    symbol: str
    base_asset: str
    quote_asset: str
    tick_size: Decimal | None
    step_size: Decimal | None
    min_quantity: Decimal | None
    max_quantity: Decimal | None
    is_active: bool
    listed_at: datetime
    delisted_at: datetime | None
    updated_at: datetime
    last_position: int
    kind: InstrumentKind
    contract_size: Decimal
    inverse: bool
    settlement_asset: str
    expires_at: datetime | None
    max_leverage: Decimal | None
    initial_margin_rate: Decimal | None
    maintenance_margin_rate: Decimal | None


SYMBOLS = Table("symbols", Symbol, key=("instrument",), shared=True)


def _listed(recorded: Recorded, event: InstrumentListed, rows: RowSet) -> None:
    exchange, _, symbol = event.instrument.partition(":")
    # Also when it was delisted and comes back: the same row, listed anew.
    rows[SYMBOLS].put(
        Symbol(
            instrument=event.instrument,
            exchange=exchange,
            symbol=symbol,
            base_asset=event.base_asset,
            quote_asset=event.quote_asset,
            kind=event.kind,
            contract_size=event.contract_size,
            inverse=event.inverse,
            settlement_asset=event.settlement_asset or event.quote_asset,
            expires_at=event.expires_at,
            tick_size=event.tick_size,
            step_size=event.step_size,
            min_quantity=event.min_quantity,
            max_quantity=event.max_quantity,
            max_leverage=event.max_leverage,
            initial_margin_rate=event.initial_margin_rate,
            maintenance_margin_rate=event.maintenance_margin_rate,
            is_active=True,
            listed_at=recorded.occurred_at,
            delisted_at=None,
            updated_at=recorded.recorded_at,
            last_position=recorded.position,
        )
    )


def _updated(recorded: Recorded, event: InstrumentUpdated, rows: RowSet) -> None:
    row = changed(recorded, SYMBOLS, event.instrument, rows)
    row.tick_size = event.tick_size
    row.step_size = event.step_size
    row.min_quantity = event.min_quantity
    row.max_quantity = event.max_quantity
    row.max_leverage = event.max_leverage
    row.initial_margin_rate = event.initial_margin_rate
    row.maintenance_margin_rate = event.maintenance_margin_rate


def _delisted(recorded: Recorded, event: InstrumentDelisted, rows: RowSet) -> None:
    row = changed(recorded, SYMBOLS, event.instrument, rows)
    row.is_active = False
    row.delisted_at = recorded.occurred_at


def _keys(recorded: Recorded, event: Any) -> Iterable[tuple[Table[Any], Key]]:  # noqa: ARG001
    return ((SYMBOLS, event.instrument),)


PROJECTION = Projection(
    name="symbols",
    version=2,
    tables=(SYMBOLS,),
    folds={
        InstrumentListed: _listed,
        InstrumentUpdated: _updated,
        InstrumentDelisted: _delisted,
    },
    keys=_keys,
    by_stream=True,
)

QUESTIONS = (
    Question(
        name="instruments",
        row_version=2,
        table=SYMBOLS,
        about="What can be traded where, and on which grid.",
        paths=(ascending(None, "instrument"),),
        filters=(exactly("instrument"), exactly("exchange"), exactly("kind"), exactly("is_active")),
        argument="instrument",
        shown=(
            *("instrument", "kind", "base_asset", "quote_asset", "tick_size", "step_size"),
            *("min_quantity", "max_quantity", "is_active", "listed_at"),
        ),
    ),
)
