"""Alerts: the data of their commands."""

from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field, StrictBool, field_validator

from ledger.kernel.command import CommandData, CommandKind
from ledger.kernel.fields import Choice, Id, IdOrNone, Info, SourceName, Text, TimeOrNone, default
from ledger.nouns.alerts.events import SYSTEM, AlertSeverity, DeliveryStatus
from ledger.nouns.alerts.state import stream_id, stream_of_all

MAX_CHANNELS = 32
MAX_TITLE = 200
MAX_ENTITY = 160
"""Characters of what an alert is about: two UUIDs and a symbol."""

Rule = SourceName
"""Name of a rule, of letters, digits, `.`, `_`, `-`: the type of an alert."""
Channel = SourceName
Channels = Annotated[tuple[Channel, ...], Field(max_length=MAX_CHANNELS)]
EntityType = Annotated[str, Field(strict=True, pattern=r"^[A-Z_]{1,32}$")]
Count = Annotated[int, Field(strict=True, ge=0, le=1_000_000_000)]


class AlertCommandData(CommandData, abstract=True):
    command_class = "admin"


class AboutEntity(AlertCommandData, abstract=True):
    """What a rule says of an entity."""

    rule: Rule
    entity_type: EntityType = SYSTEM
    entity_id: Annotated[str, Field(strict=True, max_length=MAX_ENTITY)] = ""

    @field_validator("entity_id")
    @classmethod
    def _can_be_stored(cls, value: str) -> str:
        if "\x00" in value:
            raise ValueError("must not contain the NUL character")
        return value

    @property
    def alert_id(self) -> UUID:
        return stream_id(self.rule, self.entity_type, self.entity_id)


class RaiseAlert(AboutEntity):
    """Fact: the rule holds. Nothing while it is open; `number` is the opening that the sender
    knows to be the next one."""

    command_kind: ClassVar[CommandKind] = CommandKind.FACT

    severity: Choice[AlertSeverity]
    title: Text
    message: Text | None = None
    channels: Channels = ()
    number: Count = 0
    runbook: Text | None = None
    cause: IdOrNone = default(None)
    account_id: IdOrNone = default(None)
    metadata: Info = Field(default_factory=dict)
    occurred_at: TimeOrNone = default(None)

    @field_validator("title")
    @classmethod
    def _title_is_a_line(cls, value: str) -> str:
        if len(value) > MAX_TITLE or not value.isprintable():
            raise ValueError(f"must be one line of at most {MAX_TITLE} characters")
        return value


class OneAlert(AlertCommandData, abstract=True):
    """`number` 0 means the opening that there is."""

    alert_id: Id
    number: Count = 0
    actor: Text | None = None


class AcknowledgeAlert(OneAlert):
    note: Text | None = None


class ResolveAlert(OneAlert):
    by_itself: StrictBool = False
    reason: Text | None = None
    cause: IdOrNone = default(None)


class EscalateAlert(OneAlert):
    channels: Channels = ()


class ReleaseAlert(OneAlert):
    """Its suppression is over."""


class BeginAlertDelivery(OneAlert):
    """`answer_lost`: whoever began the attempt before has ended without a word."""

    channel: Channel
    attempt: Count
    answer_lost: StrictBool = False


class EndAlertDelivery(OneAlert):
    """Fact: what the channel answered."""

    command_kind: ClassVar[CommandKind] = CommandKind.FACT

    channel: Channel
    attempt: Count
    status: Choice[DeliveryStatus]
    error: Text | None = None
    uncertain: StrictBool = False
    final: StrictBool = False


class _Silence(AboutEntity, abstract=True):
    """Of one entity; without `entity_type` of all that the rule says."""

    entity_type: EntityType | None = None  # type: ignore[assignment]
    reason: Text | None = None
    actor: Text | None = None

    @property
    def alert_id(self) -> UUID:
        if self.entity_type is None:
            return stream_of_all(self.rule)
        return stream_id(self.rule, self.entity_type, self.entity_id)


class SuppressAlerts(_Silence):
    """Without `until` until it is taken back."""

    until: TimeOrNone = default(None)


class UnsuppressAlerts(_Silence):
    pass
