"""What other packages add to the ledger, by entry points: `ledger` knows none of them by name.

ledger.migrations   install(database_url): runs after our own schema is current
ledger.programs     PROGRAM, which `ledgerctl serve` runs (programs/registry.py)
ledger.cli          a typer app, mounted as `ledgerctl <name>` (cli/main.py)
ledger.questions    questions(): what may be asked, by name (kernel/read_side.py)
ledger.reports      by name, what a report is made by: (connection, account_id, begin, end)
ledger.settings     by part, the class of its settings (operate/told_settings.py)
ledger.claims       claims(): what must hold of the read models, with the queries that find faults
"""

import importlib.metadata

from ledger.operate.database_url import confined
from ledger.operate.schema import migrate


def migrate_all(database_url: str) -> list[str]:
    """Brings our schema up to date, then those of the plugins. Returns our files that were
    applied. Safe to call twice and from several processes."""
    applied = migrate(database_url)
    for entry_point in importlib.metadata.entry_points(group="ledger.migrations"):
        entry_point.load()(confined(database_url))
    return applied
