"""What a subscription remembers beside its place: made of the events up to there, written in the
transaction that moves the place, read by whoever goes on. It may be thrown away with the place, and
is made again from the log.
"""

from typing import Any, TypeVar

import msgspec
import psycopg

from ledger.kernel.known_types import known

_READ = "SELECT memory::text FROM public.subscription_memories WHERE subscription = %s"
_WRITE = """
    INSERT INTO public.subscription_memories AS m (subscription, memory)
    VALUES (%(name)s, %(memory)s) ON CONFLICT (subscription)
    DO UPDATE SET memory = excluded.memory, written_at = clock_timestamp()
    WHERE m.memory::text IS DISTINCT FROM excluded.memory::text"""

Memory = TypeVar("Memory", bound=msgspec.Struct)


def read(connection: psycopg.Connection[Any], name: str, kind: type[Memory]) -> Memory:
    """What was written last; an empty one if nothing was."""
    row = connection.execute(_READ, [name]).fetchone()
    return kind() if row is None else msgspec.json.decode(row[0], type=known(kind))


def write(connection: psycopg.Connection[Any], name: str, memory: msgspec.Struct) -> None:
    """Inside the transaction that moves the place."""
    text = msgspec.json.encode(memory).decode()
    connection.execute(_WRITE, {"name": name, "memory": text})
