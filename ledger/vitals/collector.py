"""The numbers at every scrape of every program, for Prometheus.

Whoever scrapes often, or all programs at once, costs the servers one look each in a few seconds.
"""

import contextlib
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ledger.vitals.examination import Vitals
from ledger.vitals.measure import MEASURES, Sample

FRESH_SECONDS = 3.0
"""How long what was asked is told again: less than the pause between two scrapes of one server."""


class VitalsCollector(Collector):
    """Asks when it is asked."""

    def __init__(self, ask: Callable[[], Vitals]) -> None:
        self._ask = ask
        self._one_at_a_time = threading.Lock()
        self._found: Vitals | None = None
        self._holds_until = 0.0

    def describe(self) -> Iterable[Metric]:
        """Nothing, so that registering asks no server."""
        return ()

    def collect(self) -> Iterable[Metric]:
        return families(self._fresh().samples)

    def _fresh(self) -> Vitals:
        with self._one_at_a_time:
            if self._found is None or time.monotonic() >= self._holds_until:
                self._found = self._ask()
                self._holds_until = time.monotonic() + FRESH_SECONDS
            return self._found


def families(samples: Iterable[Sample]) -> Iterator[Metric]:
    """The numbers as Prometheus has them."""
    by_name: dict[str, list[Sample]] = defaultdict(list)
    for one in samples:
        by_name[one.name].append(one)
    for name, of_name in by_name.items():
        measure = MEASURES[name]
        kind = GaugeMetricFamily if measure.kind == "gauge" else CounterMetricFamily
        family = kind(f"ledger_{name}", measure.says, labels=[measure.of] if measure.of else [])
        for one in of_name:
            family.add_metric([one.label] if measure.of else [], one.value)
        yield family


@contextmanager
def told(ask: Callable[[], Vitals]) -> Iterator[None]:
    """Inside the block every scrape of this process tells them."""
    collector = VitalsCollector(ask)
    REGISTRY.register(collector)
    try:
        yield
    finally:
        with contextlib.suppress(KeyError):
            REGISTRY.unregister(collector)
