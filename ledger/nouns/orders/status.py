"""The life of an order, whole, on one screen.

`TRANSITIONS` says for (status, what happened) which status follows. A pair that is not in
it is a rejection for a request and a flagged record (`late`) for a fact: a terminal order
keeps its status for ever.

Sources: FIX 5.0 SP2 order state change matrices (OrdStatus, tag 39) for the statuses and
the fill-before-acceptance and trade-bust rows.
"""

from enum import StrEnum


class OrderStatus(StrEnum):
    PENDING = "PENDING"
    """Submitted by a service; the venue has not answered."""
    NEW = "NEW"
    """Accepted by the venue, nothing traded."""
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    """Refused, by our own rules (denied) or by the venue."""
    EXPIRED = "EXPIRED"

    @classmethod
    def _missing_(cls, value: object) -> "OrderStatus | None":
        """CANCELED is read too; CANCELLED is written."""
        return cls.CANCELLED if value == "CANCELED" else None

    @property
    def is_terminal(self) -> bool:
        return self in _TERMINAL


class Happening(StrEnum):
    """What can happen to an order's status."""

    ACCEPTED = "ACCEPTED"
    PARTLY_FILLED = "PARTLY_FILLED"
    """A fill after which something is left."""
    WHOLLY_FILLED = "WHOLLY_FILLED"
    """A fill, or a replace at or below what is filled, after which nothing is left."""
    UNFILLED = "UNFILLED"
    """The last remaining fill was voided; a venue that traded the order had accepted it."""
    REPLACED = "REPLACED"
    COMPLETED = "COMPLETED"
    """The venue calls it done, though something is left."""
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


_TERMINAL = frozenset(
    {OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.REJECTED, OrderStatus.EXPIRED}
)

_S, _H = OrderStatus, Happening

TRANSITIONS: dict[tuple[OrderStatus, Happening], OrderStatus] = {
    (_S.PENDING, _H.ACCEPTED): _S.NEW,
    (_S.PENDING, _H.PARTLY_FILLED): _S.PARTIALLY_FILLED,  # the fill overtook the acceptance
    (_S.PENDING, _H.WHOLLY_FILLED): _S.FILLED,
    (_S.PENDING, _H.REPLACED): _S.NEW,  # so did the replace
    (_S.PENDING, _H.COMPLETED): _S.FILLED,
    (_S.PENDING, _H.CANCELLED): _S.CANCELLED,
    (_S.PENDING, _H.REJECTED): _S.REJECTED,
    (_S.PENDING, _H.EXPIRED): _S.EXPIRED,
    (_S.NEW, _H.PARTLY_FILLED): _S.PARTIALLY_FILLED,
    (_S.NEW, _H.WHOLLY_FILLED): _S.FILLED,
    (_S.NEW, _H.REPLACED): _S.NEW,
    (_S.NEW, _H.COMPLETED): _S.FILLED,
    (_S.NEW, _H.CANCELLED): _S.CANCELLED,
    (_S.NEW, _H.REJECTED): _S.REJECTED,
    (_S.NEW, _H.EXPIRED): _S.EXPIRED,
    (_S.PARTIALLY_FILLED, _H.ACCEPTED): _S.PARTIALLY_FILLED,  # the acceptance came after a fill
    (_S.PARTIALLY_FILLED, _H.PARTLY_FILLED): _S.PARTIALLY_FILLED,
    (_S.PARTIALLY_FILLED, _H.WHOLLY_FILLED): _S.FILLED,
    (_S.PARTIALLY_FILLED, _H.UNFILLED): _S.NEW,
    (_S.PARTIALLY_FILLED, _H.REPLACED): _S.PARTIALLY_FILLED,
    (_S.PARTIALLY_FILLED, _H.COMPLETED): _S.FILLED,
    (_S.PARTIALLY_FILLED, _H.CANCELLED): _S.CANCELLED,
    (_S.PARTIALLY_FILLED, _H.REJECTED): _S.CANCELLED,  # a cancel of the rest
    (_S.PARTIALLY_FILLED, _H.EXPIRED): _S.EXPIRED,
}
