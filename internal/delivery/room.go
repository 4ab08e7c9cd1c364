package delivery

import (
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/tracing"
	"github.com/parley-im/parley/protocol"
)

// room is a room that is followed on this node, or was within the last minute. There are many and most are idle: what only a busy one needs is in more.
type room struct {
	id    string
	index uint32 // its own in the table
	chain uint32 // the next room of its bucket in the table; under the lock of the table's shard

	arrivals atomic.Pointer[arrival] // newest first, ending in nil; nil: nobody works on the room; see arrive

	mu        sync.Mutex   // rank 1
	next      protocol.Seq // the seq that goes out next; 0: not placed yet
	changed   protocol.Seq // the last event that may have changed who may see the room: of those before it nothing is known here
	followers []uint32     // sessions of members; unordered
	more      *more
	erasures  uint32 // how often content was erased: what was read of the room before is not to be pushed after
	idle      uint8  // rounds of the sweep that found nobody here
	live      bool   // a live room: nobody follows it by being a member
	dead      bool   // it has left the table: look it up anew
}

// more is the part of a room that idle rooms do without.
type more struct {
	watchers []uint32                // sessions of those who are no members: they get events, no signals
	early    map[protocol.Seq]*entry // events that wait for their predecessors
	heard    protocol.Seq            // the room has at least this head
	filling  bool                    // a fill is due or under way, and will arrive
	ahead    []uint32                // sessions whose position is above next: their catch-up goes on when next moves
	waiting  []waiter                // who waits for an event to be applied
	audience *audience               // of a live room, while anyone is here
	fan      *fan                    // a fan-out is under way that lets go of the room's lock now and then
}

// fan is how far a fan-out has come in a list of sessions: those before done have been offered the batch.
type fan struct {
	list *[]uint32
	done int
}

type waiter struct {
	seq  protocol.Seq
	done chan struct{}
}

// entry is an event as delivery handles it, encoded once.
type entry struct {
	seq    protocol.Seq
	frame  []byte
	change *change // nil for most
	sample *int64  // room.updated: settings.sample_per_s from here on; nil where the settings stay
	erases bool    // message.deleted: no earlier content may be served from memory
	origin Origin
	since  time.Time     // when the commit was told; zero for what was not committed here
	span   *tracing.Span // nil for what is not traced

	rank    rank         // in a sampled room
	through protocol.Seq // it is no event: its frame stands for those from seq to here, which are left out

	room         *room // of the ring; these four under recent.mu
	older, newer *entry
	kept         int64 // since when, in Unix seconds
}

// change is what an event does to who may see the room.
type change struct {
	joined, left []string
	reason       protocol.LeaveReason
	deleted      bool // the room itself is gone
}

// shutsOut reports whether somebody may no longer see the room.
func (c *change) shutsOut() bool { return c != nil && (c.deleted || len(c.left) > 0) }

func newEntry(e *chat.Event) *entry {
	n := &entry{
		seq:    e.Seq,
		frame:  protocol.AppendEvent(make([]byte, 0, len(e.Data)+192), &e.Event),
		erases: e.Name == protocol.MessageDeleted, rank: rankOf(e.Name),
		span: e.Span,
	}
	if e.Name == protocol.RoomUpdated {
		var d protocol.RoomUpdatedData
		if err := json.Unmarshal(e.Data, &d); err == nil && d.Settings != nil {
			n.sample = &d.Settings.SamplePerS
		}
	}
	if len(e.Joined) > 0 || len(e.Left) > 0 || e.Name == protocol.RoomDeleted {
		n.change = &change{joined: e.Joined, left: e.Left, reason: e.Reason, deleted: e.Name == protocol.RoomDeleted}
	}
	return n
}

// arrival is something that a room's worker shall deal with.
type arrival struct {
	next   *arrival
	kind   arrivalKind
	seq    protocol.Seq
	entry  *entry
	change *change
	signal *signal

	audience *audience // of a beat
	node     string    // of watching, with sessions
	sessions int
}

type arrivalKind uint8

