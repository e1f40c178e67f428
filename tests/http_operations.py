"""What the HTTP API takes, a line for each operation: docs/http-v1.txt, made by

    python -m tests.http_operations > docs/http-v1.txt

What is listed there stays as long as /api/v1 does: a test refuses a line that is gone.
"""

import sys
from functools import cache
from pathlib import Path

from ledger.web.app import application
from ledger.web.application import Web
from ledger.web.settings import WebSettings

FILE = Path(__file__).parent.parent / "docs" / "http-v1.txt"


@cache
def operations() -> list[str]:
    """Each operation with each parameter, and whether it must be given."""
    app = application(Web.of(WebSettings(), "postgresql://nowhere/nothing"))
    lines = []
    for path, methods in app.openapi()["paths"].items():
        for method, described in methods.items():
            operation = f"{method.upper()} {path}"
            lines.append(operation)
            for parameter in described.get("parameters", []):
                must = " required" if parameter.get("required") else ""
                lines.append(f"{operation} {parameter['in']} {parameter['name']}{must}")
    return sorted(lines)


if __name__ == "__main__":
    sys.stdout.write("\n".join(operations()) + "\n")
