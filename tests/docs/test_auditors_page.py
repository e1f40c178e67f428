"""What auditors read about the log is whole."""

import psycopg

from ledger.nouns import EVENTS
from tests.docs.pages import DOCS, table_rows

PAGE = DOCS / "auditors.md"


def test_the_page_has_every_event_and_no_other() -> None:
    documented = [cells[0].strip("`") for cells in table_rows(PAGE, "Events")]
    assert sorted(documented) == sorted(EVENTS)


def test_the_page_has_every_column_of_the_log(database_url: str) -> None:
    rows = table_rows(PAGE, "What the log holds")
    documented = {name.strip("`") for cells in rows for name in cells[0].split(", ")}
    with psycopg.connect(database_url) as connection:
        cursor = connection.execute("SELECT * FROM event_store")
        columns = {column.name for column in cursor.description or ()}
    assert {name for name in documented if "." not in name} == columns
