-- +goose Up

-- Where the sessions of event streams stood: what their event ids refer to. A session has the last one and the one before it.
CREATE TABLE checkpoints (
	session   TEXT NOT NULL,
	number    INTEGER NOT NULL, -- from 1
	positions BLOB NOT NULL,
	used_at   INTEGER NOT NULL,
	PRIMARY KEY (session, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX checkpoints_used ON checkpoints (used_at);
