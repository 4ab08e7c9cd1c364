-- +goose Up

-- What outlives sessions of who is online: a row for who has ever gone, or set a status.
CREATE TABLE presence (
	user_id   TEXT COLLATE "C" PRIMARY KEY,
	status    TEXT COLLATE "C" NOT NULL, -- protocol.Status, as it was set
	last_seen BIGINT NOT NULL            -- of an invisible user the moment of hiding
) WITH (fillfactor = 70);
CREATE INDEX presence_invisible ON presence (user_id) WHERE status = 'invisible';
