package delivery

import (
	"github.com/parley-im/parley/protocol"
)

// Who is in a room on this node is a fold over its log: join and leave are called by the room's pass, in seq order, with the room's lock held.

// join lets the sessions of users in as of event seq, which is next.
func (p *pass) join(seq protocol.Seq, users []string) {
	for _, user := range users {
		for _, f := range p.hub.users.of(user) {
			if f.join(p.room, seq) {
				f.kick()
			} else {
				f.joined(p.room.id, seq)
			}
		}
	}
}

// join lets the session in as one of a member; false for a session that does not follow what its user joins. Called with r.mu held.
func (f *Follower) join(r *room, seq protocol.Seq) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return true
	}
	l := f.lag[r.index]
	switch {
	case f.in(r):
		if l != nil && l.known >= seq {
			return true // let in by a place that knew
		}
		if !r.promote(f.index) {
			return false // let in by a place from before the user left, and being looked up again: if that puts it out, this is news
		}
		if l == nil || !l.probation.IsZero() {
			l = &lag{pos: seq}
			f.lagFrom(r, l)
		}
		l.known, l.announce = seq, true
	case f.all && !r.live:
		r.add(f.index, true)
		f.rooms = append(f.rooms, r.index)
		delete(f.gone, r.id)
		f.setLag(r, &lag{pos: seq, known: seq, announce: true})
	default:
		return false
	}
	return true
}

// leave puts sessions out after event seq, which has been offered: those of users who left, or everyone when the room is deleted. What lags is put out
// at once, without the rest of its replay.
func (p *pass) leave(seq protocol.Seq, c *change) {
	h, r := p.hub, p.room
	if c.deleted {
		b := h.removed(r.id, protocol.ReasonDeleted)
		for _, i := range r.clear() {
			f := h.followers.get(i)
			f.drop(r)
			f.push(r.id, b)
		}
		return
	}
	b := h.removed(r.id, c.reason)
	for _, user := range c.left {
		for _, f := range h.users.of(user) {
			l := f.behindIn(r)
			if l != nil && l.known >= seq {
				continue // has come back since
			}
			if f.leave(r) || f.mayHear(r.id, c) {
				f.push(r.id, b)
			}
		}
	}
}

// giveUp is for a node that has stood still for longer than the room keeps its events, which begin with first now. Who may see the room has been decided by
// events that are gone: everybody is put out, and those of its members are let in anew as the store has it.
func (p *pass) giveUp(first protocol.Seq) {
	p.flush()
	h, r := p.hub, p.room
	h.recent.drop(r)
	b := h.removed(r.id, protocol.ReasonGone)
	for _, i := range r.clear() {
		f := h.followers.get(i)
		f.drop(r)
		f.push(r.id, b)
		f.joined(r.id, first)
	}
	h.placeIn(r, first-1)
}
