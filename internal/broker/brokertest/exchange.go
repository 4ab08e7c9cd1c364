package brokertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/parley-im/parley/internal/broker"
	"github.com/parley-im/parley/protocol"
)

// ExchangeHarness opens exchanges on one engine. The suite gives each test queues of its own, closes the exchanges that it opens, and runs one test after the
// other.
type ExchangeHarness struct {
	// Open makes one more exchange with these queues. It returns when the exchange is connected, if the engine is there.
	Open func(t testing.TB, node string, queues []broker.Queue) broker.Exchange

	// Break takes the engine away as a crash does, and Heal brings it back with what it has kept. Both are nil for an engine that cannot go away.
	Break, Heal func(t testing.TB)
}

// RunExchange holds an adapter to the contract of broker.Exchange.
func RunExchange(t *testing.T, h ExchangeHarness) {
	tests := []struct {
		name string
		run  func(*testing.T, *trial)
	}{
		{"an entry arrives as it was put", testEntry},
		{"queues get what is bound to them", testBindings},
		{"entries of a room keep their order", testEntryOrder},
		{"what was acknowledged is kept", testKept},
		{"an entry that is not taken comes again first", testNotTaken},
		{"what a dead consumer had comes to another", testDeadConsumer},
		{"consumers share a queue", testSharing},
		{"put into one queue, and again", testAgain},
		{"large entries are refused", testLargeEntries},
		{"an engine that goes away and comes back", testExchangeAway},
		{"everything may be called at once", testExchangeConcurrently},
		{"Close ends everything and may be called twice", testExchangeClose},
	}
	numbers := new(atomic.Int64)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			c := &trial{h: h, t: t, number: numbers.Add(1)}
			t.Cleanup(func() {
				for _, x := range c.opened {
					if err := x.Close(); err != nil {
						t.Errorf("close: %v", err)
					}
				}
				if c.healed { // what runs in the engine now is new as well: it must not be taken for a leak
					h.Break(t)
					defer h.Heal(t)
				}
				goleak.VerifyNone(t, before)
			})
			test.run(t, c)
		})
	}
}

// trial is one test of the suite.
type trial struct {
	h      ExchangeHarness
	t      *testing.T
	number int64
	opened []broker.Exchange
	healed bool
}

func (c *trial) open(queues ...broker.Queue) broker.Exchange {
	c.t.Helper()
	x := c.h.Open(c.t, fmt.Sprint("node-", len(c.opened)), queues)
	c.opened = append(c.opened, x)
	return x
}

// queue is a queue of this test that gets everything of its rooms: other tests' are still there.
func (c *trial) queue(name string) broker.Queue {
	return broker.Queue{Name: fmt.Sprintf("t%d-%s", c.number, name), Exchange: broker.FanoutExchange}
}

func (c *trial) room(i int) string { return fmt.Sprintf("r_%02d%03d", c.number, i) }

// entry is an entry of a room of this test.
func (c *trial) entry(room, seq int) broker.Entry {
	return broker.Entry{
		Room: c.room(room), Seq: uint64(seq), Kind: "group", Event: "message.created", User: "ann", Epoch: "e", Data: fmt.Appendf(nil, `{"n":%d}`, seq),
	}
}

// entries are those of a room with from <= seq <= to.
func (c *trial) entries(room, from, to int) (all []broker.Entry) {
	for seq := from; seq <= to; seq++ {
		all = append(all, c.entry(room, seq))
	}
	return all
}

func (c *trial) put(x broker.Exchange, entries ...broker.Entry) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	if err := x.Put(ctx, broker.Batch{Entries: entries}); err != nil {
		c.t.Fatalf("put: %v", err)
	}
}

// consumer is a call of Consume that remembers what came. Entries of other tests are acknowledged and not remembered.
type consumer struct {
	c     *trial
	queue string
	stop  context.CancelFunc
	ended chan error
	r     *Recorder // tells when something has come

	mu  sync.Mutex
	got []broker.Entry
}

