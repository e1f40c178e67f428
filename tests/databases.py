"""Databases for tests: fresh ones on a server that is there already."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
from psycopg import sql


def url_of(server_url: str, database: str) -> str:
    """The same server's URL with another database."""
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{database}"))


def create_database(
    server_url: str, *, name: str | None = None, template: str = "template0"
) -> str:
    """URL of a new database. Without a template of ours it is empty."""
    name = name or f"test_{uuid4().hex}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
    return url_of(server_url, name)


def drop_database(server_url: str, database_url: str) -> None:
    """Drops it, whoever is still connected."""
    name = urlsplit(database_url).path.removeprefix("/")
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )


@contextmanager
def temporary_database(server_url: str, *, template: str = "template0") -> Iterator[str]:
    """A new database for the length of the block."""
    database_url = create_database(server_url, template=template)
    try:
        yield database_url
    finally:
        drop_database(server_url, database_url)
