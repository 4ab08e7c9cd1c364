package delivery_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-im/parley/internal/delivery"
	"github.com/parley-im/parley/protocol"
)

// crowd lets so many sessions watch a live room.
func (n *node) crowd(room string, sessions int) (sinks []*sink) {
	n.t.Helper()
	for i := range sessions {
		sinks = append(sinks, n.watch(fmt.Sprint("guest", i), room, nil))
	}
	time.Sleep(2 * time.Second) // the audience is told
	return sinks
}

// moments are when a session was pushed events, each once.
func (s *sink) moments(room string) (moments []time.Time) {
	for _, f := range s.got(room) {
		if n := len(moments); f.Seq > 0 && (n == 0 || !moments[n-1].Equal(f.At)) {
			moments = append(moments, f.At)
		}
	}
	return moments
}

func TestEventsGatherInACrowdedRoom(t *testing.T) {
	for _, c := range []struct {
		sessions int
		gather   time.Duration
	}{{499, 0}, {600, 12 * time.Millisecond}} {
		t.Run(fmt.Sprint(c.sessions), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(t, newStore(), delivery.Options{}).start()
				room := n.create(protocol.Live, "host")
				s := n.crowd(room, c.sessions)[c.sessions-1]
				begin := time.Now()
				n.send(room, 1)
				settle()
				want(t, "after a quiet time it goes out at once", s.moments(room), []time.Time{begin})
				for range 10 {
					n.send(room, 1)
					time.Sleep(time.Millisecond)
				}
				time.Sleep(time.Second)
				want(t, "everything, in order", s.seqs(room), span(2, 12))
				moments := s.moments(room)
				if c.gather == 0 {
					want(t, "a smaller room never waits", len(moments), 10)
					return
				}
				want(t, "what comes then goes out together", moments, []time.Time{begin, begin.Add(c.gather)})
				want(t, "and is counted", n.hub.Stats().Gathered, uint64(1))
			})
		})
	}
}

func TestARemovalDoesNotWaitForACrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, newStore(), delivery.Options{}).start()
		room := n.create(protocol.Live, "host")
		sinks := n.crowd(room, 3000) // they gather for 60 ms
		banned := sinks[1500]
		n.send(room, 2)
		settle()
		begin := time.Now()
		e := n.leave(room, protocol.ReasonBanned, banned.user)
		if err := n.hub.Applied(t.Context(), room, e.Seq); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took > 25*time.Millisecond {
			t.Errorf("the answer waits for %v", took)
		}
		want(t, "the banned one's story", banned.story(room), []any{2, 3, 4, "room.removed"})
		n.send(room, 2)
		time.Sleep(time.Second)
		want(t, "who is out", banned.story(room), []any{2, 3, 4, "room.removed"})
		want(t, "who is not", sinks[0].story(room), []any{2, 3, 4, 5, 6})
	})
}

func TestARemovalOnAnotherNodeDoesNotWaitEither(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, b := newStore(), newBus()
		var nodes []*node
		for i := range 2 {
			n := newNode(t, st, delivery.Options{Node: fmt.Sprint("node", i)})
			live := b.join(n.hub)
			n.hub.SetLive(live)
			n.start()
			t.Cleanup(live.leave)
			nodes = append(nodes, n)
		}
		room := nodes[0].create(protocol.Live, "host")
		banned := nodes[1].crowd(room, 3000)[7]
		nodes[0].send(room, 1)
		settle()
		nodes[0].leave(room, protocol.ReasonBanned, banned.user)
		time.Sleep(26 * time.Millisecond)
		settle()
		want(t, "the banned one's story", banned.story(room), []any{2, 3, "room.removed"})
	})
}

// While a room is fanned out, in pieces, sessions come and go; who stays misses nothing, and who comes begins at the head that it was told.
func TestComingAndGoingDuringFanOuts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, newStore(), delivery.Options{}).start()
		room := n.create(protocol.Live, "host")
		type guest struct {
			*sink
			f *delivery.Follower
		}
		var guests []guest
		for i := range 1430 {
			s, f := n.enterWith(newSink(fmt.Sprint(i), fmt.Sprint("guest", i)), delivery.Entry{})
			if i%3 == 0 {
				s.bound = 600
				s.read = func() (time.Duration, bool) { return 3 * time.Millisecond, true }
			}
			n.subscribe(f, room, nil)
			guests = append(guests, guest{s, f})
		}
		fans := make(chan struct{}, 1) // a fan-out has begun
		guests[700].saw = func(*sink, pushed) {
			select {
			case fans <- struct{}{}:
			default:
			}
		}
		var working sync.WaitGroup
		working.Go(func() {
			for range 200 {
				n.send(room, 1)
				time.Sleep(5 * time.Millisecond)
			}
		})
		working.Go(func() {
			for i := range 700 {
				if i%20 == 0 {
					<-fans
				}
				if guests[i].f.Unsubscribe(room); i%2 == 0 {
					n.subscribe(guests[i].f, room, nil)
				}
			}
		})
		working.Go(func() {
			for _, g := range guests[1400:] {
				e := n.leave(room, protocol.ReasonBanned, g.user)
				if err := n.hub.Applied(t.Context(), room, e.Seq); err != nil {
					t.Error(err)
				}
				frames := g.got(room)
				if last := frames[len(frames)-1]; last.Event != protocol.SignalRoomRemoved {
					t.Errorf("%s was told %s last when the ban was answered", g.id, last.Event)
				}
				time.Sleep(7 * time.Millisecond)
			}
		})
		working.Wait()
		time.Sleep(10 * time.Second)
		for i, g := range guests[:1400] {
			if i < 700 && i%2 == 1 {
				continue // gone for good
			}
			seqs, gaps := g.seqs(room), 0
			for at := 1; at < len(seqs); at++ {
				if seqs[at] <= seqs[at-1] {
					t.Fatalf("%s got %d after %d", g.id, seqs[at], seqs[at-1])
				} else if seqs[at] != seqs[at-1]+1 {
					gaps++
				}
			}
			stayed := i >= 700
			if len(seqs) == 0 || seqs[len(seqs)-1] != 231 || stayed && (gaps > 0 || seqs[0] != 2) || gaps > 1 {
				t.Errorf("%s (stayed: %v) got %d events with %d gaps", g.id, stayed, len(seqs), gaps)
			}
		}
	})
}
