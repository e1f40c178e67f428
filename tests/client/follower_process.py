"""A service in a process of its own, which can be stopped and killed: prints what it is given.

python -m tests.client.follower_process URL NAME LEASE_SECONDS
"""

import asyncio
import sys
from contextlib import aclosing

from ledger.client.client import LedgerClient
from ledger.client.follower import EventsTaken


async def main(url: str, name: str, lease_seconds: str) -> None:
    async with await LedgerClient.connect(url, source="test") as ledger:
        options = {"name": name, "lease_seconds": float(lease_seconds)}
        try:
            async with aclosing(ledger.events(**options)) as events:  # type: ignore[arg-type]
                async for event in events:
                    print(event.position, flush=True)  # noqa: T201 - to the test
        except EventsTaken:
            print("taken", flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
