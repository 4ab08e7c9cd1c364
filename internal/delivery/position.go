package delivery

import (
	"context"
	"errors"
	"math"
	"sync/atomic"
	"time"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/protocol"
)

// Positioning is how a node finds what the broker did not bring. Every second it sends itself a probe, and compares a thirtieth of its rooms with the
// store. When a probe does not come back within the second, when those of another node end, when the broker says that something was lost, or when a hole
// had to be filled, it asks the store every second what has changed since before it began, until a round after the last sign of trouble.

const (
	roundEvery    = time.Second
	compareRounds = 30   // in so many rounds every room is compared once
	compareRooms  = 4096 // in one question
	idleRounds    = 3    // comparisons that find nobody in a room, 60 s apart at the least from first to last, before it is unbound
	rememberEvery = 5    // rounds after which the position to ask from is renewed: it is then 5 to 10 s old
	missingRounds = 5    // rounds after which rooms that could not be asked about are asked about again
	sessionRounds = 15   // rounds after which sessions are asked for anyway
	roundTimeout  = 10 * time.Second
)

// position is what a Hub knows about how well the broker serves it.
type position struct {
	hub             *Hub
	sessions        func()
	sessionsChanged chan struct{} // of size 1
	begun           chan struct{} // closed when there is a position to ask from: what is lost from then on is found

	sent, answered atomic.Uint64 // numbers of the last probe sent and of the last that came back
	suspected      atomic.Bool   // a sign of trouble since the last round

	// Only for the goroutine of the rounds.
	since, older chat.Position // of now minus 0 to 5 s, and the one before: what is lost is noticed within 3 s
	trouble      int           // rounds in which the store is to be asked still
	at           uint32        // index of the last room that was compared in this turn
}

// suspect takes note of a sign of trouble.
func (p *position) suspect() { p.suspected.Store(true) }

// heard takes note of a probe that came back.
func (p *position) heard(n uint64) {
	for {
		last := p.answered.Load()
		if n <= last || n > p.sent.Load() || p.answered.CompareAndSwap(last, n) {
			return
		}
	}
}

// healthy reports whether the last probe has come back, or the one before where the last may be under way.
func (p *position) healthy() bool { return p.answered.Load()+1 >= p.sent.Load() }

