package store

import (
	"context"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/delivery"
	"github.com/parley-im/parley/internal/store/database"
	"github.com/parley-im/parley/protocol"
)

// maxChanged bounds the rows of each kind in one answer to Changed.
const maxChanged = 5000

var (
	changedHeads = database.SQL(`SELECT h.room, h.seq, CAST(h.changed AS TEXT) FROM room_heads h WHERE (h.changed, h.room) > ({at $1}, $2) {rooms h.room}
		ORDER BY h.changed, h.room LIMIT CAST($3 AS BIGINT)`)
	changedMembers = database.SQL(`SELECT ` + placeCols + `, m.user_id, m.state, m.joined_seq, m.read_seq, m.read_n, m.delivered, m.sent_n, CAST(m.changed AS TEXT)
		FROM members m CROSS JOIN rooms r CROSS JOIN room_heads h
		WHERE (m.changed, m.room, m.user_id) > ({at $1}, $2, $3) AND r.id = m.room AND h.room = m.room {rooms m.room}
		ORDER BY m.changed, m.room, m.user_id LIMIT CAST($4 AS BIGINT)`)
	changedAuth = database.SQL(`SELECT count(*) FROM auth_mark WHERE changed >= {at $1}`)
)

// sweep is one question "what changed since", which may take several answers: how far it has got. Rows are told in the order of their change, each table
// by itself; a row that changes again while the sweep is on moves on and may be told twice. What is committed meanwhile under an older number is told to
// the next question, because that one goes on from the moment when this sweep began.
type sweep struct {
	since   chat.Position // where it began; "" when it goes on
	next    chat.Position // the moment of its first answer
	heads   []string      // the key of the last row told, which begins with its change; nil: all are told
	members []string
}

// Changed implements delivery.Source.
func (s *Store) Changed(ctx context.Context, since chat.Position) (*delivery.Changes, error) {
	sw, err := newSweep(since)
	if err != nil {
		return nil, err
	}
	c := &delivery.Changes{Heads: map[string]protocol.Seq{}}
	err = s.read(ctx, scope{}, func(t database.Tx) error {
		var b database.Batch
		sw.ask(&b, c)
		return t.Batch(ctx, &b)
	})
	if err != nil {
		return nil, err
	}
	c.Position, c.More = sw.position()
	return c, nil
}

// newSweep understands a position: that of a moment, or that of a sweep that is on.
func newSweep(p chat.Position) (*sweep, error) {
	if p == "" {
		return &sweep{}, nil
	}
	if checkPosition(p) == nil {
		return &sweep{since: p, heads: []string{string(p), ""}, members: []string{string(p), "", ""}}, nil
	}
	key, err := PageKey(string(p), 6)
	if err != nil {
		return nil, chat.ErrPosition
	}
	sw := &sweep{next: chat.Position(key[0])}
	for _, number := range []string{key[0], key[1], key[3]} {
		if number != "" && checkPosition(chat.Position(number)) != nil {
			return nil, chat.ErrPosition
		}
	}
	if key[1] != "" {
		sw.heads = key[1:3]
	}
	if key[3] != "" {
		sw.members = key[3:6]
	}
	return sw, nil
}

// position is where to ask on, and whether at once.
func (sw *sweep) position() (p chat.Position, more bool) {
	if sw.heads == nil && sw.members == nil {
		return sw.next, false
	}
	key := make([]string, 6)
	key[0] = string(sw.next)
	copy(key[1:3], sw.heads)
	copy(key[3:6], sw.members)
	return chat.Position(PageAfter(key...)), true
}

// ask puts the next rows of each table into c.
func (sw *sweep) ask(b *database.Batch, c *delivery.Changes) {
	if sw.next == "" {
		b.Query(selectPosition, func(scan database.Scan) error { return scan(&sw.next) })
	}
	if sw.since != "" {
		b.Query(changedAuth, func(scan database.Scan) error {
			var n int
			err := scan(&n)
			c.Sessions = n > 0
			return err
		}, string(sw.since))
	}
	if last := sw.heads; last != nil {
		sw.heads = nil
		b.Query(changedHeads, func(scan database.Scan) error {
			var room, changed string
			var seq protocol.Seq
			err := scan(&room, &seq, &changed)
			c.Heads[room] = seq
			if len(c.Heads) == maxChanged {
				sw.heads = []string{changed, room}
			}
			return err
		}, last[0], last[1], maxChanged)
	}
	if last := sw.members; last != nil {
		sw.members = nil
		rows := 0
		b.Query(changedMembers, func(scan database.Scan) error {
			m, changed, err := tellMember(scan, c)
			if rows++; err == nil && rows == maxChanged {
				sw.members = []string{changed, m.Room, m.User}
			}
			return err
		}, last[0], last[1], last[2], maxChanged)
	}
}

// tellMember reads a row of changedMembers. Rows of those who are no members now are told by their room's log.
func tellMember(scan database.Scan, c *delivery.Changes) (m *chat.Member, changed string, err error) {
	m = &chat.Member{}
	sc, err := scanPlace(scan, &m.User, &m.State, &m.JoinedSeq, &m.Read, &m.ReadN, &m.Delivered, &m.SentN, &changed)
	if err != nil {
		return nil, "", err
	}
	m.Room = sc.Room.ID
	if m.State != chat.IsMember || sc.Room.Deleted {
		return m, changed, nil
	}
	c.Joined = append(c.Joined, delivery.Membership{Room: m.Room, User: m.User, Seq: m.JoinedSeq})
	c.Cursors = append(c.Cursors, chat.CursorRow{
		Room: m.Room, User: m.User, Delivered: m.Delivered, Read: m.Read, Unread: m.Unread(sc.Head.N), Moved: true,
		Private: sc.Room.HidesCursors() || sc.Room.Kind == protocol.Live,
	})
	return m, changed, nil
}
