"""What nobody would ask: requests drawn from the API's own description break nothing."""

import contextlib
import os
from typing import Any

import httpx2
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from tests.web.serving import Served

EXAMPLES = int(os.environ.get("LEDGER_TEST_ROUNDS", "1"))
"""Of each operation."""
FOR_LACK_OF_A_BUS = ("UNAVAILABLE", "TOO_SLOW")


def test_no_request_breaks_the_server(web: Served) -> None:
    description = web.client().get("/api/openapi.json").json()
    schema = schemathesis.openapi.from_dict(description).exclude(path_regex="/stream$")
    client, tried = web.client("ada"), 0

    def try_all(operation: Any, mode: GenerationMode) -> None:
        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
            derandomize=True,
            phases=[Phase.generate],
        )
        def answered(case: Any) -> None:
            nonlocal tried
            if case.query:
                case.query.pop("wait_for", None)  # what waits is tried elsewhere
            given_ = case.as_transport_kwargs(base_url=web.url)
            given_.pop("cookies", None)
            try:
                answer = client.request(
                    given_["method"],
                    given_["url"],
                    params=given_.get("params"),
                    json=given_.get("json"),
                    content=given_.get("data"),
                )
            except httpx2.InvalidURL:
                return  # what no client sends
            tried += 1
            told = (operation.label, given_, answer.text)
            if answer.status_code >= 500:
                assert answer.json()["code"] in FOR_LACK_OF_A_BUS, told
            elif answer.status_code >= 400:
                assert answer.headers["content-type"] == "application/problem+json", told

        answered()

    for result in schema.get_all_operations():
        for mode in GenerationMode:
            with contextlib.suppress(Unsatisfiable):  # what takes nothing cannot be asked wrongly
                try_all(result.ok(), mode)  # type: ignore[union-attr]
    assert tried > 100