func (c *trial) consume(x broker.Exchange, queue string, handle func(context.Context, broker.Entry) error) *consumer {
	ctx, stop := context.WithCancel(c.t.Context())
	k := &consumer{c: c, queue: queue, stop: stop, ended: make(chan error, 1), r: NewRecorder()}
	mine := fmt.Sprintf("r_%02d", c.number)
	go func() {
		k.ended <- x.Consume(ctx, queue, func(ctx context.Context, e broker.Entry) error {
			if !strings.HasPrefix(e.Room, mine) {
				return nil
			}
			e.Data = bytes.Clone(e.Data)
			k.mu.Lock()
			k.got = append(k.got, e)
			k.mu.Unlock()
			k.r.change(func() {})
			if handle != nil {
				return handle(ctx, e)
			}
			return nil
		})
	}()
	c.t.Cleanup(stop)
	return k
}

// entries are what has come.
func (k *consumer) entries() []broker.Entry {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.got)
}

// ids are what has come, without repeats, by name.
func (k *consumer) ids() []string {
	var ids []string
	for _, e := range k.entries() {
		if !slices.Contains(ids, e.ID()) {
			ids = append(ids, e.ID())
		}
	}
	slices.Sort(ids)
	return ids
}

func (k *consumer) await(what string, isSo func([]broker.Entry) bool) {
	k.c.t.Helper()
	k.r.Await(k.c.t, fmt.Sprintf("queue %s: %s", k.queue, what), func() bool { return isSo(k.entries()) })
}

// awaitLast waits for the last of entries that are put in order.
func (k *consumer) awaitLast(last broker.Entry) {
	k.c.t.Helper()
	k.await("entry "+last.ID(), func(got []broker.Entry) bool {
		return slices.ContainsFunc(got, func(e broker.Entry) bool { return e.ID() == last.ID() })
	})
}

// end ends the consumer as a process does that stops, and returns what Consume answered.
func (k *consumer) end() error {
	k.stop()
	return <-k.ended
}

// inOrder checks that what is new of each room comes in order and without a hole; repeats may stand between.
func inOrder(t *testing.T, got []broker.Entry) {
	t.Helper()
	next := map[string]uint64{}
	for i, e := range got {
		switch want := max(next[e.Room], 1); {
		case e.Seq > want:
			t.Fatalf("entry %d: %s came before %d", i, e.ID(), want)
		case e.Seq == want:
			next[e.Room] = want + 1
		}
	}
}

func testEntry(t *testing.T, c *trial) {
	q := c.queue("all")
	x := c.open(q)
	want := []broker.Entry{
		{Room: c.room(0), Seq: 1, Kind: "direct", Event: "room.created", Epoch: "0b.1", Data: []byte(`{"a":"é \" \n"}`)},
		{Room: c.room(0), Seq: 1<<63 - 1, Kind: "live", Event: "message.created", User: "a.b:c-d_é@x", Epoch: "0b.1", Data: bytes.Repeat([]byte("\x00\xff"), 50_000)},
	}
	given := slices.Clone(want)
	c.put(x, given...)
	if diff := cmp.Diff(want, given); diff != "" {
		t.Errorf("the caller's entries were changed: %s", diff)
	}
	k := c.consume(x, q.Name, nil)
	k.awaitLast(want[1])
	if diff := cmp.Diff(want, k.entries()); diff != "" {
		t.Error(diff)
	}
	k.r.Await(t, "the stats tell", func() bool { return x.Stats().Consumed >= 2 })
	if stats := x.Stats(); stats.Put != 2 || stats.Failed != 0 || !stats.Connected {
		t.Errorf("stats: %+v", stats)
	}
}

