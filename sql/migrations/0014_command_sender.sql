-- Whom the bus vouches for as the sender of a command, beside the source that the command claims.
ALTER TABLE public.command_inbox ADD COLUMN sender text;
