"""Physical backups of the database, with the WAL since: made, kept, tried, restored.

    BACKUP_DIR/<id>/backup.json   what the catalogue says of it, beside it and nowhere else
    BACKUP_DIR/<id>/data/         base.tar.gz, pg_wal.tar.gz, backup_manifest; or what a command
                                  of the operator's keeps elsewhere
    BACKUP_DIR/wal/               WAL as it is written, by `ledgerctl backup receive`

A backup is a copy of the whole server, so that it has everything: the log, what lies beside it, and
who may do what. Whether it is one is known when it was restored: `verify` does that on a server of
its own, which nobody else reaches, and asks the restored ledger whether it is whole.
"""
