package history

import (
	"cmp"
	"slices"
	"sort"
	"time"
)

// key names a message in its room.
type key struct{ by, cid string }

// event is what stands at a seq.
type event struct {
	key
	name string
	hash uint64
	n    uint64 // messages up to here
}

// room is what is known of one room.
type room struct {
	id    string
	log   []event           // by seq − 1
	nodes map[string]uint64 // by node, as far as its log was read
	first string            // the node whose log that is
	seqOf map[key]uint64
	// members are the spans of the log that a user may be pushed.
	members map[string][]span

	sends   map[key]*send
	syncs   []read
	cursors map[string]*cursor       // by whose they are
	places  map[Conn]*place          // by device
	joins   map[uint64]time.Duration // when an event that made members was first seen
	acked   map[time.Duration]uint64 // see ackedBy
}

// span is from the event that made somebody a member to the one that ended it, or 0.
type span struct{ from, to uint64 }

// send is one message and what became of it.
type send struct {
	key
	device          Conn
	invoked, answer time.Duration
	order           int // among all of the room, as they were invoked
	hash            uint64
	seq             uint64 // 0: not acknowledged
	failed          bool
}

// readLog takes the logs, which come last and are judged by first.
func (c *checker) readLog(e *Entry) {
	if e.Op != Log {
		return
	}
	r := c.room(e.Room)
	if r.first == "" {
		r.first = e.Node
	}
	last := r.nodes[e.Node]
	if e.Seq != last+1 {
		c.broken(Dense, r.id, "in the log of %s, %d stands behind %d", e.Node, e.Seq, last)
		if e.Seq <= last {
			return
		}
	}
	r.nodes[e.Node] = e.Seq
	what := event{key: key{e.By, e.CID}, name: e.Name, hash: e.Hash}
	if e.Node != r.first {
		if have := r.at(e.Seq); have == nil || have.key != what.key || have.name != what.name || have.hash != what.hash {
			c.broken(Agreement, r.id, "at %d, %s has %v, and %s %v", e.Seq, e.Node, what, r.first, have)
		}
		return
	}
	for uint64(len(r.log)) < e.Seq-1 {
		r.log = append(r.log, event{name: "nothing"})
	}
	if len(r.log) > 0 {
		what.n = r.log[len(r.log)-1].n
	}
	switch e.Name {
	case messageCreated:
		what.n++
		if e.N != 0 && e.N != what.n {
			c.broken(Dense, r.id, "%d is message %d, and says that it is %d", e.Seq, what.n, e.N)
		}
		if before, twice := r.seqOf[what.key]; twice {
			c.broken(Once, r.id, "%v stands at %d and at %d", what.key, before, e.Seq)
		} else {
			r.seqOf[what.key] = e.Seq
		}
	case roomCreated, memberJoined:
		for _, user := range e.Users {
			r.members[user] = append(r.members[user], span{from: e.Seq})
		}
	case memberLeft:
		for _, user := range e.Users {
			if spans := r.members[user]; len(spans) > 0 {
				spans[len(spans)-1].to = e.Seq
			}
		}
	}
	r.log = append(r.log, what)
	c.Events++
}

// at is the event at a seq, nil where the log has none.
func (r *room) at(seq uint64) *event {
	if seq == 0 || seq > uint64(len(r.log)) {
		return nil
	}
	return &r.log[seq-1]
}

func (r *room) head() uint64 { return uint64(len(r.log)) }

// finishLog compares how far the logs go.
func (r *room) finishLog(c *checker) {
	for node, seq := range r.nodes {
		if seq != r.head() {
			c.broken(Agreement, r.id, "the log of %s ends at %d, that of %s at %d", node, seq, r.first, r.head())
		}
	}
}

// send takes a message on its way.
func (r *room) send(c *checker, e *Entry) {
	k := key{e.Conn.User, e.CID}
	s := r.sends[k]
	switch {
	case e.Phase == Invoke:
		if s == nil {
			c.Sent++
			r.sends[k] = &send{key: k, device: e.Conn.device(), invoked: e.T, order: len(r.sends), hash: e.Hash}
		}
	case s == nil:
		c.broken(FromSomewhere, r.id, "%v was answered, and nobody sent it", k)
	case e.Phase == Fail:
		c.Refused++
		s.failed, s.answer = true, e.T
	case e.Phase == OK && s.seq == 0:
		c.Acked++
		s.seq, s.answer = e.Seq, e.T
	case e.Phase == OK && s.seq != e.Seq:
		c.broken(Once, r.id, "%v was acknowledged at %d and then at %d", k, s.seq, e.Seq)
	}
}

