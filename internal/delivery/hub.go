package delivery

import (
	"context"
	"hash/maphash"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-im/parley/internal/broker"
	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/tracing"
	"github.com/parley-im/parley/protocol"
)

// The locks of this package, by rank: one that holds a lock takes only locks of a higher number.
//
//	1  room.mu                      one room: its order, its sessions; held while a batch is offered to 256 sessions, never for a read of the store
//	2  Follower.mu, userShard.mu    one session; who is here
//	3  receipts.mu, typing.mu
//	4  roomShard.mu                 the table of rooms
//	5  everything called a leaf
//
// A Sink is called with room.mu held or with none, never with a lock of rank 2 or more; the Source and the broker are called with none.

const (
	batchBytes = protocol.MaxServerMessage // frames of one batch, unless one frame is larger
	maxBacklog = 64 << 20                  // bytes of frames that wait for the workers of all rooms
	maxEarly   = 1024                      // events of one room that wait for their predecessors
	maxReads   = 64                        // reads of the Source at once on behalf of sessions and rooms
	patience   = 20 * time.Millisecond     // what an early event waits before its predecessors are read
)

// Options are what a Hub needs.
type Options struct {
	Source Source
	Live   broker.Live   // nil: a node of its own; see also SetLive
	Node   string        // this node's name, unique in the cluster
	Epoch  func() string // the life of the logs, as it is now; nil: always ""
	// Stands reports whether positions in a room that were told under an epoch are good: otherwise they get `reset`. nil: if the epoch is the present one.
	Stands func(epoch, room string) bool
	// Life is the epoch of the one store that holds a room, with room "" of the one that all nodes share; and of the one that the room came from, "" for none,
	// if what was told of the room there is good still. What other nodes say of another life is dropped. nil: there is one store, and its epoch is Epoch.
	Life      func(room string) (now, before string)
	Replay    int                    // limits.replay: events that a session may be behind before it gets `reset`; 0: protocol.MaxReplay
	RingBytes int                    // the budget of recent frames of all rooms; 0: 64 MiB
	Wire      func([]byte) []byte    // encodes joined frames for the transport that most sessions use; nil: Batch.Wire stays nil
	Now       func() time.Time       // nil: time.Now
	Log       *slog.Logger           // nil: nothing is logged
	Sessions  func()                 // called, one call at a time, when sessions, revocations or keys may have changed on another node, and every 15 s
	Observe   func(FanOut)           // told of every fan-out, with the room locked: it must not block. nil: nobody is told
	Hidden    func(user string) bool // whether only a user's own sessions hear of their cursors; called with locks held, must not wait; nil: nobody's
	Tracer    *tracing.Tracer        // nil: nothing is traced
	Workers   int                    // goroutines that fan out; 0: twice GOMAXPROCS, so that a vast room does not hold up the others
}

// Hub is delivery on one node. Its methods may be called from any goroutine.
type Hub struct {
	source Source
	live   broker.Live
	node   string
	lives  lives
	replay protocol.Seq
	wire   func([]byte) []byte
	now    func() time.Time
	log    *slog.Logger

	rooms     rooms
	followers slab[Follower]
	users     users
	recent    recent
	queue     queue[room] // rooms with something to fan out
	behind    stragglers  // sessions with something to catch up with
	observer  observer
	agenda    agenda
	news      news
	receipts  receipts
	typing    typing
	additions additions
	position  position
	reads     chan struct{} // a place in it is the right to read the Source
	backlog   atomic.Int64  // bytes of frames in all rooms' arrivals
	counters  counters
	life      life
}

// New makes a Hub. Before Start nothing runs, and Enter waits.
func New(o Options) *Hub {
	h := &Hub{
		source: o.Source, live: o.Live, node: o.Node, lives: lives{epoch: o.Epoch, stands: o.Stands, of: o.Life}, wire: o.Wire, now: o.Now, log: o.Log,
		replay: protocol.Seq(o.Replay), reads: make(chan struct{}, maxReads),
	}
	if h.lives.epoch == nil {
		h.lives.epoch = func() string { return "" }
	}
	if h.lives.stands == nil {
		h.lives.stands = func(epoch, _ string) bool { return epoch == h.lives.epoch() }
	}
	if h.lives.of == nil {
		h.lives.of = func(string) (now, before string) { return h.lives.epoch(), "" }
	}
	if h.replay == 0 {
		h.replay = protocol.MaxReplay
	}
	if h.wire == nil {
		h.wire = func([]byte) []byte { return nil }
	}
	if h.now == nil {
		h.now = time.Now
	}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	h.observer = observer{tracer: o.Tracer, fannedOut: o.Observe}
	if h.life.workers = o.Workers; h.life.workers == 0 {
		h.life.workers = 2 * runtime.GOMAXPROCS(0)
	}
	h.users.parted.of = map[*Follower]struct{}{}
	h.rooms.seed, h.users.seed = maphash.MakeSeed(), maphash.MakeSeed()
	h.recent = recent{budget: o.RingBytes, rings: map[*room][]*entry{}}
	if h.recent.budget == 0 {
		h.recent.budget = 64 << 20
	}
	h.queue.some.L = &h.queue.mu
	h.behind.some.L = &h.behind.mu
	h.agenda = agenda{now: h.now, wake: make(chan struct{}, 1)}
	h.news = news{hub: h, peers: map[string]*peer{}}
	h.receipts = receipts{hub: h, hidden: o.Hidden, gathered: map[circle]*gathering{}}
	if h.receipts.hidden == nil {
		h.receipts.hidden = func(string) bool { return false }
	}
	h.typing = typing{hub: h, active: map[typist]*activity{}, sessions: map[string]map[typist]struct{}{}}
	h.position = position{hub: h, sessionsChanged: make(chan struct{}, 1), begun: make(chan struct{}), sessions: o.Sessions}
	if h.position.sessions == nil {
		h.position.sessions = func() {}
	}
	h.life.ctx, h.life.cancel = context.WithCancel(context.Background())
	return h
}

