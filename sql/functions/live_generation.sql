-- The generation of a read model that is live, as the caller's snapshot has it. A public view that
-- was just swapped asks this (projections/engine/builds/generations.py): a transaction that began before
-- the swap goes on reading the generation that was live when it began.
--
-- With the rights of its owner, because whoever may read the view need not read event_projections.
-- STABLE, so that it sees what the statement that asks sees, and nothing newer.
CREATE OR REPLACE FUNCTION public.live_generation(name text)
RETURNS integer
LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT p.generation FROM public.event_projections AS p
    WHERE p.projection_name = live_generation.name;
$$;
