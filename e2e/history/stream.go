package history

import (
	"sort"
	"time"
)

// device is one installation of a user.
type device struct {
	session uint64
	open    bool // it has a session at the end
}

// place is how far a device has got in a room.
type place struct {
	session uint64
	begun   bool   // something has come in this session
	named   bool   // the session has named its position
	next    uint64 // what must come next, where begun or named

	moves []move
}

// move is when a device had everything up to a seq.
type move struct {
	at  time.Duration
	seq uint64
}

// stream takes what a session is pushed about a room.
func (c *checker) stream(e *Entry) {
	r := c.room(e.Room)
	p := r.places[e.Conn.device()]
	if p == nil {
		p = &place{}
		r.places[e.Conn.device()] = p
	}
	if p.session != e.Conn.Session {
		p.session, p.begun, p.named = e.Conn.Session, false, false
	}
	switch e.Op {
	case Resume:
		p.named, p.next = true, e.Seq+1
	case Removed:
		p.begun, p.named = false, false
	case Reset:
		c.Resets++
		p.reach(e.T, e.Seq)
	case Skipped:
		p.follow(c, e, e.From)
		p.reach(e.T, e.Seq)
	case Recv:
		c.Received++
		r.seen(c, e)
		if !r.visible(e.Conn.User, e.Seq, e.T, c.o.Rejoin) {
			c.broken(Private, r.id, "%v got %d, and was no member", e.Conn, e.Seq)
		}
		p.follow(c, e, e.Seq)
		p.reach(e.T, e.Seq)
	}
}

// follow holds what came against what must come.
func (p *place) follow(c *checker, e *Entry, seq uint64) {
	switch {
	case p.begun && seq != p.next:
		c.broken(InOrder, e.Room, "%v got %d where %d is next", e.Conn, seq, p.next)
	case !p.begun && p.named && seq != p.next:
		c.broken(Resumed, e.Room, "%v came back at %d and got %d first", e.Conn, p.next-1, seq)
	}
}

func (p *place) reach(at time.Duration, seq uint64) {
	p.begun, p.next = true, seq+1
	if len(p.moves) == 0 || seq > p.moves[len(p.moves)-1].seq {
		p.moves = append(p.moves, move{at, seq})
	}
}

// reached is when the device had everything up to a seq.
func (p *place) reached(seq uint64) (at time.Duration, ok bool) {
	i := sort.Search(len(p.moves), func(i int) bool { return p.moves[i].seq >= seq })
	if i == len(p.moves) {
		return 0, false
	}
	return p.moves[i].at, true
}

// judgeEnd holds what everybody has against the log, and how soon.
func (r *room) judgeEnd(c *checker) {
	for _, s := range r.sends {
		if s.seq == 0 && !s.failed {
			c.broken(Live, r.id, "%v was never answered", s.key)
		}
	}
	for conn, d := range c.devices {
		since, is := r.member(conn.User)
		if !d.open || !is {
			continue
		}
		p := r.places[conn]
		if p == nil {
			p = &place{}
		}
		if _, ok := p.reached(r.head()); !ok && r.head() > since {
			c.broken(Live, r.id, "%v has got to %d in the end, and the head is %d", conn, p.next-1, r.head())
			continue
		}
		for _, heal := range c.heals {
			r.judgeCatchUp(c, conn, p, heal, since)
		}
	}
	if c.o.CatchUp == 0 {
		return
	}
	for _, s := range r.sends {
		for _, heal := range c.heals {
			if s.invoked < heal && s.answer > heal+c.o.CatchUp {
				c.broken(Live, r.id, "%v was answered %v after the last fault", s.key, s.answer-heal)
			}
		}
	}
}

// judgeCatchUp looks when a device had what was acknowledged before everything worked again.
func (r *room) judgeCatchUp(c *checker, conn Conn, p *place, heal time.Duration, since uint64) {
	target := r.ackedBy(heal)
	at, ok := p.reached(target)
	if target <= since || !ok {
		return
	}
	took := max(at-heal, 0)
	c.SlowestCatchUp = max(c.SlowestCatchUp, took)
	if c.o.CatchUp > 0 && took > c.o.CatchUp {
		c.broken(Live, r.id, "%v had what was acknowledged before the last fault was over %v later", conn, took)
	}
}

// ackedBy is the highest seq that was acknowledged by then.
func (r *room) ackedBy(t time.Duration) (seq uint64) {
	if r.acked == nil {
		r.acked = map[time.Duration]uint64{}
	}
	if known, ok := r.acked[t]; ok {
		return known
	}
	for _, s := range r.sends {
		if s.seq > seq && s.answer <= t {
			seq = s.seq
		}
	}
	r.acked[t] = seq
	return seq
}
