"""What must hold of every sequence of events, whoever decided them."""

from collections import defaultdict
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

import msgspec
import orjson

from ledger.eventstore import codec
from ledger.nouns.orders.events import OrderFilled, OrderFillVoided, OrderReplaced, OrderTerms
from tests.nouns.desk import EVOLVE, Desk

ENDED = {"FILLED", "CANCELLED", "REJECTED", "EXPIRED"}


def check_event_quantities(desk: Desk) -> None:
    """quantity = filled - overfilled + open + cancelled, as the events themselves say it."""
    quantity: dict[UUID, Decimal | None] = {}
    filled: dict[UUID, Decimal] = defaultdict(Decimal)
    for _, stream_id, event in desk.log:
        if isinstance(event, OrderTerms):
            quantity[stream_id] = event.quantity
        if isinstance(event, OrderReplaced):
            quantity[stream_id] = event.quantity
        if isinstance(event, OrderFilled | OrderFillVoided):
            filled[stream_id] = event.cum_qty
            assert event.avg_px is None or event.cum_qty > 0
        if isinstance(event, OrderFilled | OrderFillVoided | OrderReplaced):
            whole = quantity[stream_id]
            if whole is None:
                assert event.leaves_qty == (0 if event.status in ENDED else None)
                continue
            assert event.leaves_qty is not None
            assert event.leaves_qty == 0 or event.status not in ENDED
            cancelled = whole - (filled[stream_id] - event.overfill_qty + event.leaves_qty)
            assert cancelled >= 0
            assert event.leaves_qty >= 0
            assert event.overfill_qty >= 0
            assert cancelled == 0 or event.status in ENDED


def check_folding(desk: Desk) -> None:
    """The stored events, folded anew, give the states that the decisions saw; with a snapshot
    taken at any place in between as well."""
    cut = Random(len(desk.log)).randrange(len(desk.log) + 1)  # a place, any place
    folded: dict[UUID, Any] = {}
    for position, (stream_type, stream_id, event) in enumerate(desk.log):
        if position == cut:
            folded = {i: through_a_snapshot(state) for i, state in folded.items()}
        stored = codec.decode(event.type, codec.encode(event), event.schema)
        assert stored == event
        folded[stream_id] = EVOLVE[stream_type](folded.get(stream_id), stored, stream_id)
    assert folded == desk.states


def through_a_snapshot(state: msgspec.Struct) -> Any:
    """As JSON, with amounts as strings, and back."""
    text = orjson.dumps(msgspec.to_builtins(state, str_keys=True))
    return msgspec.convert(orjson.loads(text), type(state))
