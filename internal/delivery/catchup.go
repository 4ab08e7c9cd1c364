package delivery

import (
	"context"
	"errors"
	"time"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/protocol"
)

const (
	retryFirst = 100 * time.Millisecond // after a failed read of the Source
	retryLast  = time.Second
	pageEvents = 256       // of one read of the Source
	pageBytes  = 256 << 10 // of one read of the ring
)

// catchUp looks into what the user has joined and brings the session live in every room, in the one goroutine that a session has for it. It ends when
// nothing is left that it could do now: the rest waits for Drained, or for rooms to move.
func (h *Hub) catchUp(ctx context.Context, f *Follower) {
	retry := retryFirst
	for {
		err := h.catchUpOnce(ctx, f)
		if err != nil && ctx.Err() == nil {
			h.log.Warn("catching up", "session", f.sink.ID(), "err", err)
			pause(ctx, retry)
			retry = min(2*retry, retryLast)
			continue
		}
		f.mu.Lock()
		if !f.again || f.closed || ctx.Err() != nil {
			f.catching = false
			f.cancel()
			f.cancel = nil
			f.mu.Unlock()
			return
		}
		f.again = false
		f.mu.Unlock()
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

func (h *Hub) catchUpOnce(ctx context.Context, f *Follower) error {
	if err := h.lookIntoJoins(ctx, f); err != nil {
		return err
	}
	for _, r := range f.lagging() {
		for {
			s := h.step(f, r)
			if s.announce {
				if err := h.announce(ctx, f, r, s.lag); err != nil {
					return err
				}
				continue
			}
			if s.until == 0 {
				break // live, out, or not to be brought further now
			}
			run, err := h.page(ctx, r, s)
			if err != nil {
				return err
			}
			if !h.replayed(f, r, s, run) {
				return nil // the session has no room: Drained begins anew
			}
		}
	}
	return nil
}

// lagging are the rooms in which the session is not live.
func (f *Follower) lagging() []*room {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := make([]*room, 0, len(f.lag))
	for i := range f.lag {
		list = append(list, f.hub.rooms.slab.get(i))
	}
	return list
}

// settle makes a session live wherever it has missed nothing, without any reading.
func (h *Hub) settle(f *Follower) {
	for _, r := range f.lagging() {
		h.step(f, r)
	}
}

// step is what comes next for a session in a room.
type step struct {
	lag      *lag
	announce bool         // room.added
	from     protocol.Seq // to be offered: from ≤ seq < until; until 0: nothing
	until    protocol.Seq
	erasures uint32 // of the room, when this was asked
}

// step does what can be done at once and says what is to be read.
func (h *Hub) step(f *Follower, r *room) step {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := f.behindIn(r)
	if l == nil || l.held {
		return step{}
	}
	if l.announce {
		return step{lag: l, announce: true}
	}
	missed := max(l.pos, l.known+1) // what was missed up to known has been judged when it was let in
	switch {
	case l.reset || r.next > missed+h.replay:
		h.counters.resets.Add(1)
		f.push(h.push(protocol.SignalReset, r.id, "", protocol.ResetData{Head: r.next - 1}))
		h.goLive(f, r)
	case l.pos == r.next:
		h.goLive(f, r)
	case l.pos > r.next:
		m := r.busy()
		m.ahead = append(m.ahead, f.index)
		h.arrive(r, &arrival{kind: arrivedHead, seq: l.pos - 1})
	default:
		return step{lag: l, from: l.pos, until: r.next, erasures: r.erasures}
	}
	return step{}
}

func (h *Hub) goLive(f *Follower, r *room) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.clearLag(r)
}

// page reads the beginning of a step's events, from memory where they are there. What is no longer kept is left out.
func (h *Hub) page(ctx context.Context, r *room, s step) ([]*entry, error) {
	if run := h.recent.read(r, s.from, pageBytes); run != nil {
		return run, nil
	}
	var found []*chat.Event
	err := h.reading(ctx, func() (err error) {
		limit := min(s.until-s.from, pageEvents)
		found, err = h.source.Events(ctx, r.id, s.from-1, int(limit))
		return err
	})
	if err != nil {
		return nil, err
	}
	run := make([]*entry, len(found))
	for i, e := range found {
		run[i] = newEntry(e)
	}
	return run, nil
}

// replayed offers a page; false when the session had no room for all of it. It offers under the room's lock, so that nothing can come between: neither
// an event, nor a removal, nor the erasure of what was read.
func (h *Hub) replayed(f *Follower, r *room, s step, run []*entry) bool {
	for i, e := range run {
		if e.seq >= s.until {
			run = run[:i]
			break
		}
	}
	if len(run) == 0 || run[0].seq != s.from {
		return h.trimmed(f, r, s)
	}
	all := true
	h.batches(run, func(b *Batch, of []*entry) bool {
		var on bool
		all, on = h.replayBatch(f, r, s, b, of)
		return on
	})
	return all
}

// replayBatch offers one batch of a page: fits is false when there was no room, on when the next may follow.
func (h *Hub) replayBatch(f *Follower, r *room, s step, b *Batch, of []*entry) (fits, on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f.behindIn(r) != s.lag || s.lag.pos != of[0].seq || r.erasures != s.erasures {
		return true, false // out of the room, or read anew
	}
	if !f.sink.Offer(b) {
		h.counters.refused.Add(1)
		return false, false
	}
	h.counters.replayed.Add(uint64(len(of)))
	f.mu.Lock()
	defer f.mu.Unlock()
	s.lag.pos = of[len(of)-1].seq + 1
	if s.lag.pos == r.next {
		f.clearLag(r)
	}
	return true, true
}

// trimmed resets a session whose next events the room does not keep any more.
func (h *Hub) trimmed(f *Follower, r *room, s step) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f.behindIn(r) == s.lag {
		f.mu.Lock()
		s.lag.reset = true
		f.mu.Unlock()
	}
	return true
}

