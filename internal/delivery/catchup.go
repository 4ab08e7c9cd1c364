package delivery

import (
	"context"
	"errors"
	"sync/atomic"
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

// catchUp brings one session live in every room, and looks into what its user has joined. A session has one at a time, until nothing is left that could be
// done now: the rest waits for Drained, or for rooms to move.
type catchUp struct {
	ctx context.Context
	hub *Hub
	f   *Follower
}

// catchUpAll is one of the goroutines that catch sessions up. There are as many as may read the Source at once: a storm of sessions waits in a queue, where a
// session costs a pointer.
func catchUpAll(h *Hub) {
	for f := h.behind.pop(); f != nil; f = h.behind.pop() {
		ctx, cancel := context.WithCancel(h.life.ctx)
		if f.begin(cancel) {
			catchUp{ctx, h, f}.run()
		}
		cancel()
	}
}

// stragglers are the sessions that wait to be caught up.
type stragglers struct {
	queue[Follower]
	warned atomic.Int64 // when it was last told that one could not be, in milliseconds
}

// begin lets Close end the catch-up; false when the session is closed already.
func (f *Follower) begin(cancel context.CancelFunc) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cancel = cancel
	return !f.closed
}

// run catches up until there is nothing more to do, or something could not be read: then the session gives its place to others, who may miss what can be read,
// and comes again after a pause.
func (c catchUp) run() {
	for {
		err := c.once()
		if err != nil && c.ctx.Err() == nil {
			c.later(err)
			return
		}
		if c.f.caughtUp() {
			return
		}
	}
}

// later has the session caught up again after a pause. Meanwhile the catch-up counts as due, so that nothing else begins one.
func (c catchUp) later(err error) {
	h, f, now := c.hub, c.f, c.hub.now()
	if last := h.behind.warned.Load(); now.UnixMilli()-last >= retryLast.Milliseconds() && h.behind.warned.CompareAndSwap(last, now.UnixMilli()) {
		h.log.Warn("catching up", "session", f.sink.ID(), "err", err) // of all who miss the same, one each second
	}
	f.mu.Lock()
	f.cancel = nil
	f.retry = min(max(2*f.retry, retryFirst), retryLast)
	retry := f.retry
	f.mu.Unlock()
	h.agenda.at(now.Add(retry), func() { h.behind.push(f) })
}

// pause is false when the context ended before.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// caughtUp ends the catch-up unless it was asked to look again.
func (f *Follower) caughtUp() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.again && !f.closed {
		f.again = false
		return false
	}
	f.catching, f.retry = false, 0
	f.cancel = nil
	return true
}

// once goes over everything that there is to do.
func (c catchUp) once() error {
	errs := []error{c.lookForMissing(), c.lookIntoJoins()} // what cannot be read holds up nothing else
	for _, r := range c.f.lagging() {
		full, err := c.bringOn(r)
		if errs = append(errs, err); full {
			return nil // the session has no room: Drained begins anew
		}
	}
	return errors.Join(errs...)
}

