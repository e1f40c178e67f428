-- Where swaps of read models mark a moment (projections/engine/snapshots.py): a table for each build.
-- Operators own it, because VACUUM, which tells whether anybody is older than the mark, wants the
-- owner. It is on nobody's search path, and nobody else reads or writes there.
CREATE SCHEMA IF NOT EXISTS generation_marks;
ALTER SCHEMA generation_marks OWNER TO ledger_operator;
REVOKE ALL ON SCHEMA generation_marks FROM PUBLIC;
