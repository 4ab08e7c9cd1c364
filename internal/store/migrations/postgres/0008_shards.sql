-- +goose Up

-- Of a store that is one of several. The slot of a room is in the two characters behind "r_" of its id, the slot of a user in a hash of theirs.
CREATE FUNCTION room_slot(room TEXT) RETURNS INT LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE RETURN
	(strpos('0123456789abcdefghjkmnpqrstvwxyz', substr(room, 3, 1)) - 1) * 32 + strpos('0123456789abcdefghjkmnpqrstvwxyz', substr(room, 4, 1)) - 1;
CREATE FUNCTION user_slot(id TEXT) RETURNS INT LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE RETURN
	('x' || substr(md5(id), 1, 3))::bit(12)::int >> 2;

-- Which slots this shard serves, a bit each: one row, or none in a store that is alone. Whatever a cached map says, this is what counts.
CREATE TABLE ownership (
	one    BIGINT PRIMARY KEY CHECK (one = 1),
	name   TEXT COLLATE "C" NOT NULL,
	reads  BYTEA NOT NULL, -- slots that may be read
	writes BYTEA NOT NULL, -- that may be written: none of a slot that is about to be another shard's
	upkeep BYTEA NOT NULL  -- that the relay and retention may touch: none of a slot that is being copied
) WITH (fillfactor = 10);

-- Of the first shard alone, the home: all shards, and the map.
CREATE TABLE shards (
	number BIGINT PRIMARY KEY,
	name   TEXT COLLATE "C" NOT NULL UNIQUE
);
CREATE TABLE slot_map (
	slot    BIGINT PRIMARY KEY,
	shard   BIGINT NOT NULL,
	moved   BIGINT NOT NULL, -- the version of the map since which it is there; 0: from the beginning
	before  BIGINT NOT NULL, -- the version of the move before that
	origin  BIGINT NOT NULL, -- the shard that it came from
	left_as TEXT COLLATE "C" NOT NULL, -- the part of the epoch of that shard when it left,
	came_as TEXT COLLATE "C" NOT NULL  -- and of the one that it came to
);
CREATE TABLE slot_moves (
	slot   BIGINT PRIMARY KEY,
	origin BIGINT NOT NULL,
	target BIGINT NOT NULL,
	step   TEXT COLLATE "C" NOT NULL, -- how far the move has got
	since  TEXT COLLATE "C" NOT NULL  -- the origin's position from which on changes are copied again
);

-- The version of the map that a node routes by; 0 while it knows of no shards.
ALTER TABLE nodes ADD COLUMN shards BIGINT NOT NULL DEFAULT 0;
