"""What pages show, as a file: CSV with exact numbers, named by as of when it is."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from fastapi.responses import Response

from ledger.kernel import money
from ledger.kernel.text import csv_cell
from ledger.web import json_body
from ledger.web.answers import LogStanding

_NO_NAME = re.compile(r"[^A-Za-z0-9._-]+")


def csv_file(
    name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], standing: LogStanding
) -> Response:
    """Numbers are exact, times RFC 3339 in UTC, nothing is empty; text of others is never a
    formula. The position is in the file's name, and with the rest in the answer's headers."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text_file(f"{name}-{standing.position}.csv", text.getvalue(), "text/csv", standing)


def text_file(name: str, text: str, kind: str, standing: LogStanding) -> Response:
    """A text to be kept."""
    headers = json_body.headers_of(standing)
    headers["Content-Disposition"] = f'attachment; filename="{_NO_NAME.sub("-", name)}"'
    return Response(text, media_type=f"{kind}; charset=utf-8", headers=headers)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return money.plain(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, datetime):
        return json_body.time_text(value)
    return csv_cell(str(value))
