-- +goose Up

-- One-time tickets that nobody has redeemed yet, by the hash of their text, with whom they stand for.
CREATE TABLE tickets (
	hash          BLOB PRIMARY KEY,
	user_id       TEXT NOT NULL,
	role          TEXT NOT NULL,
	issued_at     INTEGER NOT NULL, -- of the credential that the ticket was got with, in Unix seconds
	session_until INTEGER NOT NULL, -- when a session that is opened with it ends
	expires_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX tickets_expires ON tickets (expires_at);