// bound makes a queue of any kind, from a small set of words so that some match.
func bound(random *rand.Rand, name string) broker.Queue {
	words := [][]string{
		{"group", "live", "direct", "*", "#"}, {"message", "member", "room", "*", "#"}, {"created", "joined", "deleted", "*", "#"}, {"#", "*"},
	}
	pick := func(list []string) string { return list[random.IntN(len(list))] }
	q := broker.Queue{Name: name}
	switch random.IntN(4) {
	case 0:
		q.Exchange = broker.DirectExchange
		q.Bind = []string{pick(words[0][:3]) + "." + pick(words[1][:3]) + "." + pick(words[2][:3])}
	case 1, 2:
		q.Exchange = broker.TopicExchange
		for range 1 + random.IntN(3) {
			pattern := []string{pick(words[0]), pick(words[1]), pick(words[2]), pick(words[3])}
			pattern = pattern[random.IntN(2):]
			pattern = pattern[:1+random.IntN(len(pattern))]
			if b := strings.Join(pattern, "."); !slices.Contains(q.Bind, b) {
				q.Bind = append(q.Bind, b)
			}
		}
	default:
		q.Exchange, q.Any, q.Headers = broker.HeadersExchange, random.IntN(2) == 0, map[string]string{}
		q.Headers["event"] = pick([]string{"message.created", "member.joined"})
		if random.IntN(2) == 0 {
			q.Headers["kind"] = pick(words[0][:3])
		}
		if random.IntN(2) == 0 {
			q.Headers["user"] = pick([]string{"ann", "bob", ""})
		}
		if random.IntN(3) == 0 {
			q.Headers["seq"] = "7"
		}
	}
	return q
}

// testBindings holds what comes out of queues with any bindings against what broker.Queue.Matches says: an engine that routes itself must agree with it.
func testBindings(t *testing.T, c *trial) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	all := c.queue("all")
	queues := []broker.Queue{all}
	for i := range 24 {
		q := bound(random, c.queue(fmt.Sprint("b", i)).Name)
		if q.Exchange == broker.TopicExchange && len(q.Keys()) == 0 {
			continue // nothing of the kind gets through the configuration
		}
		queues = append(queues, q)
	}
	x := c.open(queues...)
	var entries []broker.Entry
	for i, kind := range []string{"direct", "group", "live"} {
		for _, p := range protocol.Pushes() {
			if p.Event {
				entries = append(entries, broker.Entry{
					Room: c.room(i), Seq: uint64(len(entries)%12 + 1), Kind: kind, Event: string(p.Name), User: []string{"ann", "bob", ""}[len(entries)%3], Epoch: "e", Data: []byte("{}"),
				})
			}
		}
	}
	c.put(x, entries...)
	wanted := map[string][]string{}
	for _, q := range queues {
		for i := range entries {
			if q.Matches(&entries[i]) {
				wanted[q.Name] = append(wanted[q.Name], entries[i].ID())
			}
		}
		slices.Sort(wanted[q.Name])
	}
	for _, q := range queues {
		want := wanted[q.Name]
		k := c.consume(x, q.Name, nil)
		k.await(fmt.Sprintf("%d entries by %+v", len(want), q), func([]broker.Entry) bool { return len(k.ids()) >= len(want) })
		if len(want) > 0 { // when the last comes once more, nothing can come any more that was put before
			last := entries[slices.IndexFunc(entries, func(e broker.Entry) bool { return q.Matches(&e) })]
			if err := x.Put(t.Context(), broker.Batch{Entries: []broker.Entry{last}, Queue: q.Name, Again: true}); err != nil {
				t.Fatal(err)
			}
			k.await("the fence", func(got []broker.Entry) bool { return len(got) > len(want) })
		}
		if diff := cmp.Diff(want, k.ids()); diff != "" {
			t.Errorf("%+v: %s", q, diff)
		}
		_ = k.end()
	}
}

func testEntryOrder(t *testing.T, c *trial) {
	const rooms, each = 4, 120
	q := c.queue("all")
	x := c.open(q)
	k := c.consume(x, q.Name, nil)
	for from := 1; from <= each; from += 30 {
		var batch []broker.Entry
		for i := range 30 {
			for room := range rooms {
				batch = append(batch, c.entry(room, from+i))
			}
		}
		c.put(x, batch...)
	}
	k.await("everything", func([]broker.Entry) bool { return len(k.ids()) == rooms*each })
	inOrder(t, k.entries())
	if got := len(k.entries()); got != rooms*each {
		t.Errorf("%d entries came of %d, though nothing was wrong", got, rooms*each)
	}
}

func testKept(t *testing.T, c *trial) {
	if c.h.Break == nil {
		t.Logf("%s cannot go away", c.open(c.queue("all")).Features().Engine)
		return
	}
	q := c.queue("all")
	x := c.open(q)
	c.put(x, c.entries(0, 1, 50)...)
	c.h.Break(t)
	c.h.Heal(t)
	c.healed = true
	k := c.consume(x, q.Name, nil)
	k.await("everything that was acknowledged", func([]broker.Entry) bool { return len(k.ids()) == 50 })
	inOrder(t, k.entries())
}

