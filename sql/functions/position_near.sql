-- About where in the log things happened at a time: occurred_at rises with position, nearly, so
-- halving finds a place before which nearly all is earlier. What is earlier or later than its place
-- says must be looked for beside it (ledger/audit/ask/events.py).
CREATE OR REPLACE FUNCTION position_near(moment timestamptz) RETURNS bigint
LANGUAGE plpgsql STABLE AS $$
DECLARE
    known bigint := 0;
    beyond bigint;
    middle bigint;
    happened timestamptz;
BEGIN
    SELECT coalesce(max(position), 0) + 1 INTO beyond
        FROM event_store WHERE position >= log_kept_from();
    WHILE beyond - known > 1 LOOP
        middle := (known + beyond) / 2;
        SELECT occurred_at INTO happened FROM event_store WHERE position = middle;
        IF happened < moment THEN
            known := middle;
        ELSE
            beyond := middle;
        END IF;
    END LOOP;
    RETURN known;
END;
$$;
