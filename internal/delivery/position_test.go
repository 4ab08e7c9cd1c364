package delivery_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-im/parley/internal/delivery"
	"github.com/parley-im/parley/protocol"
)

// newPair is two nodes of one cluster.
func newPair(t *testing.T) (a, b *node) {
	nodes, _ := newCluster(t, newStore(), delivery.Options{}, delivery.Options{})
	return nodes[0], nodes[1]
}

func newCluster(t *testing.T, s *store, options ...delivery.Options) ([]*node, *bus) {
	bus := newBus()
	var nodes []*node
	for i, o := range options {
		o.Node = fmt.Sprint("node", i)
		n := newNode(t, s, o)
		live := bus.join(n.hub)
		t.Cleanup(live.leave)
		n.hub.SetLive(live)
		nodes = append(nodes, n.start())
	}
	return nodes, bus
}

// lose makes the bus lose everything that does not go to its sender, or everything.
func (b *bus) lose(next int) {
	left := next
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fate = func() (int, time.Duration) {
		if left > 0 {
			left--
			return 0, 0
		}
		return 1, 0
	}
}

func TestEventsCrossNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newPair(t)
		room := a.create(protocol.Group, "alice", "bob")
		settle()
		alice, _ := a.enter("a", "alice")
		bob, _ := b.enter("b", "bob")
		a.send(room, 2)
		settle()
		b.send(room, 2)
		settle()
		want(t, "alice", alice.story(room), []any{2, 3, 4, 5})
		want(t, "bob", bob.story(room), []any{2, 3, 4, 5})
		made := a.create(protocol.Direct, "alice", "bob")
		settle()
		want(t, "a room that nobody followed on bob's node", bob.story(made), []any{"room.added", 1})
	})
}

func TestALostHintIsSeenByTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes, bus := newCluster(t, newStore(), delivery.Options{}, delivery.Options{})
		a, b := nodes[0], nodes[1]
		room := a.create(protocol.Group, "bob")
		settle()
		var bobs []*sink
		for i := range 20 {
			s, _ := b.enter(fmt.Sprint("b", i), "bob")
			bobs = append(bobs, s)
		}
		bus.lose(1)
		a.send(room, 2)
		settle()
		want(t, "an event whose predecessor is missing", bobs[0].story(room), []any(nil))
		reads := b.store.read("Events")
		time.Sleep(25 * time.Millisecond)
		for _, s := range bobs {
			want(t, "after 20 ms", s.story(room), []any{2, 3})
		}
		want(t, "questions to the store", b.store.read("Events")-reads, 1)
	})
}

func TestALostHintWithoutANextIsFoundByComparing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes, bus := newCluster(t, newStore(), delivery.Options{}, delivery.Options{})
		a, b := nodes[0], nodes[1]
		room := a.create(protocol.Group, "bob")
		settle()
		bob, _ := b.enter("b", "bob")
		bus.lose(1)
		a.send(room, 1)
		time.Sleep(31 * time.Second)
		want(t, "within 30 s", bob.story(room), []any{2})
	})
}

func TestANodeDiesWithSomethingUntold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes, bus := newCluster(t, newStore(), delivery.Options{}, delivery.Options{})
		a, b := nodes[0], nodes[1]
		room := a.create(protocol.Group, "bob")
		settle()
		bob, _ := b.enter("b", "bob")
		time.Sleep(20*time.Second + 900*time.Millisecond) // a's next probe is near
		bus.lose(1)
		a.send(room, 1)
		a.hub.Stop()
		time.Sleep(3 * time.Second)
		want(t, "within 3 s", bob.story(room), []any{2})
	})
}

func TestLostNewsIsMissedByTheNextProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes, bus := newCluster(t, newStore(), delivery.Options{}, delivery.Options{})
		a, b := nodes[0], nodes[1]
		bob, _ := b.enter("b", "bob")
		time.Sleep(500 * time.Millisecond)
		bus.lose(2) // the news goes to both nodes
		room := a.create(protocol.Group, "bob")
		settle()
		want(t, "at first", bob.story(room), []any(nil))
		time.Sleep(3 * time.Second)
		want(t, "within 3 s", bob.story(room), []any{"room.added", 1})
		asked := b.store.read("Changed")
		time.Sleep(60 * time.Second)
		if more := b.store.read("Changed") - asked; more > 2*60/5+2 {
			t.Errorf("two nodes in good health have asked %d times in a minute what has changed", more)
		}
	})
}

func TestWithoutTheBrokerAllArrivesWithin3s(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes, bus := newCluster(t, newStore(), delivery.Options{}, delivery.Options{})
		a, b := nodes[0], nodes[1]
		room := a.create(protocol.Group, "alice", "bob")
		settle()
		bob, _ := b.enter("b", "bob")
		alice, _ := b.enter("a", "alice")
		time.Sleep(7300 * time.Millisecond)
		bus.setDown(true)
		a.send(room, 2)
		made := a.create(protocol.Group, "bob")
		time.Sleep(3 * time.Second)
		want(t, "events", bob.story(room), []any{2, 3})
		want(t, "a new room", bob.story(made), []any{"room.added", 1})
		want(t, "health", b.hub.Stats().Healthy, false)
		left := a.leave(room, protocol.ReasonRemoved, "alice")
		a.send(room, 1)
		time.Sleep(3 * time.Second)
		want(t, "a removal", alice.story(room), []any{2, 3, int(left.Seq), "room.removed"})
		bus.setDown(false)
		a.send(room, 1)
		time.Sleep(3 * time.Second)
		want(t, "after all that", bob.seqs(room), []protocol.Seq{2, 3, 4, 5, 6})
		want(t, "health", b.hub.Stats().Healthy, true)
	})
}

