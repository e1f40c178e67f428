"""Measurements against the stock `eventsourcing` library.

Machines are shared and noisy, so only ratios of one run are claims: ours and the peer take turns
on the same PostgreSQL, doing the same work. Each benchmark prints JSON with --json.
"""
