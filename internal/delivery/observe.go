package delivery

import (
	"bytes"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-im/parley/internal/tracing"
	"github.com/parley-im/parley/protocol"
)

// Origin is where an event came from.
type Origin uint8

// The origins.
const (
	OfStore  Origin = iota // read, to fill a hole
	OfCommit               // committed on this node
	OfHint                 // committed on another node, brought by the broker
)

// FanOut is events of a room that were offered to everyone who follows it here, as Options.Observe is told of it.
type FanOut struct {
	Origin Origin // of the first of the events, here and below
	// Took is the time until the last session was offered the events: since this node was told of the commit, or since the event's `at` where that was set by
	// another node, whose clock it is. It is 0 for what was read.
	Took time.Duration
}

// observer tells of fan-outs, and keeps the spans of events that are about to arrive from other nodes.
type observer struct {
	tracer    *tracing.Tracer
	fannedOut func(FanOut) // may be nil

	expecting atomic.Bool // whether there are any, so that those who receive need not lock
	mu        sync.Mutex  // a leaf
	spans     map[eventKey]*tracing.Span
}

type eventKey struct {
	room string
	seq  protocol.Seq
}

// maxSpans bounds the spans whose events have not arrived. Those of events that never do are forgotten with all the others.
const maxSpans = 256

// expect keeps the span of an event that another node will send.
func (o *observer) expect(room string, seq protocol.Seq, traceparent string) {
	span := o.tracer.Resume(traceparent)
	if span == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.spans == nil || len(o.spans) == maxSpans {
		o.spans = map[eventKey]*tracing.Span{}
	}
	o.spans[eventKey{room, seq}] = span
	o.expecting.Store(true)
}

// take is the span of an event that has arrived, nil for most.
func (o *observer) take(room string, seq protocol.Seq) *tracing.Span {
	if !o.expecting.Load() {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	span := o.spans[eventKey{room, seq}]
	delete(o.spans, eventKey{room, seq})
	o.expecting.Store(len(o.spans) > 0)
	return span
}

// offered tells of events that were offered to all who are in the room. Called with the room's lock held.
func (o *observer) offered(r *room, run []*entry, began, ended time.Time) {
	if o.fannedOut != nil {
		f := FanOut{Origin: run[0].origin}
		if since := run[0].from(); !since.IsZero() {
			f.Took = max(0, ended.Sub(since))
		}
		o.fannedOut(f)
	}
	for _, e := range run {
		if e.span == nil {
			continue
		}
		since := e.since
		if since.IsZero() {
			since = began
		}
		f := tracing.Facts{Room: r.id, Seq: e.seq, Followers: r.size()}
		e.span.Part("fan-out", since, ended, f).Part("offers", began, ended, tracing.Facts{})
		e.span = nil // the ring keeps the entry
	}
}

// from is the moment from which the event's fan-out is counted, zero for what was read.
func (e *entry) from() time.Time {
	if e.origin == OfHint {
		return sentAt(e.frame)
	}
	return e.since
}

// sentAt is the `at` of an event's frame, which stands in it before anything that a user wrote; zero if it cannot be read.
func sentAt(frame []byte) time.Time {
	_, rest, _ := bytes.Cut(frame, []byte(`"at":"`))
	at, _, _ := bytes.Cut(rest, []byte(`"`))
	t, err := time.Parse(time.RFC3339, string(at))
	if err != nil {
		return time.Time{}
	}
	return t
}

// Whereabouts is how far a room has come on this node.
type Whereabouts struct {
	Followed bool         // by anybody here: what follows is set
	Next     protocol.Seq // everything below it has been fanned out
	Sessions int          // that follow the room here
	Of       []SessionWhereabouts
}

// SessionWhereabouts is how far one session of this node has come in a room.
type SessionWhereabouts struct {
	Session string
	Follows bool
	Next    protocol.Seq // everything below it has been offered to the session
}

// Whereabouts tells how far a room has come on this node, and each session here of the users.
func (h *Hub) Whereabouts(room string, users []string) Whereabouts {
	var w Whereabouts
	r := h.rooms.get(room)
	if r != nil {
		r.mu.Lock()
		w.Followed, w.Next, w.Sessions = !r.dead && r.next != 0, r.next, r.size()
		r.mu.Unlock()
	}
	for _, user := range users {
		for _, f := range h.users.of(user) {
			s := SessionWhereabouts{Session: f.sink.ID()}
			if w.Followed {
				s.Follows, s.Next = f.whereabouts(r, w.Next)
			}
			w.Of = append(w.Of, s)
		}
	}
	return w
}

// whereabouts is how far the session has come in a room; next is the room's.
func (f *Follower) whereabouts(r *room, next protocol.Seq) (follows bool, _ protocol.Seq) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.in(r) {
		return false, 0
	}
	if l := f.lag[r.index]; l != nil {
		return true, l.pos
	}
	return true, next
}
