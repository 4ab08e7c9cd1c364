-- +goose Up

-- Text is never null: '' stands for "none", 0 for "none" among numbers. Times are milliseconds since the Unix epoch.

CREATE TABLE meta (
	name  TEXT PRIMARY KEY,
	value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The counter of commits, raised by every write transaction: "what changed" is asked by it.
CREATE TABLE tick (
	one INTEGER PRIMARY KEY CHECK (one = 1),
	v   INTEGER NOT NULL
) STRICT;
INSERT INTO tick VALUES (1, 1);

CREATE TABLE users (
	id         TEXT PRIMARY KEY,
	name       TEXT NOT NULL DEFAULT '',
	folded     TEXT NOT NULL DEFAULT '', -- the name case folded, for prefix search
	avatar     TEXT NOT NULL DEFAULT '',
	data       TEXT NOT NULL DEFAULT '', -- JSON
	created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX users_folded ON users (folded, id);
CREATE INDEX users_id ON users (lower(id), id);

CREATE TABLE rooms (
	id         TEXT PRIMARY KEY,
	kind       TEXT NOT NULL,
	name       TEXT NOT NULL,
	folded     TEXT NOT NULL, -- the name case folded
	topic      TEXT NOT NULL,
	avatar     TEXT NOT NULL,
	data       TEXT NOT NULL, -- JSON
	settings   TEXT NOT NULL, -- JSON
	created_at INTEGER NOT NULL,
	created_by TEXT NOT NULL,
	first      INTEGER NOT NULL,
	members    INTEGER NOT NULL,
	pair       TEXT NOT NULL,
	deleted    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX rooms_channels ON rooms (folded, id) WHERE kind = 'channel' AND deleted = 0;

-- The narrow row that is locked and written by every append.
CREATE TABLE room_heads (
	room    TEXT PRIMARY KEY,
	seq     INTEGER NOT NULL,
	n       INTEGER NOT NULL,
	last    INTEGER NOT NULL, -- seq of the last message.created
	at      INTEGER NOT NULL,
	changed INTEGER NOT NULL,
	applied INTEGER NOT NULL  -- how far the relay has got
) STRICT, WITHOUT ROWID;
CREATE INDEX room_heads_changed ON room_heads (changed);
CREATE INDEX room_heads_behind ON room_heads (room) WHERE applied < seq;

CREATE TABLE members (
	room        TEXT NOT NULL,
	user_id     TEXT NOT NULL,
	state       INTEGER NOT NULL, -- chat.Membership
	role        TEXT NOT NULL,
	joined_at   INTEGER NOT NULL,
	joined_seq  INTEGER NOT NULL,
	left_seq    INTEGER NOT NULL,
	muted_until INTEGER NOT NULL,
	read_seq    INTEGER NOT NULL,
	read_n      INTEGER NOT NULL,
	delivered   INTEGER NOT NULL,
	sent_n      INTEGER NOT NULL,
	sent_at     INTEGER NOT NULL,
	notify      TEXT NOT NULL,
	pinned      INTEGER NOT NULL,
	archived    INTEGER NOT NULL,
	hidden_at   INTEGER NOT NULL, -- a direct room out of its user's list while its head is at or below this
	changed     INTEGER NOT NULL,
	PRIMARY KEY (room, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX members_user ON members (user_id, room);
CREATE INDEX members_changed ON members (changed);
CREATE INDEX members_owners ON members (room, user_id) WHERE state = 1 AND role = 'owner';

CREATE TABLE events (
	room      TEXT NOT NULL,
	seq       INTEGER NOT NULL,
	name      TEXT NOT NULL,
	at        INTEGER NOT NULL,
	user_id   TEXT NOT NULL,
	data      TEXT NOT NULL, -- JSON, as it goes over the wire
	n         INTEGER NOT NULL, -- the running message number at this event
	client_id TEXT NOT NULL,
	hash      BLOB NOT NULL, -- of the call's content, where there is a client_id
	target    INTEGER NOT NULL, -- the message that an edit, deletion or reaction is about
	thread    INTEGER NOT NULL, -- message.created: root of its thread
	PRIMARY KEY (room, seq)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX events_client_id ON events (room, user_id, client_id) WHERE client_id <> '';
CREATE INDEX events_target ON events (room, target, seq) WHERE target <> 0;
CREATE INDEX events_thread ON events (room, thread, seq) WHERE thread <> 0;

-- Only where a message differs from its message.created.
CREATE TABLE messages (
	room       TEXT NOT NULL,
	seq        INTEGER NOT NULL,
	content    TEXT NOT NULL, -- JSON of chat.Content, '' while it is the event's own
	rev        INTEGER NOT NULL,
	replies    INTEGER NOT NULL,
	edited_at  INTEGER NOT NULL,
	deleted_at INTEGER NOT NULL,
	PRIMARY KEY (room, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE reactions (
	room    TEXT NOT NULL,
	target  INTEGER NOT NULL,
	emoji   TEXT NOT NULL,
	user_id TEXT NOT NULL,
	seq     INTEGER NOT NULL, -- the event that set it
	PRIMARY KEY (room, target, emoji, user_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE mentions (
	room    TEXT NOT NULL,
	user_id TEXT NOT NULL,
	seq     INTEGER NOT NULL, -- the message that names the user
	n       INTEGER NOT NULL, -- its number
	PRIMARY KEY (room, user_id, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
	user_id    TEXT NOT NULL,
	device     TEXT NOT NULL,
	id         TEXT NOT NULL UNIQUE,
	client     TEXT NOT NULL,
	node       TEXT NOT NULL,
	created_at INTEGER NOT NULL,
	issued_at  INTEGER NOT NULL, -- Unix seconds
	PRIMARY KEY (user_id, device)
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_node ON sessions (node);

CREATE TABLE revocations (
	user_id    TEXT NOT NULL,
	device     TEXT NOT NULL,
	not_before INTEGER NOT NULL, -- Unix seconds
	PRIMARY KEY (user_id, device)
) STRICT, WITHOUT ROWID;

CREATE TABLE keys (
	name       TEXT PRIMARY KEY,
	hash       BLOB NOT NULL UNIQUE,
	created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE nodes (
	id      TEXT PRIMARY KEY,
	beat_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- When sessions, revocations or keys changed last: one row.
CREATE TABLE auth_mark (
	one     INTEGER PRIMARY KEY CHECK (one = 1),
	changed INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO auth_mark VALUES (1, 0);
