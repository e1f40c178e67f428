"""NATS, and nothing of the business: who connects, what is kept where, who may do what.

    connection     the one way to connect; security is part of it      (security.py: who we are)
    what is sent   command_subjects, envelope: a command's subject and its CloudEvent
                   events: an event's; queries: a question's
    streams        command_stream   LEDGER_COMMANDS, its partitions and their consumers
                   event_stream     LEDGER_EVENTS, the events of the last days in order
                   seal_stream      LEDGER_SEALS, heads kept outside of the database
                   followers        LEDGER_FOLLOWERS, who follows the events and how far
    many at once   wire in both directions, pull from a consumer, atomic_batch into a stream
                   (event_sender: events, whose order is certain)
    rights         users in one file, grants by role; permission_errors: what the server forbids

What a message means is decided above (`ledger/write`, `ledger/programs`); what there is to send
comes from the nouns: their families, classes and events make the subjects and the grants.
"""
