package store

import (
	"context"

	"github.com/parley-im/parley/internal/auth"
	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/store/database"
	"github.com/parley-im/parley/protocol"
)

// Whereabouts is what the store knows of what has become of an event, without its content.
type Whereabouts struct {
	Kind    protocol.Kind
	First   protocol.Seq // the oldest event that is kept
	Head    protocol.Seq
	Applied protocol.Seq // up to where the relay has got

	Found bool // the event is there: what follows is set
	Name  protocol.Name
	At    protocol.Time
	User  string // "" for a back end

	Members   int // of the room, now
	Delivered int // of them, those whose cursor has come as far
	Read      int
	Listed    []*chat.Member            // of them, the first ones by id
	Sessions  map[string][]auth.Session // their live ones, on all nodes
}

var (
	selectStanding = database.SQL(`SELECT r.kind, r.first, h.seq, h.applied FROM rooms r JOIN room_heads h ON h.room = r.id WHERE r.id = $1`)
	selectAuthor   = database.SQL(`SELECT e.name, e.at, e.user_id FROM events e WHERE e.room = $1 AND e.seq = $2`)
	countCursors   = database.SQL(`SELECT count(*), count(CASE WHEN m.delivered >= $2 THEN 1 END), count(CASE WHEN m.read_seq >= $2 THEN 1 END)
		FROM members m WHERE m.room = $1 AND m.state = ` + isMember)
	liveSessionsOf = database.SQL(`SELECT ` + sessionCols + ` FROM sessions s JOIN nodes n ON n.id = s.node WHERE s.user_id IN {list $1} AND n.beat_at >= $2
		ORDER BY s.user_id, s.device`)
)

// Whereabouts tells what has become of an event, in one snapshot, with so many members listed at most; nil if there never was such a room.
func (s *Store) Whereabouts(ctx context.Context, room string, seq protocol.Seq, limit int) (w *Whereabouts, err error) {
	err = s.read(ctx, ofRooms(room), func(t database.Tx) error {
		w = &Whereabouts{Sessions: map[string][]auth.Session{}}
		found, err := one(ctx, t, selectStanding, []any{room}, &w.Kind, &w.First, &w.Head, &w.Applied)
		if err != nil || !found {
			w = nil
			return err
		}
		if w.Found, err = one(ctx, t, selectAuthor, []any{room, seq}, &w.Name, &w.At, &w.User); err != nil || !w.Found {
			return err
		}
		var b database.Batch
		b.Query(countCursors, func(scan database.Scan) error { return scan(&w.Members, &w.Delivered, &w.Read) }, room, seq)
		b.Query(listMembers, collect(&w.Listed, scanMember), room, "", limit)
		if err := t.Batch(ctx, &b); err != nil || len(w.Listed) == 0 {
			return err
		}
		users := make([]string, len(w.Listed))
		for i, m := range w.Listed {
			users[i] = m.User
		}
		var sessions []auth.Session
		err = t.Query(ctx, liveSessionsOf, []any{database.JSONList(users), protocol.At(s.now().Add(-liveFor))}, collect(&sessions, scanSession))
		for _, one := range sessions {
			w.Sessions[one.User] = append(w.Sessions[one.User], one)
		}
		return err
	})
	return w, err
}
