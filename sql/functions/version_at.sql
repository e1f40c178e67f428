-- The last version of a stream recorded at or before a position; 0 when none was. Versions of a
-- stream rise with position and have no gaps: found by halving, without an index that every append
-- would pay for.
CREATE OR REPLACE FUNCTION version_at(stream uuid, up_to bigint) RETURNS integer
LANGUAGE plpgsql STABLE AS $$
DECLARE
    known integer := 0;
    beyond integer;
    middle integer;
    place bigint;
BEGIN
    SELECT coalesce(max(event_version), 0) + 1 INTO beyond
        FROM event_store WHERE stream_id = stream;
    WHILE beyond - known > 1 LOOP
        middle := known + (beyond - known) / 2;
        SELECT position INTO place
            FROM event_store WHERE stream_id = stream AND event_version = middle;
        IF place <= up_to THEN
            known := middle;
        ELSE
            beyond := middle;
        END IF;
    END LOOP;
    RETURN known;
END;
$$;
