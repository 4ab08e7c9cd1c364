package history

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// read is a list that was asked for and answered.
type read struct {
	device          Conn
	asked, answered time.Duration
	head            uint64
}

// judgeReads holds lists against what the same user has sent and the same device has read before.
func (r *room) judgeReads(c *checker) {
	if len(r.syncs) == 0 {
		return
	}
	slices.SortFunc(r.syncs, func(a, b read) int { return cmp.Compare(a.asked, b.asked) })
	answered := slices.SortedFunc(slices.Values(r.syncs), func(a, b read) int { return cmp.Compare(a.answered, b.answered) })
	sends := slices.SortedFunc(maps.Values(r.sends), func(a, b *send) int { return cmp.Compare(a.answer, b.answer) })
	own, told := map[string]uint64{}, map[Conn]uint64{}
	for _, s := range r.syncs {
		for len(sends) > 0 && sends[0].answer < s.asked {
			own[sends[0].by] = max(own[sends[0].by], sends[0].seq)
			sends = sends[1:]
		}
		for len(answered) > 0 && answered[0].answered < s.asked {
			told[answered[0].device] = max(told[answered[0].device], answered[0].head)
			answered = answered[1:]
		}
		if s.head > r.head() {
			c.broken(Agreement, r.id, "%v was told that the head is %d, and the log ends at %d", s.device, s.head, r.head())
		}
		if s.head < own[s.device.User] {
			c.broken(OwnWrites, r.id, "%v was told that the head is %d, after its own send was answered with %d", s.device, s.head, own[s.device.User])
		}
		if s.head < told[s.device] {
			c.broken(Monotonic, r.id, "%v was told that the head is %d, after it had been told %d", s.device, s.head, told[s.device])
		}
	}
}

// cursor is whatever a user's cursors were set to and seen at in a room.
type cursor struct {
	set  map[uint64]struct{}
	seen []sight
}

// sight is cursors as somebody saw them.
type sight struct {
	by              Conn // without a session
	asked, at       time.Duration
	read, delivered uint64
}

func (r *room) cursorOf(user string) *cursor {
	cur := r.cursors[user]
	if cur == nil {
		cur = &cursor{set: map[uint64]struct{}{}}
		for _, span := range r.members[user] {
			cur.set[span.from] = struct{}{} // joining sets both
		}
		r.cursors[user] = cur
	}
	return cur
}

// cursor takes a cursor that is set or seen.
func (r *room) cursor(c *checker, e *Entry) {
	if e.Phase == Invoke {
		r.cursorOf(e.Conn.User).set[e.Seq] = struct{}{}
		return
	}
	cur := r.cursorOf(e.About)
	if e.Read > e.Delivered || e.Delivered > r.head() {
		c.broken(Cursors, r.id, "%v saw %s at read %d, delivered %d, and the head is %d", e.Conn, e.About, e.Read, e.Delivered, r.head())
	}
	for _, value := range []uint64{e.Read, e.Delivered} {
		if _, ok := cur.set[value]; !ok {
			c.broken(Cursors, r.id, "%v saw a cursor of %s at %d, where nobody has set it", e.Conn, e.About, value)
		}
	}
	cur.seen = append(cur.seen, sight{e.Conn.device(), e.Since, e.T, e.Read, e.Delivered})
}

// judgeCursors looks whether a cursor was seen to go back: by one observer, or by one who asked after another had seen it further on.
func (r *room) judgeCursors(c *checker) {
	for about, cur := range r.cursors {
		own := map[Conn]sight{}
		var asked []sight
		for _, s := range cur.seen {
			if before := own[s.by]; s.asked == 0 && (s.read < before.read || s.delivered < before.delivered) {
				c.broken(Cursors, r.id, "%v saw %s go back from %d, %d to %d, %d", s.by, about, before.read, before.delivered, s.read, s.delivered)
			}
			if s.asked == 0 {
				own[s.by] = s
			} else {
				asked = append(asked, s)
			}
		}
		slices.SortFunc(asked, func(a, b sight) int { return cmp.Compare(a.asked, b.asked) })
		seen := cur.seen // by time
		var most sight
		for _, s := range asked {
			for len(seen) > 0 && seen[0].at < s.asked {
				most.read, most.delivered = max(most.read, seen[0].read), max(most.delivered, seen[0].delivered)
				seen = seen[1:]
			}
			if s.read < most.read || s.delivered < most.delivered {
				c.broken(Cursors, r.id, "%v read that %s is at %d, %d after %d, %d had been seen", s.by, about, s.read, s.delivered, most.read, most.delivered)
			}
		}
	}
}

// unread holds an inbox at the end against the log.
func (r *room) unread(c *checker, e *Entry) {
	var counted uint64 // up to which message nothing is unread
	if at := r.at(e.Read); at != nil {
		counted = at.n
	}
	for seq := len(r.log); seq > 0; seq-- {
		if at := &r.log[seq-1]; at.n <= counted {
			break
		} else if at.name == messageCreated && at.by == e.Conn.User {
			counted = at.n
			break
		}
	}
	var all uint64
	if last := r.at(r.head()); last != nil {
		all = last.n
	}
	if want := all - counted; e.Value != float64(want) {
		c.broken(Counted, r.id, "%v has %.0f unread at %d, and %d are", e.Conn, e.Value, e.Read, want)
	}
}
