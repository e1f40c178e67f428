"""Makes deploy/prometheus/alerts.yml from the conditions and the programs:

python -m tests.alert_rules > deploy/prometheus/alerts.yml
"""

import sys

from ledger.operate.settings import Settings
from ledger.programs.registry import wanted
from ledger.vitals.alert_rules import rules

USUAL = wanted(Settings.model_construct())
"""Programs that every ledger runs; others are told by their target, where they are scraped."""

if __name__ == "__main__":
    sys.stdout.write(rules(USUAL))
