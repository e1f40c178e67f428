"""The whole ledger at work: what `ledgerctl demo` starts, watches and checks.

    desk         opens accounts, deposits, assigns strategies; later transfers, withdraws,
                 rebalances
    strategies   maker, trend, dip: ask for orders, cancels and replaces, and make mistakes
    exchange     a virtual venue: a price process, and chance as its matching rule; reports what
                 happened, also late, twice, too much and wrongly

Each is a process of its own. All of them talk to the ledger over NATS alone, with LedgerClient,
and to each other on NATS subjects below `demo.`. `run` starts them on a ledger in a temporary
directory; `proofs` reads the database afterwards and says what holds.

What is asked for, and what the venue makes of it, follows from one seed: `market`, `venue_rules`
and `strategy_rules` are pure. Only the timing differs from run to run.
"""

DEFAULT_COMMANDS = 6_000
"""About how many commands a demo sends: enough for every situation to occur many times, and some
ten seconds of work for two slow cores."""
MIN_COMMANDS = 200
"""Below, there is little to see."""
MAX_COMMANDS = 1_000_000
