"""What the command service tells Prometheus, through the client library's default registry.

Counted once per batch, not per command: measuring must cost nothing that one could measure. All
are counts of this process; how the ledger is as a whole, every program asks when somebody looks
(ledger/vitals).
"""

from collections import Counter as Tally
from collections.abc import Iterable

from prometheus_client import Counter, Histogram

from ledger.kernel.command import FAILED, Command, InvalidCommand, Outcome
from ledger.nouns import COMMAND_DATA

INVALID, REPLAYED = "INVALID", "REPLAYED"

_BATCH_COMMANDS = (1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000)
_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10)

COMMANDS = Counter(
    "ledger_commands",
    "Commands by type (INVALID: none that there is) and status. REPLAYED: decided before. FAILED "
    "counts each try.",
    ["type", "status"],
)
REJECTIONS = Counter("ledger_rejections", "Refused commands by the code of the refusal.", ["code"])
for _type in COMMAND_DATA:  # a count that began with its first failure would never have grown
    COMMANDS.labels(_type, FAILED)
REDELIVERED = Counter(
    "ledger_commands_redelivered", "Commands that the server handed out more than once."
)
BATCH_COMMANDS = Histogram(
    "ledger_command_batch_commands", "Commands in a batch.", buckets=_BATCH_COMMANDS
)
DECIDE_SECONDS = Histogram(
    "ledger_command_decide_seconds", "Time to decide a batch, in memory.", buckets=_SECONDS
)
COMMIT_SECONDS = Histogram(
    "ledger_command_commit_seconds",
    "Time to record a batch: the append lock, COPY and the commit.",
    buckets=_SECONDS,
)
OUTCOME_SECONDS = Histogram(
    "ledger_command_outcome_seconds",
    "From the arrival of a command on the bus to its outcome on the way back.",
    buckets=(*_SECONDS, 30, 100, 1_000),
)
CACHE_HITS = Counter("ledger_aggregate_cache_hits", "Streams that were in memory when needed.")
CACHE_MISSES = Counter("ledger_aggregate_cache_misses", "Streams that had to be loaded.")


def batch(commands: Iterable[Command | InvalidCommand], outcomes: Iterable[Outcome]) -> None:
    """Counts a batch whose outcomes are known."""
    outcomes = list(outcomes)
    for code, count in Tally(
        one.code for one in outcomes if one.rejected and not one.replayed and one.code
    ).items():
        REJECTIONS.labels(code).inc(count)
    tally = Tally(
        (
            command.type if command.type in COMMAND_DATA else INVALID,
            REPLAYED if outcome.replayed else outcome.status,
        )
        for command, outcome in zip(commands, outcomes, strict=True)
    )
    for labels, count in tally.items():
        COMMANDS.labels(*labels).inc(count)
    BATCH_COMMANDS.observe(tally.total())
