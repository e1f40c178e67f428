"""What a person asks, answered as who they are: the questions of the read side, and those about the
past that the audit answers.

    row-level security says whose rows a person sees: nothing here filters by user
    a past moment, an explanation, a proof are told from the log, which users cannot read: they are
    asked as auditor, about what row-level security shows to be the person's own (`_vouched`), and
    about nothing else; of what is not, it is said that there is no such thing

A page of rows says as of which position it is. Its cursor is of no use for another question: it
carries the digest of what was asked, and the position of the past that it is of.
"""

import base64
import hashlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
import psycopg
from psycopg.rows import class_row

from ledger.audit.ask import documents
from ledger.audit.ask.documents import Document
from ledger.audit.ask.events import EventCriteria, find
from ledger.audit.ask.explain import explain_balance
from ledger.audit.ask.explain_order import explain_order
from ledger.audit.ask.explain_position import explain_positions
from ledger.audit.ask.trace import Node, Trace, trace
from ledger.audit.prove.proofs import prove
from ledger.eventstore.moments import position_of
from ledger.eventstore.reader import ACCOUNT, RecordedEvent
from ledger.kernel import read_side
from ledger.kernel.errors import LedgerError
from ledger.web.database import elevated
from ledger.web.person import OF_ONE_USER, Person

if TYPE_CHECKING:
    from projections.questions.question import Question

USUAL_ROWS = 100
"""Of an answer where nothing is said."""

_OF_OTHERS = f"""
    SELECT FROM public.command_inbox
    WHERE command_id = ANY(%(commands)s) AND NOT subject = ANY(%(own)s)
    UNION ALL
    SELECT FROM public.event_store
    WHERE id = ANY(%(events)s) AND NOT coalesce({ACCOUNT} = ANY(%(own)s), false)
    LIMIT 1"""


class NotVisible(LedgerError, LookupError):
    """There is no such thing, or not for who asks: the two are not told apart."""


class InvalidCursor(LedgerError, ValueError):
    """What is given as the place of the next page is not the `next` of this question's answer."""


@dataclass(frozen=True)
class AnswerPage:
    """Rows of an answer. `known_at` is the position of the past that was asked about, None for
    now; `next` asks for the rows behind these."""

    question: str
    rows: Sequence[Mapping[str, Any]]
    position: int
    known_at: int | None
    next: str | None

    @property
    def more(self) -> bool:
        return self.next is not None


@dataclass(frozen=True)
class LogStanding:
    """How far everything is. `known_at_time` is when the position that was asked about was
    recorded."""

    head: int
    recorded_at: datetime | None
    sealed_to: int
    sealed_at: datetime | None
    slowest: str | None
    lag_events: int
    lag_seconds: float
    known_at_time: datetime | None
    known_at: int | None = None

    @property
    def position(self) -> int:
        """What an answer is as of that says nothing else."""
        return self.head if self.known_at is None else self.known_at