// bringOn brings the session as far as it can be now in one room; full says that it takes no more.
func (c catchUp) bringOn(r *room) (full bool, err error) {
	for {
		s := c.f.step(r)
		if s.announce {
			if err := c.announce(r, s.lag); err != nil {
				return false, err
			}
			continue
		}
		if s.until == 0 {
			return false, nil // live, out, or not to be brought further now
		}
		run, err := c.page(r, s)
		if err != nil {
			return false, err
		}
		if !c.replay(r, s, run) {
			return true, nil
		}
	}
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
func (f *Follower) settle() {
	for _, r := range f.lagging() {
		r.mu.Lock()
		f.stepIn(r)
		f.hub.watched(r)
		r.mu.Unlock()
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
func (f *Follower) step(r *room) step {
	r.mu.Lock()
	defer r.mu.Unlock()
	return f.stepIn(r)
}

// stepIn is step for one who holds r.mu.
func (f *Follower) stepIn(r *room) step {
	h := f.hub
	l := f.behindIn(r)
	if l == nil || l.held {
		return step{}
	}
	if l.announce {
		return step{lag: l, announce: true}
	}
	missed := max(l.pos, l.known+1) // what was missed up to known has been judged when it was let in
	s := h.rooms.paces.sampler(r)
	switch {
	case r.fanning(): // it is live once those are that have been offered what is on its way
		r.more.ahead = append(r.more.ahead, f.index)
	case !l.probation.IsZero():
		if s == nil || !h.now().Before(l.probation) {
			f.goLive(r)
		}
	case l.pos > r.next || l.reset && l.known >= r.next: // this node is behind what the session has seen
		m := r.busy()
		m.ahead = append(m.ahead, f.index)
		h.arrive(r, &arrival{kind: arrivedHead, seq: max(l.pos-1, l.known)})
	case l.pos == r.next && !l.reset:
		f.reach(r, l)
	case s != nil && !l.reset && int(r.next-l.pos) > l.replayable(s, h.now()):
		f.skip(r, l)
	case l.reset || r.next > missed+h.replay:
		h.counters.resets.Add(1)
		f.push(r.id, h.push(protocol.SignalReset, r.id, "", protocol.ResetData{Head: r.next - 1}))
		f.goLive(r)
	default:
		return step{lag: l, from: l.pos, until: r.next, erasures: r.erasures}
	}
	return step{}
}

// goLive ends the session's lag in a room. Called with r.mu held.
func (f *Follower) goLive(r *room) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.clearLag(r)
}

// page reads the beginning of a step's events, from memory where they are there. What is no longer kept is left out.
func (c catchUp) page(r *room, s step) ([]*entry, error) {
	h := c.hub
	if run := h.recent.read(r, s.from, pageBytes); run != nil {
		return run, nil
	}
	var found []*chat.Event
	err := h.reading(c.ctx, func() (err error) {
		limit := min(s.until-s.from, pageEvents)
		found, err = h.source.Events(c.ctx, r.id, s.from-1, int(limit))
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

// replay offers a page; false when the session had no room for all of it. It offers under the room's lock, so that nothing can come between: neither
// an event, nor a removal, nor the erasure of what was read.
func (c catchUp) replay(r *room, s step, run []*entry) bool {
	for i, e := range run {
		if e.seq >= s.until {
			run = run[:i]
			break
		}
	}
	if len(run) == 0 || run[0].seq != s.from {
		c.trimmed(r, s)
		return true
	}
	all := true
	c.hub.batches(run, func(b *Batch, of []*entry) bool {
		var on bool
		all, on = c.replayBatch(r, s, b, of)
		return on
	})
	return all
}

// replayBatch offers one batch of a page: fits is false when there was no room, on when the next may follow.
func (c catchUp) replayBatch(r *room, s step, b *Batch, of []*entry) (fits, on bool) {
	h, f := c.hub, c.f
	r.mu.Lock()
	defer r.mu.Unlock()
	if f.behindIn(r) != s.lag || s.lag.pos != of[0].seq || r.erasures != s.erasures || r.fanning() {
		return true, false // out of the room, or read anew
	}
	if sampler := h.rooms.paces.sampler(r); sampler != nil && len(of) > s.lag.replayable(sampler, h.now()) {
		return true, false // the room has been pushed too much meanwhile
	}
	if !f.sink.Offer(b) {
		h.counters.refused.Add(1)
		return false, false
	}
	h.counters.replayed.Add(uint64(len(of)))
	f.mu.Lock()
	s.lag.pos = of[len(of)-1].seq + 1
	f.mu.Unlock()
	s.lag.replayed += len(of)
	if s.lag.pos == r.next {
		f.reach(r, s.lag)
	}
	return true, true
}

// trimmed resets a session whose next events the room does not keep any more.
func (c catchUp) trimmed(r *room, s step) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.f.behindIn(r) == s.lag {
		c.f.mu.Lock()
		s.lag.reset = true
		c.f.mu.Unlock()
	}
}

// announce pushes room.added, before which nothing of the room was pushed.
func (c catchUp) announce(r *room, l *lag) error {
	r.mu.Lock()
	at := r.next
	r.mu.Unlock()
	b, err := c.hub.additions.of(c.ctx, r.id, at, func() (*Batch, error) { return c.added(r.id) })
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.f.behindIn(r) == l {
		c.f.sink.Added(b, r.id, l.standing())
		c.f.mu.Lock()
		l.announce = false
		c.f.mu.Unlock()
	}
	return nil
}

var errNoRoom = errors.New("a room that has members does not exist")

// added is a room.added.
func (c catchUp) added(id string) (*Batch, error) {
	var room *protocol.Room
	err := c.hub.reading(c.ctx, func() (err error) {
		room, err = c.hub.source.Room(c.ctx, id)
		return err
	})
	if err == nil && room == nil {
		err = errNoRoom
	}
	if err != nil {
		return nil, err
	}
	return c.hub.push(protocol.SignalRoomAdded, id, "", protocol.RoomAddedData{Room: *room}), nil
}

// lookIntoJoins asks the store about rooms that the user is said to have joined: the session is let into those that it follows, from the event that made
// its user a member, and told of the others.
func (c catchUp) lookIntoJoins() error {
	joins := c.f.takeJoins()
	if len(joins) == 0 {
		return nil
	}
	rooms := make([]string, 0, len(joins))
	for room := range joins {
		rooms = append(rooms, room)
	}
	err := c.followJoined(rooms)
	if err != nil && c.ctx.Err() == nil {
		for room, seq := range joins {
			c.f.joined(room, seq)
		}
	}
	return err
}

// takeJoins is what the user has joined that the session is not in. What it is being subscribed to stays until that is decided.
func (f *Follower) takeJoins() map[string]protocol.Seq {
	f.mu.Lock()
	defer f.mu.Unlock()
	var joins map[string]protocol.Seq
	joins, f.joins = f.joins, nil
	for id, seq := range joins {
		r := f.hub.rooms.get(id)
		if r == nil || !f.in(r) {
			continue
		}
		delete(joins, id)
		if l := f.lag[r.index]; l != nil && l.held {
			f.note(id, seq)
		}
	}
	return joins
}

func (c catchUp) followJoined(rooms []string) error {
	f, a := c.f, admission(c)
	places, err := a.places(rooms)
	if err != nil {
		return err
	}
	var wants []*want
	for _, p := range places {
		if p.JoinedSeq == 0 || !f.isNews(p) {
			continue
		}
		if f.followsKind(p.Kind) {
			w := a.resumed(p, p.JoinedSeq-1, a.hub.lives.epoch()) // where it is long since it joined: reset
			w.lag.announce = true
			wants = append(wants, w)
			continue
		}
		b, err := c.added(p.Room)
		if err != nil {
			return err
		}
		f.push(p.Room, b)
		f.mu.Lock()
		f.forget(p.Room, p.JoinedSeq)
		f.mu.Unlock()
	}
	_, err = a.attach(wants)
	return err
}

// isNews reports whether the session has not been told of its user's membership, nor given it up.
func (f *Follower) isNews(p chat.Place) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.past[p.Room] < p.JoinedSeq
}
