"""Sends messages, several at a time, in threads of their own; whoever looks finds what became of
them."""

import queue
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple
from uuid import UUID

from ledger.alerting import delivery
from ledger.alerting.delivery import AlertMessage, ChannelAnswer
from ledger.alerting.watch import Attempt, Retries
from ledger.kernel.consequence import Said, id_of
from ledger.nouns.alerts.commands import EndAlertDelivery
from ledger.nouns.alerts.events import SYSTEM, DeliveryStatus

AT_ONCE = 4
"""Messages under way at the same time: one channel that is slow does not hold up the others."""
UNKNOWN_CHANNEL = "no such channel is set (LEDGER_ALERT_CHANNELS_FILE, LEDGER_ALERT_CHANNELS)"

Key = tuple[UUID, int, str]


class AttemptResult(NamedTuple):
    """What became of an attempt."""

    attempt: Attempt
    answer: ChannelAnswer

    def end(self, owner: str, retries: Retries) -> Said:
        alert_id, number, channel = self.attempt.key
        sent = self.answer.sent
        return Said(
            id_of("end", alert_id, number, channel, self.attempt.number, owner),
            EndAlertDelivery(
                alert_id=alert_id,
                number=number,
                actor=owner,
                channel=channel,
                attempt=self.attempt.number,
                status=DeliveryStatus.SENT if sent else DeliveryStatus.FAILED,
                error=self.answer.error,
                uncertain=self.answer.uncertain,
                final=not sent and self.attempt.number >= retries.attempts,
            ),
        )


class MessageSender:
    """`on_done` is called, in some thread, when something was found out."""

    def __init__(self, channels: Mapping[str, str], on_done: Callable[[], None]) -> None:
        self.channels = channels
        self.under_way: set[Key] = set()
        self._on_done = on_done
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="alert")
        self._done: queue.SimpleQueue[AttemptResult] = queue.SimpleQueue()
        self._found_out: list[AttemptResult] = []

    def send(self, attempts: Sequence[Attempt]) -> None:
        """Those of one rule and channel, in one message. They were begun in the log."""
        self.under_way |= {one.key for one in attempts}
        self._pool.submit(self._send, attempts)

    def found_out(self) -> list[AttemptResult]:
        """What became of attempts, as long as the log does not have it."""
        while not self._done.empty():
            self._found_out.append(self._done.get_nowait())
        return list(self._found_out)

    def is_over(self, sent: AttemptResult) -> None:
        """The log has it: from here on the log alone says what is under way."""
        self._found_out.remove(sent)
        self.under_way.discard(sent.attempt.key)

    def close(self) -> None:
        """Waits for what is under way, seconds at most."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _send(self, attempts: Sequence[Attempt]) -> None:
        address = self.channels.get(attempts[0].channel)
        if address is None:
            answer = ChannelAnswer(False, UNKNOWN_CHANNEL)
        else:
            key = str(id_of("message", *(one.key for one in attempts)))
            answer = delivery.send(address, delivery.together(map(message_of, attempts), key))
        for one in attempts:
            self._done.put(AttemptResult(one, answer))
        self._on_done()


def message_of(attempt: Attempt) -> AlertMessage:
    """What a person reads. The same words each time, but for a note where it may be a
    repetition."""
    opening, raised = attempt.opening, attempt.opening.raised
    sending = opening.sending[attempt.channel]
    about = "" if raised.entity_type == SYSTEM else f"{raised.entity_type} {raised.entity_id}"
    lines = (
        raised.message,
        about,
        *(f"{name}: {value}" for name, value in raised.metadata.items()),
        f"runbook: {raised.runbook}" if raised.runbook else "",
        f"since {opening.raised_at:%Y-%m-%d %H:%M:%S} UTC, rule {raised.rule}",
        f"ledgerctl alerts ack {raised.alert_id}",
        "This may be a repetition: the answer to an earlier attempt was lost."
        if sending.repeated or attempt.answer_lost
        else "",
    )
    return AlertMessage(
        title=f"{raised.severity}: {raised.title}",
        body="\n".join(line for line in lines if line),
        severity=raised.severity,
        key=str(id_of("message", *attempt.key)),
    )
