"""Makes docs/settings.md from the settings' own descriptions:

python -m tests.settings_page > docs/settings.md
"""

import sys

from pydantic_settings import BaseSettings

from ledger.operate.settings import Settings
from ledger.web.settings import WebSettings
from projections.settings import ProjectionSettings

_BEGINNING = """\
# Settings

Environment variables, or the same names in a file `.env` in the current directory; the environment
wins. Names end in their unit. A value that cannot be is refused at the start, by name.

This page is made from the code: `python -m tests.settings_page > docs/settings.md`.
"""


def page() -> str:
    """The whole page."""
    described: set[str] = set()
    parts = [_BEGINNING]
    for title, model in (
        ("Write side", Settings),
        ("Read side", ProjectionSettings),
        ("Web", WebSettings),
    ):
        parts.append(f"\n## {title}\n\n| variable | default | meaning |\n| --- | --- | --- |\n")
        parts.extend(_rows(model, described))
    return "".join(parts)


def _rows(model: type[BaseSettings], described: set[str]) -> list[str]:
    rows = []
    for name, field in model.model_fields.items():
        if name not in described:
            described.add(name)
            default = "unset" if field.default is None else f"`{field.default}`"
            rows.append(f"| `LEDGER_{name.upper()}` | {default} | {field.description} |\n")
    return rows


if __name__ == "__main__":
    sys.stdout.write(page())
