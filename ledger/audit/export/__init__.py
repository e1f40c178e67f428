"""A range of events taken out of the ledger, so that it can be verified without it.

export       the events, a manifest, the seals of the range; the manifest last
files        events in and out of JSON lines, CSV and Parquet
beancount    the postings as a ledger of double entry, every balance asserted
reader       the files of an export that somebody else made, opened with care
verify       files, seals, events and books against each other, offline
"""
