"""Trace context (W3C): from a command to its events, and the ledger's own spans.

    from       the header `traceparent` of the command's message, else the CloudEvents attribute of
               that name (its distributed tracing extension)
    to         `metadata.traceparent` of each event; the publisher sends it on with the event
    span       with OpenTelemetry, one for each command that has a context: from its arrival to its
               outcome. It lies between the sender's span and those of whoever handles the events

Off unless `LEDGER_TRACE_CONTEXT` or `LEDGER_OTEL_TRACES_ENDPOINT` is set; then nothing here is ever
called. A context that is none is left out, as the standard wants: a command is not refused for it.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import orjson
from msgspec.structs import replace

from ledger.bus.delivery import Delivery
from ledger.bus.wire import Message
from ledger.kernel.command import FAILED, Command, InvalidCommand, Outcome
from ledger.kernel.errors import LedgerError
from ledger.operate.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

HEADER = "traceparent"
EXPORT_TIMEOUT_SECONDS = 2.0
"""A collector that does not take spans by then loses them: a service must not wait for it."""

_HEADER = HEADER.encode()
_NAMED = b'"traceparent"'
_CONTEXT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})(?P<trace>[0-9a-f]{32})-(?!0{16})(?P<span>[0-9a-f]{16})"
    r"-(?P<flags>[0-9a-f]{2})"
)


class TracingUnavailable(LedgerError):
    """Spans are asked for, and what makes them is not installed."""


def context_of(message: Message) -> str | None:
    """The trace context that a command came with."""
    given: object = message.header(_HEADER)
    if given is None and _NAMED in message.data:
        try:
            given = orjson.loads(message.data).get(HEADER)
        except (orjson.JSONDecodeError, AttributeError):
            return None
    return given if isinstance(given, str) and _CONTEXT.fullmatch(given) else None


class Tracing:
    """Of one worker."""

    def __init__(self, provider: "TracerProvider | None") -> None:
        self._provider = provider
        self._open: dict[str, Span] = {}
        """Spans that have begun, by the context that their commands have."""

    @classmethod
    def of(cls, settings: Settings) -> "Tracing | None":
        """None when tracing is off. Raises TracingUnavailable."""
        if settings.otel_traces_endpoint is not None:
            return cls(_provider(settings.otel_traces_endpoint))
        return cls(None) if settings.trace_context else None

    def begun(
        self, message: Message, command: Command | InvalidCommand
    ) -> Command | InvalidCommand:
        """The command with its context, which is that of its span if there is one."""
        if isinstance(command, InvalidCommand):
            return command
        context = context_of(message)
        if context is None:
            return command
        if self._provider is not None:
            context = self._begin(context, command)
        return replace(command, traceparent=context)

    def ended(self, batch: Sequence[Delivery], decided: Sequence[Outcome] | None) -> None:
        """Ends the spans of a batch; None if it is left to another worker."""
        for place, one in enumerate(batch):
            context = one.command.traceparent if isinstance(one.command, Command) else None
            span = self._open.pop(context, None) if context is not None else None
            if span is None:
                continue
            if decided is not None:
                _describe(span, decided[place])
            span.end()

    def close(self) -> None:
        """Sends what is not sent."""
        if self._provider is not None:
            self._provider.shutdown()

    def _begin(self, context: str, command: Command) -> str:
        from opentelemetry import trace

        assert self._provider is not None
        parts = _CONTEXT.fullmatch(context)
        assert parts is not None
        parent = trace.SpanContext(
            trace_id=int(parts["trace"], 16),
            span_id=int(parts["span"], 16),
            is_remote=True,
            trace_flags=trace.TraceFlags(int(parts["flags"], 16)),
        )
        span = self._provider.get_tracer("ledger").start_span(
            f"ledger {command.type}",
            context=trace.set_span_in_context(trace.NonRecordingSpan(parent)),
            kind=trace.SpanKind.CONSUMER,
            attributes={
                "ledger.command_id": str(command.id),
                "ledger.command_type": command.type,
                "ledger.source": command.source,
                "ledger.subject": command.subject,
            },
        )
        own = span.get_span_context()
        text = f"00-{own.trace_id:032x}-{own.span_id:016x}-{own.trace_flags:02x}"
        self._open[text] = span
        return text


def _describe(span: "Span", outcome: Outcome) -> None:
    from opentelemetry.trace import Status, StatusCode

    span.set_attribute("ledger.status", outcome.status)
    span.set_attribute("ledger.replayed", outcome.replayed)
    span.set_attribute("ledger.events", len(outcome.events))
    if outcome.code is not None:
        span.set_attribute("ledger.code", outcome.code)
    if outcome.position is not None:
        span.set_attribute("ledger.position", outcome.position)
    if outcome.status == FAILED:  # a rejection is an answer, and no error of ours
        span.set_status(Status(StatusCode.ERROR, outcome.message))


def _provider(endpoint: str) -> "TracerProvider":
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise TracingUnavailable(
            f"LEDGER_OTEL_TRACES_ENDPOINT is {endpoint}, but OpenTelemetry is not installed "
            f"({error}): pip install 'trading-ledger[otel]', or unset it. LEDGER_TRACE_CONTEXT "
            "alone needs nothing."
        ) from error
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: "ledger-commands"}))
    exporter = OTLPSpanExporter(endpoint=endpoint, timeout=EXPORT_TIMEOUT_SECONDS)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider
