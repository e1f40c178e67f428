"""How the ledger is, asked of what everybody shares and not of the programs themselves, so that one
that hangs or is away cannot hide it.

    measure       every number there is, with what it means
    database      the numbers that PostgreSQL has: public.vitals(), one statement
    bus           those that NATS has: what waits, room, who follows
    examination   both, within a bounded time; a server that is away is a number as well
    collector     tells them at every scrape of every program, asked at most every few seconds
    condition     when a number needs a person: the one list that doctor, `ledgerctl status` and the
                  alerts are made of, each with its runbook
    alert_rules   that list as rules for Prometheus (deploy/prometheus/alerts.yml)

A number that says how long nothing was done although something waits ("stalled") tells a program
that hangs from one that is idle and from one that has much to do. Readiness goes by the same.
"""
