package store

import (
	"context"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/store/database"
	"github.com/parley-im/parley/protocol"
)

var _ chat.Snapshots = (*Store)(nil)

var (
	selectRoom   = database.SQL(`SELECT ` + roomCols + `, ` + headCols + ` FROM rooms r JOIN room_heads h ON h.room = r.id WHERE r.id = $1`)
	selectMember = database.SQL(`SELECT ` + memberCols + ` FROM members m WHERE m.room = $1 AND m.user_id = $2`)
	selectEvents = database.SQL(`SELECT ` + eventCols + ` FROM events e WHERE e.room = $1 AND e.seq > $2 AND e.seq <= $3 ORDER BY e.seq LIMIT CAST($4 AS BIGINT)`)
	listMembers  = database.SQL(`SELECT ` + memberCols + ` FROM members m
		WHERE m.room = $1 AND m.user_id > $2 AND m.state = ` + isMember + ` ORDER BY m.user_id LIMIT CAST($3 AS BIGINT)`)
	countMentions = database.SQL(`SELECT count(*) FROM mentions WHERE room = $1 AND user_id = $2 AND seq >= $3 AND n > $4`)
)

// View implements chat.Snapshots.
func (s *Store) View(ctx context.Context, room, user string, fn func(*chat.Scene, chat.Snapshot) error) error {
	return s.read(ctx, ofRooms(room), func(t database.Tx) error {
		scene := &chat.Scene{}
		var b database.Batch
		b.Query(selectRoom, func(scan database.Scan) (err error) {
			scene.Room, err = scanRoom(scan, headDest(&scene.Head)...)
			return err
		}, room)
		if user != "" {
			b.Query(selectMember, func(scan database.Scan) (err error) {
				scene.Me, err = scanMember(scan)
				return err
			}, room, user)
		}
		if err := t.Batch(ctx, &b); err != nil {
			return err
		}
		return fn(scene, &snapshot{t, room, user, scene.Head})
	})
}

// snapshot is one room at one moment, for one asker.
type snapshot struct {
	t    database.Tx
	room string
	user string
	head chat.Head
}

// Events implements chat.Snapshot.
func (s *snapshot) Events(ctx context.Context, after, upTo protocol.Seq, limit int) ([]*chat.Event, error) {
	if upTo == 0 {
		upTo = s.head.Seq
	}
	return readEvents(ctx, s.t, s.room, after, min(upTo, s.head.Seq), limit)
}

// readEvents are the events with after < seq <= upTo.
func readEvents(ctx context.Context, t database.Tx, room string, after, upTo protocol.Seq, limit int) ([]*chat.Event, error) {
	if after >= upTo {
		return nil, nil
	}
	var events []*chat.Event
	err := t.Query(ctx, selectEvents, []any{room, after, upTo, limit}, collect(&events, scanEvent))
	return events, err
}

// Members implements chat.Snapshot.
func (s *snapshot) Members(ctx context.Context, after string, limit int) ([]*chat.Member, error) {
	var members []*chat.Member
	err := s.t.Query(ctx, listMembers, []any{s.room, after, limit}, collect(&members, scanMember))
	return members, err
}

// Member implements chat.Snapshot.
func (s *snapshot) Member(ctx context.Context, user string) (*chat.Member, error) {
	var m *chat.Member
	err := s.t.Query(ctx, selectMember, []any{s.room, user}, func(scan database.Scan) (err error) {
		m, err = scanMember(scan)
		return err
	})
	return m, err
}

// Mentions implements chat.Snapshot.
func (s *snapshot) Mentions(ctx context.Context, from protocol.Seq, n uint64) (uint64, error) {
	var count uint64
	_, err := one(ctx, s.t, countMentions, []any{s.room, s.user, from, n}, &count)
	return count, err
}
