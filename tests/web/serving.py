"""The HTTP server in a thread, on a real database, for who asks in tests."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
from argon2 import PasswordHasher
from msgspec.structs import replace

from ledger.web.application import Web
from ledger.web.person import ALL_SCOPES, Role, Scope
from ledger.web.program import WebService
from ledger.web.settings import WebSettings
from ledger.web.tokens import TokensFile
from ledger.web.users import UsersFile, WebUser, web_user
from tests.ports import free_port
from tests.projections.everything import OTHER_USER
from tests.projections.log import USER
from tests.projections.workers import wait_until
from tests.roles.acting import login_of

PASSWORD = "correct horse battery"
NAMES = {
    "ada": (Role.ADMIN, None),
    "olga": (Role.OPERATOR, None),
    "aurel": (Role.AUDITOR, None),
    "tom": (Role.TRADER, USER),
    "vera": (Role.VIEWER, OTHER_USER),
}
"""Who may sign in; tom and vera are users of the ledger."""


@dataclass
class Served:
    """The application, and who may use it."""

    web: Web
    tokens: dict[str, str] = field(default_factory=dict)
    clients: list[httpx2.Client] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.web.settings.url

    def client(
        self, name: str | None = None, *, scopes: frozenset[Scope] = ALL_SCOPES
    ) -> httpx2.Client:
        """Somebody with a token, or nobody."""
        headers = {}
        if name is not None:
            headers["Authorization"] = f"Bearer {self.token(name, scopes)}"
        # It speaks no TLS: reading the system's certificates would take longer than a test.
        client = httpx2.Client(base_url=self.url, headers=headers, timeout=30, verify=False)
        self.clients.append(client)
        return client

    def token(self, name: str, scopes: frozenset[Scope] = ALL_SCOPES) -> str:
        key = f"{name} {sorted(scopes)}"
        if key not in self.tokens:
            made = TokensFile(self.web.settings.directory).create(name, scopes, timedelta(days=1))
            self.tokens[key] = made[1]
        return self.tokens[key]

    def browser(self, name: str = "ada", password: str = PASSWORD) -> httpx2.Client:
        """Somebody who has signed in."""
        client = self.client()
        answer = client.post("/sign-in", data={"name": name, "password": password})
        assert answer.status_code == 303, answer.text
        return client


@contextmanager
def served(database_url: str, directory: Path, **settings: Any) -> Iterator[Served]:
    """Runs on the database with a login that is of the program's role and no more."""
    users = UsersFile(directory)
    for name, (role, user_id) in NAMES.items():
        users.put(web_user(name, role, user_id=user_id))
    users.put(_with_password())
    with login_of(database_url, "ledger_http") as url:
        given = {"web_requests_per_second": 10_000.0, "web_port": free_port(), **settings}
        service = WebService(WebSettings(web_dir=directory, **given), url)
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_until_complete, args=(service.run(),))
        thread.start()
        server = Served(service.web)
        try:
            wait_until(lambda: service.works, "the server")
            yield server
        finally:
            for client in server.clients:
                client.close()
            loop.call_soon_threadsafe(service.stop)
            thread.join()
            loop.close()


@cache
def _with_password() -> WebUser:
    """Whose password is hashed with little work: a hash says with how much, and that of people is
    tested where it is made."""
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    return replace(web_user("ada", Role.ADMIN), password_hash=cheap)


def rows_of(user_id: UUID | None, rows: list[dict[str, Any]]) -> bool:
    """Whether all rows that say whose they are, are this user's."""
    return all(row.get("user_id") in (None, str(user_id)) for row in rows)
