-- Whoever may read a public view of a read model, and that may be a role of anybody's.
GRANT EXECUTE ON FUNCTION public.live_generation TO PUBLIC;
