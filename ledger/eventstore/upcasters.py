"""How payloads of older schema versions become today's, one version at a time.

An upcaster takes the payload of version n as a dict and returns that of version n + 1.
Stored rows never change; this file grows.
"""

from collections.abc import Callable
from typing import Any


def _account_opened_1(data: dict[str, Any]) -> dict[str, Any]:
    """`is_testnet` became `environment`: a test network is PAPER money."""
    is_testnet = data.pop("is_testnet", False)
    return data | {"environment": "PAPER" if is_testnet else "LIVE"}


UPCASTERS: dict[tuple[str, int], Callable[[dict[str, Any]], dict[str, Any]]] = {
    ("account.opened", 1): _account_opened_1,
}
"""(event type, version the payload has) -> the step to the next version."""
