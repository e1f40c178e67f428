-- Events that decisions are made without are left out of read models as well (projections/engine/letters/
-- passed_over.py): before their turn, or after a build has folded them, which is then to be made anew.
ALTER TABLE public.projection_dead_letters DROP CONSTRAINT projection_dead_letters_kind;
ALTER TABLE public.projection_dead_letters ADD CONSTRAINT projection_dead_letters_kind CHECK
    (kind IN ('decode', 'unknown type', 'fold', 'database', 'behind', 'passed over', 'folded'));
