package delivery

import (
	"context"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-im/parley/protocol"
)

// Follower is a session that has entered. Its methods may be called from any goroutine.
type Follower struct {
	hub   *Hub
	sink  Sink
	index uint32
	all   bool // follows every room of its user, but for live ones

	behind  atomic.Int32  // len(lag): what every fan-out looks at first
	drained atomic.Uint32 // how often Drained was called

	sibling *Follower // the next follower of the same user; under the lock of the users' shard

	mu       sync.Mutex              // rank 2
	rooms    []uint32                // rooms that it is in; unordered
	lag      map[uint32]*lag         // of those, the ones in which it is not live
	joins    map[string]protocol.Seq // rooms that its user has joined, by an event that the catch-up has still to look into
	past     map[string]protocol.Seq // rooms that it is not in: joins up to this seq are nothing new
	gone     map[string]struct{}     // rooms that it was told to be gone when it came: that its user has left them is nothing new
	missing  *missing                // rooms that could not be asked about when it came; nil: none
	held     []heldPush              // pushes that wait for Ready
	cancel   context.CancelFunc      // ends the catch-up
	ready    bool                    // Ready was called
	closed   bool
	catching bool          // a catch-up is under way, or due
	again    bool          // and shall look again before it ends
	retry    time.Duration // how long it waited since something could not be read; 0: everything could
}

// lag is where a session stands in a room in which it is not live. A room has at most one of a session, from when the session is let in or an Offer is
// refused until the session is live or out. It is changed under the locks of the room and of the follower, and so may be read under either.
type lag struct {
	pos      protocol.Seq // the next event to offer
	known    protocol.Seq // the session may see the room as of this event: leaving and joining up to it are history
	announce bool         // room.added comes first
	reset    bool         // the position is no good: reset comes next
	held     bool         // the reply to room.subscribe comes first

	// In a sampled room; only under the room's lock.
	replayed  int       // events that the session was replayed
	probation time.Time // it has come to next, and until then is pushed what the others are as far as left goes; zero: it has not
	left      int
}

type heldPush struct {
	room  string
	batch *Batch
}

// users are the sessions on this node by user.
type users struct {
	seed   maphash.Seed
	shards [64]userShard
	parted parted
}

type userShard struct {
	mu    sync.Mutex // rank 2, never together with a Follower's
	first map[string]*Follower
}

func (u *users) shard(user string) *userShard {
	return &u.shards[maphash.String(u.seed, user)%uint64(len(u.shards))]
}

func (u *users) add(f *Follower) {
	s := u.shard(f.sink.User())
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first == nil {
		s.first = map[string]*Follower{}
	}
	f.sibling = s.first[f.sink.User()]
	s.first[f.sink.User()] = f
}

func (u *users) remove(f *Follower) {
	user := f.sink.User()
	s := u.shard(user)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first[user] == f {
		s.first[user] = f.sibling
	} else {
		for g := s.first[user]; g != nil; g = g.sibling {
			if g.sibling == f {
				g.sibling = f.sibling
			}
		}
	}
	if s.first[user] == nil {
		delete(s.first, user)
	}
}

// of are the user's sessions here.
func (u *users) of(user string) []*Follower {
	s := u.shard(user)
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*Follower
	for f := s.first[user]; f != nil; f = f.sibling {
		list = append(list, f)
	}
	return list
}

// Follows reports whether the session follows the room.
func (f *Follower) Follows(room string) bool {
	r := f.hub.rooms.get(room)
	if r == nil {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.in(r)
}

// Drained tells that the Sink has room again after an Offer was refused. It does not block.
func (f *Follower) Drained() {
	f.drained.Add(1)
	f.kick()
}

// Close takes the session out of everything. Calls of its Sink that are under way may still arrive. It may be called twice.
func (f *Follower) Close() {
	h := f.hub
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return
	}
	f.closed = true
	rooms := f.rooms
	f.rooms, f.lag, f.joins, f.past, f.gone, f.missing, f.held = nil, nil, nil, nil, nil, nil, nil
	f.behind.Store(0)
	if f.cancel != nil {
		f.cancel()
	}
	f.mu.Unlock()

	h.users.parted.remove(f)
	h.users.remove(f)
	for _, i := range rooms {
		r := h.rooms.slab.get(i) // stands, because f is in it
		r.mu.Lock()
		r.remove(f.index)
		r.settle()
		r.mu.Unlock()
	}
	h.followers.remove(f.index) // no room has it any more
	h.typing.ended(f.sink.ID())
}

