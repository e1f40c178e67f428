-- Operators make, show and drop builds, and change nothing else in the database's structure.
REVOKE ALL ON FUNCTION public.check_generation, public.create_generation, public.index_generation,
    public.analyze_generation, public.give_generation, public.copy_access, public.show_generation,
    public.drop_generation FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.create_generation, public.index_generation,
    public.analyze_generation, public.give_generation, public.copy_access, public.show_generation,
    public.drop_generation TO ledger_operator;
