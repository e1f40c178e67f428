"""The client that a service imports: sends commands, awaits their outcomes.

    async with await LedgerClient.connect(url, source="strategy-7") as ledger:
        outcome = await ledger.submit("Deposit", {"asset": "USD", "amount": "100"}, account_id=id)

    send      into the outbox ──▶ received: the bus has it (PubAck)
    await     outcome: the ledger has recorded what became of it

Each command carries an id, so whatever gets lost can be repeated without a second effect. One
inbox with a wildcard takes all answers, and one watchman looks after the commands in flight:

    not received in time       it is published again
    no outcome in time         `ledger.outcomes.get` is asked, less and less often; if the answer
                               is UNKNOWN the command is published again: the bus may have lost it
    neither before its time    LedgerUnavailable or OutcomeTimeout; the command may still be decided

After a lost connection all that was not received is published again in its order, before anything
new, so one client's commands reach the ledger in the order of `send`. What the answer to a question
cannot tell is whether the id was re-used for another content; a direct reply does.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import count
from types import TracebackType
from typing import Any, Self
from uuid import UUID
from weakref import WeakSet

import msgspec
import nats.errors
import orjson

from ledger.bus import connection, envelope, wire
from ledger.bus.command_subjects import ANONYMOUS
from ledger.bus.envelope import CommandNotSendable
from ledger.bus.permission_errors import Denials, NotPermitted
from ledger.bus.security import BusSecurity
from ledger.bus.wire import Message
from ledger.client.follower import Follower
from ledger.client.reader import Reader
from ledger.client.send_queue import Outbox
from ledger.client.submission import DEADLINE_SECONDS, LedgerUnavailable, OutcomeTimeout, Sent
from ledger.kernel.command import UNKNOWN, CommandData, Outcome
from ledger.kernel.logger import EventLogger
from ledger.kernel.masking import masked

__all__ = [
    "CommandNotSendable",
    "LedgerClient",
    "LedgerUnavailable",
    "NotPermitted",
    "OutcomeTimeout",
    "Sent",
]

MAX_IN_FLIGHT = 4_000
"""Commands sent whose outcome is not there yet; `send` waits when there are more. Several batches
of the worker, and few megabytes."""
RECEIVED_TIMEOUT_SECONDS = 5.0
"""After this a command that the bus did not confirm is published again. A bus that syncs every
message to a slow disk may need seconds for a queue of thousands."""
OUTCOME_TIMEOUT_SECONDS = 5.0
"""After this an outcome is asked for; far above a commit."""
NOT_THERE_WAIT_SECONDS = 0.25
"""After this a bus that had no stream for the command is tried again: it is just starting."""
CONNECT_TIMEOUT_SECONDS = 5.0
"""How long `connect` looks for the server."""
RECONNECT_WAIT_SECONDS = 0.25
"""Pause between two tries to find a lost server again."""
WATCH_INTERVAL_SECONDS = 0.1
"""How often the watchman looks: well below every time above, and nothing to speak of in work."""

_log = EventLogger(__name__)


class LedgerClient(Reader):
    """One connection; any number of commands in flight. Made by `connect`."""

    def __init__(
        self,
        url: str,
        source: str,
        user_id: UUID | None,
        max_in_flight: int,
        ask_after: float,
        security: BusSecurity | None,
    ) -> None:
        self._url = url
        self._source = source
        self._user_id = user_id
        self._ask_after = ask_after
        self._room = asyncio.Semaphore(max_in_flight)
        self._in_flight: dict[str, Sent] = {}
        self._tokens = count()
        self._connected = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._security = security or BusSecurity()
        self._sender = self._security.user or ANONYMOUS
        self._user = self._security.user
        self._followers: WeakSet[Follower] = WeakSet()
        self._denials = Denials(self._denied)
        self._error = ""

    @classmethod
    async def connect(
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
        client = cls(url, source, user_id, max_in_flight, ask_after, security)
        try:
            async with asyncio.timeout(connect_timeout):
                await client._open()
        except (TimeoutError, OSError, nats.errors.Error) as error:
            reason = client._error or str(error) or "timeout"
            raise LedgerUnavailable(
                f"no NATS server answers at {masked(url)}: {masked(reason)}. Check the URL "
                "(LEDGER_NATS_URL), the credentials, and that the server runs."
            ) from error
        return client

    async def submit(
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
        """Sends a command and awaits its outcome. `command` is a type with its `data`, or data
        as a model of `ledger.command_data`. To repeat a command whose outcome is in doubt, give
        its `command_id` again. Raises LedgerUnavailable, OutcomeTimeout, CommandNotSendable."""
        sent = await self.send(
            command,
            data,
            account_id=account_id,
            command_id=command_id,
            time=time,
            correlation_id=correlation_id,
            causation_id=causation_id,
            timeout=timeout,
        )
        return await sent

    async def send(
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
    ) -> Sent:
        """As `submit`, but returns as soon as the command is on its way, so that many can be."""
        if isinstance(command, CommandData):
            data = envelope.data_of(command)
            command = type(command).__name__
        given: dict[str, object] = {
            "id": None if command_id is None else str(command_id),
            "subject": None if account_id is None else str(account_id),
            "time": time,
            "correlationid": correlation_id,
            "causationid": causation_id,
            "userid": self._user_id,
        }
        message = {name: value for name, value in given.items() if value is not None}
        message |= {
            "type": command,
            "data": envelope.data_with_account(command, data, account_id),
        }
        return await self.send_envelope(message, timeout=timeout)

    async def send_envelope(
        self, message: Mapping[str, Any], *, timeout: float = DEADLINE_SECONDS
    ) -> Sent:
        """Sends a CloudEvent as given; what it lacks (all but type and data) is filled in."""
        whole = envelope.completed(message, self._source)
        subject = envelope.nats_subject(whole, self._sender)
        body = envelope.encoded(whole)
        if len(body) > self._nats.max_payload:
            raise CommandNotSendable(
                f"the command has {len(body)} bytes, the bus takes {self._nats.max_payload}"
            )
        await self._room.acquire()
        if self._outbox.has_a_group:  # who sends without a pause must not keep it from going out
            await asyncio.sleep(0)
        sent = Sent(whole["id"], subject, body, timeout)
        self._dispatch(sent)
        return sent

    async def outcome(
        self, command_id: UUID, *, timeout: float = OUTCOME_TIMEOUT_SECONDS
    ) -> Outcome:
        """The outcome recorded for a command id; status UNKNOWN while there is none.
        Raises LedgerUnavailable."""
        try:
            answer = await self._nats.request(
                connection.OUTCOMES_SUBJECT, str(command_id).encode(), timeout=timeout
            )
        except nats.errors.Error as error:
            raise LedgerUnavailable(
                f"nobody answers on {connection.OUTCOMES_SUBJECT}: {error}. Check that `ledgerctl "
                "serve commands` runs and that it reaches its database."
            ) from error
        return Outcome.from_json(answer.data)

    async def close(self) -> None:
        """Ends the connection, with the places of followers stored. Commands still in flight raise
        LedgerUnavailable to who waits."""
        leaving = [follower.leave() for follower in self._followers]
        await asyncio.gather(*leaving, return_exceptions=True)  # what is closed must be closed
        for task in self._tasks:
            task.cancel()
        for sent in list(self._in_flight.values()):
            sent.fail(LedgerUnavailable(f"the client was closed before {sent} was decided"))
        with contextlib.suppress(nats.errors.Error, OSError):
            await self._nats.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    # --- connection ---------------------------------------------------------------------

    async def _open(self) -> None:
        self._nats: connection.Connection = await connection.connect(
            self._url,
            self._source,
            retry_wait=RECONNECT_WAIT_SECONDS,
            on_disconnect=self._disconnected,
            on_reconnect=self._reconnected,
            on_error=self._note_error,
            security=self._security,
        )
        self._inbox = self._nats.new_inbox()
        await wire.subscribe(self._nats, f"{self._inbox}.*.*", self._answered_many)
        await self._nats.flush()
        self._outbox = Outbox(self._nats, self._inbox)
        self._connected.set()
        self._tasks = [
            asyncio.create_task(self._outbox.run()),
            asyncio.create_task(self._watch()),
        ]

    def _note_error(self, error: str) -> None:
        if error.startswith("nats:") or not self._error:  # what the server says explains the most
            self._error = error
        self._denials.note(error)

    def _denied(self, subject: str) -> None:
        """The server does not take commands there from us: sending them again would not help."""
        for sent in list(self._in_flight.values()):
            if sent.subject.lower() == subject:
                sent.fail(NotPermitted(subject))

    async def _disconnected(self) -> None:
        self._connected.clear()

    async def _reconnected(self) -> None:
        self._outbox.start_over()
        for token, sent in self._in_flight.items():
            if not sent.confirmed:
                self._outbox.put(token, sent)
        self._connected.set()

    # --- a command's way ----------------------------------------------------------------

    def _dispatch(self, sent: Sent) -> None:
        token = str(next(self._tokens))

        def ended(outcome: asyncio.Future[Outcome]) -> None:
            if not outcome.cancelled():
                outcome.exception()  # nobody has to await a command: not an error of asyncio
            del self._in_flight[token]
            self._room.release()

        sent.outcome.add_done_callback(ended)
        sent.look_in(RECEIVED_TIMEOUT_SECONDS)
        self._in_flight[token] = sent
        if self._connected.is_set():
            self._outbox.put(token, sent)
        # Otherwise it is published, in its turn, when the connection is there again.

    def _answered_many(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self._answered(message)

    def _answered(self, message: Message) -> None:
        _, kind, token = message.subject.rsplit(".", 2)
        if kind == "received":
            self._outbox.answered(token, message.data)
        sent = self._in_flight.get(token)
        if sent is None or sent.outcome.done():
            return
        if not message.data:  # the server's "no responders"
            if kind == "received":
                sent.trouble = f"it has no stream {connection.COMMANDS_STREAM} yet"
                sent.look_in(NOT_THERE_WAIT_SECONDS)
        elif kind == "received":
            self._note_received(sent, message.data)
        else:
            self._note_outcome(token, sent, message.data)

    def _note_received(self, sent: Sent, data: bytes) -> None:
        refusal = orjson.loads(data).get("error")
        if refusal:
            sent.trouble = str(refusal.get("description", refusal))
            if refusal.get("err_code") == connection.MESSAGE_TOO_LARGE:
                size = len(sent.body)
                sent.fail(CommandNotSendable(f"the command has {size} bytes: {sent.trouble}"))
        elif sent.confirm():
            sent.look_in(self._ask_after)

    def _note_outcome(self, token: str, sent: Sent, data: bytes) -> None:
        try:
            outcome = Outcome.from_json(data)
        except msgspec.DecodeError as error:
            _log.warning("outcome_not_understood", command=str(sent), error=str(error))
            return
        if outcome.status == UNKNOWN:
            self._outbox.put(token, sent)
            return
        sent.confirm()
        sent.outcome.set_result(outcome)

    # --- the watchman -------------------------------------------------------------------

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(WATCH_INTERVAL_SECONDS)
            now = loop.time()
            for token, sent in list(self._in_flight.items()):
                if self._nats.is_closed:
                    sent.fail(self._unavailable(sent, "the connection was closed"))
                elif now >= sent.deadline:
                    self._give_up(sent)
                elif now >= sent.next_look and self._connected.is_set():
                    sent.look_in(2 * sent.pause)
                    await self._look_after(token, sent)

    async def _look_after(self, token: str, sent: Sent) -> None:
        if not sent.confirmed or sent.command_id is None:  # without id it cannot be asked for
            self._outbox.put(token, sent)
            return
        question = str(sent.command_id).encode()
        with contextlib.suppress(nats.errors.Error):
            await self._nats.publish(
                connection.OUTCOMES_SUBJECT, question, reply=f"{self._inbox}.answer.{token}"
            )

    def _give_up(self, sent: Sent) -> None:
        if sent.confirmed:
            sent.fail(OutcomeTimeout(sent.command_id, sent.timeout))
        else:
            sent.fail(self._unavailable(sent, sent.trouble))

    def _unavailable(self, sent: Sent, trouble: str) -> LedgerUnavailable:
        return LedgerUnavailable(
            f"{sent} was not received by the bus at {masked(self._url)}: {trouble}. Send it again "
            "with the same id when NATS (with JetStream) and `ledgerctl serve commands` run."
        )
