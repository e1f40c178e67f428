"""What Prometheus is told of limits: one series for each measure, of whoever uses most."""

from decimal import Decimal
from uuid import UUID, uuid4

from prometheus_client import REGISTRY

from ledger.nouns.limits.check import Utilisation
from ledger.nouns.limits.decision import Inputs
from ledger.nouns.limits.measures import in_force
from ledger.nouns.limits.state import Version
from ledger.nouns.limits.terms import LimitMeasure, LimitScope, LimitTerms
from ledger.risk import gauges


def used(percent: str | None, account: UUID) -> Utilisation:
    terms = LimitTerms(measure=LimitMeasure.MAX_EXPOSURE, value=Decimal(100), unit="USDT")
    limit = in_force(uuid4(), LimitScope.ACCOUNT, str(account), Version(terms, "ada"))
    return Utilisation(
        limit=limit,
        measured=None,
        percent=None if percent is None else Decimal(percent),
        exceeded=False,
        warning=False,
        missing=("a price",) if percent is None else (),
        inputs=Inputs(instrument=""),
    )


def told() -> tuple[float | None, float | None]:
    series = {"scope": "ACCOUNT", "measure": "MAX_EXPOSURE"}
    return (
        REGISTRY.get_sample_value("ledger_limit_used_ratio", series),
        REGISTRY.get_sample_value("ledger_limits_unknown"),
    )


def test_of_all_accounts_the_one_that_uses_most_is_told() -> None:
    one, other = uuid4(), uuid4()
    gauges.tell(one, [used("40", one), used("25", one)])
    gauges.tell(other, [used("60", other)])
    assert told() == (0.6, 0)
    gauges.tell(other, [used(None, other)])
    assert told() == (0.4, 1)
    gauges.tell(other, [])
    gauges.tell(one, [])
    assert told() == (0, 0)
