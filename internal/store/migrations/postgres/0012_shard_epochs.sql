-- +goose Up

-- The epoch that the shard had when a node opened it last: a node that starts while the shard cannot be reached goes by that. '' for one that none has opened.
ALTER TABLE shards ADD COLUMN epoch TEXT COLLATE "C" NOT NULL DEFAULT '';