func testNotTaken(t *testing.T, c *trial) {
	q := c.queue("all")
	x := c.open(q)
	c.put(x, c.entries(0, 1, 5)...)
	failures := 0
	k := c.consume(x, q.Name, func(_ context.Context, e broker.Entry) error {
		if e.Seq == 3 && failures < 3 {
			failures++
			return errors.New("not now")
		}
		return nil
	})
	k.awaitLast(c.entry(0, 5))
	var seqs []uint64
	for _, e := range k.entries() {
		seqs = append(seqs, e.Seq)
	}
	if want := []uint64{1, 2, 3, 3, 3, 3, 4, 5}; !slices.Equal(seqs, want) {
		t.Errorf("got %v, want %v", seqs, want)
	}
}

func testDeadConsumer(t *testing.T, c *trial) {
	q := c.queue("all")
	x, other := c.open(q), c.open(q)
	c.put(x, c.entries(0, 1, 20)...)
	k := c.consume(x, q.Name, func(ctx context.Context, e broker.Entry) error {
		if e.Seq < 4 {
			return nil
		}
		<-ctx.Done()
		return ctx.Err()
	})
	k.awaitLast(c.entry(0, 4))
	if err := k.end(); !errors.Is(err, context.Canceled) {
		t.Errorf("Consume returned %v", err)
	}
	next := c.consume(other, q.Name, nil)
	next.awaitLast(c.entry(0, 20))
	got := next.entries()
	if got[0].Seq > 4 {
		t.Errorf("the second consumer began with %d: the first had not acknowledged 4", got[0].Seq)
	}
	last := got[0].Seq
	for _, e := range got[1:] {
		if e.Seq > last+1 {
			t.Fatalf("%d came after %d", e.Seq, last)
		}
		last = max(last, e.Seq)
	}
}

func testSharing(t *testing.T, c *trial) {
	q := c.queue("all")
	x := c.open(q)
	var mu sync.Mutex
	var together []broker.Entry
	remember := func(_ context.Context, e broker.Entry) error {
		mu.Lock()
		defer mu.Unlock()
		together = append(together, e)
		return nil
	}
	one, two := c.consume(x, q.Name, remember), c.consume(c.open(q), q.Name, remember)
	var all []broker.Entry
	for room := range 40 {
		all = append(all, c.entries(room, 1, 5)...)
	}
	c.put(x, all...)
	one.await("everything, by the two together", func([]broker.Entry) bool {
		ids := append(one.ids(), two.ids()...)
		slices.Sort(ids)
		return len(slices.Compact(ids)) == len(all)
	})
	t.Logf("%d and %d", len(one.entries()), len(two.entries()))
	if mu.Lock(); x.Features().Order == broker.OrderPerRoom {
		inOrder(t, together)
	}
	mu.Unlock()
}

