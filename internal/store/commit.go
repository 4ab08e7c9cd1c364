package store

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/fault"
	"github.com/parley-im/parley/internal/store/database"
	"github.com/parley-im/parley/internal/tracing"
	"github.com/parley-im/parley/protocol"
)

// work is one transaction of the log: what it read, what was decided, and what it writes.
type work struct {
	c      *committer
	lane   database.Lane
	items  []*item // those that are decided here
	passed []*item // those of rooms that another node holds
	moved  []*item // those of rooms that are not this shard's to write

	rooms   map[string]*chat.State
	locked  map[string]bool // rooms whose head row is ours until the commit
	dirty   map[memberKey]*dirtyMember
	numbers map[roomSeq]uint64 // message numbers at reported read cursors
	effects []*chat.Effects
	now     protocol.Time
}

type memberKey struct{ room, user string }

// dirtyMember is a member row to be written, once, however often the batch changed it.
type dirtyMember struct {
	sent    bool           // the sender's own marks
	wide    bool           // more than those
	reports []*reportedRow // cursors moved by reports
}

// reportedRow is the answer to one reported cursor, to be completed from the row as it was written.
type reportedRow struct {
	row *chat.CursorRow
	n   uint64 // the room's messages at the report
}

func newWork(c *committer, l database.Lane, items []*item) *work {
	return &work{
		c: c, lane: l, items: items, rooms: map[string]*chat.State{}, locked: map[string]bool{}, dirty: map[memberKey]*dirtyMember{},
		numbers: map[roomSeq]uint64{}, now: protocol.At(c.now()),
	}
}

