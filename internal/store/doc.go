// Package store keeps the truth: rooms, their logs, members, cursors, users, sessions and keys, on SQLite or PostgreSQL.
//
// One SQL text serves both engines wherever they agree; [database.SQL] says what stands in for the few places where they do not. What differs in kind lives in
// the package database. Everything lasting in a room goes through the committer (committer.go): group commit under the lock of the room's head row.
//
// Who owns what: the committer's goroutine of a shard owns the writing transaction; readers use snapshots of their own and never wait for it.
package store
