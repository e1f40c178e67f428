-- The user that row-level security shows rows for: the setting app.current_user_id, null (which
-- equals nothing) while it is unset. A setting that is no UUID is an error, not another user.
--
-- STABLE and inlined, so `user_id = app_user_id()` is looked up in an index once per query. It says
-- nothing about rows, so it can leak nothing of them.
CREATE OR REPLACE FUNCTION app_user_id() RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE
RETURN nullif(current_setting('app.current_user_id', true), '')::uuid;
