-- How far the log, its seals and the read models are: what stands at the head of every page and
-- answer. Numbers and times only, with the rights of its owner, so that a user may know them who
-- cannot read the log. One index look-up each.
CREATE OR REPLACE FUNCTION public.log_standing(known_at bigint)
RETURNS TABLE (
    head bigint, recorded_at timestamptz, sealed_to bigint, sealed_at timestamptz,
    slowest text, lag_events bigint, lag_seconds double precision, known_at_time timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(last.position, 0), last.recorded_at, coalesce(seal.last_position, 0),
        seal.sealed_at, slow.projection_name,
        greatest(coalesce(last.position, 0) - coalesce(slow.position, 0), 0),
        coalesce(greatest(extract(epoch FROM clock_timestamp() - next.recorded_at), 0), 0)::float8,
        (SELECT e.recorded_at FROM public.event_store AS e WHERE e.position = log_standing.known_at)
    FROM (SELECT) AS one
    LEFT JOIN LATERAL (SELECT e.position, e.recorded_at FROM public.event_store AS e
        WHERE e.position >= public.log_kept_from() ORDER BY e.position DESC LIMIT 1) AS last ON true
    LEFT JOIN LATERAL (SELECT s.last_position, s.sealed_at FROM public.event_seals AS s
        ORDER BY s.number DESC LIMIT 1) AS seal ON true
    LEFT JOIN LATERAL (SELECT p.projection_name, p.last_processed_position AS position
        FROM public.event_projections AS p WHERE EXISTS (  -- a read model, and no other follower
            SELECT FROM pg_namespace AS n
            WHERE n.nspname = p.projection_name || '_' || p.generation)
        ORDER BY p.last_processed_position LIMIT 1) AS slow ON true
    LEFT JOIN public.event_store AS next ON next.position = slow.position + 1
$$;
