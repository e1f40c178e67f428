"""What all requests share: the settings, the database, who may sign in, limits."""

from dataclasses import dataclass
from typing import Self

from ledger.web.database import WebDatabase
from ledger.web.limits import FailedAttempts, RequestRate
from ledger.web.person import Person
from ledger.web.sessions import Sessions
from ledger.web.settings import WebSettings
from ledger.web.tokens import TokensFile
from ledger.web.users import UsersFile


@dataclass(frozen=True)
class Web:
    """Made by `of`; opened and closed with the application."""

    settings: WebSettings
    database: WebDatabase
    users: UsersFile
    tokens: TokensFile
    sessions: Sessions
    rate: RequestRate
    attempts: FailedAttempts

    @classmethod
    def of(cls, settings: WebSettings, database_url: str) -> Self:
        database = WebDatabase(
            database_url,
            size=settings.web_pool_size,
            statement_seconds=settings.web_statement_seconds,
        )
        users = UsersFile(settings.directory)
        return cls(
            settings=settings,
            database=database,
            users=users,
            tokens=TokensFile(settings.directory),
            sessions=Sessions(database, users, settings),
            rate=RequestRate(settings.web_requests_per_second),
            attempts=FailedAttempts(
                settings.web_sign_in_attempts, settings.web_sign_in_window_seconds
            ),
        )

    def person_of_token(self, text: str) -> Person | None:
        """For whom a token speaks; None if it is none."""
        token = self.tokens.verified(text)
        user = None if token is None else self.users.find(token.name)
        if token is None or user is None:
            return None
        return Person(
            user.name, user.role, f"token {token.id}", user.user_id, frozenset(token.scopes)
        )
