"""Running it: what every process needs, and what looks after all of them.

Low, for all above the nouns:

    settings       every setting, by one prefix, each with its reason
    database       the one way to connect (database_url: what holds before the first statement)
    schema         migrations, what is missing, whether code and database fit (schema_rights,
                   roles: who works as whom)
    logging        JSON lines on stderr; metrics, http: what Prometheus and a person ask
    terminal       whatever is printed, escaped (table: rows; errors: one line for a person)
    servers        which PostgreSQL and NATS; embedded/: those of our own; processes: children

High, above the programs:

    readiness      whether a program does its work
    doctor         whether everything is there, with remedies (…_examination, check_result)
    supervisor     servers, schema and programs together, for `ledgerctl up`
"""
