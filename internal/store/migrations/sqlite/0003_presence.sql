-- +goose Up

-- What outlives sessions of who is online: a row for who has ever gone, or set a status.
CREATE TABLE presence (
	user_id   TEXT PRIMARY KEY,
	status    TEXT NOT NULL,    -- protocol.Status, as it was set
	last_seen INTEGER NOT NULL  -- of an invisible user the moment of hiding
) STRICT, WITHOUT ROWID;
CREATE INDEX presence_invisible ON presence (user_id) WHERE status = 'invisible';
