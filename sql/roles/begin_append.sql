-- Whoever holds the append lock holds up every command.
REVOKE ALL ON FUNCTION begin_append FROM PUBLIC;
GRANT EXECUTE ON FUNCTION begin_append TO ledger_writer;
