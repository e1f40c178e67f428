-- The housekeeping of the command service.
REVOKE ALL ON FUNCTION forget_outcomes FROM PUBLIC;
GRANT EXECUTE ON FUNCTION forget_outcomes TO ledger_writer;
