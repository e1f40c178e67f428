-- Seals at which the signing key changes (ledger/audit/key_changes.py). Such a seal has no events: it
-- lies between two blocks, first_position = last_position + 1, so that a key can be changed while
-- nothing waits to be sealed. The four columns are empty in every other seal.
--
-- change              'rotated': the key before signed as well; 'lost': it could not.
-- previous_key        The key before; public_key is the one from here on.
-- previous_signature  The signature of the same content with the key before.
-- reason              What the person said who changed it.
ALTER TABLE public.event_seals
    ADD COLUMN change             text,
    ADD COLUMN previous_key       bytea,
    ADD COLUMN previous_signature bytea,
    ADD COLUMN reason             text,
    DROP CONSTRAINT IF EXISTS event_seals_positions,
    DROP CONSTRAINT IF EXISTS event_seals_last_position_key,
    ADD CONSTRAINT event_seals_positions CHECK (first_position BETWEEN 1 AND last_position + 1),
    ADD CONSTRAINT event_seals_change CHECK (change IN ('rotated', 'lost')),
    ADD CONSTRAINT event_seals_change_is_whole CHECK
        ((change IS NULL) = (previous_key IS NULL) AND (change IS NULL) = (reason IS NULL)
            AND (change IS NOT DISTINCT FROM 'rotated') = (previous_signature IS NOT NULL)
            AND (change IS NULL OR public_key IS NOT NULL AND first_position = last_position + 1)
            AND length(previous_key) = 32 AND length(previous_signature) = 64);

CREATE INDEX IF NOT EXISTS event_seals_last_position_number_idx
    ON public.event_seals (last_position, number);
