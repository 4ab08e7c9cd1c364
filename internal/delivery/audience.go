package delivery

import (
	"time"

	"github.com/parley-im/parley/protocol"
)

const (
	audienceEvery  = 1050 * time.Millisecond // a session is told at most once in that time: a second, and a little for what the way to it may take off
	audienceRepeat = 3 * time.Second         // as often a node says to the others how many watch here
	audienceLasts  = 10 * time.Second        // as long what another node has said is good
	maxWatching    = 1 << 30                 // sessions of one node
	audienceHears  = 300 * time.Millisecond  // as long the first to watch here waits for what the other nodes say
)

// audience is how many sessions follow a live room, on all nodes. The room's worker looks at it when somebody has come or another node has said
// something, and about once a second while anyone is here; nodes that have nobody say nothing and are told nothing. Guarded by the room's lock.
type audience struct {
	nodes   map[string]watching // what the other nodes say
	told    int                 // what the sessions here were told,
	toldAt  time.Time           // and when
	fresh   bool                // a session has come since, and was not told
	sent    int                 // what the other nodes were told,
	sentAt  time.Time           // and when; zero: one has come that was not told
	beating bool                // the next look is on the agenda
	counted int                 // what of Stats.Watchers is this room's
}

// watching is how many sessions of another node follow a room.
type watching struct {
	sessions int
	at       time.Time // when it said so
}

// heard takes note of what another node says.
func (a *audience) heard(node string, sessions int, now time.Time) {
	if _, known := a.nodes[node]; !known {
		if len(a.nodes) >= maxPeers {
			return
		}
		a.sentAt = time.Time{}
	}
	if a.nodes == nil {
		a.nodes = map[string]watching{}
	}
	a.nodes[node] = watching{sessions, now}
}

// elsewhere is how many sessions follow the room on other nodes.
func (a *audience) elsewhere(now time.Time) int {
	n := 0
	for node, w := range a.nodes {
		if now.Sub(w.at) >= audienceLasts {
			delete(a.nodes, node)
			continue
		}
		n += w.sessions
	}
	return n
}

// lookAtAudience tells the sessions here and the other nodes how many there are, where that is due.
func (p *pass) lookAtAudience() {
	h, r := p.hub, p.room
	m, here, now := r.busy(), r.size(), h.now()
	if m.audience == nil {
		if here == 0 {
			return
		}
		m.audience = &audience{}
		if h.live != nil {
			m.audience.toldAt = now.Add(audienceHears - audienceEvery)
		}
	}
	a := m.audience
	h.counters.watchers.Add(int64(here - a.counted))
	a.counted = here
	next := now.Add(audienceEvery)
	if total := here + a.elsewhere(now); total != a.told || a.fresh {
		if due := a.toldAt.Add(audienceEvery); due.After(now) {
			next = due
		} else {
			a.told, a.toldAt, a.fresh = total, now, false
			p.tellAudience(total)
		}
	}
	if since := now.Sub(a.sentAt); h.live != nil && (here == 0 || here != a.sent && since >= audienceEvery || since >= audienceRepeat) {
		a.sent, a.sentAt = here, now
		p.hint = appendWatching(h.envelope(kindWatching, r.id, 10), here)
	}
	switch {
	case here == 0:
		m.audience = nil
	case !a.beating:
		a.beating = true
		h.agenda.at(next, func() {
			h.arrive(r, &arrival{kind: arrivedBeat, audience: a})
			h.hurry(r)
		})
	}
}

// tellAudience offers `audience` to everyone in the room, also to who lags: it has no place among the events.
func (p *pass) tellAudience(n int) {
	b := p.hub.push(protocol.SignalAudience, p.room.id, "", protocol.AudienceData{Watching: uint64(n)})
	p.everyone(func(f *Follower) {
		if f.knowsOf(p.room) {
			f.sink.Offer(b)
		}
	})
}

// knowsOf reports whether the session was told that it follows the room that it is in. Called with r.mu held.
func (f *Follower) knowsOf(r *room) bool {
	if f.behind.Load() == 0 {
		return true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.lag[r.index]
	return l == nil || f.ready && !l.held && !l.announce
}

// watched has the room's worker look at its audience, because a session has come. Called with r.mu held.
func (h *Hub) watched(r *room) {
	if r.live {
		h.arrive(r, &arrival{kind: arrivedWatcher})
	}
}