const (
	arrivedEvent    arrivalKind = iota // entry, from a commit, the broker or the Source
	arrivedHead                        // the room's head is at least seq
	arrivedNews                        // event seq made the change
	arrivedFill                        // a fill has ended, and everything that it found has arrived
	arrivedNothing                     // a fill has found nothing, though seq had been heard of
	arrivedTrimmed                     // the room does not keep what comes next; seq is the first event that it keeps
	arrivedNoFill                      // a fill has failed
	arrivedSignal                      // signal
	arrivedWatcher                     // a session has come that is to be told the audience
	arrivedWatching                    // node has so many sessions in the room
	arrivedBeat                        // it is time to look at audience
)

// working stands in a room's arrivals for "nothing more, but a worker is on the room".
var working = &arrival{}

// arrive leaves something for the room's worker and sees to it that one comes. It never blocks.
func (h *Hub) arrive(r *room, a *arrival) {
	for {
		last := r.arrivals.Load()
		a.next = last
		if r.arrivals.CompareAndSwap(last, a) {
			if last == nil {
				h.queue.push(r)
			}
			return
		}
	}
}

// arriveEvent is arrive for an event. When too much waits already, only the fact arrives: the event is read from the Source when its turn comes.
func (h *Hub) arriveEvent(r *room, e *entry) {
	if h.backlog.Add(int64(len(e.frame))) > maxBacklog {
		h.backlog.Add(-int64(len(e.frame)))
		h.arrive(r, &arrival{kind: arrivedHead, seq: e.seq})
		return
	}
	urgent := e.erases || e.change.shutsOut() // the entry is the worker's once it has arrived
	h.arrive(r, &arrival{kind: arrivedEvent, seq: e.seq, entry: e})
	if urgent {
		h.hurry(r)
	}
}

// take is everything that has arrived, oldest first. The caller is the room's worker until rest says true.
func (r *room) take() *arrival {
	var first *arrival
	for a := r.arrivals.Swap(working); a != nil && a != working; {
		next := a.next
		a.next = first
		first, a = a, next
	}
	return first
}

// rest ends the work on the room, unless more has arrived.
func (r *room) rest() bool { return r.arrivals.CompareAndSwap(working, nil) }

// The methods below are called with r.mu held.

func (r *room) busy() *more {
	if r.more == nil {
		r.more = &more{}
	}
	return r.more
}

// settle lets go of what an idle room does without.
func (r *room) settle() {
	m := r.more
	if m != nil && len(m.watchers) == 0 && len(m.early) == 0 && m.heard < r.next && !m.filling && len(m.ahead) == 0 && len(m.waiting) == 0 && m.fan == nil && m.audience == nil {
		r.more = nil
	}
}

// hole reports whether an event before one that is known of has not arrived.
func (r *room) hole() bool {
	return r.more != nil && r.next != 0 && (r.more.heard >= r.next || len(r.more.early) > 0)
}

// size is how many sessions are here.
func (r *room) size() int {
	n := len(r.followers)
	if r.more != nil {
		n += len(r.more.watchers)
	}
	return n
}

// fanning reports that a fan-out is under way: until it ends, nobody becomes live.
func (r *room) fanning() bool { return r.more != nil && r.more.fan != nil }

// add lets a session in, as a member's or a watcher's.
func (r *room) add(session uint32, member bool) {
	r.idle = 0
	if member {
		r.followers = append(r.followers, session)
	} else {
		m := r.busy()
		m.watchers = append(m.watchers, session)
	}
}

// remove takes a session out.
func (r *room) remove(session uint32) {
	if !r.takeFrom(&r.followers, session) && r.more != nil {
		r.takeFrom(&r.more.watchers, session)
	}
}

// takeFrom takes a session out of one of the lists; false if it was not in it. Where a fan-out is under way, those that it has come to stay before the
// others.
func (r *room) takeFrom(list *[]uint32, session uint32) bool {
	if r.fanning() && r.more.fan.list == list {
		done := &r.more.fan.done
		if at := slices.Index((*list)[:*done], session); at >= 0 {
			*done--
			(*list)[at], (*list)[*done] = (*list)[*done], session
		}
	}
	shorter, ok := without(*list, session)
	*list = shorter
	return ok
}

