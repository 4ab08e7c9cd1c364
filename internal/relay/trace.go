package relay

import (
	"sync"
	"time"

	"github.com/parley-im/parley/internal/tracing"
	"github.com/parley-im/parley/protocol"
)

// traced are the events that were committed on this node, are traced, and have not been applied.
type traced struct {
	mu     sync.Mutex
	events map[tracedEvent]*tracing.Span
}

type tracedEvent struct {
	room string
	seq  protocol.Seq
}

// maxTraced bounds them: those of rooms that another node looks after are not heard of again, and are forgotten with all the others.
const maxTraced = 256

// Trace has the application of an event told to its span, if it is this relay that applies it. It may be called from any goroutine and does not block.
func (r *Relay) Trace(room string, seq protocol.Seq, span *tracing.Span) {
	t := &r.traced
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.events == nil || len(t.events) == maxTraced {
		t.events = map[tracedEvent]*tracing.Span{}
	}
	t.events[tracedEvent{room, seq}] = span
}

// applied tells the spans of what a transaction of so many events has applied.
func (t *traced) applied(spans []Span, batch int, began, ended time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for e, span := range t.events {
		for _, s := range spans {
			if s.Room == e.room && e.seq <= s.UpTo {
				span.Part("relay", began, ended, tracing.Facts{Room: e.room, Seq: e.seq, Batch: batch})
				delete(t.events, e)
			}
		}
	}
}
