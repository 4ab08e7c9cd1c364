-- +goose Up

-- What shall be, and was, erased: the list is carried out again after a restore.
CREATE TABLE erasures (
	kind         TEXT NOT NULL, -- user or room
	id           TEXT NOT NULL,
	requested_at INTEGER NOT NULL,
	done_at      INTEGER NOT NULL, -- 0: not yet
	PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;

-- A profile that was erased is found by nobody until it is written anew.
ALTER TABLE users ADD COLUMN erased_at INTEGER NOT NULL DEFAULT 0;
