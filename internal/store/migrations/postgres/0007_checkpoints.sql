-- +goose Up

-- Where the sessions of event streams stood: what their event ids refer to. A session has the last one and the one before it.
CREATE TABLE checkpoints (
	session   TEXT COLLATE "C" NOT NULL,
	number    BIGINT NOT NULL, -- from 1
	positions BYTEA NOT NULL,
	used_at   BIGINT NOT NULL,
	PRIMARY KEY (session, number)
);
CREATE INDEX checkpoints_used ON checkpoints (used_at);
