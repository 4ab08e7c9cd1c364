-- +goose Up

-- What nodes tell each other of themselves: where they are reached, and what they are set to. A node of an older version writes none of it.
ALTER TABLE nodes ADD COLUMN address TEXT NOT NULL DEFAULT '';
ALTER TABLE nodes ADD COLUMN version TEXT NOT NULL DEFAULT '';
ALTER TABLE nodes ADD COLUMN level BIGINT NOT NULL DEFAULT 0;
ALTER TABLE nodes ADD COLUMN settings TEXT NOT NULL DEFAULT '';