// SetLive gives the Hub its broker, which needs the Hub as its Receiver first. To be called before Start and before anything is committed.
func (h *Hub) SetLive(l broker.Live) { h.live = l }

// Start lets the Hub work until Stop is called or the context ends. It is called once.
func (h *Hub) Start(ctx context.Context) {
	h.life.unhook = context.AfterFunc(ctx, h.life.cancel)
	context.AfterFunc(h.life.ctx, h.queue.stop)
	context.AfterFunc(h.life.ctx, h.behind.stop)
	for range h.life.workers {
		h.spawn(func(context.Context) { h.work() })
	}
	for range maxReads {
		h.spawn(func(context.Context) { catchUpAll(h) })
	}
	h.spawn(h.agenda.run)
	h.spawn(h.position.keep)
	h.spawn(h.position.tellSessions)
}

// Stop ends all work and returns when no goroutine of the Hub is left. Sessions are told nothing. It may be called twice.
func (h *Hub) Stop() {
	l := &h.life
	l.mu.Lock()
	l.stopped = true
	l.mu.Unlock()
	if l.unhook != nil {
		l.unhook()
	}
	l.cancel()
	h.queue.stop()
	h.behind.stop()
	l.running.Wait()
}

// lives is what a Hub knows of the life of the logs.
type lives struct {
	epoch  func() string
	stands func(epoch, room string) bool
	of     func(room string) (now, before string)
}

// mark is what a message says of the life of the log of a room.
func (l *lives) mark(room string) uint64 {
	now, _ := l.of(room)
	return mark(now)
}

// good reports whether what was said under a mark of a room is of its log as it is.
func (l *lives) good(said uint64, room string) bool {
	now, before := l.of(room)
	return said == mark(now) || before != "" && said == mark(before)
}

// life is the goroutines of a Hub.
type life struct {
	workers int // of them, those that fan out
	ctx     context.Context
	cancel  context.CancelFunc
	unhook  func() bool // lets go of the context given to Start
	running sync.WaitGroup

	mu      sync.Mutex // a leaf
	stopped bool
}

// spawn runs fn in a goroutine that Stop waits for; false after Stop.
func (h *Hub) spawn(fn func(context.Context)) bool {
	l := &h.life
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return false
	}
	l.running.Go(func() { fn(l.ctx) })
	return true
}

// Committed tells of what the log of this node has made durable: a chat.Committed. It does not block; no socket and no store is touched.
func (h *Hub) Committed(c *chat.Commit) {
	now := h.now()
	for _, e := range c.Events {
		h.committed(e, now)
	}
	h.receipts.moved(c.Cursors, true)
}

func (h *Hub) committed(e *chat.Event, now time.Time) {
	r := h.rooms.get(e.Room)
	if r == nil && h.live == nil && len(e.Joined)+len(e.Left) == 0 {
		return // nobody here follows the room, and there is nobody else
	}
	n := newEntry(e)
	n.origin, n.since = OfCommit, now
	if h.live != nil {
		if n.span != nil {
			h.live.Publish(e.Room, appendTrace(h.envelope(kindTrace, e.Room, 80), n))
		}
		h.live.Publish(e.Room, h.eventMessage(e.Room, n))
		if n.change != nil && !n.change.deleted {
			h.news.tell(e.Room, n.seq, n.change)
		}
	}
	switch {
	case r != nil:
		h.arriveEvent(r, n)
	case n.change != nil:
		h.news.apply(e.Room, n.seq, n.change, n)
	}
}

// eventMessage is an event for the other nodes; without its frame where the broker would drop it: they read it, then.
func (h *Hub) eventMessage(room string, e *entry) []byte {
	b := appendEvent(h.envelope(kindEvent, room, len(e.frame)+64), e)
	if most := h.live.Features().MaxMessage; most > 0 && len(b) > most {
		b = b[:len(b)-len(e.frame)]
	}
	return b
}