// judgeSends holds the messages against the log, and against each other.
func (r *room) judgeSends(c *checker) {
	sends := make([]*send, 0, len(r.sends))
	for _, s := range r.sends {
		if s.seq == 0 {
			continue
		}
		sends = append(sends, s)
		if at := r.at(s.seq); at == nil || at.key != s.key {
			place, stored := r.seqOf[s.key]
			if stored {
				c.broken(Once, r.id, "%v was acknowledged at %d and stands at %d", s.key, s.seq, place)
			} else {
				c.broken(Stored, r.id, "%v was acknowledged at %d, where %v stands", s.key, s.seq, at)
			}
		}
	}
	for seq := range r.log {
		if e := &r.log[seq]; e.name == messageCreated {
			r.known(c, e, uint64(seq+1))
		}
	}
	r.judgeOrder(c, sends)
}

// known says whether a message that was seen was sent.
func (r *room) known(c *checker, e *event, seq uint64) {
	s := r.sends[e.key]
	switch {
	case s == nil:
		c.broken(FromSomewhere, r.id, "%v stands at %d, and nobody sent it", e.key, seq)
	case s.failed:
		c.broken(FromSomewhere, r.id, "%v stands at %d, and was refused", e.key, seq)
	case s.hash != 0 && e.hash != 0 && s.hash != e.hash:
		c.broken(FromSomewhere, r.id, "%v at %d has other content than was sent", e.key, seq)
	}
}

// judgeOrder holds the order of the log against that of time, and of each device.
func (r *room) judgeOrder(c *checker, sends []*send) {
	answered := slices.SortedFunc(slices.Values(sends), func(a, b *send) int { return cmp.Compare(a.answer, b.answer) })
	slices.SortFunc(sends, func(a, b *send) int { return a.order - b.order })
	var highest *send
	last := map[Conn]*send{}
	for _, s := range sends {
		for len(answered) > 0 && answered[0].answer < s.invoked {
			if highest == nil || answered[0].seq > highest.seq {
				highest = answered[0]
			}
			answered = answered[1:]
		}
		if highest != nil && highest.seq >= s.seq {
			c.broken(RealTime, r.id, "%v was answered with %d before %v was sent, which has %d", highest.key, highest.seq, s.key, s.seq)
		}
		if before := last[s.device]; before != nil && before.seq >= s.seq {
			c.broken(RealTime, r.id, "%v was sent before %v, and has %d behind %d", before.key, s.key, before.seq, s.seq)
		}
		last[s.device] = s
	}
}

// seen holds an event that somebody got against the log.
func (r *room) seen(c *checker, e *Entry) {
	have := r.at(e.Seq)
	if have == nil || have.key != (key{e.By, e.CID}) || have.name != e.Name || have.hash != 0 && e.Hash != 0 && have.hash != e.Hash {
		c.broken(Agreement, r.id, "%v got %s of %q %q (%x) at %d, where the log has %v", e.Conn, e.Name, e.By, e.CID, e.Hash, e.Seq, have)
	}
}

// joinSeen notes when anybody first got an event that made members.
func (r *room) joinSeen(e *Entry) {
	if at, ok := r.joins[e.Seq]; !ok || e.T < at {
		r.joins[e.Seq] = e.T
	}
}

// visible says whether a user may be pushed the event at a seq at that time: a member when it was stored, or one who is back by now.
func (r *room) visible(user string, seq uint64, at, slack time.Duration) bool {
	spans := r.members[user]
	next := sort.Search(len(spans), func(i int) bool { return spans[i].from > seq })
	if next > 0 && (spans[next-1].to == 0 || seq <= spans[next-1].to) {
		return true
	}
	if next == 0 || next == len(spans) {
		return false // not yet a member, or never again
	}
	seen, ok := r.joins[spans[next].from]
	return ok && seen <= at+slack
}

// member says whether a user is one at the end, and since when.
func (r *room) member(user string) (since uint64, is bool) {
	spans := r.members[user]
	if len(spans) == 0 || spans[len(spans)-1].to != 0 {
		return 0, false
	}
	return spans[len(spans)-1].from, true
}
