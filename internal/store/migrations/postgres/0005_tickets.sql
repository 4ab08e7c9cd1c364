-- +goose Up

-- One-time tickets that nobody has redeemed yet, by the hash of their text, with whom they stand for.
CREATE TABLE tickets (
	hash          BYTEA PRIMARY KEY,
	user_id       TEXT COLLATE "C" NOT NULL,
	role          TEXT COLLATE "C" NOT NULL,
	issued_at     BIGINT NOT NULL, -- of the credential that the ticket was got with, in Unix seconds
	session_until BIGINT NOT NULL, -- when a session that is opened with it ends
	expires_at    BIGINT NOT NULL
);
CREATE INDEX tickets_expires ON tickets (expires_at);