// Applied returns when this node has done what follows from an event that was committed on this node or before: its frames are with the sessions, and
// who may no longer see the room is out of it. It returns the context's error when that ends first.
func (h *Hub) Applied(ctx context.Context, room string, seq protocol.Seq) error {
	r := h.rooms.get(room)
	if r == nil {
		return nil
	}
	r.mu.Lock()
	if r.next == 0 { // nobody is in, and whoever is let in is looked up after this
		r.changed = max(r.changed, seq)
	}
	if r.dead || r.next == 0 || r.next > seq && !r.fanning() {
		r.mu.Unlock()
		return nil
	}
	m, w := r.busy(), waiter{seq, make(chan struct{})}
	m.waiting = append(m.waiting, w)
	r.mu.Unlock()
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
	case <-h.life.ctx.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.more != nil {
		for i, other := range r.more.waiting {
			if other == w {
				r.more.waiting = append(r.more.waiting[:i], r.more.waiting[i+1:]...)
				break
			}
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return h.life.ctx.Err()
}

// reading runs a read of the Source when there is room among those under way.
func (h *Hub) reading(ctx context.Context, read func() error) error {
	select {
	case h.reads <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-h.reads }()
	return read()
}

// counters count since the start, but for watchers.
type counters struct {
	events, refused, resets, fills, replayed, skipped, gathered atomic.Uint64
	watchers                                                    atomic.Int64 // sessions in live rooms
}

// Stats is what a Hub is doing and has done.
type Stats struct {
	Rooms       int                  // rooms followed on this node, those left within a minute too
	Sessions    int                  // sessions entered
	Watchers    int                  // sessions in live rooms, once for each room, as of the last second
	RingBytes   int                  // recent frames, with what keeping them costs
	RingMost    int                  // how many bytes that may be
	Backlog     int                  // bytes of frames that wait to be fanned out
	BacklogMost int                  // how many bytes that may be
	Fanning     int                  // rooms that wait for a worker; at most Rooms
	Lagging     int                  // sessions that wait for a catch-up; at most Sessions
	Reads       int                  // reads of the Source under way, for sessions and rooms that catch up
	ReadsMost   int                  // how many there may be at once
	Healthy     bool                 // the broker brings this node its own probes; true without a broker
	Probes      map[string]time.Time // by node: when the broker has brought the last probe of another one
	Events      uint64               // since the start, here and below: events fanned out to the rooms of this node
	Refused     uint64               // batches that a session had no room for
	Resets      uint64               // sessions told `reset`
	Fills       uint64               // holes read from the Source
	Replayed    uint64               // events replayed to sessions
	Skipped     uint64               // events left out for a room's watchers, counted once for all of them, or for one that missed them
	Gathered    uint64               // fan-outs of crowded rooms with several events, for which each session was written to once
}

// Stats is what the Hub is doing now.
func (h *Hub) Stats() Stats {
	rooms, _ := h.rooms.slab.count()
	sessions, _ := h.followers.count()
	return Stats{
		Rooms: int(rooms), Sessions: int(sessions), Watchers: int(h.counters.watchers.Load()), RingBytes: h.recent.size(), RingMost: h.recent.budget,
		Backlog: int(h.backlog.Load()), BacklogMost: maxBacklog, Fanning: h.queue.length(), Lagging: h.behind.length(),
		Reads: len(h.reads), ReadsMost: cap(h.reads),
		Healthy: h.live == nil || h.position.healthy(), Probes: h.news.probes(),
		Events: h.counters.events.Load(), Refused: h.counters.refused.Load(), Resets: h.counters.resets.Load(),
		Fills: h.counters.fills.Load(), Replayed: h.counters.replayed.Load(),
		Skipped: h.counters.skipped.Load(), Gathered: h.counters.gathered.Load(),
	}
}

// batches joins frames into batches of at most batchBytes, unless a frame alone is larger, and calls fn with each and the entries in it until it says
// false.
func (h *Hub) batches(run []*entry, fn func(b *Batch, of []*entry) bool) {
	for len(run) > 0 {
		n, size := 1, len(run[0].frame)
		for n < len(run) && size+1+len(run[n].frame) <= batchBytes {
			size += 1 + len(run[n].frame)
			n++
		}
		frames := run[0].frame
		if n > 1 {
			frames = append(make([]byte, 0, size), frames...)
			for _, e := range run[1:n] {
				frames = append(append(frames, '\n'), e.frame...)
			}
		}
		if !fn(h.batch(frames), run[:n]) {
			return
		}
		run = run[n:]
	}
}

// batch is frames as they are offered.
func (h *Hub) batch(frames []byte) *Batch { return &Batch{Frames: frames, Wire: h.wire(frames)} }
