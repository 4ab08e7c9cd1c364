// Package brokertest is the conformance suite for adapters of broker.Live, and a wrapper that spoils one by rule.
//
// An adapter's own test calls [Run] with its engine; what an engine cannot do it says in its Features, and the suite asks no more.
package brokertest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/parley-im/parley/internal/broker"
)

// Harness opens nodes on one engine. The suite gives each test rooms of its own, closes the nodes that it opens, and runs one test after the other.
type Harness struct {
	// Open joins one more node. It returns when the node is connected, if the engine is there.
	Open func(t testing.TB, node string, r broker.Receiver) broker.Live

	// Break takes the engine away from all nodes, and Heal brings it back. Both are nil for an engine that cannot go away.
	Break, Heal func(t testing.TB)
}

// Run holds an adapter to the contract.
func Run(t *testing.T, h Harness) {
	tests := []struct {
		name string
		run  func(*testing.T, *cluster)
	}{
		{"broadcast reaches every node, this one included", testBroadcast},
		{"messages reach those who follow the room", testFollowers},
		{"messages of a room keep their order", testOrder},
		{"what is published after Follow arrives", testFollowBeforePublish},
		{"following twice is the same as once", testFollowTwice},
		{"Unfollow ends what Follow began", testUnfollow},
		{"the caller keeps its message", testCallerKeepsMessage},
		{"large messages are dropped and counted", testLargeMessages},
		{"publishing never waits for a receiver", testStuckReceiver},
		{"everything may be called at once", testConcurrentUse},
		{"Close ends everything and may be called twice", testClose},
		{"an engine that goes away and comes back", testBreakAndHeal},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			c := &cluster{h: h, t: t}
			t.Cleanup(func() {
				c.close()
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

// cluster is the nodes of one test.
type cluster struct {
	h      Harness
	t      *testing.T
	nodes  []*node
	healed bool // the engine is another than at the start
}

// node is a node and what came to it.
type node struct {
	broker.Live
	*Recorder
}

// open joins n nodes.
func (c *cluster) open(n int) []*node {
	for range n {
		r := NewRecorder()
		live := c.h.Open(c.t, fmt.Sprint("node-", len(c.nodes)), r)
		c.nodes = append(c.nodes, &node{live, r})
	}
	return c.nodes
}

func (c *cluster) close() {
	for _, n := range c.nodes {
		if err := n.Close(); err != nil {
			c.t.Errorf("close: %v", err)
		}
		n.check(c.t)
	}
}

// room is the name of a room of this test.
func (c *cluster) room(i any) string {
	return fmt.Sprintf("r_%x_%v", c.t.Name(), i)
}

func (n *node) follow(t testing.TB, rooms ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := n.Follow(ctx, rooms); err != nil {
		t.Fatalf("follow %v: %v", rooms, err)
	}
}

func testBroadcast(t *testing.T, c *cluster) {
	nodes := c.open(3)
	nodes[0].Broadcast([]byte("hello"))
	for _, n := range nodes {
		n.AwaitMessage(t, "", "hello")
	}
	if stats := nodes[0].Stats(); stats.Published != 1 || stats.Received < 1 || !stats.Connected {
		t.Errorf("stats of the sender: %+v", stats)
	}
}

func testFollowers(t *testing.T, c *cluster) {
	nodes := c.open(3)
	a, b, other := nodes[0], nodes[1], nodes[2]
	mine, theirs := c.room("mine"), c.room("theirs")
	a.follow(t, mine)
	b.follow(t, mine)
	other.follow(t, theirs)

	a.Publish(mine, []byte("for followers"))
	b.AwaitMessage(t, mine, "for followers")
	a.Publish(theirs, []byte("fence")) // when this has come, what was before it has too
	other.AwaitMessage(t, theirs, "fence")
	if got := other.Messages(mine); len(got) > 0 && other.Features().Directness == broker.PerKey {
		t.Errorf("a node that does not follow the room got %q", got)
	}
	if got := b.Messages(mine); len(got) != 1 {
		t.Errorf("a follower got %q", got)
	}
}

func testOrder(t *testing.T, c *cluster) {
	const messages, rooms = 300, 4
	nodes := c.open(3)
	for _, n := range nodes[1:] {
		for i := range rooms {
			n.follow(t, c.room(i))
		}
	}
	var want []string
	for i := range messages {
		want = append(want, fmt.Sprint(i))
		for room := range rooms {
			nodes[0].Publish(c.room(room), []byte(want[i]))
		}
	}
	for _, n := range nodes[1:] {
		for i := range rooms {
			n.AwaitMessage(t, c.room(i), want[messages-1])
			if got := n.Messages(c.room(i)); !slices.Equal(got, want) {
				t.Errorf("room %d: %d messages of %d, or in another order: %v", i, len(got), messages, got)
			}
		}
	}
}

func testFollowBeforePublish(t *testing.T, c *cluster) {
	nodes := c.open(2)
	for i := range 200 {
		var batch []string
		for j := range 3 {
			batch = append(batch, c.room(fmt.Sprint(i, "_", j)))
		}
		nodes[1].follow(t, batch...)
		for _, room := range batch {
			nodes[0].Publish(room, []byte("first"))
		}
		for _, room := range batch {
			nodes[1].AwaitMessage(t, room, "first")
		}
	}
}

func testFollowTwice(t *testing.T, c *cluster) {
	nodes := c.open(2)
	room := c.room(0)
	nodes[1].follow(t, room, room)
	nodes[1].follow(t, room)
	nodes[1].follow(t)
	nodes[0].Publish(room, []byte("once"))
	nodes[0].Publish(room, []byte("fence"))
	nodes[1].AwaitMessage(t, room, "fence")
	if got := nodes[1].Messages(room); len(got) != 2 {
		t.Errorf("got %q", got)
	}
	nodes[1].Unfollow([]string{room})
	awaitUnfollowed(t, c, nodes[0], nodes[1], room)
}

func testUnfollow(t *testing.T, c *cluster) {
	nodes := c.open(2)
	room, kept := c.room("left"), c.room("kept")
	nodes[1].follow(t, room, kept)
	nodes[1].Unfollow([]string{room, c.room("never followed")})
	if nodes[1].Features().Directness == broker.PerKey {
		awaitUnfollowed(t, c, nodes[0], nodes[1], room)
	}
	nodes[0].Publish(kept, []byte("still"))
	nodes[1].AwaitMessage(t, kept, "still")

	nodes[1].follow(t, room)
	nodes[0].Publish(room, []byte("again"))
	nodes[1].AwaitMessage(t, room, "again")
}

// awaitUnfollowed publishes to the room until a message does not arrive: some may still be under way.
func awaitUnfollowed(t *testing.T, c *cluster, from, to *node, room string) {
	t.Helper()
	fence := c.room("fence")
	to.follow(t, fence)
	for i := range 1000 {
		text := fmt.Sprint("late ", i)
		from.Publish(room, []byte(text))
		from.Publish(fence, []byte(text))
		to.AwaitMessage(t, fence, text)
		if !to.Has(room, text) {
			return
		}
	}
	t.Errorf("room %s still arrives", room)
}

func testCallerKeepsMessage(t *testing.T, c *cluster) {
	nodes := c.open(3)
	room := c.room(0)
	nodes[1].follow(t, room)
	nodes[2].follow(t, room)
	message := []byte("message 000")
	for i := range 100 {
		copy(message, fmt.Sprintf("message %03d", i))
		want := string(message)
		nodes[0].Publish(room, message)
		nodes[0].Broadcast(message)
		if string(message) != want {
			t.Fatalf("the message was changed to %q", message)
		}
	}
	for _, n := range nodes[1:] {
		n.AwaitMessage(t, room, "message 099")
		n.AwaitMessage(t, "", "message 099")
		for i := range 100 {
			want := fmt.Sprintf("message %03d", i)
			if got := n.Messages(room)[i]; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			if got := n.Messages("")[i]; got != want {
				t.Errorf("broadcast: got %q, want %q", got, want)
			}
		}
	}
}

func testLargeMessages(t *testing.T, c *cluster) {
	nodes := c.open(2)
	room := c.room(0)
	nodes[1].follow(t, room)
	most := nodes[0].Features().MaxMessage
	if most < 64<<10 {
		t.Fatalf("MaxMessage is %d: not enough for an event", most)
	}
	large := bytes.Repeat([]byte("x"), most+1)
	nodes[0].Publish(room, large)
	nodes[0].Broadcast(large)
	nodes[0].Publish(room, large[:most])
	nodes[0].Publish(room, nil)
	nodes[1].AwaitMessage(t, room, "")
	if got := nodes[1].Messages(room); len(got) != 2 || len(got[0]) != most {
		t.Errorf("%d messages arrived, want those of %d and of 0 bytes", len(got), most)
	}
	if stats := nodes[0].Stats(); stats.Dropped != 2 || stats.Published != 2 {
		t.Errorf("stats of the sender: %+v", stats)
	}
}

func testStuckReceiver(t *testing.T, c *cluster) {
	nodes := c.open(3)
	sender, stuck, fine := nodes[0], nodes[1], nodes[2]
	room := c.room(0)
	stuck.follow(t, room)
	fine.follow(t, room)
	release := stuck.Hold()
	defer release() // else Close would wait
	message := bytes.Repeat([]byte("x"), 32<<10)
	const most = 1 << 30
	for sent := 0; stuck.Stats().Dropped == 0; sent += len(message) {
		if sent > most {
			t.Fatalf("%d bytes were published to a stuck receiver, and nothing was dropped", sent)
		}
		sender.Publish(room, message)
		if sender.Features().Engine != "memory" && sent%(1<<20) == 0 {
			sender.Broadcast([]byte(fmt.Sprint("pace ", sent))) // a sender that is faster than the engine would drop by itself
			fine.AwaitMessage(t, "", fmt.Sprint("pace ", sent))
		}
	}
	release()
	stuck.Await(t, "Lost after the mailbox ran over", func() bool { return stuck.Losses() > 0 })
	sender.Publish(room, []byte("after"))
	stuck.AwaitMessage(t, room, "after")
	fine.AwaitMessage(t, room, "after")
}

func testConcurrentUse(t *testing.T, c *cluster) {
	nodes := c.open(3)
	shared := c.room("shared")
	var wg sync.WaitGroup
	for worker := range 6 {
		n := nodes[worker%len(nodes)]
		wg.Go(func() {
			own := c.room(worker)
			for i := range 100 {
				if err := n.Follow(t.Context(), []string{own, shared}); err != nil {
					t.Errorf("follow: %v", err)
				}
				n.Publish(shared, []byte("x"))
				n.Broadcast([]byte("y"))
				n.Unfollow([]string{own})
				if stats := n.Stats(); stats.Published == 0 {
					t.Errorf("stats: %+v", stats)
				}
				n.Publish(own, []byte(fmt.Sprint(i)))
			}
		})
	}
	wg.Wait()
	nodes[0].Publish(shared, []byte("last"))
	for _, n := range nodes[1:] {
		n.AwaitMessage(t, shared, "last")
	}
}

func testClose(t *testing.T, c *cluster) {
	nodes := c.open(3)
	sender, closed, fine := nodes[0], nodes[1], nodes[2]
	room := c.room(0)
	closed.follow(t, room)
	fine.follow(t, room)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if err := closed.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
	wg.Wait()
	sender.Publish(room, []byte("late"))
	sender.Broadcast([]byte("late"))
	fine.AwaitMessage(t, room, "late")
	fine.AwaitMessage(t, "", "late")
	if closed.Has(room, "late") || closed.Has("", "late") {
		t.Error("a message arrived after Close")
	}

	before := closed.Stats()
	closed.Publish(room, []byte("never"))
	closed.Broadcast([]byte("never"))
	closed.Unfollow([]string{room})
	if err := closed.Follow(t.Context(), []string{room}); err == nil {
		t.Error("Follow after Close succeeded")
	}
	after := closed.Stats()
	if after.Connected || after.Published != before.Published || after.Dropped != before.Dropped+2 {
		t.Errorf("stats before %+v, after %+v", before, after)
	}
	if err := closed.Close(); err != nil {
		t.Errorf("close again: %v", err)
	}
}

func testBreakAndHeal(t *testing.T, c *cluster) {
	if c.h.Break == nil {
		t.Logf("%s cannot go away", c.open(1)[0].Features().Engine)
		return
	}
	nodes := c.open(2)
	a, b := nodes[0], nodes[1]
	before, meanwhile, left := c.room("before"), c.room("meanwhile"), c.room("left")
	b.follow(t, before, left)
	a.Publish(before, []byte("one"))
	b.AwaitMessage(t, before, "one")

	for round := range 2 {
		losses := []int{a.Losses(), b.Losses()}
		c.h.Break(t)
		for _, n := range nodes {
			n.Await(t, "the node sees that the engine is away", func() bool { return !n.Stats().Connected })
		}
		if err := b.Follow(t.Context(), []string{meanwhile}); err == nil {
			t.Error("Follow succeeded without an engine")
		}
		b.Unfollow([]string{left})
		dropped := a.Stats().Dropped
		a.Publish(before, []byte("into the void"))
		if got := a.Stats().Dropped; got != dropped+1 {
			t.Errorf("%d messages were counted as dropped, want 1", got-dropped)
		}

		c.h.Heal(t)
		c.healed = true
		for i, n := range nodes {
			n.Await(t, "Lost, and the node is connected again", func() bool { return n.Losses() > losses[i] && n.Stats().Connected })
		}
		for _, room := range []string{before, meanwhile} {
			text := fmt.Sprint("after ", round)
			a.Publish(room, []byte(text))
			b.AwaitMessage(t, room, text)
		}
		if b.Features().Directness == broker.PerKey {
			awaitUnfollowed(t, c, a, b, left)
		}
		if b.Has(before, "into the void") {
			t.Error("a message that was published without an engine arrived: it was kept for too long")
		}
	}
}
