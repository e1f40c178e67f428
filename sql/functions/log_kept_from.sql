-- The first position of the log that is in no archive. What says `position >= log_kept_from()`, or names
-- archived positions, has no file opened that it does not need. (With `>`, the last one would be: to
-- PostgreSQL there could be something between two positions.)
CREATE OR REPLACE FUNCTION public.log_kept_from() RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce((SELECT max(a.last_position) + 1 FROM public.event_archives AS a
    WHERE a.restored_at IS NULL), 1);
