package delivery

import (
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/protocol"
)

// A part of the store may be away when a session comes. It is let into the rooms of the others, and into those that were missing when they can be asked about:
// each with a reset, since nobody knows what the session has missed there.

// missing is what a session could not be let into.
type missing struct {
	all   func(room string) bool // of the rooms of its user those that could not be asked about; nil: all were
	named map[string]struct{}    // of those that it named
}

// takeFrom moves names that could not be asked about; nil: all could.
func (m *missing) takeFrom(names map[string]protocol.Seq, away func(string) bool) {
	for room := range names {
		if away != nil && away(room) {
			if m.named == nil {
				m.named = map[string]struct{}{}
			}
			m.named[room] = struct{}{}
			delete(names, room)
		}
	}
}

// unanswered takes out of an error that a part of the store could not be asked: of reports the rooms concerned, and is nil where it is none.
func unanswered(err error) (of func(room string) bool, rest error) {
	if partial, ok := errors.AsType[*chat.PartialError](err); ok {
		return partial.Unanswered, nil
	}
	return nil, err
}

// unsaid is where a session stands in rooms of its Resume that could not be asked about, and whether all of these positions are of the present life of their logs.
// Nothing has been told of the rooms: the positions are what they were, and those of another life never good again.
func (l *lives) unsaid(e *Entry, away map[string]struct{}) (at map[string]protocol.Seq, good bool) {
	at, good = make(map[string]protocol.Seq, len(away)), true
	for room := range away {
		if at[room] = e.Resume[room]; !l.stands(e.Epoch, room) {
			at[room], good = NoPosition, false
		}
	}
	return at, good
}

// parted are the sessions on this node that miss rooms.
type parted struct {
	mu sync.Mutex // rank 2, never together with a Follower's
	of map[*Follower]struct{}
}

// look has all of them look for what they miss.
func (p *parted) look() {
	p.mu.Lock()
	sessions := slices.Collect(maps.Keys(p.of))
	p.mu.Unlock()
	for _, f := range sessions {
		f.kick()
	}
}

func (p *parted) add(f *Follower) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.of[f] = struct{}{}
}

func (p *parted) remove(f *Follower) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.of, f)
}

// Recovered is to be called when a part of the store that was away has come back: what may have been missed meanwhile is looked for. It does not block.
func (h *Hub) Recovered() {
	h.position.suspect()
	h.users.parted.look()
}

// miss takes note of what the session could not be let into.
func (f *Follower) miss(m missing) {
	if m.all == nil && len(m.named) == 0 {
		return
	}
	f.hub.users.parted.add(f)
	f.mu.Lock()
	closed := f.closed
	if !closed {
		f.missing = &m
	}
	f.mu.Unlock()
	if closed {
		f.hub.users.parted.remove(f)
	}
}

// lookForMissing lets the session into rooms that could not be asked about before, and can be now.
func (c catchUp) lookForMissing() error {
	c.f.mu.Lock()
	m := c.f.missing
	c.f.mu.Unlock()
	if m == nil {
		return nil
	}
	a := admission(c)
	var places []chat.Place
	var still missing
	if m.all != nil {
		found, err := a.places(nil)
		if still.all, err = unanswered(err); err != nil {
			return nil // it is looked again
		}
		places = found
	}
	if len(m.named) > 0 {
		names := make(map[string]protocol.Seq, len(m.named))
		for room := range m.named {
			names[room] = NoPosition
		}
		found, err := a.places(slices.Collect(maps.Keys(names)))
		away, err := unanswered(err)
		if err != nil {
			return nil
		}
		for _, p := range found {
			delete(names, p.Room)
		}
		places = append(places, found...)
		still.takeFrom(names, away)
		c.f.tellGone(slices.Collect(maps.Keys(names)))
	}
	if err := c.letInto(places); err != nil {
		return err
	}
	c.f.mu.Lock()
	c.f.missing = &still
	over := still.all == nil && len(still.named) == 0
	if over {
		c.f.missing = nil
	}
	c.f.mu.Unlock()
	if over {
		c.hub.users.parted.remove(c.f)
	}
	return nil
}

// letInto lets the session into those of the rooms that it is not in, each with a reset.
func (c catchUp) letInto(places []chat.Place) error {
	var wants []*want
	seen := map[string]bool{}
	for _, p := range places {
		if seen[p.Room] || c.f.Follows(p.Room) {
			continue
		}
		seen[p.Room] = true
		w := wanted(p, p.Head+1)
		w.lag.reset = true
		wants = append(wants, w)
	}
	lost, err := admission(c).attach(wants)
	if err == nil {
		c.f.tellGone(lost)
	}
	return err
}
