"""From what the log and the vitals say to a person who was told: `ledgerctl serve alerts`.

    rules            when something is to be told, how bad it is, on which channels: those that
                     come with the ledger (shipped_rules.toml; one for each condition of
                     ledger/vitals), and a file's, which changes or adds
    rule_match       what an event says by the rules
    condition_watch  which conditions of the vitals hold, for how long
    watch            what is open and what is still to be told, folded from the events of alerts;
                     what is due at a moment
    channels         where to tell it: names for addresses that have secrets
    delivery         one message to one channel, and what it answered
    sender           several messages at a time, in threads
    outage           what cannot be recorded, because there is nowhere to

All of it ends in commands (ledger/nouns/alerts), whose ids are made of what caused them: so who is
killed, started anew or doubled has one effect. Only the sending itself leaves the ledger: it is
begun in the log before and ended in the log after, and where that end was lost it is repeated, and
says so.
"""
