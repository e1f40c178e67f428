-- What subscriptions remember beside their place in the log: derived from it, written with the place.
CREATE TABLE public.subscription_memories (
    subscription text        NOT NULL,
    memory       json        NOT NULL,
    written_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT subscription_memories_pkey PRIMARY KEY (subscription)
);

REVOKE ALL ON public.subscription_memories FROM PUBLIC;