// keepPosition does the rounds until the context ends.
func (p *position) keep(ctx context.Context) {
	for p.hub.live != nil {
		c, err := p.hub.source.Changed(ctx, "")
		if err == nil {
			p.since, p.older = c.Position, c.Position
			break
		}
		p.hub.log.Warn("reading the store's position", "err", err)
		if !pause(ctx, retryFirst) {
			return
		}
	}
	close(p.begun)
	tick := time.NewTicker(roundEvery)
	defer tick.Stop()
	for n := 1; ; n++ {
		p.round(ctx, n)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (p *position) round(ctx context.Context, n int) {
	ctx, cancel := context.WithTimeout(ctx, roundTimeout)
	defer cancel()
	h := p.hub
	h.recent.expire(h.now())
	if h.live != nil {
		back := p.answered.Load() == p.sent.Load()
		h.live.Broadcast(appendProbe(h.envelope(kindProbe, "", 20), p.sent.Add(1), h.news.count()))
		if silent := h.news.silent(h.now()); (p.suspected.Swap(false) || !back || silent) && !seededTrust {
			p.trouble = 2
		}
		if err := p.inquire(ctx, n); err != nil && ctx.Err() == nil {
			h.log.Warn("asking what has changed", "err", err)
		}
	}
	if err := p.compare(ctx, n); err != nil && ctx.Err() == nil {
		h.log.Warn("comparing rooms with the store", "err", err)
	}
	if n%sessionRounds == 0 {
		poke(p.sessionsChanged)
	}
	if n%missingRounds == 0 {
		h.users.parted.look()
	}
}

// inquire asks what has changed while there is trouble, and otherwise keeps a position from which to ask.
func (p *position) inquire(ctx context.Context, n int) error {
	if p.trouble == 0 {
		if n%rememberEvery != 0 {
			return nil
		}
		c, err := p.hub.source.Changed(ctx, "")
		if err == nil {
			p.older, p.since = p.since, c.Position
		}
		return err
	}
	for {
		c, err := p.hub.source.Changed(ctx, p.older)
		if err != nil {
			return err
		}
		p.changed(c)
		p.older, p.since = c.Position, c.Position
		if !c.More {
			p.trouble--
			return nil
		}
	}
}

// changed takes what the store says has changed.
func (p *position) changed(c *Changes) {
	h := p.hub
	for room, head := range c.Heads {
		if r := h.rooms.get(room); r != nil {
			h.arrive(r, &arrival{kind: arrivedHead, seq: head})
		}
	}
	for _, m := range c.Joined {
		for _, f := range h.users.of(m.User) {
			if f.all {
				f.joined(m.Room, m.Seq)
			}
		}
	}
	h.receipts.moved(c.Cursors, false)
	if c.Sessions {
		poke(p.sessionsChanged)
	}
}

// compare compares the next part of the rooms with the store, and unbinds rooms in which nobody has been for a while.
func (p *position) compare(ctx context.Context, n int) error {
	var errs []error
	var idle []*room
	var followed []headed
	h := p.hub
	_, top := h.rooms.slab.count()
	part := n % compareRounds
	for end := uint32(uint64(top) * uint64(part+1) / compareRounds); p.at < end; {
		p.at++
		r := h.rooms.slab.get(p.at)
		if r == nil {
			continue
		}
		r.mu.Lock()
		if r.size() > 0 {
			followed = append(followed, headed{r, r.next})
		} else if r.idle++; r.idle >= idleRounds {
			idle = append(idle, r)
		}
		r.mu.Unlock()
		if len(followed) == compareRooms {
			errs = append(errs, p.compareHeads(ctx, followed))
			followed = followed[:0]
		}
	}
	errs = append(errs, p.compareHeads(ctx, followed))
	if part == compareRounds-1 {
		p.at = 0
	}
	return errors.Join(append(errs, p.unbind(ctx, idle))...)
}

// headed is a room as of some next.
type headed struct {
	room *room
	next protocol.Seq
}

// compareHeads tells rooms of the heads that the store has, where they have not come as far.
func (p *position) compareHeads(ctx context.Context, rooms []headed) error {
	if len(rooms) == 0 {
		return nil
	}
	ids := make([]string, len(rooms))
	for i, r := range rooms {
		ids[i] = r.room.id
	}
	heads, err := p.hub.source.Heads(ctx, ids) // with an error, some
	for _, r := range rooms {
		if head := heads[r.room.id]; head >= r.next {
			p.hub.arrive(r.room, &arrival{kind: arrivedHead, seq: head})
		}
	}
	return err
}

// unbind lets go of rooms in which nobody is. Who comes back while it does finds the room bound and relies on it: such a room is bound anew.
func (p *position) unbind(ctx context.Context, rooms []*room) error {
	h := p.hub
	if len(rooms) == 0 {
		return nil
	}
	if h.live != nil {
		ids := make([]string, len(rooms))
		for i, r := range rooms {
			ids[i] = r.id
		}
		h.live.Unfollow(ids)
	}
	var back []headed
	for _, r := range rooms {
		r.mu.Lock()
		if r.size() == 0 && !r.fanning() {
			h.rooms.remove(r)
			h.recent.drop(r)
			h.rooms.paces.drop(r)
			r.dead = true
			r.release(math.MaxUint64)
		} else {
			back = append(back, headed{r, r.next})
		}
		r.mu.Unlock()
	}
	if len(back) == 0 || h.live == nil {
		return nil
	}
	ids := make([]string, len(back))
	for i, r := range back {
		ids[i] = r.room.id
	}
	if err := h.live.Follow(ctx, ids); err != nil {
		p.suspect()
	}
	return p.compareHeads(ctx, back)
}

// tellSessions calls Options.Sessions whenever there is reason to, until the context ends.
func (p *position) tellSessions(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.sessionsChanged:
			p.sessions()
		}
	}
}

// Announce tells the other nodes that sessions, revocations or keys have changed here, so that they call their Options.Sessions.
func (h *Hub) Announce() {
	if h.live != nil {
		h.live.Broadcast(h.envelope(kindSessions, "", 0))
	}
}
