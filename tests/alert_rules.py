"""Makes deploy/prometheus/alerts.yml from the conditions and the programs:

python -m tests.alert_rules > deploy/prometheus/alerts.yml
"""

import sys

from ledger.programs.registry import names
from ledger.vitals.alert_rules import rules

if __name__ == "__main__":
    sys.stdout.write(rules(names()))
