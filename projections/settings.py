"""Every setting of the read side: environment variables LEDGER_*, or the same in `.env`.

A setting's name ends in its unit. Its description says what it limits and why the default is
what it is.
"""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from ledger.operate.settings import load_as


class ProjectionSettings(BaseSettings):
    """What projections can be told."""

    model_config = SettingsConfigDict(
        env_prefix="LEDGER_", env_file=".env", env_file_encoding="utf-8", extra="ignore"
    )

    database_url: str | None = Field(
        default=None,
        description="Where the log and the read models are. The command line fills it in when "
        "the embedded database is used.",
    )
    projection_batch_positions: int = Field(
        default=2_000,
        ge=1,
        le=100_000,
        description="Most positions of the log that a live batch covers. A worker that keeps up "
        "never sees this many; one that has fallen behind commits after each, so that readers "
        "see it catch up.",
    )
    rebuild_batch_positions: int = Field(
        default=20_000,
        ge=1,
        le=1_000_000,
        description="Positions of the log in one batch of a rebuild, of all its processes "
        "together. Larger batches save little and hold more events in memory (about 2 KB each).",
    )
    rebuild_processes: int | None = Field(
        default=None,
        ge=1,
        le=64,
        description="Processes that a rebuild or verification of a long log uses. They share the "
        "batch and the rows in memory; each takes some 80 MB beside. Unset: as many as there are "
        "cores, but at most 4, which stay below a gigabyte.",
    )
    rebuild_swap_patience_seconds: float = Field(
        default=60.0,
        gt=0,
        description="Longest time in seconds that a finished rebuild or a rollback waits for "
        "readers who hold on to a read model in a long transaction, and afterwards for those who "
        "began before the swap. Nobody waits meanwhile, and nothing is lost when it is over.",
    )
    projection_poll_seconds: float = Field(
        default=1.0,
        gt=0,
        description="Longest time in seconds until a worker looks for new events on its own. "
        "Notifications wake it at once; this is for those that get lost.",
    )
    projection_lease_seconds: float = Field(
        default=6.0,
        ge=1,
        description="How long, in seconds, a projection stays with an owner that has gone silent; "
        "it renews its lease three times within this. With the second until others look, they "
        "take over well within ten seconds; a pause of the network or of the garbage collector "
        "is shorter.",
    )
    projection_hang_seconds: float = Field(
        default=30.0,
        gt=0,
        description="Seconds without a sign of life after which the lease of a projection is no "
        "longer renewed although its process lives: its worker hangs. Far longer than any batch.",
    )
    projection_stop_at_poison: str = Field(
        default="",
        description="Names of projections, separated by commas, that stop before an event that "
        "they cannot handle. The others park it and its order or account, and go on: better one "
        "row too old than all. (portfolio_snapshots and positions always stop: their rows depend "
        "on each other.)",
    )
    projection_rows_in_memory: int = Field(
        default=50_000,
        ge=100,
        description="Rows of one table that a projection keeps in memory before it lets go of "
        "those not used lately (it holds at most twice as many and one batch). 50,000 orders "
        "take about 60 MB. The processes of a rebuild share it.",
    )
    portfolio_snapshot_retention_days: int = Field(
        default=730,
        ge=31,
        description="How long, in days, snapshots of accounts and sub-accounts are kept: dropped "
        "by whole months when one ends. Two years of one account at 30 s are 2 million rows. After "
        "a change run: ledgerctl projections rebuild portfolio_snapshots --accept-differences",
    )
    portfolio_hourly_retention_days: int = Field(
        default=1_826,
        ge=31,
        description="The same of hours, of accounts, their assets and risk; days are kept for "
        "ever. Five years of one account are 44,000 rows, and as many of risk and each asset.",
    )
    price_max_age_seconds: float = Field(
        default=300.0,
        gt=0,
        description="Age in seconds from which a price is stale: a fresh one of a kind that is "
        "believed less is then a position's mark. After a change run: ledgerctl projections "
        "rebuild positions portfolio_snapshots --accept-differences",
    )


def load() -> ProjectionSettings:
    """The settings of the environment and `.env`. Raises InvalidSettings."""
    return load_as(ProjectionSettings)
