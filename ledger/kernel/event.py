"""What all events share.

An event class carries the stable dotted name and the payload schema version that the
store knows it by; Python paths never reach the database, so classes may move. Fields
whose value equals their default are left out of the stored payload.
"""

from typing import ClassVar

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Base of all domain events. Envelope fields (stream, version, position, times,
    causation) are not repeated in the payload."""

    type: ClassVar[str]
    """Stable name in the store, `<stream_type>.<what_happened>`."""
    schema: ClassVar[int] = 1
    """Version of the payload's shape; older payloads are upcast when they are read."""
