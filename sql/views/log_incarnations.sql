-- The incarnations of the log (ledger/kernel/incarnation.py), told by the log itself: the first
-- begins with its first event, each further one with a `log.recovered`. The id of an incarnation is
-- that of the event that began it; "after" is the last position that it has in common with the one
-- before. A log of which a restore left nothing begins with a recovery, which names the one before.
-- The stream is ledger.nouns.log.events.STREAM_ID.
--
-- Of what is archived the keys are asked: whose first event it is they say themselves, and where a
-- recovery is, so no file is read but one that has some. (Who does not ask for begun_at does not have
-- the first file read for it.)
CREATE OR REPLACE VIEW public.log_incarnations WITH (security_invoker = true) AS
SELECT CASE e.event_type WHEN 'log.recovered' THEN (e.event_data->>'previous')::uuid ELSE e.id END
        AS id, e.position AS begun_position, 0::bigint AS "after", e.recorded_at AS begun_at,
    NULL::text AS begun_by, NULL::text AS reason
FROM public.event_store AS e
WHERE e.position = 1 AND (e.event_type <> 'log.recovered' OR e.event_data->>'previous' IS NOT NULL)
    AND NOT EXISTS (SELECT FROM public.archived_events AS a WHERE a.position = 1
        AND a.position < public.log_kept_from()
        AND a.stream_id <> '0ea1a7e7-9283-56a6-9482-2d2f795dbf81')
UNION ALL
SELECT a.id, a.position, 0::bigint,
    (SELECT e.recorded_at FROM public.event_store AS e WHERE e.position = 1), NULL, NULL
FROM public.archived_events AS a
WHERE a.position = 1 AND a.position < public.log_kept_from()
    AND a.stream_id <> '0ea1a7e7-9283-56a6-9482-2d2f795dbf81'
UNION ALL
SELECT e.id, e.position, (e.event_data->>'after')::bigint, e.recorded_at,
    e.event_data->>'actor', e.event_data->>'reason'
FROM public.event_store AS e
WHERE e.stream_id = '0ea1a7e7-9283-56a6-9482-2d2f795dbf81' AND e.event_type = 'log.recovered'
    AND (e.position >= public.log_kept_from() OR e.position = ANY (ARRAY(
        SELECT a.position FROM public.archived_events AS a
        WHERE a.stream_id = '0ea1a7e7-9283-56a6-9482-2d2f795dbf81')));

COMMENT ON VIEW public.log_incarnations IS
    'Each life of the log: a restore to an earlier moment begins another.';
