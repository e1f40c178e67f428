-- Also where session_replication_role = replica switches ordinary triggers off: that is how
-- restores and replication tools write, and a way around the trigger that needs no ALTER TABLE.
ALTER TABLE event_store ENABLE ALWAYS TRIGGER event_store_is_append_only;
