"""The conditions as rules for Prometheus: deploy/prometheus/alerts.yml, which a test compares.

A program that is away tells nothing, so two rules ask for what is missing: a target that does not
answer, and a program of which nothing is heard at all.
"""

from collections.abc import Iterator, Sequence

from ledger.bus.queries import UNAVAILABLE
from ledger.vitals.condition import CONDITIONS, PAGE, SCRAPED_TWICE_SECONDS, TICKET, AlertCondition
from ledger.vitals.measure import MEASURES

_HEAD = """\
# Alerts of the ledger, made from the list that `ledgerctl doctor` judges by:
#   python -m tests.alert_rules > deploy/prometheus/alerts.yml
# Scrape every ten seconds, with `job: ledger` (deploy/prometheus/prometheus.yml): what stands still
# is told within thirty. A runbook for each is in docs/runbooks.
groups:
  - name: ledger
    rules:
"""


def rules(programs: Sequence[str]) -> str:
    """The file, with a rule for each of the programs."""
    return _HEAD + "".join((*_of_targets(programs), *map(_of_condition, CONDITIONS)))


def expression(condition: AlertCondition) -> str:
    """As Prometheus asks it: of what several programs say, the worst."""
    of = MEASURES[condition.measure].of
    worst = "min" if condition.below else "max"
    by = f" by ({of})" if of else ""
    sign = "<" if condition.below else ">"
    return f"{worst}{by} (ledger_{condition.measure}) {sign} {condition.limit:.10g}"


def _of_targets(programs: Sequence[str]) -> Iterator[str]:
    yield _rule(
        "LedgerTargetAway", 'up{job="ledger"} == 0', "page", SCRAPED_TWICE_SECONDS,
        "{{ $labels.instance }} does not answer", "programs.md",
    )  # fmt: skip
    for name in programs:
        yield _rule(
            f"Ledger{name.title().replace('-', '')}Away",
            f'absent(ledger_build_info{{service="{name}"}})',
            PAGE,
            SCRAPED_TWICE_SECONDS,
            f"nothing is heard of ledgerctl serve {name}",
            "programs.md",
        )

    yield _rule(
        "LedgerQueriesUnanswered",
        f'sum(increase(ledger_queries_total{{answer="{UNAVAILABLE}"}}[1m])) > 0',
        TICKET, 0, "questions were not answered: the database was away", "servers.md",
    )  # fmt: skip


def _of_condition(condition: AlertCondition) -> str:
    of = MEASURES[condition.measure].of
    label = f"{{{{ $labels.{of} }}}}" if of else ""
    spoken = condition.says.format(label=label, value=_Spoken())
    return _rule(
        condition.alert,
        expression(condition),
        condition.severity,
        condition.seconds,
        spoken,
        condition.runbook,
    )


class _Spoken(float):
    """A value that is not known yet: Prometheus puts it in."""

    def __format__(self, form: str) -> str:
        if form.endswith("%"):
            return "{{ $value | humanizePercentage }}"
        return "{{ $value | humanize }}"


def _rule(alert: str, asks: str, severity: str, seconds: int, says: str, runbook: str) -> str:
    quoted = says.replace("'", "''")
    return f"""\
      - alert: {alert}
        expr: {asks}
        for: {seconds}s
        labels:
          severity: {severity}
        annotations:
          summary: '{quoted}'
          runbook: docs/runbooks/{runbook}
"""
