-- +goose Up

-- Text is compared byte by byte on every engine, so that pages go on from the same place. It is never null: '' stands for "none", 0 for "none" among numbers. Times are milliseconds since the Unix epoch.

CREATE TABLE meta (
	name  TEXT COLLATE "C" PRIMARY KEY,
	value TEXT COLLATE "C" NOT NULL
);

CREATE TABLE users (
	id         TEXT COLLATE "C" PRIMARY KEY,
	name       TEXT COLLATE "C" NOT NULL DEFAULT '',
	folded     TEXT COLLATE "C" NOT NULL DEFAULT '', -- the name case folded, for prefix search
	avatar     TEXT COLLATE "C" NOT NULL DEFAULT '',
	data       TEXT COLLATE "C" NOT NULL DEFAULT '', -- JSON
	created_at BIGINT NOT NULL
);
CREATE INDEX users_folded ON users (folded, id);
CREATE INDEX users_id ON users (lower(id), id);

CREATE TABLE rooms (
	id         TEXT COLLATE "C" PRIMARY KEY,
	kind       TEXT COLLATE "C" NOT NULL,
	name       TEXT COLLATE "C" NOT NULL,
	folded     TEXT COLLATE "C" NOT NULL, -- the name case folded
	topic      TEXT COLLATE "C" NOT NULL,
	avatar     TEXT COLLATE "C" NOT NULL,
	data       TEXT COLLATE "C" NOT NULL, -- JSON
	settings   TEXT COLLATE "C" NOT NULL, -- JSON
	created_at BIGINT NOT NULL,
	created_by TEXT COLLATE "C" NOT NULL,
	first      BIGINT NOT NULL,
	members    BIGINT NOT NULL,
	pair       TEXT COLLATE "C" NOT NULL,
	deleted    BIGINT NOT NULL
);
CREATE INDEX rooms_channels ON rooms (folded, id) WHERE kind = 'channel' AND deleted = 0;

-- The narrow row that is locked and written by every append.
CREATE TABLE room_heads (
	room    TEXT COLLATE "C" PRIMARY KEY,
	seq     BIGINT NOT NULL,
	n       BIGINT NOT NULL,
	last    BIGINT NOT NULL, -- seq of the last message.created
	at      BIGINT NOT NULL,
	changed XID8 NOT NULL,
	applied BIGINT NOT NULL  -- how far the relay has got
) WITH (fillfactor = 70);
CREATE INDEX room_heads_changed ON room_heads (changed);
CREATE INDEX room_heads_behind ON room_heads (room) WHERE applied < seq;

CREATE TABLE members (
	room        TEXT COLLATE "C" NOT NULL,
	user_id     TEXT COLLATE "C" NOT NULL,
	state       BIGINT NOT NULL, -- chat.Membership
	role        TEXT COLLATE "C" NOT NULL,
	joined_at   BIGINT NOT NULL,
	joined_seq  BIGINT NOT NULL,
	left_seq    BIGINT NOT NULL,
	muted_until BIGINT NOT NULL,
	read_seq    BIGINT NOT NULL,
	read_n      BIGINT NOT NULL,
	delivered   BIGINT NOT NULL,
	sent_n      BIGINT NOT NULL,
	sent_at     BIGINT NOT NULL,
	notify      TEXT COLLATE "C" NOT NULL,
	pinned      BIGINT NOT NULL,
	archived    BIGINT NOT NULL,
	hidden_at   BIGINT NOT NULL, -- a direct room out of its user's list while its head is at or below this
	changed     XID8 NOT NULL,
	PRIMARY KEY (room, user_id)
) WITH (fillfactor = 70);
CREATE INDEX members_user ON members (user_id, room);
CREATE INDEX members_changed ON members (changed);
CREATE INDEX members_owners ON members (room, user_id) WHERE state = 1 AND role = 'owner';

CREATE TABLE events (
	room      TEXT COLLATE "C" NOT NULL,
	seq       BIGINT NOT NULL,
	name      TEXT COLLATE "C" NOT NULL,
	at        BIGINT NOT NULL,
	user_id   TEXT COLLATE "C" NOT NULL,
	data      TEXT COLLATE "C" NOT NULL, -- JSON, as it goes over the wire
	n         BIGINT NOT NULL, -- the running message number at this event
	client_id TEXT COLLATE "C" NOT NULL,
	hash      BYTEA NOT NULL, -- of the call's content, where there is a client_id
	target    BIGINT NOT NULL, -- the message that an edit, deletion or reaction is about
	thread    BIGINT NOT NULL, -- message.created: root of its thread
	PRIMARY KEY (room, seq)
);
CREATE UNIQUE INDEX events_client_id ON events (room, user_id, client_id) WHERE client_id <> '';
CREATE INDEX events_target ON events (room, target, seq) WHERE target <> 0;
CREATE INDEX events_thread ON events (room, thread, seq) WHERE thread <> 0;

-- Only where a message differs from its message.created.
CREATE TABLE messages (
	room       TEXT COLLATE "C" NOT NULL,
	seq        BIGINT NOT NULL,
	content    TEXT COLLATE "C" NOT NULL, -- JSON of chat.Content, '' while it is the event's own
	rev        BIGINT NOT NULL,
	replies    BIGINT NOT NULL,
	edited_at  BIGINT NOT NULL,
	deleted_at BIGINT NOT NULL,
	PRIMARY KEY (room, seq)
);

CREATE TABLE reactions (
	room    TEXT COLLATE "C" NOT NULL,
	target  BIGINT NOT NULL,
	emoji   TEXT COLLATE "C" NOT NULL,
	user_id TEXT COLLATE "C" NOT NULL,
	seq     BIGINT NOT NULL, -- the event that set it
	PRIMARY KEY (room, target, emoji, user_id)
);

CREATE TABLE mentions (
	room    TEXT COLLATE "C" NOT NULL,
	user_id TEXT COLLATE "C" NOT NULL,
	seq     BIGINT NOT NULL, -- the message that names the user
	n       BIGINT NOT NULL, -- its number
	PRIMARY KEY (room, user_id, seq)
);

CREATE TABLE sessions (
	user_id    TEXT COLLATE "C" NOT NULL,
	device     TEXT COLLATE "C" NOT NULL,
	id         TEXT COLLATE "C" NOT NULL UNIQUE,
	client     TEXT COLLATE "C" NOT NULL,
	node       TEXT COLLATE "C" NOT NULL,
	created_at BIGINT NOT NULL,
	issued_at  BIGINT NOT NULL, -- Unix seconds
	PRIMARY KEY (user_id, device)
);
CREATE INDEX sessions_node ON sessions (node);

CREATE TABLE revocations (
	user_id    TEXT COLLATE "C" NOT NULL,
	device     TEXT COLLATE "C" NOT NULL,
	not_before BIGINT NOT NULL, -- Unix seconds
	PRIMARY KEY (user_id, device)
);

CREATE TABLE keys (
	name       TEXT COLLATE "C" PRIMARY KEY,
	hash       BYTEA NOT NULL UNIQUE,
	created_at BIGINT NOT NULL
);

CREATE TABLE nodes (
	id      TEXT COLLATE "C" PRIMARY KEY,
	beat_at BIGINT NOT NULL
);

-- When sessions, revocations or keys changed last: one row.
CREATE TABLE auth_mark (
	one     BIGINT PRIMARY KEY CHECK (one = 1),
	changed XID8 NOT NULL
);
INSERT INTO auth_mark VALUES (1, pg_current_xact_id());
