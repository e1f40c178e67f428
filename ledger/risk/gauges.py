"""How much of their limits accounts use, for Prometheus: of each scope and measure the account that
uses most. So there are as many series as measures, however many accounts; which one it is, says
`ledgerctl query risk-events`, or `ledgerctl limits show`."""

from collections.abc import Iterable
from uuid import UUID

from prometheus_client import Gauge

from ledger.nouns.limits.check import Utilisation

USED = Gauge(
    "ledger_limit_used_ratio",
    "What is used of a limit, of the account that uses most of it: 1 is all of it.",
    ["scope", "measure"],
)
UNKNOWN = Gauge(
    "ledger_limits_unknown",
    "Accounts with a limit of which nobody can say what it is at: a price is missing.",
)

_used: dict[tuple[str, str], dict[UUID, float]] = {}
_unknown: set[UUID] = set()


def tell(account_id: UUID, limits: Iterable[Utilisation]) -> None:
    """What the limits of an account are at now."""
    now: dict[tuple[str, str], float] = {}
    missing = False
    for one in limits:
        missing = missing or bool(one.missing)
        if one.percent is not None:
            series = (one.limit.scope.value, one.limit.terms.measure.value)
            now[series] = max(now.get(series, 0.0), float(one.percent) / 100)
    for series in {*now, *(series for series, of in _used.items() if account_id in of)}:
        accounts = _used.setdefault(series, {})
        if series in now:
            accounts[account_id] = now[series]
        else:
            del accounts[account_id]
        USED.labels(*series).set(max(accounts.values(), default=0.0))
    (_unknown.add if missing else _unknown.discard)(account_id)
    UNKNOWN.set(len(_unknown))
