-- What an operator decides of a command that failed, and nobody else.
REVOKE ALL ON FUNCTION settle_failed_command FROM PUBLIC;
GRANT EXECUTE ON FUNCTION settle_failed_command TO ledger_operator;
