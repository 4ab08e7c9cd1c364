-- +goose Up

-- A SQLite store is alone; the column is there so that both engines have one statement.
ALTER TABLE nodes ADD COLUMN shards INTEGER NOT NULL DEFAULT 0;
