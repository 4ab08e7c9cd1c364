-- +goose Up

-- Who wants a job for every event from now on: the feed, once it is configured.
CREATE TABLE sinks (
	name  TEXT PRIMARY KEY,
	since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Up to where jobs were made of the room's events, or were not wanted. Unlike applied it never goes back.
ALTER TABLE room_heads ADD COLUMN handed INTEGER NOT NULL DEFAULT 0;
UPDATE room_heads SET handed = applied;

-- Events that a sink has still to be given. What they say is read from the log when their turn comes.
CREATE TABLE jobs (
	sink TEXT NOT NULL,
	room TEXT NOT NULL,
	seq  INTEGER NOT NULL,
	at   INTEGER NOT NULL, -- when the job was made
	PRIMARY KEY (sink, room, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE dead_letters (
	sink   TEXT NOT NULL,
	room   TEXT NOT NULL,
	seq    INTEGER NOT NULL,
	at     INTEGER NOT NULL, -- when it was given up
	reason TEXT NOT NULL,
	PRIMARY KEY (sink, room, seq)
) STRICT, WITHOUT ROWID;
