-- +goose Up

-- The words of each message as it stands, and '_' with the room's id as one more word. The words come folded and split: no dictionary is asked.
CREATE TABLE search (
	at    BIGINT NOT NULL,
	room  TEXT COLLATE "C" NOT NULL,
	seq   BIGINT NOT NULL,
	words TSVECTOR NOT NULL,
	PRIMARY KEY (at, room, seq)
);
CREATE INDEX search_words ON search USING gin (words);

-- Which node's relay looks after which rooms: those with this first character after the "r_" of their id.
CREATE TABLE relay_leases (
	slots TEXT COLLATE "C" PRIMARY KEY,
	node  TEXT COLLATE "C" NOT NULL,
	until BIGINT NOT NULL
) WITH (fillfactor = 50);
INSERT INTO relay_leases SELECT c, '', 0 FROM regexp_split_to_table('0123456789abcdefghjkmnpqrstvwxyz', '') c;
