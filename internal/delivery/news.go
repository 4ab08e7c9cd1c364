package delivery

import (
	"context"
	"sync"
	"time"

	"github.com/parley-im/parley/protocol"
)

// news tells the sessions that no fold reaches who has joined or left a room: those of users who join a room that nobody on their node follows, and
// those that are not in the room that their user leaves. It is broadcast by the node that commits, and counted, because a session that is told nothing
// has nothing by which to miss it: every probe says how much news its node has sent, and who has not received all of it asks the store. So does who hears
// no more probes of a node, or hears it count them anew: it may have died with something committed and not told.
type news struct {
	hub *Hub

	mu    sync.Mutex // a leaf
	sent  uint64
	peers map[string]*peer
}

// peer is what has been received of another node's news.
type peer struct {
	upTo  uint64              // every one up to this, or the store was asked for it
	heard time.Time           // when its last probe came
	above map[uint64]struct{} // and these
	probe uint64              // the number of its last probe
	away  bool                // no probe has come for too long
}

const (
	maxAbove = 4096 // news of one node that may come before its next probe
	maxPeers = 1024 // nodes that are remembered

	silence = 3 * roundEvery / 2 // after which a node may be dead
)

// tell sends what an event committed here has changed to the other nodes.
func (n *news) tell(room string, seq protocol.Seq, c *change) {
	n.mu.Lock()
	n.sent++
	number := n.sent
	n.mu.Unlock()
	n.hub.live.Broadcast(appendNews(n.hub.envelope(kindNews, room, 256), number, room, seq, c))
}

// count is how much news this node has sent.
func (n *news) count() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.sent
}

// received takes note of one of another node's.
func (n *news) received(node string, number uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.peer(node)
	if number <= p.upTo || len(p.above) >= maxAbove {
		return
	}
	p.above[number] = struct{}{}
	for {
		if _, ok := p.above[p.upTo+1]; !ok {
			return
		}
		p.upTo++
		delete(p.above, p.upTo)
	}
}

// complete takes note of another node's probe, and reports whether all of so much news that it has sent was received, which is taken as received from then
// on, and the node is still the one that it was: one that has begun anew has sent less than before.
func (n *news) complete(node string, probe, sent uint64, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.peer(node)
	p.heard, p.away = now, false
	complete := sent <= p.upTo && probe > p.probe
	p.probe = probe
	if sent != p.upTo {
		p.upTo = sent
		clear(p.above)
	}
	return complete
}

// probes is when the last probe of each other node came.
func (n *news) probes() map[string]time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	heard := make(map[string]time.Time, len(n.peers))
	for node, p := range n.peers {
		if !p.heard.IsZero() {
			heard[node] = p.heard
		}
	}
	return heard
}

// knows reports whether a node was heard of, in the life that the logs have here: a stranger may be of another deployment.
func (n *news) knows(node string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.peers[node]
	return p != nil && !p.heard.IsZero()
}

// silent reports whether a node is heard of no more, once.
func (n *news) silent(now time.Time) (silent bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.peers {
		if !p.away && !p.heard.IsZero() && now.Sub(p.heard) > silence {
			p.away, silent = true, true
		}
	}
	return silent
}

// peer is called with mu held.
func (n *news) peer(node string) *peer {
	p := n.peers[node]
	if p == nil {
		if len(n.peers) >= maxPeers {
			clear(n.peers) // they are known again by their next probes
		}
		p = &peer{above: map[uint64]struct{}{}}
		n.peers[node] = p
	}
	return p
}

// apply tells the sessions here of a change of a room that nobody here follows. The entry is that of the change's event, nil if it was committed elsewhere.
func (n *news) apply(room string, seq protocol.Seq, c *change, e *entry) {
	if n.hub.anyHere(c.joined) {
		n.hub.spawn(func(ctx context.Context) { n.welcome(ctx, room, seq, c.joined, e) })
	} else {
		n.joined(room, seq, c.joined)
	}
	if len(c.left) == 0 {
		return
	}
	b := n.hub.removed(room, c.reason)
	for _, user := range c.left {
		for _, f := range n.hub.users.of(user) {
			if f.mayHear(room, c) {
				f.push(room, b)
			}
		}
	}
}

// old is for a change of a room that is followed here, below its next. The fold has dealt with it, or the room was placed past it: then those who joined
// are looked up, and those who left were not let in.
func (n *news) old(r *room, seq protocol.Seq, c *change) { n.joined(r.id, seq, c.joined) }

func (n *news) joined(room string, seq protocol.Seq, users []string) {
	for _, user := range users {
		for _, f := range n.hub.users.of(user) {
			f.joined(room, seq)
		}
	}
}

// mayHear reports whether a session is told beside the fold that its user left a room: not where the fold tells it, because it is in the room; not
// before Ready, when there is no need to; not that its user was banned, who may never have seen the room; and not where it was told so as it came, by a store
// that knew of it before this node's delivery did.
func (f *Follower) mayHear(room string, c *change) bool {
	r := f.hub.rooms.get(room)
	f.mu.Lock()
	defer f.mu.Unlock()
	_, told := f.gone[room]
	return f.ready && c.reason != protocol.ReasonBanned && !told && (r == nil || !f.in(r))
}
