package delivery_test

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/delivery"
	"github.com/parley-im/parley/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is a hub with the store's commits as the log of that node makes them: one at a time, each told before the next.
type node struct {
	t     *testing.T
	hub   *delivery.Hub
	store *store
	turn  chan struct{} // a lock that may be held while sleeping
}

func newNode(t *testing.T, s *store, o delivery.Options) *node {
	o.Source = s
	if o.Node == "" {
		o.Node = "node"
	}
	n := &node{t: t, hub: delivery.New(o), store: s, turn: make(chan struct{}, 1)}
	return n
}

// start starts the hub until the test ends.
func (n *node) start() *node {
	n.hub.Start(n.t.Context())
	n.t.Cleanup(n.hub.Stop)
	return n
}

// commit makes something happen in the store and tells the hub.
func (n *node) commit(do func() (*chat.Event, error)) (*chat.Event, error) {
	n.turn <- struct{}{}
	defer func() { <-n.turn }()
	e, err := do()
	if err != nil {
		return nil, err
	}
	n.hub.Committed(&chat.Commit{Events: []*chat.Event{e}})
	return e, nil
}

func (n *node) must(do func() (*chat.Event, error)) *chat.Event {
	n.t.Helper()
	e, err := n.commit(do)
	if err != nil {
		n.t.Fatal(err)
	}
	return e
}

func (n *node) create(kind protocol.Kind, users ...string) string {
	return n.must(func() (*chat.Event, error) { return n.store.create(kind, false, users...), nil }).Room
}

func (n *node) send(room string, times int) {
	n.t.Helper()
	for range times {
		n.must(func() (*chat.Event, error) { return n.store.send(room, "") })
	}
}

func (n *node) join(room string, users ...string) *chat.Event {
	n.t.Helper()
	return n.must(func() (*chat.Event, error) { return n.store.join(room, users...) })
}

func (n *node) leave(room string, reason protocol.LeaveReason, user string) *chat.Event {
	n.t.Helper()
	return n.must(func() (*chat.Event, error) { return n.store.leave(room, reason, user) })
}

// enter lets a session in that follows all rooms of its user.
func (n *node) enter(id, user string) (*sink, *delivery.Follower) {
	return n.enterWith(newSink(id, user), delivery.Entry{All: true})
}

func (n *node) enterWith(s *sink, e delivery.Entry) (*sink, *delivery.Follower) {
	n.t.Helper()
	e.Sink, e.Ready = s, s.replied
	f, err := n.hub.Enter(context.Background(), &e)
	if err != nil {
		n.t.Error(err)
		runtime.Goexit() // what Fatal does, also where it is not the test's own goroutine
	}
	s.entered(f)
	n.t.Cleanup(func() {
		f.Close()
		close(s.gone)
	})
	return s, f
}

func want(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// settle lets everything that can happen now happen.
func settle() { synctest.Wait() }

func TestEventsReachEveryFollowerInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, newStore(), delivery.Options{}).start()
		room := n.create(protocol.Group, "alice", "bob")
		other := n.create(protocol.Group, "bob")
		alice, _ := n.enter("s1", "alice")
		phone, _ := n.enter("s2", "bob")
		laptop, _ := n.enter("s3", "bob")
		n.send(room, 3)
		n.send(other, 1)
		settle()
		want(t, "alice", alice.story(room), []any{2, 3, 4})
		want(t, "bob's phone", phone.story(room), []any{2, 3, 4})
		want(t, "bob's laptop", laptop.story(room), []any{2, 3, 4})
		want(t, "alice, of a room that is not hers", alice.got(other), []pushed(nil))
		want(t, "bob, of the other room", phone.story(other), []any{2})
	})
}

func TestResumeBringsWhatWasMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, newStore(), delivery.Options{Replay: 10}).start()
		room := n.create(protocol.Group, "alice")
		n.send(room, 14) // head 15
		for _, c := range []struct {
			name  string
			after protocol.Seq
			epoch string
			want  []any
		}{
			{"all of it", 5, "", []any{6, 7, 8, 9, 10, 11, 12, 13, 14, 15}},
			{"nothing missed", 15, "", nil},
			{"more than limits.replay", 4, "", []any{"reset"}},
			{"from the beginning", 0, "", []any{"reset"}},
			{"above the head", 16, "", []any{"reset"}},
			{"another epoch", 15, "another", []any{"reset"}},
		} {
			s, f := n.enterWith(newSink(c.name, "alice"), delivery.Entry{All: true, Epoch: c.epoch, Resume: map[string]protocol.Seq{room: c.after}})
			settle()
			want(t, c.name, s.story(room), c.want)
			f.Close()
		}
	})
}

func TestRoomsThatOneMayNotSeeAreGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, newStore(), delivery.Options{}).start()
		foreign := n.create(protocol.Group, "bob")
		s, f := n.enterWith(newSink("s", "alice"), delivery.Entry{Resume: map[string]protocol.Seq{foreign: 0, "r_never": 3}})
		n.send(foreign, 1)
		settle()
		want(t, "a room of others", s.story(foreign), []any{"room.removed"})
		want(t, "its reason", string(s.got(foreign)[0].Data), `{"reason":"gone"}`)
		want(t, "a room that never was", s.story("r_never"), []any{"room.removed"})
		want(t, "before the reply", s.ready, 0)
		err := f.Subscribe(t.Context(), foreign, nil, "", func(protocol.Seq) { t.Error("ready was called") })
		want(t, "subscribing to it", err, protocol.RoomNotFound())
	})
}

func TestJoiningAndLeaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, newStore(), delivery.Options{}).start()
		room := n.create(protocol.Group, "alice")
		n.enter("s1", "alice")
		bob, _ := n.enter("s2", "bob")
		quiet, _ := n.enterWith(newSink("s3", "bob"), delivery.Entry{}) // rooms: "none"
		n.send(room, 1)                                                 // 2
		n.join(room, "bob")                                             // 3
		n.send(room, 2)                                                 // 4, 5
		settle()
		want(t, "bob", bob.story(room), []any{"room.added", 3, 4, 5})
		want(t, "bob's session that follows nothing by itself", quiet.story(room), []any{"room.added"})
		left := n.leave(room, protocol.ReasonRemoved, "bob") // 6
		if err := n.hub.Applied(t.Context(), room, left.Seq); err != nil {
			t.Fatal(err)
		}
		want(t, "bob, once the removal is applied", bob.story(room), []any{"room.added", 3, 4, 5, 6, "room.removed"})
		n.send(room, 1) // 7
		settle()
		want(t, "bob, who is out", bob.story(room), []any{"room.added", 3, 4, 5, 6, "room.removed"})
		want(t, "the other", quiet.story(room), []any{"room.added", "room.removed"})
		n.join(room, "bob") // 8
		settle()
		want(t, "bob, who is back", bob.story(room)[6:], []any{"room.added", 8})
	})
}

func TestJoiningRoomsThatNobodyHereFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, newStore(), delivery.Options{}).start()
		bob, _ := n.enter("s", "bob")
		room := n.create(protocol.Direct, "alice", "bob")
		n.send(room, 1)
		settle()
		want(t, "a room made with bob in it", bob.story(room), []any{"room.added", 1, 2})
	})
}

func TestDeletionIsTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, newStore(), delivery.Options{}).start()
		room := n.create(protocol.Channel, "alice")
		alice, _ := n.enter("s1", "alice")
		guest, f := n.enter("s2", "guest")
		if err := f.Subscribe(t.Context(), room, nil, "", func(head protocol.Seq) { want(t, "head", head, protocol.Seq(1)) }); err != nil {
			t.Fatal(err)
		}
		n.must(func() (*chat.Event, error) { return n.store.remove(room) })
		settle()
		want(t, "a member", alice.story(room), []any{2, "room.removed"})
		want(t, "a guest", guest.story(room), []any{2, "room.removed"})
		want(t, "follows", f.Follows(room), false)
	})
}

func TestSlowSessionsAreCaughtUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, newStore(), delivery.Options{Replay: 100}).start()
		room := n.create(protocol.Group, "alice", "bob")
		var reads atomic.Bool
		slow := newSink("s1", "alice")
		slow.bound = 600
		slow.read = func() (time.Duration, bool) { return 100 * time.Millisecond, reads.Load() }
		n.enterWith(slow, delivery.Entry{All: true})
		quick, _ := n.enter("s2", "bob")
		for range 50 {
			n.send(room, 1)
			settle()
		}
		want(t, "the quick one is not kept waiting", len(quick.seqs(room)), 50)
		if got := len(slow.seqs(room)); got >= 50 {
			t.Fatalf("the slow one was given %d events", got)
		}
		reads.Store(true)
		time.Sleep(10 * time.Second)
		want(t, "the slow one in the end", slow.seqs(room), quick.seqs(room))
		reads.Store(false)
		for range 150 {
			n.send(room, 1)
			settle()
		}
		reads.Store(true)
		time.Sleep(10 * time.Second)
		story := slow.story(room)
		want(t, "too far behind", story[len(story)-1], any("reset"))
		n.send(room, 1)
		time.Sleep(time.Second)
		story = slow.story(room)
		want(t, "after the reset", story[len(story)-1], any(202))
	})
}