func TestDoublesAreNoHoles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes, bus := newCluster(t, newStore(), delivery.Options{}, delivery.Options{})
		a, b := nodes[0], nodes[1]
		room := a.create(protocol.Group, "bob")
		settle()
		bob, _ := b.enter("b", "bob")
		bus.mu.Lock()
		bus.fate = func() (int, time.Duration) { return 3, time.Millisecond }
		bus.mu.Unlock()
		a.send(room, 5)
		time.Sleep(time.Second)
		want(t, "bob", bob.story(room), []any{2, 3, 4, 5, 6})
		want(t, "holes read from the store", b.hub.Stats().Fills, uint64(0))
	})
}

func TestANodeThatIsBehindResetsNobodyToThePast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes, bus := newCluster(t, newStore(), delivery.Options{}, delivery.Options{})
		a, b := nodes[0], nodes[1]
		room := a.create(protocol.Group, "alice", "bob")
		settle()
		b.enter("b", "bob")
		bus.lose(5)
		a.send(room, 5) // 6
		s, _ := b.enterWith(newSink("s", "alice"), delivery.Entry{All: true, Epoch: "another", Resume: map[string]protocol.Seq{room: 6}})
		time.Sleep(time.Second)
		want(t, "alice", s.story(room), []any{"reset"})
		want(t, "head", string(s.got(room)[0].Data), `{"head":6}`)
	})
}

func TestWhoComesWhileARoomIsUnbound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, bus := newStore(), newBus()
		n := newNode(t, s, delivery.Options{})
		live := bus.join(n.hub)
		t.Cleanup(live.leave)
		n.hub.SetLive(live)
		n.start()
		room := n.create(protocol.Group, "alice")
		_, f := n.enter("s0", "alice")
		f.Close()
		alice := newSink("s", "alice")
		bus.mu.Lock()
		live.unfollowed = func() {
			n.enterWith(alice, delivery.Entry{All: true})
			if _, err := s.send(room, ""); err != nil { // another node's, whose hint does not come
				t.Error(err)
			}
		}
		bus.mu.Unlock()
		time.Sleep(2 * time.Minute)
		bus.mu.Lock()
		follows := live.follows[room]
		bus.mu.Unlock()
		want(t, "bound", follows, true)
		want(t, "alice", alice.story(room), []any{2})
		want(t, "rooms", n.hub.Stats().Rooms, 1)
	})
}

func epoch(is string) func() string { return func() string { return is } }

func TestAnotherEpochIsNotHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes, _ := newCluster(t, newStore(), delivery.Options{Epoch: epoch("1")}, delivery.Options{Epoch: epoch("2")})
		a, b := nodes[0], nodes[1]
		room := a.create(protocol.Group, "bob")
		settle()
		bob, _ := b.enter("b", "bob")
		a.send(room, 1)
		settle()
		want(t, "bob", bob.story(room), []any(nil))
	})
}

func TestANodeThatIsInAnotherEpochNowIsBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var changed atomic.Bool
		is := func() string { return map[bool]string{false: "1", true: "2"}[changed.Load()] }
		nodes, _ := newCluster(t, newStore(), delivery.Options{Epoch: is}, delivery.Options{Epoch: epoch("1")})
		a, b := nodes[0], nodes[1]
		room := a.create(protocol.Group, "bob")
		settle()
		bob, _ := b.enter("b", "bob")
		time.Sleep(20*time.Second + 900*time.Millisecond)
		changed.Store(true)
		a.send(room, 1)
		settle()
		want(t, "at once", bob.story(room), []any(nil))
		time.Sleep(time.Second)
		want(t, "within a second, before anybody is missed", bob.story(room), []any{2})
		time.Sleep(5*time.Second + 200*time.Millisecond)
		a.send(room, 1)
		time.Sleep(2 * time.Second)
		want(t, "and later on", bob.story(room), []any{2, 3})
	})
}

func TestRoomsAreUnboundAfterAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := newPair(t)
		room := a.create(protocol.Group, "alice")
		settle()
		_, f := a.enter("s", "alice")
		f.Close()
		time.Sleep(59 * time.Second)
		want(t, "rooms after 59 s", a.hub.Stats().Rooms, 1)
		time.Sleep(62 * time.Second)
		want(t, "rooms after two minutes", a.hub.Stats().Rooms, 0)
		alice, _ := a.enter("s", "alice")
		a.send(room, 1)
		settle()
		want(t, "who comes back", alice.story(room), []any{2})
		time.Sleep(5 * time.Minute)
		a.send(room, 1)
		settle()
		want(t, "who stays", alice.story(room), []any{2, 3})
	})
}

func TestSessionsAreAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var here, there atomic.Int32
		nodes, bus := newCluster(t, newStore(),
			delivery.Options{Sessions: func() { here.Add(1) }}, delivery.Options{Sessions: func() { there.Add(1) }})
		time.Sleep(61 * time.Second)
		want(t, "every 15 s", there.Load(), int32(4))
		nodes[0].hub.Announce()
		settle()
		want(t, "when another node has announced a change", there.Load(), int32(5))
		want(t, "the node that has", here.Load(), int32(4))
		bus.setDown(true)
		time.Sleep(15 * time.Second)
		want(t, "with the broker down", there.Load(), int32(6))
	})
}
