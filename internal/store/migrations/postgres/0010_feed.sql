-- +goose Up

-- Who wants a job for every event from now on: the feed, once it is configured.
CREATE TABLE sinks (
	name  TEXT COLLATE "C" PRIMARY KEY,
	since BIGINT NOT NULL
);

-- Up to where jobs were made of the room's events, or were not wanted. Unlike applied it never goes back.
ALTER TABLE room_heads ADD COLUMN handed BIGINT NOT NULL DEFAULT 0;
UPDATE room_heads SET handed = applied;

-- Events that a sink has still to be given. What they say is read from the log when their turn comes.
CREATE TABLE jobs (
	sink TEXT COLLATE "C" NOT NULL,
	room TEXT COLLATE "C" NOT NULL,
	seq  BIGINT NOT NULL,
	at   BIGINT NOT NULL, -- when the job was made
	PRIMARY KEY (sink, room, seq)
);

CREATE TABLE dead_letters (
	sink   TEXT COLLATE "C" NOT NULL,
	room   TEXT COLLATE "C" NOT NULL,
	seq    BIGINT NOT NULL,
	at     BIGINT NOT NULL, -- when it was given up
	reason TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (sink, room, seq)
);

-- Which node's feeder looks after which rooms, as relay_leases.
CREATE TABLE feed_leases (
	slots TEXT COLLATE "C" PRIMARY KEY,
	node  TEXT COLLATE "C" NOT NULL,
	until BIGINT NOT NULL
) WITH (fillfactor = 50);
INSERT INTO feed_leases SELECT c, '', 0 FROM regexp_split_to_table('0123456789abcdefghjkmnpqrstvwxyz', '') c;