class Reading:
    """All that one request asks, of one snapshot."""

    def __init__(
        self, connection: psycopg.Connection[Any], person: Person, *, most_rows: int
    ) -> None:
        self.connection = connection
        self.person = person
        self._most_rows = most_rows

    def standing(self, known_at: int | None = None) -> LogStanding:
        """How far the log, its seals and the read models are."""
        with self.connection.cursor(row_factory=class_row(LogStanding)) as cursor:
            cursor.execute(
                "SELECT *, %(at)s::bigint AS known_at FROM public.log_standing(%(at)s)",
                {"at": known_at},
            )
            found = cursor.fetchone()
        assert found is not None
        return found

    def position_of(self, text: str) -> int:
        """The position that a text names, itself one or a time. Raises InvalidMoment."""
        with elevated(self.connection):  # where in the log a time is, tells nobody's business
            return position_of(self.connection, text)

    def ask(
        self,
        name: str,
        filters: Mapping[str, Any],
        *,
        known_at: str | None = None,
        effective_at: str | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> AnswerPage:
        """A page of the rows. Raises UnknownQuestion, InvalidQuestion, InvalidCursor,
        InvalidMoment, ReadModelBehind, NotVisible."""
        question = read_side.question(name)
        asked = question.read(self._own(question, filters))
        most = min(limit or USUAL_ROWS, self._most_rows)
        cursor = PageCursor(question.name, filters, known_at, effective_at)
        place, position = cursor.read(after)
        if known_at is None and effective_at is None:
            page = question.page(self.connection, asked, limit=most, after=place)
            following = cursor.written(page.following, None)
            return AnswerPage(name, page.rows, page.position, None, following)
        with self._vouched(question, asked):
            when = known_at if position is None else str(position)
            moment = question.moment(
                self.connection, asked, known_at=when, effective_at=effective_at
            )
            page = question.page(self.connection, asked, limit=most, after=place, moment=moment)
        following = cursor.written(page.following, moment.known_at)
        return AnswerPage(name, page.rows, page.position, moment.known_at, following)

    def _own(self, question: "Question[Any]", filters: Mapping[str, Any]) -> Mapping[str, Any]:
        """What was asked; of all own accounts, where a user names none and the question has to be
        about somebody."""
        of_nobody = not any(path.by is None or path.by in filters for path in question.paths)
        if self.person.user_id is None or not of_nobody or "user_id" not in question.filter_of:
            return filters
        return {**filters, "user_id": self.person.user_id}

    # --- what is told from the log ------------------------------------------------------

    @contextmanager
    def of_account(self, account_id: UUID) -> Iterator[psycopg.Connection[Any]]:
        """The connection as auditor, to be asked about this account. Raises NotVisible."""
        accounts = read_side.question("accounts")
        self._check_seen(accounts, {"account_id": account_id})
        with elevated(self.connection):
            yield self.connection

    @contextmanager
    def of_order(self, order_id: UUID) -> Iterator[psycopg.Connection[Any]]:
        """The connection as auditor, to be asked about this order. Raises NotVisible."""
        self._check_seen(read_side.question("order"), {"order_id": order_id})
        with elevated(self.connection):
            yield self.connection

    def events(
        self,
        criteria: EventCriteria,
        *,
        newest_first: bool,
        limit: int,
        known_at: int | None = None,
        behind: int | None = None,
    ) -> list[RecordedEvent]:
        """Events of the log; of a user, those of own accounts."""
        if self.person.user_id is not None:
            # The log, which is appended to by COPY, has no row-level security.
            criteria = replace(criteria, user_id=self.person.user_id)
        before = None if known_at is None else known_at + 1
        after = None
        if behind is not None and newest_first:
            before = behind if before is None else min(behind, before)
        elif behind is not None:
            after = behind
        criteria = replace(criteria, before=before, after=after)
        with elevated(self.connection):
            return list(find(self.connection, criteria, newest_first=newest_first, limit=limit))

    def event(self, event_id: UUID) -> RecordedEvent:
        """Raises NotVisible."""
        found = self.events(EventCriteria(event_id=event_id), newest_first=True, limit=1)
        if not found:
            raise NotVisible(f"there is no event {event_id}, or it is not visible to you")
        return found[0]

    def proof(self, event_id: UUID) -> Document:
        """Raises NotVisible, CannotProve."""
        self.event(event_id)
        with elevated(self.connection):
            return prove(self.connection, event_id)

    def trace(self, wanted: UUID) -> Trace:
        """Raises UnknownId, NotVisible."""
        with elevated(self.connection):
            found = trace(self.connection, wanted)
        if self.person.role in OF_ONE_USER:
            self._check_all_own(wanted, found)
        return found

    def balance(
        self,
        account_id: UUID,
        asset: str,
        *,
        sub_account: str | None = None,
        known_at: str | None = None,
        most: int,
    ) -> tuple[Document, int]:
        """Why a balance is what it is, with `most` of the newest postings; and its position.
        Raises NotVisible, NoBalance, InvalidMoment."""
        with self.of_account(account_id) as connection:
            as_of = None if known_at is None else position_of(connection, known_at)
            found = explain_balance(
                connection, account_id, asset, sub_account=sub_account, as_of=as_of
            )
            newest = deque(found.lines(connection), maxlen=most)
        return documents.balance(found, newest), found.position

    def order(self, order_id: UUID) -> tuple[Document, int]:
        """Why an order is what it is, and its position. Raises NotVisible, UnknownId."""
        with self.of_order(order_id) as connection:
            found = explain_order(connection, order_id)
        return documents.order(found), found.position

    def positions(
        self, account_id: UUID, *, known_at: str | None = None, **which: Any
    ) -> tuple[Document, int]:
        """Why positions are what they are, and as of which position of the log. Raises NotVisible,
        NoPosition, InvalidMoment."""
        with self.of_account(account_id) as connection:
            as_of = None if known_at is None else position_of(connection, known_at)
            found = explain_positions(connection, account_id, as_of=as_of, **which)
        return documents.positions(found), found.log_position

    def own_accounts(self) -> set[UUID]:
        """The accounts that row-level security shows."""
        return {row.account_id for row in read_side.question("accounts").find(self.connection)}

    @contextmanager
    def any_row(self) -> Iterator[psycopg.Connection[Any]]:
        """The connection as auditor: what is found is looked at with `is_own` before it is told."""
        with elevated(self.connection):
            yield self.connection

    def is_own(self, user_id: UUID | None, subject: str) -> bool:
        """Whether what is kept of a command may be told."""
        if self.person.user_id is None:
            return True
        return self.person.user_id == user_id or subject in map(str, self.own_accounts())

    def _check_all_own(self, wanted: UUID, found: Trace) -> None:
        """That everything in a trace is about own accounts. Raises NotVisible."""
        nodes = list(_nodes(found.roots))
        asked = {
            "commands": [node.id for node in nodes if node.kind == "command"],
            "events": [node.id for node in nodes if node.kind == "event"],
            "own": [str(account) for account in self.own_accounts()],
        }
        with elevated(self.connection):
            others = self.connection.execute(_OF_OTHERS, asked).fetchone()
        if others is not None:
            raise NotVisible(f"nothing of yours has the id {wanted}")

    @contextmanager
    def _vouched(self, question: "Question[Any]", asked: Mapping[str, Any]) -> Iterator[None]:
        if self.person.role not in OF_ONE_USER:
            yield
            return
        if "account_id" in asked:
            with self.of_account(asked["account_id"]):
                yield
            return
        first = question.first
        if not question.table.shared and first is not None and first in asked:
            self._check_seen(question, {first: asked[first]})
        with elevated(self.connection):
            yield

    def _check_seen(self, question: "Question[Any]", which: Mapping[str, Any]) -> None:
        if not question.page(self.connection, question.read(which), limit=1).rows:
            (name, value) = next(iter(which.items()))
            raise NotVisible(f"there is no {name} {value}, or it is not visible to you")


def _nodes(roots: Sequence[Node]) -> Iterator[Node]:
    for node in roots:
        yield node
        yield from _nodes(node.children)


class PageCursor:
    """The place of the next page, bound to what was asked."""

    def __init__(
        self, question: str, filters: Mapping[str, Any], known_at: str | None, effective: str | None
    ) -> None:
        given = {name: str(value) for name, value in filters.items() if value is not None}
        asked = orjson.dumps([question, given, known_at, effective], option=orjson.OPT_SORT_KEYS)
        self._digest = hashlib.sha256(asked).hexdigest()[:16]

    def written(self, place: str | None, position: int | None) -> str | None:
        if place is None:
            return None
        text = orjson.dumps([self._digest, position, place])
        return base64.urlsafe_b64encode(text).rstrip(b"=").decode()

    def read(self, text: str | None) -> tuple[str | None, int | None]:
        """The place and the position. Raises InvalidCursor."""
        if text is None:
            return None, None
        try:
            padded = text + "=" * (-len(text) % 4)
            digest, position, place = orjson.loads(base64.urlsafe_b64decode(padded))
        except ValueError:
            digest = position = place = None
        if digest != self._digest or not isinstance(place, str):
            raise InvalidCursor(
                "after must be the `next` of an answer to this question, with these filters"
            )
        if not isinstance(position, int | None) or isinstance(position, bool):
            raise InvalidCursor("after must be the `next` of an earlier answer")
        return place, position
