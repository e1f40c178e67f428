-- add_series_partition takes the times of a part in place of a partition's bounds: parts may be chunks.
-- A worker that needs a month between this and the new function tries again.
DROP FUNCTION IF EXISTS public.add_series_partition(text, text, text, text, boolean);
