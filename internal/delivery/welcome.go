package delivery

import (
	"context"
	"sync"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/protocol"
)

// welcome lets in the sessions here of users who have joined a room that nobody here follows. The room is followed from the event that made them members,
// which its fold then finds: so that what has to be read is read once for the room, and not by each of them. Without the event (e is nil: it was committed
// elsewhere) it is read too.
//
// Opening comes before reading, so that what is committed in between is kept; binding comes before reading, so that no hint of what is committed later is
// missed; what was committed before is below the head that is read.
func (n *news) welcome(ctx context.Context, room string, seq protocol.Seq, users []string, e *entry) {
	h := n.hub
	r := h.rooms.open(room)
	h.follow(ctx, []string{room})
	var object *protocol.Room
	var heads map[string]protocol.Seq
	var found []*chat.Event
	err := h.reading(ctx, func() (err error) {
		if object, err = h.source.Room(ctx, room); err == nil {
			heads, err = h.source.Heads(ctx, []string{room})
		}
		if err == nil && (e == nil || heads[room] > seq) {
			found, err = h.source.Events(ctx, room, seq-1, pageEvents)
		}
		return err
	})
	switch {
	case err == nil && object == nil:
		return // deleted since
	case err != nil || object.Kind == protocol.Live:
		n.joined(room, seq, users) // each looks for itself, and tries again
		return
	}
	r.mu.Lock()
	first := r.next == 0 && !r.dead && r.changed < seq
	if first {
		h.placeIn(r, seq-1)
	}
	r.mu.Unlock()
	if !first { // others were let in meanwhile, from another place, or a removal was answered as applied to a room where nobody was
		n.joined(room, seq, users)
		return
	}
	if len(found) == 0 && e != nil {
		h.arriveEvent(r, e)
	}
	for _, one := range found {
		h.arriveEvent(r, newEntry(one))
	}
	if head := heads[room]; head >= seq {
		h.arrive(r, &arrival{kind: arrivedHead, seq: head})
	}
}

// anyHere reports whether a session here follows what one of the users joins.
func (h *Hub) anyHere(users []string) bool {
	for _, user := range users {
		for _, f := range h.users.of(user) {
			if f.all {
				return true
			}
		}
	}
	return false
}

// additions keep the room.added of rooms that many join at once.
type additions struct {
	mu     sync.Mutex // a leaf
	recent map[string]*addition
}

// addition is the room.added of a room as of one event.
type addition struct {
	at    protocol.Seq
	done  chan struct{} // closed when what follows is there
	batch *Batch
	err   error
}

// maxAdditions bounds what is kept; past it, all is read anew.
const maxAdditions = 1024

// of is the room.added of a room as of an event: read once for all who ask while it is kept.
func (a *additions) of(ctx context.Context, room string, at protocol.Seq, read func() (*Batch, error)) (*Batch, error) {
	a.mu.Lock()
	one := a.recent[room]
	if one != nil && one.at == at {
		a.mu.Unlock()
		select {
		case <-one.done:
			return one.batch, one.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if a.recent == nil || len(a.recent) >= maxAdditions {
		a.recent = map[string]*addition{}
	}
	one = &addition{at: at, done: make(chan struct{})}
	a.recent[room] = one
	a.mu.Unlock()
	one.batch, one.err = read()
	if one.err != nil {
		a.mu.Lock()
		if a.recent[room] == one {
			delete(a.recent, room)
		}
		a.mu.Unlock()
	}
	close(one.done)
	return one.batch, one.err
}
