-- Streams are entered in event_streams when their partition is full, many at once, and not one by one as
-- they begin (functions/register_streams.sql): that was half of the price of an append in partitions.
--
-- streams_registered  Whether event_streams has all that began in the partition. What it has of others
--                     is as true.
ALTER TABLE public.event_partitions ADD COLUMN streams_registered boolean NOT NULL DEFAULT false;
UPDATE public.event_partitions SET streams_registered = true WHERE appended_to = last_position;
