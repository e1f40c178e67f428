"""The alerts: the file is the list that doctor judges by, and each rule tells both ways."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from ledger.vitals.alert_rules import expression, rules
from ledger.vitals.collector import families
from ledger.vitals.condition import CONDITIONS, AlertCondition
from ledger.vitals.measure import MEASURES, Sample
from tests.alert_rules import USUAL
from tests.promtool import agrees

ROOT = Path(__file__).parent.parent.parent
FILE = ROOT / "deploy" / "prometheus" / "alerts.yml"
_LIMIT = re.compile(r"(?:max|min)(?: by \((\w+)\))? \((\w+)\) ([<>]) ([-+.e\d]+)")

Labels = Mapping[str, str]


class _Page(Collector):
    def __init__(self, samples: Iterable[Sample]) -> None:
        self._samples = samples

    def collect(self) -> Iterable[Metric]:
        return families(self._samples)


def scraped(samples: Iterable[Sample]) -> list[tuple[str, Labels, float]]:
    """What Prometheus reads of a page with these numbers."""
    registry = CollectorRegistry()
    registry.register(_Page(samples))
    text = generate_latest(registry).decode()
    return [
        (sample.name, sample.labels, sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]


def fires(asks: str, page: list[tuple[str, Labels, float]]) -> set[str]:
    """The labels for which the expression holds: the one form that there is of a limit."""
    found = _LIMIT.fullmatch(asks)
    assert found is not None, asks
    by, name, sign, limit = found.groups()
    groups: dict[str, list[float]] = {}
    for sample, labels, value in page:
        if sample == name:
            groups.setdefault(labels.get(by, "") if by else "", []).append(value)
    if sign == "<":
        return {label for label, values in groups.items() if min(values) < float(limit)}
    return {label for label, values in groups.items() if max(values) > float(limit)}


def sides(condition: AlertCondition) -> tuple[float, float]:
    """A value that is well, and one that is not."""
    step = max(abs(condition.limit) / 10, 0.01)
    return condition.limit, condition.limit - step if condition.below else condition.limit + step


def test_the_file_is_made_from_the_conditions_and_the_programs() -> None:
    assert FILE.read_text(encoding="utf-8") == rules(USUAL)


@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda one: one.alert)
def test_each_alert_tells_what_is_wrong_and_is_silent_where_it_is_well(
    condition: AlertCondition,
) -> None:
    well, unwell = sides(condition)
    asks = expression(condition)
    label = "one" if MEASURES[condition.measure].of else ""
    assert f"expr: {asks}\n" in FILE.read_text(encoding="utf-8")
    assert fires(asks, scraped([Sample(condition.measure, "one", well)])) == set()
    assert fires(asks, scraped([Sample(condition.measure, "one", unwell)])) == {label}


def test_prometheus_itself_agrees(tmp_path: Path) -> None:
    tests = [_case(one, holds) for one in CONDITIONS for holds in (True, False)]
    tests += [_missing(name, there) for name in USUAL for there in (True, False)]
    tests += [_unanswered(grows) for grows in (True, False)]
    (tmp_path / "test.yml").write_text(
        f"rule_files: ['{FILE}']\nevaluation_interval: 10s\ntests:\n{''.join(tests)}"
    )
    assert agrees(tmp_path / "test.yml") == ""


def _case(condition: AlertCondition, holds: bool) -> str:
    """A unit test of Prometheus' own: the series, and whether the alert fires after a minute (and
    within thirty seconds, where nothing makes it wait longer on purpose)."""
    of = MEASURES[condition.measure].of
    name = f"ledger_{condition.measure}"
    kind = "_total" if MEASURES[condition.measure].kind == "counter" else ""
    label = f'{{{of}="one",instance="a"}}' if of else '{instance="a"}'
    value = sides(condition)[1 if holds else 0]
    at = max(30, condition.seconds + 10)
    return f"""\
  - interval: 10s
    input_series: [{{series: '{name}{kind}{label}', values: '{value}+0x60'}}]
    promql_expr_test:
      - expr: count(ALERTS{{alertname="{condition.alert}",alertstate="firing"}}) or vector(0)
        eval_time: {at}s
        exp_samples: [{{labels: '{{}}', value: {int(holds)}}}]
"""


def _missing(program: str, there: bool) -> str:
    series = f'ledger_build_info{{service="{program}",version="1",instance="a"}}'
    told = f"{{series: '{series}', values: '1+0x60'}}" if there else ""
    alert = f"Ledger{program.title().replace('-', '')}Away"
    return f"""\
  - interval: 10s
    input_series: [{told}]
    promql_expr_test:
      - expr: count(ALERTS{{alertname="{alert}",alertstate="firing"}}) or vector(0)
        eval_time: 30s
        exp_samples: [{{labels: '{{}}', value: {int(not there)}}}]
"""


def _unanswered(grows: bool) -> str:
    series = 'ledger_queries_total{answer="READ_MODELS_UNAVAILABLE",instance="a"}'
    return f"""\
  - interval: 10s
    input_series: [{{series: '{series}', values: '0+{int(grows)}x60'}}]
    promql_expr_test:
      - expr: count(ALERTS{{alertname="LedgerQueriesUnanswered",alertstate="firing"}}) or vector(0)
        eval_time: 30s
        exp_samples: [{{labels: '{{}}', value: {int(grows)}}}]
"""