// announce pushes room.added, before which nothing of the room was pushed.
func (h *Hub) announce(ctx context.Context, f *Follower, r *room, l *lag) error {
	b, err := h.added(ctx, r.id)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if f.behindIn(r) == l {
		f.push(b)
		f.mu.Lock()
		l.announce = false
		f.mu.Unlock()
	}
	return nil
}

var errNoRoom = errors.New("a room that has members does not exist")

// added is a room.added.
func (h *Hub) added(ctx context.Context, id string) (*Batch, error) {
	var room *protocol.Room
	err := h.reading(ctx, func() (err error) {
		room, err = h.source.Room(ctx, id)
		return err
	})
	if err == nil && room == nil {
		err = errNoRoom
	}
	if err != nil {
		return nil, err
	}
	return h.push(protocol.SignalRoomAdded, id, "", protocol.RoomAddedData{Room: *room}), nil
}

// lookIntoJoins asks the store about rooms that the user is said to have joined: the session is let into those that it follows, from the event that made
// its user a member, and told of the others.
func (h *Hub) lookIntoJoins(ctx context.Context, f *Follower) error {
	joins := f.takeJoins()
	if len(joins) == 0 {
		return nil
	}
	rooms := make([]string, 0, len(joins))
	for room := range joins {
		rooms = append(rooms, room)
	}
	err := h.followJoined(ctx, f, rooms)
	if err != nil && ctx.Err() == nil {
		for room, seq := range joins {
			f.joined(room, seq)
		}
	}
	return err
}

// takeJoins is what the user has joined that the session is not in.
func (f *Follower) takeJoins() map[string]protocol.Seq {
	f.mu.Lock()
	defer f.mu.Unlock()
	joins := f.joins
	f.joins = nil
	for id := range joins {
		if r := f.hub.rooms.get(id); r != nil && f.in(r) {
			delete(joins, id)
		}
	}
	return joins
}

func (h *Hub) followJoined(ctx context.Context, f *Follower, rooms []string) error {
	places, err := h.places(ctx, f, rooms)
	if err != nil {
		return err
	}
	var wants []*want
	for _, p := range places {
		if p.JoinedSeq == 0 || !f.isNews(p) {
			continue
		}
		if f.all && p.Kind != protocol.Live {
			w := wanted(p, p.JoinedSeq)
			w.lag.announce = true
			wants = append(wants, w)
			continue
		}
		b, err := h.added(ctx, p.Room)
		if err != nil {
			return err
		}
		f.push(b)
		f.mu.Lock()
		f.forget(p.Room, p.JoinedSeq)
		f.mu.Unlock()
	}
	_, err = h.attach(ctx, f, wants)
	return err
}

// isNews reports whether the session has not been told of its user's membership, nor given it up.
func (f *Follower) isNews(p chat.Place) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.past[p.Room] < p.JoinedSeq
}
