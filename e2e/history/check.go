package history

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Invariant is a promise that a history can break.
type Invariant string

// The invariants, by the names that docs/reliability.md has for them.
const (
	Stored        Invariant = "I1"  // what was acknowledged is in the log where it was said
	FromSomewhere Invariant = "I2"  // what was seen was sent, with that content, and not refused
	Once          Invariant = "I3"  // a sender's client_id has one place
	Agreement     Invariant = "I4"  // a seq is the same event for everybody, on every node
	Dense         Invariant = "I5"  // a log is 1, 2, 3 …, and so are its messages
	InOrder       Invariant = "I6"  // a session's stream of a room goes on with the next seq
	Resumed       Invariant = "I7"  // a session that names a position gets the next seq first
	RealTime      Invariant = "I8"  // what was answered before another was sent is before it; a device's messages are as it sent them
	OwnWrites     Invariant = "I9"  // a list asked for after an own send was answered goes at least that far
	Monotonic     Invariant = "I10" // what a device is told of a head never goes back
	Cursors       Invariant = "I11" // cursors go forward, read ≤ delivered ≤ head, and only where somebody set them
	Counted       Invariant = "I12" // unread is what the log says
	Private       Invariant = "I13" // events go to members only
	Bounded       Invariant = "I17" // nothing grows beyond its bound
	Live          Invariant = "I18" // in the end everything is answered and everybody has everything, soon after the last fault
)

// Invariants are all of them.
var invariants = []Invariant{
	Stored, FromSomewhere, Once, Agreement, Dense, InOrder, Resumed, RealTime, OwnWrites, Monotonic, Cursors, Counted, Private, Bounded, Live,
}

// Options say what else is asked for.
type Options struct {
	// CatchUp is how long after a Heal everybody may take to get what was acknowledged before it, and what was sent before it may take to be answered.
	// 0: it does not matter.
	CatchUp time.Duration
	// Rejoin is how much later than its effect a member's return may be seen for the first time. Who is back may be told what was said in between, in rooms
	// with all of their history, which are the only ones that are judged.
	Rejoin time.Duration
}

// Violation is one breach.
type Violation struct {
	Invariant Invariant
	Room      string
	Text      string
}

// shown is how many violations of one invariant a report tells in words.
const shown = 5

// Report is what a history came to.
type Report struct {
	Entries, Rooms, Sessions int
	Sent, Acked, Refused     int // messages
	Events                   int // in the logs, once for each room
	Received, Resets         int // by sessions
	Violated                 map[Invariant]int
	Violations               []Violation // the first few of each invariant
	SlowestCatchUp           time.Duration
}

// Err is nil for a history without violations.
func (r *Report) Err() error {
	if len(r.Violations) == 0 {
		return nil
	}
	var b strings.Builder
	for _, i := range invariants {
		if n := r.Violated[i]; n > 0 {
			fmt.Fprintf(&b, "%s is broken %d times:\n", i, n)
		}
		for _, v := range r.Violations {
			if v.Invariant == i {
				fmt.Fprintf(&b, "  %s %s\n", v.Room, v.Text)
			}
		}
	}
	return errors.New(b.String())
}

// String is the counts, on one line.
func (r *Report) String() string {
	return fmt.Sprintf("%d entries: %d sent, %d acknowledged, %d refused; %d events in %d rooms; %d received by %d sessions, %d resets; "+
		"%d lost, %d duplicated, %d out of order, %d gaps; caught up %v after the last fault at the latest",
		r.Entries, r.Sent, r.Acked, r.Refused, r.Events, r.Rooms, r.Received, r.Sessions, r.Resets,
		r.Violated[Stored], r.Violated[Once], r.Violated[InOrder]+r.Violated[RealTime], r.Violated[Dense]+r.Violated[Resumed],
		r.SlowestCatchUp.Round(time.Millisecond))
}

// messageCreated, roomCreated … are the names of events that the judge knows.
const (
	messageCreated = "message.created"
	roomCreated    = "room.created"
	memberJoined   = "member.joined"
	memberLeft     = "member.left"
)

// checker is the work of Check.
type checker struct {
	Report
	o       Options
	rooms   map[string]*room
	devices map[Conn]*device
	heals   []time.Duration
}

// Check judges a history whose end is the final log of each room, as Log entries of at least one node. It takes about a microsecond an entry, and
// O(n log n) in all.
func Check(entries []Entry, o Options) *Report {
	if !slices.IsSortedFunc(entries, byTime) {
		entries = slices.SortedStableFunc(slices.Values(entries), byTime)
	}
	c := &checker{o: o, rooms: map[string]*room{}, devices: map[Conn]*device{}}
	c.Violated = map[Invariant]int{}
	c.Entries = len(entries)
	for i := range entries {
		c.readLog(&entries[i])
	}
	for _, r := range c.rooms {
		r.finishLog(c)
	}
	for i := range entries {
		if e := &entries[i]; e.Op == Recv && e.Name == memberJoined {
			c.room(e.Room).joinSeen(e)
		}
	}
	for i := range entries {
		c.take(&entries[i])
	}
	c.Rooms = len(c.rooms)
	for _, r := range c.rooms {
		r.judgeSends(c)
		r.judgeReads(c)
		r.judgeCursors(c)
		r.judgeEnd(c)
	}
	slices.SortFunc(c.Violations, func(a, b Violation) int { return cmp.Or(cmp.Compare(a.Room, b.Room), cmp.Compare(a.Text, b.Text)) })
	return &c.Report
}

func byTime(a, b Entry) int { return cmp.Compare(a.T, b.T) }

func (c *checker) broken(i Invariant, room, format string, args ...any) {
	c.Violated[i]++
	if c.Violated[i] <= shown {
		c.Violations = append(c.Violations, Violation{i, room, fmt.Sprintf(format, args...)})
	}
}

func (c *checker) room(id string) *room {
	r := c.rooms[id]
	if r == nil {
		r = &room{
			id: id, nodes: map[string]uint64{}, seqOf: map[key]uint64{}, members: map[string][]span{}, sends: map[key]*send{},
			cursors: map[string]*cursor{}, places: map[Conn]*place{}, joins: map[uint64]time.Duration{},
		}
		c.rooms[id] = r
	}
	return r
}

func (c *checker) device(conn Conn) *device {
	d := c.devices[conn.device()]
	if d == nil {
		d = &device{}
		c.devices[conn.device()] = d
	}
	return d
}

// take goes through what clients saw, when the logs are known.
func (c *checker) take(e *Entry) {
	switch e.Op {
	case Send:
		c.room(e.Room).send(c, e)
	case Recv, Skipped, Reset, Resume, Removed:
		c.stream(e)
	case List:
		c.room(e.Room).seen(c, e)
	case Sync:
		r := c.room(e.Room)
		r.syncs = append(r.syncs, read{e.Conn.device(), e.Since, e.T, e.Seq})
	case Session:
		d := c.device(e.Conn)
		if d.open = e.Phase == OK; d.open {
			c.Sessions++
			d.session = e.Conn.Session
		}
	case Cursor:
		c.room(e.Room).cursor(c, e)
	case Unread:
		c.room(e.Room).unread(c, e)
	case Heal:
		c.heals = append(c.heals, e.T)
	case Bound:
		if e.Value > e.Most {
			c.broken(Bounded, e.Room, "%s on %s is %.0f after %v, and may be %.0f", e.Name, e.Node, e.Value, e.T, e.Most)
		}
	case Log, Fault:
	}
}
