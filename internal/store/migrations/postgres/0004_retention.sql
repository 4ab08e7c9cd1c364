-- +goose Up

-- When the sweep looks at the room next, 0 for never: what is older than settings.retention_days goes, and what a deleted room has left.
ALTER TABLE rooms ADD COLUMN due BIGINT NOT NULL DEFAULT 0;
UPDATE rooms SET due = 1 WHERE deleted = 1 OR (settings::json->>'retention_days')::bigint > 0;
CREATE INDEX rooms_due ON rooms (due) WHERE due <> 0;

-- When the user stopped being a member, as far as the row is a tombstone that may go; 0 for members and for those who are banned.
ALTER TABLE members ADD COLUMN gone_at BIGINT NOT NULL DEFAULT 0;
UPDATE members SET gone_at = (extract(epoch FROM now()) * 1000)::bigint WHERE state NOT IN (1, 4);
CREATE INDEX members_gone ON members (gone_at) WHERE gone_at <> 0;

-- What is remembered of events that were pruned, to answer a call that is repeated.
CREATE TABLE kept_ids (
	room      TEXT COLLATE "C" NOT NULL,
	user_id   TEXT COLLATE "C" NOT NULL,
	client_id TEXT COLLATE "C" NOT NULL,
	seq       BIGINT NOT NULL,
	n         BIGINT NOT NULL,
	at        BIGINT NOT NULL,
	name      TEXT COLLATE "C" NOT NULL,
	hash      BYTEA NOT NULL,
	data      TEXT COLLATE "C" NOT NULL, -- member.joined only: who was added
	PRIMARY KEY (room, user_id, client_id)
);
CREATE INDEX kept_ids_at ON kept_ids (at);
