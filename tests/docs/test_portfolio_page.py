"""docs/portfolio.md says of every measure what the code and the tear sheet say."""

from collections.abc import Mapping

import pytest

from projections.portfolio import definitions
from projections.portfolio.definitions import MeasureDefinition
from projections.portfolio.performance_rows import PERFORMANCE
from projections.portfolio.risk_rows import RISK
from tests.docs.pages import ROOT, table_rows

PAGE = ROOT / "docs/portfolio.md"


@pytest.mark.parametrize(
    ("heading", "defined"),
    [("Performance", definitions.PERFORMANCE), ("Risk", definitions.RISK)],
)
def test_every_measure_is_defined_as_in_the_code(
    heading: str, defined: Mapping[str, MeasureDefinition]
) -> None:
    told = {
        cells[0].strip("`"): MeasureDefinition(*cells[1:]) for cells in table_rows(PAGE, heading)
    }
    assert told == defined


@pytest.mark.parametrize(
    ("columns", "defined"),
    [(PERFORMANCE.columns, definitions.PERFORMANCE), (RISK.columns, definitions.RISK)],
)
def test_what_is_defined_is_a_column(
    columns: tuple[str, ...], defined: Mapping[str, MeasureDefinition]
) -> None:
    assert set(defined) <= set(columns)