// run reads, decides and writes. It may be repeated with a new work after a failure.
func (w *work) run(ctx context.Context, t database.Tx) error {
	w.leave(t)
	var appends []string
	seen := map[string]bool{}
	for _, it := range w.items {
		it.answer, it.rows, it.err = nil, nil, nil
		for _, room := range it.rooms() {
			if w.rooms[room] == nil {
				w.rooms[room] = &chat.State{
					Members: map[string]*chat.Member{}, Users: map[string]bool{}, Messages: map[protocol.Seq]*chat.Message{},
					Reacted: map[chat.ReactionKey]protocol.Seq{}, Known: map[chat.ClientKey]chat.Known{},
				}
			}
		}
		if it.append != nil && !seen[it.append.Room] {
			seen[it.append.Room] = true
			appends = append(appends, it.append.Room)
		}
	}
	if len(appends) > 0 {
		slices.Sort(appends)
		err := w.c.engine.Heads(ctx, t, w.lane, appends, func(scan database.Scan) error {
			room, h, err := scanHead(scan)
			if err == nil {
				w.rooms[room].Head = h
				w.locked[room] = true
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	if err := fault.Here("append-locked"); err != nil {
		return err
	}
	if err := w.read(ctx, t); err != nil {
		return err
	}
	w.pass()
	for _, it := range w.items {
		if it.move != nil {
			w.reportCursors(it)
		}
	}
	for _, it := range w.items {
		if it.append != nil {
			w.decide(it)
		}
	}
	if err := fault.Here("append-decided"); err != nil {
		return err
	}
	if err := w.write(ctx, t); err != nil {
		return err
	}
	return fault.Here("append-written")
}

// leave sets aside what is about rooms that this shard may not write: another shard's, or about to be.
func (w *work) leave(t database.Tx) {
	if t.Owned() == nil {
		return
	}
	mine := w.items[:0:0]
	for _, it := range w.items {
		if it.err = nil; ofRooms(it.rooms()...).check(t, true) != nil {
			it.answer, it.rows, it.err = nil, nil, errMoved
			w.moved = append(w.moved, it)
		} else {
			mine = append(mine, it)
		}
	}
	w.items = mine
}

// rooms are the rooms that an item is about.
func (it *item) rooms() []string {
	if it.append != nil {
		return []string{it.append.Room}
	}
	rooms := make([]string, len(it.move.Rooms))
	for i, r := range it.move.Rooms {
		rooms[i] = r.Room
	}
	return rooms
}

// pass sets aside appends of rooms that exist and whose head somebody else holds.
func (w *work) pass() {
	mine := w.items[:0:0]
	for _, it := range w.items {
		if it.append != nil && !w.locked[it.append.Room] && w.rooms[it.append.Room].Room != nil {
			w.passed = append(w.passed, it)
		} else {
			mine = append(mine, it)
		}
	}
	w.items = mine
}

// decide asks the core about one append and makes its effects visible to the next.
func (w *work) decide(it *item) {
	s := w.rooms[it.append.Room]
	if it.unknown {
		it.err = unavailable()
		return
	}
	for user := range it.users {
		s.Users[user] = true
	}
	e, err := s.Decide(it.append, w.now, &onceRated{it, w.c.rates})
	if err != nil {
		it.err = err
		return
	}
	it.answer = e.Answer
	if e.Event == nil {
		return
	}
	for _, m := range e.Members {
		d := w.touch(m)
		if before := s.Members[m.User]; before != nil && onlySent(before, m) {
			d.sent = true
		} else {
			d.wide = true
		}
	}
	e.Event.Span = it.append.Span
	s.Apply(e)
	w.effects = append(w.effects, e)
}

// touch notes that a member row is to be written as the batch leaves it.
func (w *work) touch(m *chat.Member) *dirtyMember {
	key := memberKey{m.Room, m.User}
	d := w.dirty[key]
	if d == nil {
		d = &dirtyMember{}
		w.dirty[key] = d
	}
	return d
}

// onlySent reports that b differs from a in nothing but the marks of the last message sent.
func onlySent(a, b *chat.Member) bool {
	c := *b
	c.SentN, c.SentAt = a.SentN, a.SentAt
	return c == *a
}

// onceRated takes the rate of an append once, however often its transaction is repeated.
type onceRated struct {
	it    *item
	rates chat.Rates
}

func (o *onceRated) Take(now protocol.Time, actor chat.Actor, room string) *protocol.Error {
	if o.rates == nil || o.it.rated {
		return nil
	}
	err := o.rates.Take(now, actor, room)
	o.it.rated = err == nil
	return err
}

// reportCursors carries out a move: all of its rooms, or none.
func (w *work) reportCursors(it *item) {
	m := it.move
	for _, r := range m.Rooms {
		s := w.rooms[r.Room]
		if it.err = m.Check(s.Room, s.Members[m.Actor.User]); it.err != nil {
			return
		}
	}
	it.rows = make([]chat.CursorRow, len(m.Rooms))
	for i, r := range m.Rooms {
		s := w.rooms[r.Room]
		row := *s.Members[m.Actor.User]
		read, deliv := min(r.Read, s.Head.Seq), min(max(r.Delivered, r.Read), s.Head.Seq)
		moved := read > row.Read || deliv > row.Delivered
		if read > row.Read { // who reads into what is no longer kept has passed all of it: what lay between has no numbers any more
			row.Read, row.ReadN = max(read, s.Room.First-1), w.numberAt(r.Room, read, s.Head)
		}
		row.Delivered = max(row.Delivered, deliv, row.Read)
		s.Members[m.Actor.User] = &row
		it.rows[i] = w.cursorRow(m.Actor.Session, s, &row)
		it.rows[i].Moved = moved
		if moved {
			d := w.touch(&row)
			d.reports = append(d.reports, &reportedRow{&it.rows[i], s.Head.N})
			_ = fault.Here("cursor-moved")
		}
	}
}

func (w *work) cursorRow(session string, s *chat.State, m *chat.Member) chat.CursorRow {
	return chat.CursorRow{
		Room: m.Room, User: m.User, Session: session, Delivered: m.Delivered, Read: m.Read, Unread: m.Unread(s.Head.N),
		Private: s.Room.HidesCursors(),
	}
}

// trace tells the appends that are traced what became of them. A transaction belongs to one of their traces; in the others it is linked to it.
func (w *work) trace(began, ended time.Time) {
	var transaction *tracing.Span
	for _, it := range w.items {
		if it.append == nil || it.append.Span == nil {
			continue
		}
		it.append.Span.Part("append", it.queued, began, tracing.Facts{Room: it.append.Room})
		part := it.append.Span.Part("transaction", began, ended, tracing.Facts{Batch: len(w.items), Linked: transaction})
		if transaction == nil {
			transaction = part
		}
	}
}

// commit is what is told of this transaction.
func (w *work) commit() *chat.Commit {
	c := &chat.Commit{}
	for _, e := range w.effects {
		c.Events = append(c.Events, e.Event)
	}
	for _, d := range w.dirty {
		// Several reports of one cursor in one transaction are one move; the last one's session knows where it stands.
		if n := len(d.reports); n > 0 {
			c.Cursors = append(c.Cursors, *d.reports[n-1].row)
			_ = fault.Here("cursor-committed")
		}
	}
	return c
}

// timeoutResolve bounds one look-up of a commit whose answer was lost; it waits for the server to end that transaction.
const timeoutResolve = 5 * time.Second

// fate is what became of a transaction whose answer was lost.
type fate int

const (
	isUnknown fate = iota
	wasCommitted
	wasLost
)

var selectTrace = database.SQL(`SELECT user_id, client_id, at, name FROM events WHERE room = $1 AND seq = $2`)

// resolve finds out whether a transaction was committed, on a new connection. Locking its rooms again waits until the server has ended it. All of it is there
// or nothing: the first event speaks for the rest. Moves alone are simply repeated: they cannot do harm twice.
func (c *committer) resolve(w *work) fate {
	if len(w.effects) == 0 {
		return wasLost
	}
	rooms := make([]string, 0, len(w.locked))
	for room := range w.locked {
		rooms = append(rooms, room)
	}
	slices.Sort(rooms)
	first := w.effects[0].Event
	for attempt := 1; attempt <= 2*maxAttempts; attempt++ {
		ctx, cancel := context.WithTimeout(context.Background(), timeoutResolve)
		result := wasLost
		err := c.engine.Write(ctx, database.Waiting, func(t database.Tx) error {
			if err := c.engine.Heads(ctx, t, database.Waiting, rooms, func(database.Scan) error { return nil }); err != nil {
				return err
			}
			return t.Query(ctx, selectTrace, []any{first.Room, first.Seq}, func(scan database.Scan) error {
				var user, client string
				var at protocol.Time
				var name protocol.Name
				if err := scan(&user, &client, &at, &name); err != nil {
					return err
				}
				if user == first.User && client == first.ClientID && at == first.At && name == first.Name {
					result = wasCommitted
				}
				return nil
			})
		})
		cancel()
		switch {
		case err == nil:
			return result
		case errors.Is(err, database.ErrMoved):
			return isUnknown // who sends again asks the store that is opened next
		}
		c.log.Warn("looking up a commit whose answer was lost", "attempt", attempt, "error", err)
		pause(context.Background(), attempt)
	}
	return isUnknown
}
