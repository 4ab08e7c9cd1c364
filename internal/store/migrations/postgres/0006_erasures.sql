-- +goose Up

-- What shall be, and was, erased: the list is carried out again after a restore.
CREATE TABLE erasures (
	kind         TEXT COLLATE "C" NOT NULL, -- user or room
	id           TEXT COLLATE "C" NOT NULL,
	requested_at BIGINT NOT NULL,
	done_at      BIGINT NOT NULL, -- 0: not yet
	PRIMARY KEY (kind, id)
);

-- A profile that was erased is found by nobody until it is written anew.
ALTER TABLE users ADD COLUMN erased_at BIGINT NOT NULL DEFAULT 0;
