-- The last version of a stream recorded at or before a position; 0 when none was. Versions of a
-- stream rise with position and have no gaps: found by halving, without an index that every append
-- would pay for. Those of archived events are known without reading them.
CREATE OR REPLACE FUNCTION version_at(stream uuid, up_to bigint) RETURNS integer
LANGUAGE plpgsql STABLE AS $$
DECLARE
    known integer := 0;
    beyond integer;
    middle integer;
    place bigint;
BEGIN
    SELECT greatest(max(version), 0) + 1 INTO beyond FROM (
        SELECT max(event_version) AS version FROM event_store
            WHERE stream_id = stream AND position >= log_kept_from()
        UNION ALL
        SELECT max(event_version) FROM archived_events WHERE stream_id = stream) AS ends;
    WHILE beyond - known > 1 LOOP
        middle := known + (beyond - known) / 2;
        SELECT position INTO place FROM event_store
            WHERE stream_id = stream AND event_version = middle AND position >= log_kept_from();
        IF NOT FOUND THEN
            SELECT position INTO place
                FROM archived_events WHERE stream_id = stream AND event_version = middle;
        END IF;
        IF place <= up_to THEN
            known := middle;
        ELSE
            beyond := middle;
        END IF;
    END LOOP;
    RETURN known;
END;
$$;
