package delivery

import (
	"github.com/parley-im/parley/protocol"
)

// Who is in a room on this node is a fold over its log: join and leave are called by the room's pass, in seq order, with r.mu held. News is the same
// change told beside the log, for the sessions that the fold of this node does not reach: of users who join a room that nobody here follows, and of
// those whose sessions are not in the room that they leave.

// join lets the sessions of users in as of event seq, which is next.
func (h *Hub) join(r *room, seq protocol.Seq, users []string) {
	for _, user := range users {
		for _, f := range h.users.of(user) {
			if h.joinOne(r, seq, f) {
				f.kick()
			} else {
				f.joined(r.id, seq)
			}
		}
	}
}

// joinOne is false for a session that does not follow what its user joins.
func (h *Hub) joinOne(r *room, seq protocol.Seq, f *Follower) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return true
	}
	l := f.lag[r.index]
	switch {
	case f.in(r):
		if !r.promote(f.index) || l != nil && l.known >= seq {
			return true // let in by a place that knew
		}
		if l == nil {
			l = &lag{pos: seq}
			f.setLag(r, l)
		}
		l.known, l.announce = seq, true
	case f.all && !r.live:
		r.add(f.index, true)
		f.rooms = append(f.rooms, r.index)
		f.setLag(r, &lag{pos: seq, known: seq, announce: true})
	default:
		return false
	}
	return true
}

// leave puts sessions out after event seq, which has been offered: those of users who left, or everyone when the room is deleted. What lags is put out
// at once, without the rest of its replay.
func (h *Hub) leave(r *room, seq protocol.Seq, c *change) {
	if c.deleted {
		b := h.removed(r.id, protocol.ReasonDeleted)
		for !r.empty() {
			last := r.followers
			if len(last) == 0 {
				last = r.more.watchers
			}
			f := h.followers.get(last[len(last)-1])
			f.leave(r)
			f.push(b)
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
			if f.leave(r) || f.mayHear(c) {
				f.push(b)
			}
		}
	}
}

// mayHear reports whether a session that is not in a room is told that its user left. Before Ready there is no need to; and who was banned may never
// have seen the room.
func (f *Follower) mayHear(c *change) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ready && c.reason != protocol.ReasonBanned
}

// news tells the sessions here of a change of a room that nobody here follows.
func (h *Hub) news(room string, seq protocol.Seq, c *change) {
	h.tellJoined(room, seq, c.joined)
	if len(c.left) == 0 {
		return
	}
	b := h.removed(room, c.reason)
	for _, user := range c.left {
		for _, f := range h.users.of(user) {
			if f.mayHear(c) {
				f.push(b)
			}
		}
	}
}

// oldNews is news of a room that is followed here, below its next. The fold has dealt with it, or the room was placed past it: then those who joined
// are looked up, and those who left were not let in.
func (h *Hub) oldNews(r *room, seq protocol.Seq, c *change) { h.tellJoined(r.id, seq, c.joined) }

func (h *Hub) tellJoined(room string, seq protocol.Seq, users []string) {
	for _, user := range users {
		for _, f := range h.users.of(user) {
			f.joined(room, seq)
		}
	}
}

// removed is a room.removed.
func (h *Hub) removed(room string, reason protocol.LeaveReason) *Batch {
	return h.push(protocol.SignalRoomRemoved, room, "", protocol.RoomRemovedData{Reason: reason})
}

// push encodes a signal.
func (h *Hub) push(name protocol.Name, room, user string, data any) *Batch {
	frame := protocol.AppendSignal(nil, name, room, user, data)
	return &Batch{Frames: frame, Wire: h.wire(frame)}
}
