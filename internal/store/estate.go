package store

import (
	"context"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/privacy"
	"github.com/parley-im/parley/internal/store/database"
	"github.com/parley-im/parley/protocol"
)

var _ privacy.Estate = (*Store)(nil)

var (
	// selectTraces asks of each room whether the user left anything in it. Every message has a client_id, by which the events of one user are found.
	selectTraces = database.SQL(`SELECT r.id FROM rooms r WHERE r.id > $2 AND r.deleted = 0 {rooms r.id} AND (
			EXISTS (SELECT 1 FROM members m WHERE m.room = r.id AND m.user_id = $1)
			OR EXISTS (SELECT 1 FROM events e WHERE e.room = r.id AND e.user_id = $1 AND e.client_id <> '')
			OR EXISTS (SELECT 1 FROM reactions x WHERE x.room = r.id AND x.user_id = $1)
		) ORDER BY r.id LIMIT CAST($3 AS BIGINT)`)
	selectWritten = database.SQL(`SELECT ` + messageCols + ` FROM events e LEFT JOIN messages o ON o.room = e.room AND o.seq = e.seq
		WHERE e.room = $1 AND e.user_id = $2 AND e.client_id <> '' AND e.seq > $3 AND e.name = 'message.created' AND COALESCE(o.deleted_at, 0) = 0
		ORDER BY e.seq LIMIT CAST($4 AS BIGINT)`)
	selectReacted = database.SQL(`SELECT x.target, x.emoji FROM reactions x WHERE x.room = $1 AND x.user_id = $2 ORDER BY x.target, x.emoji`)
	blankUser     = database.SQL(`UPDATE users SET name = '', folded = '', avatar = '', data = '', erased_at = $2 WHERE id = $1`)
	selectEmptied = database.SQL(`SELECT CASE WHEN r.deleted <> 0 AND r.first >= h.seq THEN 1 ELSE 0 END FROM rooms r JOIN room_heads h ON h.room = r.id WHERE r.id = $1`)

	requestErasure = database.SQL(`INSERT INTO erasures (kind, id, requested_at, done_at) VALUES ($1, $2, $3, 0)
		ON CONFLICT (kind, id) DO UPDATE SET requested_at = excluded.requested_at, done_at = 0`)
	erasureDone    = database.SQL(`UPDATE erasures SET done_at = $3 WHERE kind = $1 AND id = $2`)
	selectErasures = database.SQL(`SELECT kind, id, requested_at, done_at FROM erasures WHERE done_at = 0 OR CAST($1 AS BIGINT) = 0 ORDER BY requested_at, kind, id`)
)

// estate is the part of the store that is about what users have left in it.
type estate struct{ *db }

// Traces implements privacy.Estate. It looks at every room after the given one until it has found enough.
func (s estate) Traces(ctx context.Context, user, after string, limit int) ([]string, error) {
	var rooms []string
	err := s.read(ctx, scope{}, func(t database.Tx) error {
		return t.Query(ctx, selectTraces, []any{user, after, limit}, collect(&rooms, scanString))
	})
	return rooms, err
}

// Written implements privacy.Estate.
func (s estate) Written(ctx context.Context, room, user string, after protocol.Seq, limit int) ([]*chat.Message, error) {
	var messages []*chat.Message
	err := s.read(ctx, ofRooms(room), func(t database.Tx) error {
		return t.Query(ctx, selectWritten, []any{room, user, after, limit}, func(scan database.Scan) error {
			_, m, err := scanMessage(scan)
			messages = append(messages, m)
			return err
		})
	})
	return messages, err
}

// Reacted implements privacy.Estate.
func (s estate) Reacted(ctx context.Context, room, user string) ([]chat.ReactionKey, error) {
	var keys []chat.ReactionKey
	err := s.read(ctx, ofRooms(room), func(t database.Tx) error {
		return t.Query(ctx, selectReacted, []any{room, user}, collect(&keys, func(scan database.Scan, _ ...any) (chat.ReactionKey, error) {
			k := chat.ReactionKey{User: user}
			return k, scan(&k.Target, &k.Emoji)
		}))
	})
	return keys, err
}

// Blank implements privacy.Estate.
func (s estate) Blank(ctx context.Context, user string) error {
	return s.write(ctx, ofUsers(user), func(t database.Tx) error {
		var b database.Batch
		b.Exec(blankUser, user, protocol.At(s.now()))
		b.Exec(deletePresence, user)
		return t.Batch(ctx, &b)
	})
}

// Emptied implements privacy.Estate.
func (s estate) Emptied(ctx context.Context, room string) (bool, error) {
	empty := 1
	err := s.read(ctx, ofRooms(room), func(t database.Tx) error {
		_, err := one(ctx, t, selectEmptied, []any{room}, &empty)
		return err
	})
	return empty == 1, err
}

// Request implements privacy.Estate.
func (s estate) Request(ctx context.Context, e privacy.Subject) error {
	return s.write(ctx, scope{}, func(t database.Tx) error {
		_, err := t.Exec(ctx, requestErasure, string(e.Kind), e.ID, protocol.At(s.now()))
		return err
	})
}

// Done implements privacy.Estate.
func (s estate) Done(ctx context.Context, e privacy.Subject) error {
	return s.write(ctx, scope{}, func(t database.Tx) error {
		_, err := t.Exec(ctx, erasureDone, string(e.Kind), e.ID, protocol.At(s.now()))
		return err
	})
}

// Erasures implements privacy.Estate.
func (s estate) Erasures(ctx context.Context, pending bool) ([]privacy.Erasure, error) {
	var all []privacy.Erasure
	err := s.read(ctx, scope{}, func(t database.Tx) error {
		return t.Query(ctx, selectErasures, []any{flag(pending)}, collect(&all, func(scan database.Scan, _ ...any) (e privacy.Erasure, err error) {
			return e, scan(&e.Kind, &e.ID, &e.RequestedAt, &e.DoneAt)
		}))
	})
	return all, err
}
