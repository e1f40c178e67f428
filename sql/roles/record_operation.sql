-- What operators append, and they alone.
REVOKE ALL ON FUNCTION record_operation FROM PUBLIC;
GRANT EXECUTE ON FUNCTION record_operation TO ledger_operator;
