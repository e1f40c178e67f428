-- The last position recorded at or before a time: what was known then is all up to it. 0 when
-- nothing was.
--
-- recorded_at never decreases with position and positions have no gaps, so the place is found by
-- halving: some twenty look-ups by primary key in a log of a million events, and no index on
-- recorded_at that every append would pay for.
CREATE OR REPLACE FUNCTION position_at(moment timestamptz) RETURNS bigint
LANGUAGE plpgsql STABLE AS $$
DECLARE
    known bigint := 0;
    beyond bigint;
    middle bigint;
    recorded timestamptz;
BEGIN
    SELECT coalesce(max(position), 0) + 1 INTO beyond
        FROM event_store WHERE position >= log_kept_from();
    WHILE beyond - known > 1 LOOP
        middle := (known + beyond) / 2;
        SELECT recorded_at INTO recorded FROM event_store WHERE position = middle;
        IF recorded <= moment THEN
            known := middle;
        ELSE
            beyond := middle;
        END IF;
    END LOOP;
    RETURN known;
END;
$$;