func testAgain(t *testing.T, c *trial) {
	a, b := c.queue("a"), c.queue("b")
	some := broker.Queue{Name: c.queue("some").Name, Exchange: broker.TopicExchange, Bind: []string{"*.member.#"}}
	x := c.open(a, b, some)
	entries := c.entries(0, 1, 3)
	c.put(x, entries...)
	for range 2 {
		for _, queue := range []string{b.Name, some.Name} { // the second does not want them
			if err := x.Put(t.Context(), broker.Batch{Entries: entries, Queue: queue, Again: true}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := x.Put(t.Context(), broker.Batch{Entries: entries, Queue: "nobody"}); !errors.Is(err, broker.ErrNoQueue) {
		t.Errorf("put into a queue that is not declared: %v", err)
	}
	if err := x.Consume(t.Context(), "nobody", func(context.Context, broker.Entry) error { return nil }); !errors.Is(err, broker.ErrNoQueue) {
		t.Errorf("consume a queue that is not declared: %v", err)
	}
	member := c.entry(0, 4)
	member.Event = "member.joined"
	c.put(x, member)
	for queue, want := range map[string]int{a.Name: 4, b.Name: 10, some.Name: 1} {
		k := c.consume(x, queue, nil)
		k.awaitLast(member)
		if got := len(k.entries()); got != want {
			t.Errorf("queue %s got %d entries, want %d", queue, got, want)
		}
	}
}

func testLargeEntries(t *testing.T, c *trial) {
	q := c.queue("all")
	x := c.open(q)
	most := x.Features().MaxEntry
	if most < 256<<10 {
		t.Fatalf("MaxEntry is %d: not enough for an event", most)
	}
	largest, large := c.entry(0, 1), c.entry(1, 1)
	largest.Data = bytes.Repeat([]byte("x"), most)
	large.Data = append(bytes.Clone(largest.Data), 'x')
	err := x.Put(t.Context(), broker.Batch{Entries: []broker.Entry{c.entry(2, 1), large}})
	if refused, ok := errors.AsType[*broker.RefusedError](err); !ok || refused.Room != large.Room || refused.Seq != 1 || refused.Reason == "" {
		t.Errorf("a large entry: %v", err)
	}
	c.put(x, largest)
	k := c.consume(x, q.Name, nil)
	k.awaitLast(largest)
	if got := k.entries(); len(got) != 1 || len(got[0].Data) != most {
		t.Errorf("%d entries came; want the largest alone", len(got))
	}
	if stats := x.Stats(); stats.Failed != 1 || stats.Put != 1 {
		t.Errorf("stats: %+v", stats)
	}
}

func testExchangeAway(t *testing.T, c *trial) {
	if c.h.Break == nil {
		t.Logf("%s cannot go away", c.open(c.queue("all")).Features().Engine)
		return
	}
	q := c.queue("all")
	x := c.open(q)
	k := c.consume(x, q.Name, nil)
	c.put(x, c.entries(0, 1, 5)...)
	k.awaitLast(c.entry(0, 5))
	for round := range 2 {
		c.h.Break(t)
		ctx, cancel := context.WithTimeout(t.Context(), patience/10)
		err := x.Put(ctx, broker.Batch{Entries: []broker.Entry{c.entry(0, 6+round)}})
		cancel()
		if _, refused := errors.AsType[*broker.RefusedError](err); err == nil || refused {
			t.Errorf("put without an engine: %v", err)
		}
		k.r.Await(t, "the exchange sees that the engine is away", func() bool { return !x.Stats().Connected })
		c.h.Heal(t)
		c.healed = true
		k.r.Await(t, "the engine takes entries again", func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), patience/4)
			defer cancel()
			return x.Put(ctx, broker.Batch{Entries: []broker.Entry{c.entry(0, 6+round)}}) == nil
		})
		k.awaitLast(c.entry(0, 6+round))
		k.r.Await(t, "the exchange says that it is connected", func() bool { return x.Stats().Connected })
	}
	inOrder(t, k.entries())
}

func testExchangeConcurrently(t *testing.T, c *trial) {
	q := c.queue("all")
	x := c.open(q)
	k := c.consume(x, q.Name, nil)
	var wg sync.WaitGroup
	for room := range 6 {
		wg.Go(func() {
			for seq := 1; seq <= 20; seq += 5 {
				if err := x.Put(t.Context(), broker.Batch{Entries: c.entries(room, seq, seq+4)}); err != nil {
					t.Errorf("put: %v", err)
				}
				x.Stats()
				x.Features()
			}
		})
	}
	wg.Wait()
	k.await("everything", func([]broker.Entry) bool { return len(k.ids()) == 120 })
	inOrder(t, k.entries())
}

func testExchangeClose(t *testing.T, c *trial) {
	q := c.queue("all")
	x := c.open(q)
	k := c.consume(x, q.Name, nil)
	c.put(x, c.entry(0, 1))
	k.awaitLast(c.entry(0, 1))
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if err := x.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
	wg.Wait()
	if err := <-k.ended; !errors.Is(err, broker.ErrExchangeClosed) {
		t.Errorf("Consume returned %v", err)
	}
	if err := x.Put(t.Context(), broker.Batch{Entries: c.entries(0, 2, 2)}); err == nil {
		t.Error("put after Close succeeded")
	}
	if err := x.Consume(t.Context(), q.Name, nil); err == nil {
		t.Error("Consume after Close succeeded")
	}
	if x.Stats().Connected {
		t.Error("connected after Close")
	}
}
