"""Proof that nothing was altered: sealed as it is written, verified by whoever doubts it.

    event ──▶ canonical ──▶ leaf ─┐
    event ──▶ canonical ──▶ leaf ─┤ merkle ──▶ root ─┐
    …                             ┘                   ├──▶ seal n ──▶ seal n+1 ──▶ … ──▶ head
    rows beside the log ──▶ journal ──▶ root ─────────┘      signed, each hashes the one before

Made, while the ledger runs:

    sealer         gathers events and the journal's entries into blocks, seals each
    seals          what a seal says, its hash and signature; keys, key_changes: whose signature
    heads          the newest seal, kept outside: in a file, by a witness (`ledger/audit/witness`)

Checked, at any time, by anybody who can read:

    verify         seals, blocks, streams, records; at one moment of the database
    seal_chain     each seal's hash and signature, and that it follows the one before
    blocks         events read, hashed and compared                 (printed_events, canonical)
    records        what is kept beside the log; states: cached ones against their events
    key_chain, kept_heads, trust    what comes from outside and vouches for the seals
    tampering, verdict              what was done, and what the finding rests on
    proofs         that one event is in the sealed log; check_proof: checked by that file alone
    proof_page     a page that checks the same in a browser, offline

Whoever runs the database can make all of it anew. So without a key or a head from outside the
verdict is that history is consistent in itself, and never that it is unaltered.
"""
