package delivery_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/parley-im/parley/internal/delivery"
	"github.com/parley-im/parley/protocol"
)

// audiences are what a session was told of how many watch a room. They come a second apart.
func (s *sink) audiences(t *testing.T, room string) (told []int) {
	t.Helper()
	var last time.Time
	for _, f := range s.got(room) {
		if f.Event != protocol.SignalAudience {
			continue
		}
		var d protocol.AudienceData
		if err := json.Unmarshal(f.Data, &d); err != nil {
			t.Fatal(err)
		}
		if f.At.Sub(last) < time.Second {
			t.Errorf("%s was told the audience twice in %v", s.id, f.At.Sub(last))
		}
		last = f.At
		told = append(told, int(d.Watching))
	}
	return told
}

func TestWatchersAreTheAudience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, newStore(), delivery.Options{}).start()
		room := n.create(protocol.Live, "host")
		first, f := n.enterWith(newSink("first", "guest"), delivery.Entry{})
		n.subscribe(f, room, nil)
		settle()
		want(t, "the first, at once", first.audiences(t, room), []int{1})
		host, _ := n.enterWith(newSink("host", "host"), delivery.Entry{All: true, Resume: map[string]protocol.Seq{room: 1}})
		var leaving []*delivery.Follower
		for i := range 3 {
			_, f := n.enterWith(newSink(fmt.Sprint(i), "guest"), delivery.Entry{})
			n.subscribe(f, room, nil)
			leaving = append(leaving, f)
		}
		settle()
		want(t, "nothing within the second", first.audiences(t, room), []int{1})
		time.Sleep(1100 * time.Millisecond)
		want(t, "sessions, also of one user", first.audiences(t, room), []int{1, 5})
		want(t, "a member counts and is told", host.audiences(t, room), []int{5})
		want(t, "sessions in live rooms", n.hub.Stats().Watchers, 5)
		time.Sleep(30 * time.Second)
		want(t, "nothing while nothing changes", first.audiences(t, room), []int{1, 5})
		leaving[0].Close()
		leaving[1].Unsubscribe(room)
		n.leave(room, protocol.ReasonRemoved, "host")
		time.Sleep(2100 * time.Millisecond)
		want(t, "who has gone does not count", first.audiences(t, room), []int{1, 5, 2})
		want(t, "and is not told", host.audiences(t, room), []int{5})
		n.subscribe(leaving[1], room, nil)
		leaving[2].Unsubscribe(room)
		time.Sleep(2100 * time.Millisecond)
		want(t, "who comes is told, though the number is the same", first.audiences(t, room), []int{1, 5, 2, 2})
		f.Close()
		leaving[1].Close()
		time.Sleep(2100 * time.Millisecond)
		want(t, "nobody", n.hub.Stats().Watchers, 0)
		back, f := n.enterWith(newSink("back", "guest"), delivery.Entry{})
		n.subscribe(f, room, nil)
		settle()
		want(t, "begins anew", back.audiences(t, room), []int{1})
	})
}

// A session that is on its way in counts, and is told nothing before the reply to its hello.
func TestTheAudienceComesAfterTheReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStore()
		n := newNode(t, st, delivery.Options{}).start()
		room, other := n.create(protocol.Live, "host"), n.create(protocol.Channel, "host")
		first := n.watch("first", room, nil)
		time.Sleep(5 * time.Second)
		st.slow(3 * time.Second)
		second, _ := n.enterWith(newSink("second", "guest"), delivery.Entry{Resume: map[string]protocol.Seq{room: 1, other: 1}})
		// Once more when the second is told, which may be by now.
		want(t, "meanwhile the other hears of it", slices.Compact(first.audiences(t, room)), []int{1, 2})
		want(t, "what came before the reply", second.ready, 0)
		time.Sleep(2 * time.Second)
		want(t, "and after it", second.audiences(t, room), []int{2})
	})
}

func TestTheAudienceIsCountedOverAllNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, b := newStore(), newBus()
		var nodes []*node
		for i := range 3 {
			n := newNode(t, st, delivery.Options{Node: fmt.Sprint("node", i)})
			live := b.join(n.hub)
			n.hub.SetLive(live)
			n.start()
			t.Cleanup(live.leave)
			nodes = append(nodes, n)
		}
		room := nodes[0].create(protocol.Live, "host")
		var sinks []*sink
		var followers []*delivery.Follower
		for i, n := range nodes {
			for range i + 1 {
				s, f := n.enterWith(newSink(fmt.Sprint(len(sinks)), "guest"), delivery.Entry{})
				n.subscribe(f, room, nil)
				sinks, followers = append(sinks, s), append(followers, f)
			}
			time.Sleep(time.Second)
		}
		last := func(s *sink) int {
			told := s.audiences(t, room)
			return told[len(told)-1]
		}
		time.Sleep(2 * time.Second)
		for _, s := range sinks {
			want(t, s.id+", of three nodes", last(s), 6)
		}
		want(t, "who comes to another node is told of the others first", sinks[3].audiences(t, room)[0], 6)
		for _, f := range followers[3:] {
			f.Close()
		}
		time.Sleep(3 * time.Second)
		want(t, "a node that nobody watches from any more", last(sinks[0]), 3)
		b.setDown(true)
		time.Sleep(5 * time.Second)
		want(t, "a node that is not heard for a while", last(sinks[0]), 3)
		time.Sleep(8 * time.Second)
		want(t, "for 10 s", last(sinks[0]), 1)
		b.setDown(false)
		time.Sleep(6 * time.Second)
		want(t, "and is back", last(sinks[0]), 3)
	})
}
