package delivery_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-im/parley/internal/delivery"
	"github.com/parley-im/parley/protocol"
)

// Each node tells of its own fan-outs, and where the events came from.
func TestFanOutsAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		told := map[string][]delivery.FanOut{}
		observed := func(name string) delivery.Options {
			return delivery.Options{Observe: func(f delivery.FanOut) {
				mu.Lock()
				defer mu.Unlock()
				told[name] = append(told[name], f)
			}}
		}
		nodes, _ := newCluster(t, newStore(), observed("one"), observed("two"))
		one, two := nodes[0], nodes[1]
		room := one.create(protocol.Group, "alice", "bob")
		one.enter("s1", "alice")
		bob, _ := two.enter("s2", "bob")
		one.send(room, 1)
		settle()
		mu.Lock()
		defer mu.Unlock()
		want(t, "bob", bob.story(room), []any{2})
		want(t, "where it was committed", told["one"], []delivery.FanOut{{Origin: delivery.OfCommit}})
		want(t, "where a hint came", len(told["two"]), 1)
		want(t, "its origin", told["two"][0].Origin, delivery.OfHint)
	})
}

// Where a room and its sessions stand: live, behind, or not in it.
func TestWhereabouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, newStore(), delivery.Options{}).start()
		room := n.create(protocol.Group, "alice", "bob", "carol")
		want(t, "before anybody is here", n.hub.Whereabouts(room, []string{"alice"}), delivery.Whereabouts{})
		n.enter("s1", "alice")
		slow := newSink("s2", "bob")
		slow.bound, slow.read = 1, func() (time.Duration, bool) { return time.Hour, false }
		n.enterWith(slow, delivery.Entry{All: true})
		n.enterWith(newSink("s3", "carol"), delivery.Entry{}) // follows nothing
		n.send(room, 1)                                       // 2: it fills the queue of the slow one
		settle()
		n.send(room, 2) // 3, 4
		settle()
		want(t, "with three sessions", n.hub.Whereabouts(room, []string{"alice", "bob", "carol", "dan"}), delivery.Whereabouts{
			Followed: true, Next: 5, Sessions: 2,
			Of: []delivery.SessionWhereabouts{{Session: "s1", Follows: true, Next: 5}, {Session: "s2", Follows: true, Next: 3}, {Session: "s3"}},
		})
	})
}
