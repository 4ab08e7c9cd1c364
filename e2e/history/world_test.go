package history

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// world is a deployment that keeps every promise, with clients who do whatever pick says: what it writes is a history without violations.
type world struct {
	pick    func(n int) int // one of 0 … n−1
	now     time.Duration
	entries []Entry
	rooms   []*worldRoom
	people  []*person
	flying  []*flight
	made    int // messages
}

type worldRoom struct {
	id      string
	log     []Entry
	n       uint64
	members map[*person]*membership
}

type membership struct {
	is              bool
	left            uint64 // where it ended
	next            uint64 // what is pushed next
	read, delivered uint64
	flying          bool
}

type person struct {
	conn Conn
	open bool
}

type flight struct {
	who  *person
	room *worldRoom
	cid  string
	hash uint64
	seq  uint64
}

func newWorld(pick func(int) int, rooms, people int) *world {
	w := &world{pick: pick}
	for i := range people {
		w.people = append(w.people, &person{conn: Conn{User: fmt.Sprint("u", i)}})
		w.begin(w.people[i])
	}
	for i := range rooms {
		r := &worldRoom{id: fmt.Sprint("r_", i), members: map[*person]*membership{}}
		w.rooms = append(w.rooms, r)
		var users []string
		for _, p := range w.people {
			users = append(users, p.conn.User)
			r.members[p] = &membership{is: true, next: 1, read: 1, delivered: 1}
		}
		r.append(Entry{Name: roomCreated, By: "u0", Users: users})
	}
	return w
}

func (r *worldRoom) append(e Entry) uint64 {
	if e.Name == messageCreated {
		r.n++
		e.N = r.n
	}
	e.Op, e.Phase, e.Room, e.Seq = Log, OK, r.id, uint64(len(r.log)+1)
	r.log = append(r.log, e)
	return e.Seq
}

func (w *world) add(e Entry) {
	w.now += time.Microsecond
	e.T = w.now
	w.entries = append(w.entries, e)
}

func one[T any](w *world, of []T) T { return of[w.pick(len(of))] }

// step is one thing that happens.
func (w *world) step() {
	r, p := one(w, w.rooms), one(w, w.people)
	m := r.members[p]
	switch w.pick(12) {
	case 0, 1:
		w.send(p, r, m)
	case 2, 3:
		w.commit()
	case 4:
		w.answer()
	case 5, 6:
		for range 1 + w.pick(20) {
			w.push(p, r, m)
		}
	case 7:
		w.outage(p, r, m)
	case 8:
		w.move(p, r, m)
	case 9:
		w.look(p, r, m)
	case 10:
		if w.pick(10) == 0 {
			w.membership(p, r, m)
		}
	case 11:
		w.add(Entry{Op: Bound, Phase: OK, Node: "one", Name: "queue", Value: float64(w.pick(100)), Most: 100})
	}
}

func (w *world) send(p *person, r *worldRoom, m *membership) {
	if !p.open || !m.is || m.flying {
		return
	}
	w.made++
	f := &flight{who: p, room: r, cid: strconv.Itoa(w.made), hash: uint64(w.made)*7 + 1}
	m.flying = true
	w.flying = append(w.flying, f)
	w.add(Entry{Op: Send, Phase: Invoke, Conn: p.conn, Room: r.id, CID: f.cid, Hash: f.hash})
}

// commit stores one of the messages on their way, unless its sender has been removed.
func (w *world) commit() {
	if len(w.flying) == 0 {
		return
	}
	if f := one(w, w.flying); f.seq == 0 && f.room.members[f.who].is {
		f.seq = f.room.append(Entry{Name: messageCreated, By: f.who.conn.User, CID: f.cid, Hash: f.hash})
	}
}

func (w *world) answer() {
	if len(w.flying) == 0 {
		return
	}
	i := w.pick(len(w.flying))
	f := w.flying[i]
	e := Entry{Op: Send, Phase: OK, Conn: f.who.conn, Room: f.room.id, CID: f.cid, Seq: f.seq}
	if f.seq == 0 {
		if f.room.members[f.who].is {
			return
		}
		e.Phase = Fail
	}
	w.add(e)
	f.room.members[f.who].flying = false
	w.flying = slices.Delete(w.flying, i, i+1)
}

// push is one event for one session, or the news that there are no more.
func (w *world) push(p *person, r *worldRoom, m *membership) {
	switch {
	case !p.open || m.next == 0:
	case !m.is && m.next > m.left:
		w.add(Entry{Op: Removed, Phase: OK, Conn: p.conn, Room: r.id})
		m.next = 0
	case m.next <= uint64(len(r.log)):
		w.add(received(Recv, p.conn, &r.log[m.next-1]))
		m.next++
	}
}

