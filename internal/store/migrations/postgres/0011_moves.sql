-- +goose Up

-- A row that comes from another shard changes here when it comes: what its change was there is no place in the order of commits here.
ALTER TABLE room_heads ALTER COLUMN changed SET DEFAULT pg_current_xact_id();
ALTER TABLE members ALTER COLUMN changed SET DEFAULT pg_current_xact_id();