// clear takes everyone out and returns them.
func (r *room) clear() []uint32 {
	all := r.followers
	if r.more != nil {
		all = append(all, r.more.watchers...)
		r.more.watchers = nil
	}
	r.followers = nil
	return all
}

// promote makes a watcher's session a member's; false if it was none.
func (r *room) promote(session uint32) bool {
	if r.more == nil {
		return false
	}
	ok := r.takeFrom(&r.more.watchers, session)
	if ok {
		r.followers = append(r.followers, session)
	}
	return ok
}

// release lets those go who wait for events below next.
func (r *room) release(next protocol.Seq) {
	if r.more == nil || len(r.more.waiting) == 0 {
		return
	}
	r.more.waiting = slices.DeleteFunc(r.more.waiting, func(w waiter) bool {
		if w.seq < next {
			close(w.done)
		}
		return w.seq < next
	})
}

// without takes one index out of an unordered list, and gives memory back when most of it is empty.
func without(list []uint32, i uint32) ([]uint32, bool) {
	at := slices.Index(list, i)
	if at < 0 {
		return list, false
	}
	last := len(list) - 1
	list[at] = list[last]
	list = list[:last]
	switch {
	case last == 0:
		return nil, true
	case cap(list) > 16 && last < cap(list)/4:
		return append(make([]uint32, 0, last*2), list...), true
	}
	return list, true
}

// rooms is the table of the rooms of this node. A map would cost half as much again as the room itself: here a bucket is an index, and the rooms of a
// bucket are chained through themselves.
type rooms struct {
	slab   slab[room]
	paces  paces
	seed   maphash.Seed
	shards [64]roomShard
}

type roomShard struct {
	mu      sync.RWMutex // rank 4
	buckets []uint32     // a power of two of them
	n       int
}

func (t *rooms) find(id string) (*roomShard, uint64) {
	hash := maphash.String(t.seed, id)
	return &t.shards[hash%uint64(len(t.shards))], hash / uint64(len(t.shards))
}

// get is the room, nil if it is not followed here.
func (t *rooms) get(id string) *room {
	s, hash := t.find(id)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return t.lookup(s, hash, id)
}

func (t *rooms) lookup(s *roomShard, hash uint64, id string) *room {
	if s.n == 0 {
		return nil
	}
	for i := s.buckets[hash%uint64(len(s.buckets))]; i != 0; {
		r := t.slab.get(i)
		if r.id == id {
			return r
		}
		i = r.chain
	}
	return nil
}

// open is the room, made if it is not there: not placed yet.
func (t *rooms) open(id string) *room {
	if r := t.get(id); r != nil {
		return r
	}
	s, hash := t.find(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := t.lookup(s, hash, id); r != nil {
		return r
	}
	if s.n == len(s.buckets) {
		t.grow(s)
	}
	r := &room{id: id}
	r.index = t.slab.add(r)
	bucket := &s.buckets[hash%uint64(len(s.buckets))]
	r.chain, *bucket = *bucket, r.index
	s.n++
	return r
}

func (t *rooms) grow(s *roomShard) {
	buckets := make([]uint32, max(8, 2*len(s.buckets)))
	for _, i := range s.buckets {
		for i != 0 {
			r := t.slab.get(i)
			_, hash := t.find(r.id)
			bucket := &buckets[hash%uint64(len(buckets))]
			i, r.chain, *bucket = r.chain, *bucket, i
		}
	}
	s.buckets = buckets
}

// remove takes the room out. Nobody may be in it.
func (t *rooms) remove(r *room) {
	s, hash := t.find(r.id)
	s.mu.Lock()
	defer s.mu.Unlock()
	at := &s.buckets[hash%uint64(len(s.buckets))]
	for *at != r.index {
		at = &t.slab.get(*at).chain
	}
	*at = r.chain
	s.n--
	t.slab.remove(r.index)
}