// received is an event of a log as a session gets it.
func received(op Op, by Conn, e *Entry) Entry {
	return Entry{Op: op, Phase: OK, Conn: by, Room: e.Room, Seq: e.Seq, Name: e.Name, By: e.By, CID: e.CID, Hash: e.Hash}
}

// outage ends a session, begins the next, or leaves events out of one.
func (w *world) outage(p *person, r *worldRoom, m *membership) {
	switch head := uint64(len(r.log)); {
	case !p.open:
		w.begin(p)
	case w.pick(3) > 0:
		p.open = false
		w.add(Entry{Op: Session, Phase: Info, Conn: p.conn})
	case m.is && m.next <= head && w.pick(2) == 0:
		w.add(Entry{Op: Reset, Phase: OK, Conn: p.conn, Room: r.id, Seq: head})
		m.next = head + 1
	case m.is && m.next <= head:
		w.add(Entry{Op: Skipped, Phase: OK, Conn: p.conn, Room: r.id, From: m.next, Seq: head})
		m.next = head + 1
	}
}

func (w *world) begin(p *person) {
	p.open = true
	p.conn.Session++
	w.add(Entry{Op: Session, Phase: OK, Conn: p.conn, Node: "one"})
	for _, r := range w.rooms {
		if m := r.members[p]; m.next > 0 {
			w.add(Entry{Op: Resume, Phase: Invoke, Conn: p.conn, Room: r.id, Seq: m.next - 1})
		}
	}
}

// move moves a cursor.
func (w *world) move(p *person, r *worldRoom, m *membership) {
	if !p.open || !m.is || m.next < 2 {
		return
	}
	seq := uint64(1 + w.pick(int(m.next-1)))
	w.add(Entry{Op: Cursor, Phase: Invoke, Conn: p.conn, Room: r.id, Seq: seq})
	m.delivered = max(m.delivered, seq)
	if w.pick(2) == 0 {
		m.read = max(m.read, seq)
	}
}

// look has somebody read what is there.
func (w *world) look(p *person, r *worldRoom, m *membership) {
	if !p.open || !m.is {
		return
	}
	since := w.now
	w.now += time.Microsecond
	switch about := one(w, w.people); {
	case w.pick(3) == 0:
		w.add(received(List, p.conn, &r.log[w.pick(len(r.log))]))
	case w.pick(2) == 0:
		w.add(Entry{Op: Sync, Phase: OK, Since: since, Conn: p.conn, Room: r.id, Seq: uint64(len(r.log))})
	case r.members[about].is:
		e := Entry{Op: Cursor, Phase: OK, Conn: p.conn, Room: r.id, About: about.conn.User, Read: r.members[about].read, Delivered: r.members[about].delivered}
		if w.pick(2) == 0 {
			e.Since = since
		}
		w.add(e)
	}
}

// membership removes a member, or brings one back once that was told.
func (w *world) membership(p *person, r *worldRoom, m *membership) {
	switch {
	case m.is:
		m.is = false
		m.left = r.append(Entry{Name: memberLeft, By: "u0", Users: []string{p.conn.User}})
	case m.next == 0:
		seq := r.append(Entry{Name: memberJoined, By: "u0", Users: []string{p.conn.User}})
		m.is, m.next, m.read, m.delivered = true, seq, max(m.read, seq), max(m.delivered, seq)
	}
}

// end brings everything to rest and writes the logs.
func (w *world) end() []Entry {
	w.add(Entry{Op: Heal, Phase: OK})
	for len(w.flying) > 0 {
		w.commit()
		w.answer()
	}
	for _, p := range w.people {
		if !p.open {
			w.begin(p)
		}
		for _, r := range w.rooms {
			m := r.members[p]
			for m.next > 0 && m.next <= uint64(len(r.log)) {
				w.push(p, r, m)
			}
			if m.is {
				w.add(Entry{Op: Unread, Phase: OK, Conn: p.conn, Room: r.id, Read: m.read, Value: float64(w.unread(p, r, m))})
			}
		}
	}
	for _, node := range []string{"one", "two"} {
		for _, r := range w.rooms {
			for _, e := range r.log {
				e.Node = node
				w.add(e)
			}
		}
	}
	return w.entries
}

// unread counts one by one.
func (w *world) unread(p *person, r *worldRoom, m *membership) (n int) {
	for _, e := range r.log {
		switch {
		case e.Name != messageCreated:
		case e.By == p.conn.User:
			n = 0
		case e.Seq > m.read:
			n++
		}
	}
	return n
}