// in reports whether the session is in the room. Before Ready it is live in none. Called with f.mu held.
func (f *Follower) in(r *room) bool {
	return f.lag[r.index] != nil || f.ready && slices.Contains(f.rooms, r.index)
}

// behindIn is the session's lag in the room, nil if it is live.
func (f *Follower) behindIn(r *room) *lag {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lag[r.index]
}

// The next methods are called with r.mu held, and with f.mu where they say so.

// setLag makes the session not live in the room. With f.mu held.
func (f *Follower) setLag(r *room, l *lag) {
	if f.lag == nil {
		f.lag = map[uint32]*lag{}
	}
	f.lag[r.index] = l
	f.behind.Store(int32(len(f.lag)))
}

// lagFrom is setLag for a session that was live, or on probation: then what it was replayed still counts. With f.mu held.
func (f *Follower) lagFrom(r *room, l *lag) {
	if was := f.lag[r.index]; was != nil {
		l.replayed = was.replayed
	}
	f.setLag(r, l)
}

// clearLag makes the session live in the room. With f.mu held.
func (f *Follower) clearLag(r *room) {
	delete(f.lag, r.index)
	if len(f.lag) == 0 {
		f.lag = nil
	}
	f.behind.Store(int32(len(f.lag)))
}

// fallBehind notes that a batch that begins with first was refused when Drained had been called so many times.
func (f *Follower) fallBehind(r *room, first protocol.Seq, drained uint32) {
	f.mu.Lock()
	if !f.closed {
		f.lagFrom(r, &lag{pos: first, known: first - 1})
	}
	f.mu.Unlock()
	if f.drained.Load() != drained { // there was room again before the lag was there to be seen
		f.kick()
	}
}

// leave takes the session out of the room; false if it was not in.
func (f *Follower) leave(r *room) bool {
	r.remove(f.index)
	return f.drop(r)
}

// drop is the session's side of leave.
func (f *Follower) drop(r *room) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	list, ok := without(f.rooms, r.index)
	f.rooms = list
	f.clearLag(r)
	return ok
}

// push queues a batch about a room that must not be lost; before Ready it waits.
func (f *Follower) push(room string, b *Batch) {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return
	}
	if !f.ready {
		f.held = append(f.held, heldPush{room, b})
		f.mu.Unlock()
		return
	}
	f.mu.Unlock()
	f.sink.Push(b)
}

// standing is where a session stands that is live nowhere yet.
func (f *Follower) standing() map[string]protocol.Seq {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := make(map[string]protocol.Seq, len(f.lag))
	for i, l := range f.lag {
		at[f.hub.rooms.slab.get(i).id] = l.standing()
	}
	return at
}

// standing is the last event that the session has.
func (l *lag) standing() protocol.Seq {
	if l.reset {
		return NoPosition
	}
	return l.pos - 1
}

// open calls Ready and lets go what was held until then.
func (f *Follower) open(ready func()) {
	ready()
	for {
		f.mu.Lock()
		held := f.held
		f.held = nil
		f.ready = len(held) == 0
		f.mu.Unlock()
		if len(held) == 0 {
			return
		}
		for _, p := range held {
			f.sink.Push(p.batch)
		}
	}
}

// joined notes that the user has become a member of a room by an event, so that the catch-up finds out what it means to this session.
func (f *Follower) joined(room string, seq protocol.Seq) {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return
	}
	f.note(room, seq)
	f.mu.Unlock()
	f.kick()
}

// note is joined for one who holds f.mu.
func (f *Follower) note(room string, seq protocol.Seq) {
	if f.joins == nil {
		f.joins = map[string]protocol.Seq{}
	}
	f.joins[room] = max(f.joins[room], seq)
}

// forget remembers that joins of a room up to seq are nothing new. With f.mu held.
func (f *Follower) forget(room string, seq protocol.Seq) {
	if f.past == nil {
		f.past = map[string]protocol.Seq{}
	}
	f.past[room] = max(f.past[room], seq)
	delete(f.gone, room)
	delete(f.joins, room)
}

// kick sees to it that a catch-up looks at everything that is there to be done now.
func (f *Follower) kick() {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case !f.ready || f.closed || len(f.lag)+len(f.joins) == 0:
	case f.catching:
		f.again = true
	default:
		f.catching = true
		f.hub.behind.push(f)
	}
}
