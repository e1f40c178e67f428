"""ledgerctl database: what PostgreSQL has counted of itself, for whoever looks after it."""

from typing import Annotated, Any

import typer

from ledger.operate import terminal
from ledger.operate.table import Columns, Wide

app = typer.Typer(
    no_args_is_help=True, help="PostgreSQL's own numbers: what is slow, large, unused, neglected."
)

Json = Annotated[bool, typer.Option("--json", help="Print a JSON array of rows.")]
_WORDS = ("schema_name", "table_name", "index_name", "query", "kind", "priority", "remedy")
"""Columns of text: the others are numbers, or times."""


def register(parent: typer.Typer) -> None:
    """Adds the commands of this file."""
    parent.add_typer(app, name="database")


@app.callback()
def database() -> None:
    """PostgreSQL's own numbers."""


@app.command()
def performance(json: Json = False) -> None:
    """How busy it has been with this database since its statistics were begun: transactions and
    statements a second, milliseconds each, how much it found in memory, connections."""
    rows = _read("SELECT * FROM public.database_performance_metrics")
    if json:
        terminal.say_json(rows, pretty=True)
        return
    for name, value in rows[0].items():
        shown = "unknown" if value is None else _text(value)
        terminal.say(f"{name.replace('_', ' '):<24} {shown}")


@app.command()
def statements(columns: Columns = None, wide: Wide = False, json: Json = False) -> None:
    """The twenty slowest statements of those that come often, and of the others. Needs
    pg_stat_statements (docs/operators.md)."""
    rows = _read("SELECT * FROM public.slow_queries ORDER BY kind, place")
    if not rows and not json:
        terminal.say(
            "no statement has been counted: the server needs shared_preload_libraries = "
            "'pg_stat_statements', and the database CREATE EXTENSION pg_stat_statements"
        )
        return
    first = ("kind", "calls", "mean_ms", "longest_ms", "query")
    _say(rows, first, columns, wide, json)


@app.command()
def indexes(columns: Columns = None, wide: Wide = False, json: Json = False) -> None:
    """Indexes of more than 1 MB that nobody has used since statistics were begun, the largest
    first."""
    rows = _read("SELECT * FROM public.unused_indexes ORDER BY index_bytes DESC, index_name")
    _say(rows, ("index_name", "index_bytes", "table_name", "schema_name"), columns, wide, json)


@app.command()
def tables(columns: Columns = None, wide: Wide = False, json: Json = False) -> None:
    """How large each table is, with its partitions, and how it is used; the largest first."""
    rows = _read("SELECT * FROM public.table_statistics ORDER BY total_bytes DESC, table_name")
    first = ("table_name", "total_bytes", "live_rows", "dead_percent", "analyzed_at")
    _say(rows, first, columns, wide, json)


@app.command()
def maintenance(columns: Columns = None, wide: Wide = False, json: Json = False) -> None:
    """Tables that autovacuum has not kept up with, and what to run; the most urgent first."""
    rows = _read(
        "SELECT * FROM public.tables_needing_maintenance "
        "ORDER BY urgency, dead_percent DESC NULLS LAST, table_name"
    )
    first = ("priority", "table_name", "dead_percent", "changed_rows", "remedy")
    _say(rows, first, columns, wide, json)


def _read(statement: str) -> list[dict[str, Any]]:
    from psycopg.rows import dict_row

    from ledger.operate import servers
    from ledger.operate.database import connect
    from ledger.operate.settings import load

    with servers.database(load()) as url, connect(url, "statistics") as connection:
        return connection.cursor(row_factory=dict_row).execute(statement.encode()).fetchall()


def _say(
    rows: list[dict[str, Any]],
    first: tuple[str, ...],
    columns: str | None,
    wide: bool,
    json: bool,
) -> None:
    """As a table with these columns first, as far as there is room."""
    if json:
        terminal.say_json(rows, pretty=True)
        return
    if not rows:
        terminal.say("none")
        return
    names = (*first, *(name for name in rows[0] if name not in first))
    cells = ([_text(row[name]) for name in names] for row in rows)
    numbers = [name for name in names if name not in _WORDS and not name.endswith("_at")]
    terminal.say_table(names, cells, right=numbers, columns=columns, wide=wide)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:%Y-%m-%dT%H:%M:%SZ}" if hasattr(value, "strftime") else str(value)
