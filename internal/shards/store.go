package shards

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/slots"
	"github.com/parley-im/parley/protocol"
)

// Options say which stores make one.
type Options struct {
	Home   string            // the URL of the first shard, which keeps the map
	Others map[string]string // the URLs of the other shards, by name
	Store  store.Options     // for each of them; URL, Shard, Secret and Exist are set here. Committed is called for all shards by one goroutine at a time
	Back   func()            // told when a shard answers again that did not: something may have been missed meanwhile. It must not block; may be nil
}

// Store is several stores as one. All methods may be called from any goroutine.
type Store struct {
	*router
	*rooms
	*lists
	*people
	*home
	*source
}

// router knows the shards and the map.
type router struct {
	shards []*shard // by their place, the home first
	table  atomic.Pointer[table]
	log    *slog.Logger
	now    func() time.Time
	back   func()

	reading  sync.Mutex // one reading of the map at a time
	readings atomic.Uint64

	stop  context.CancelFunc
	loops sync.WaitGroup
}

// shard is one store of several.
type shard struct {
	name    string
	number  int
	options store.Options // by which it is opened
	store   *store.Store  // nil: the shard is absent
	seen    string        // of an absent shard the epoch that it had when a node opened it last
	breaker
}

// Open opens all shards. The home must answer. Another one that cannot be reached within 3 s is away from the beginning, if a node has opened it before: once it
// is there, Options.Store.Moved is told, and all have to be opened anew. One that answers and is not what it is taken for is an error. The home's map must know
// those that are configured, and no others that own slots.
func Open(ctx context.Context, o Options) (*Store, error) {
	r := &router{log: o.Store.Log, now: o.Store.Now, back: o.Back}
	if r.log == nil {
		r.log = slog.Default()
	}
	if r.now == nil {
		r.now = time.Now
	}
	if r.back == nil {
		r.back = func() {}
	}
	c := &Store{router: r, rooms: newRooms(r), lists: &lists{r}, people: newPeople(r), home: &home{r}, source: &source{router: r, last: map[int]chat.Position{}}}
	if err := c.open(ctx, o); err != nil {
		return nil, errors.Join(err, c.closeStores())
	}
	running, stop := context.WithCancel(context.Background())
	r.stop = stop
	for _, s := range r.shards {
		switch {
		case s.store != nil:
			r.loops.Go(func() { r.watch(running, s) })
		case o.Store.Moved != nil:
			r.loops.Go(func() { r.await(running, s) })
		}
	}
	r.loops.Go(func() { c.rooms.parking.run(running) })
	return c, nil
}

func (c *Store) open(ctx context.Context, o Options) error {
	options := o.Store
	options.Exist = c.people.exist
	if tell := o.Store.Committed; tell != nil {
		var telling sync.Mutex
		options.Committed = func(commit *chat.Commit) {
			telling.Lock()
			defer telling.Unlock()
			tell(commit)
		}
	}
	options.URL, options.Shard = o.Home, store.Home
	first, err := store.Open(ctx, options)
	if err != nil {
		return fmt.Errorf("the shard %s: %w", store.Home, err)
	}
	c.shards = append(c.shards, &shard{name: store.Home, options: options, store: first})
	options.Secret = first.Secret()
	for _, name := range slices.Sorted(maps.Keys(o.Others)) {
		options.URL, options.Shard = o.Others[name], name
		c.shards = append(c.shards, &shard{name: name, options: options})
	}
	if err := c.readTable(ctx); err != nil {
		return err
	}
	errs := make([]error, len(c.shards))
	c.together(func(i int) {
		if s := c.shards[i]; s.store == nil {
			errs[i] = c.openShard(ctx, s)
		}
	})
	return errors.Join(errs...)
}

// present are the shards that are not absent, the home first.
func (r *router) present() []*shard {
	return slices.DeleteFunc(slices.Clone(r.shards), func(s *shard) bool { return s.store == nil })
}

func (r *router) closeStores() error {
	var errs []error
	for _, s := range r.present() {
		errs = append(errs, s.store.Close())
	}
	return errors.Join(errs...)
}

// Close answers what has been accepted, and closes all shards.
func (c *Store) Close() error {
	c.stop()
	c.loops.Wait()
	return c.closeStores()
}

// Stores are the stores of the shards, by name, without those that were away when all were opened: for what is done to each by itself.
func (r *router) Stores() map[string]*store.Store {
	all := make(map[string]*store.Store, len(r.shards))
	for _, s := range r.present() {
		all[s.name] = s.store
	}
	return all
}

// Key is a key of the deployment's for one purpose; see [store.Store].
func (r *router) Key(purpose string) []byte { return r.shards[0].store.Key(purpose) }

// Direct implements chat.Names.
func (r *router) Direct(a, b string, generation int) string {
	return r.shards[0].store.Direct(a, b, generation)
}

// Created implements chat.Names.
func (r *router) Created(user, clientID string) string {
	return r.shards[0].store.Created(user, clientID)
}

// Random implements chat.Names.
func (r *router) Random() string { return r.shards[0].store.Random() }

// Ping asks whether the home answers; without it nobody can begin.
func (r *router) Ping(ctx context.Context) error { return r.shards[0].store.Ping(ctx) }

// unavailable is the answer when trying again may help.
func unavailable() *protocol.Error {
	return &protocol.Error{Code: protocol.Unavailable, Message: "The store cannot be reached just now; send the same call again.", RetryAfterMS: 1000}
}

// of is the shard of a slot, as the cached map has it.
func (r *router) of(n int) *shard { return r.shards[r.table.Load().places[n]] }

func roomSlot(room string) int { return slots.Room(room) }
func userSlot(user string) int { return slots.User(user) }

// Status is how a shard is.
type Status struct {
	Name   string
	Away   bool   // it does not answer, and is not asked
	Failed uint64 // questions that it did not answer
	Spared uint64 // questions that it was not asked, because it was away
	Slots  int    // how many the map gives it
}

// Status may be asked at any time.
func (r *router) Status() []Status {
	t := r.table.Load()
	all := make([]Status, len(r.shards))
	for i, s := range r.shards {
		all[i] = Status{Name: s.name, Away: s.away.Load(), Failed: s.failed.Load(), Spared: s.spared.Load()}
	}
	for _, place := range t.places {
		all[place].Slots++
	}
	return all
}

// Parked is how many bytes of appends and moves wait for their slots to arrive, and how many may.
func (r *rooms) Parked() (bytes, most int) { return int(r.parking.bytes.Load()), parkedMost }

// Stats are those of all shards together that have been opened.
func (r *router) Stats() store.Stats {
	all := r.shards[0].store.Stats()
	for _, s := range r.present()[1:] {
		one := s.store.Stats()
		all.Transactions += one.Transactions
		all.Events += one.Events
		all.Cursors += one.Cursors
		all.Failures += one.Failures
		all.Refused += one.Refused
		all.LaneBytes += one.LaneBytes
		all.Connections += one.Connections
		all.ConnectionsMost += one.ConnectionsMost
		for i := range all.Lanes {
			all.Lanes[i].Waiting += one.Lanes[i].Waiting
			all.Lanes[i].Bytes += one.Lanes[i].Bytes
		}
	}
	return all
}
