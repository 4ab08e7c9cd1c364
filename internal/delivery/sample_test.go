package delivery_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/delivery"
	"github.com/parley-im/parley/protocol"
)

// sampled makes a live room in which watchers are pushed so many events a second. Its head is 2.
func (n *node) sampled(perSecond int64) string {
	n.t.Helper()
	room := n.create(protocol.Live, "host")
	n.sample(room, perSecond)
	return room
}

func (n *node) sample(room string, perSecond int64) {
	n.t.Helper()
	n.must(func() (*chat.Event, error) { return n.store.sample(room, perSecond) })
}

// watch lets a session in that watches a room.
func (n *node) watch(id, room string, after *protocol.Seq) *sink {
	n.t.Helper()
	s, f := n.enterWith(newSink(id, id), delivery.Entry{})
	n.subscribe(f, room, after)
	return s
}

// stretches are what a session was pushed of a room: the events, "from-to" for what was left out, and the names of other signals but audience.
func (s *sink) stretches(room string) []any {
	var list []any
	for _, f := range s.got(room) {
		switch {
		case f.Seq > 0:
			list = append(list, int(f.Seq))
		case f.Event == protocol.SignalSkipped:
			d := skippedData(f)
			list = append(list, fmt.Sprintf("%d-%d", d.From, d.To))
		case f.Event != protocol.SignalAudience:
			list = append(list, string(f.Event))
		}
	}
	return list
}

func skippedData(f pushed) (d protocol.SkippedData) {
	if err := json.Unmarshal(f.Data, &d); err != nil {
		panic(err)
	}
	return d
}

// judgeSample checks that events and what was left out follow each other without a hole from first to last, and that no second has more than most events.
func judgeSample(t *testing.T, frames []pushed, first, last protocol.Seq, most int) (events int) {
	t.Helper()
	next := first
	var times []time.Time
	for _, f := range frames {
		switch {
		case f.Seq > 0:
			if f.Seq != next {
				t.Errorf("event %d where %d was due", f.Seq, next)
			}
			next = f.Seq + 1
			times = append(times, f.At)
		case f.Event == protocol.SignalSkipped:
			d := skippedData(f)
			if d.From != next || d.To < d.From {
				t.Errorf("%d to %d are left out where %d was due", d.From, d.To, next)
			}
			next = d.To + 1
		}
	}
	if next != last+1 {
		t.Errorf("it ends before %d, the head is %d", next, last)
	}
	for i := range times {
		if i >= most && times[i].Sub(times[i-most]) < time.Second {
			t.Errorf("%d events in less than a second, at %s", most+1, times[i].Format(time.StampMilli))
			break
		}
	}
	return len(times)
}

func TestASampledRoomIsPushedNoMoreThanItsSetting(t *testing.T) {
	for _, most := range []int64{1, 2, 5, 10, 100} {
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(t, newStore(), delivery.Options{}).start()
				room := n.sampled(most)
				s := n.watch("guest", room, nil)
				n.send(room, 1)
				settle()
				want(t, "an idle room's event goes out at once", s.stretches(room), []any{3})
				const seconds = 20
				for range seconds * 200 {
					n.send(room, 1)
					time.Sleep(5 * time.Millisecond)
				}
				time.Sleep(2 * time.Second)
				frames := s.got(room)
				events := judgeSample(t, frames, 3, 3+seconds*200, int(most))
				if least := int(most) * seconds * 6 / 10; most != 2 && events < least || events < int(most)*seconds*4/10 {
					t.Errorf("%d events in %d s are less than there is leave for", events, seconds)
				}
				if len(frames) > events+7*seconds {
					t.Errorf("%d frames for %d events: more than a few fan-outs a second", len(frames), events)
				}
				want(t, "what was left out", n.hub.Stats().Skipped, uint64(seconds*200+1-events))
			})
		})
	}
}

func TestAQuietSampledRoomIsPushedWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, newStore(), delivery.Options{}).start()
		room := n.sampled(5)
		s := n.watch("guest", room, nil)
		n.send(room, 5)
		time.Sleep(2 * time.Second)
		for range 20 {
			n.send(room, 1)
			time.Sleep(330 * time.Millisecond)
		}
		time.Sleep(2 * time.Second)
		want(t, "events", judgeSample(t, s.got(room), 3, 27, 5), 25)
	})
}

func TestWhatIsNoMessageComesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStore()
		n := newNode(t, st, delivery.Options{}).start()
		room := n.sampled(5)
		s := n.watch("guest", room, nil)
		deleted := map[protocol.Seq]bool{}
		for i := range 400 {
			n.send(room, 2)
			if i%100 == 50 {
				e := n.must(func() (*chat.Event, error) { return st.erase(room, 5+protocol.Seq(i)) })
				if err := n.hub.Applied(t.Context(), room, e.Seq); err != nil {
					t.Fatal(err)
				}
				deleted[e.Seq] = true
			}
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(2 * time.Second)
		judgeSample(t, s.got(room), 3, st.heads()[room], 5)
		for _, seq := range s.seqs(room) {
			delete(deleted, seq)
		}
		want(t, "deletions that were left out", deleted, map[protocol.Seq]bool{})
	})
}

// Twenty reactions for each message: the messages are what people came for. Without messages, reactions have all there is.
func TestAFloodOfReactionsLeavesRoomForMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, newStore(), delivery.Options{}).start()
		room := n.sampled(20)
		s := n.watch("guest", room, nil)
		const seconds = 10
		flood := func(messages bool) {
			for i := range seconds * 400 {
				n.must(func() (*chat.Event, error) { return n.store.react(room) })
				if messages && i%20 == 0 {
					n.send(room, 1)
				}
				time.Sleep(time.Second / 400)
			}
			time.Sleep(2 * time.Second)
		}
		count := func() (messages, reactions int) {
			for _, f := range s.got(room) {
				switch f.Event {
				case protocol.MessageCreated:
					messages++
				case protocol.ReactionAdded:
					reactions++
				}
			}
			return messages, reactions
		}
		flood(true)
		messages, reactions := count()
		if messages < 2*reactions || reactions == 0 {
			t.Errorf("%d messages beside %d reactions", messages, reactions)
		}
		flood(false)
		judgeSample(t, s.got(room), 3, n.store.heads()[room], 20)
		if _, all := count(); all-reactions < 20*seconds*6/10 {
			t.Errorf("%d reactions in %d s are less than there is leave for", all-reactions, seconds)
		}
	})
}

func TestTheSettingTakesEffectInTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, newStore(), delivery.Options{}).start()
		room := n.create(protocol.Live, "host")
		s := n.watch("guest", room, nil)
		n.send(room, 20) // 2 to 21
		n.sample(room, 3)
		n.send(room, 20) // 23 to 42
		time.Sleep(3 * time.Second)
		n.sample(room, 0) // 43
		n.send(room, 20)
		time.Sleep(3 * time.Second)
		seqs := s.seqs(room)
		want(t, "before, and the event itself", seqs[:21], span(2, 22))
		want(t, "between", len(seqs)-21-21 <= 3, true)
		want(t, "after, and the event itself", seqs[len(seqs)-21:], span(43, 63))
		judgeSample(t, s.got(room), 2, 63, 100)
	})
}

// span are the numbers from first to last.
func span(first, last protocol.Seq) (seqs []protocol.Seq) {
	for seq := first; seq <= last; seq++ {
		seqs = append(seqs, seq)
	}
	return seqs
}

func TestWhoMissesEventsOfASampledRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, newStore(), delivery.Options{Replay: 50}).start()
		room := n.sampled(10)
		n.send(room, 8) // 3 to 10
		few := n.watch("few", room, at(5))
		settle()
		want(t, "as many as may be pushed", few.stretches(room), []any{6, 7, 8, 9, 10})
		n.send(room, 8) // 11 to 18
		time.Sleep(time.Second)
		judgeSample(t, few.got(room), 6, 18, 10)
		time.Sleep(2 * time.Second)
		many := n.watch("many", room, at(5))
		settle()
		want(t, "more than that", many.stretches(room), []any{"6-18"})
		n.send(room, 1)
		settle()
		want(t, "and then live", many.stretches(room), []any{"6-18", 19})
		want(t, "as is the other after a second", few.seqs(room)[len(few.seqs(room))-1], protocol.Seq(19))
		n.send(room, 50)
		far, _ := n.enterWith(newSink("far", "far"), delivery.Entry{Resume: map[string]protocol.Seq{room: 5}})
		time.Sleep(time.Second)
		want(t, "further back than limits.replay", far.stretches(room)[0], any("reset"))
	})
}

func TestASlowWatcherOfASampledRoomIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, newStore(), delivery.Options{Replay: 50}).start()
		room := n.sampled(10)
		slow := newSink("slow", "slow")
		slow.bound = 400
		slow.read = func() (time.Duration, bool) { return 3 * time.Second, true }
		_, f := n.enterWith(slow, delivery.Entry{})
		n.subscribe(f, room, nil)
		for range 2000 {
			n.send(room, 1)
			time.Sleep(5 * time.Millisecond)
		}
		time.Sleep(20 * time.Second)
		judgeSample(t, slow.got(room), 3, 2002, 1000)
		want(t, "nothing is replayed to it, nor is it told to load the room anew", n.hub.Stats().Replayed+n.hub.Stats().Resets, uint64(0))
	})
}

// The setting changes after a session's place was read, and before the room has a position here.
func TestASettingThatChangesAsTheRoomIsOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStore()
		n := newNode(t, st, delivery.Options{}).start()
		room := n.create(protocol.Live, "host")
		st.slow(10 * time.Millisecond)
		time.AfterFunc(15*time.Millisecond, func() { n.sample(room, 5) })
		s := n.watch("guest", room, nil)
		n.send(room, 50)
		time.Sleep(3 * time.Second)
		if events := judgeSample(t, s.got(room), 2, 52, 5); events > 6 {
			t.Errorf("%d events", events)
		}
	})
}

func TestSamplingReachesTheOtherNodes(t *testing.T) {
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
		s := nodes[1].watch("guest", room, nil)
		nodes[0].sample(room, 5)
		for range 400 {
			nodes[0].send(room, 1)
			time.Sleep(5 * time.Millisecond)
		}
		time.Sleep(2 * time.Second)
		if events := judgeSample(t, s.got(room), 2, 402, 5); events > 20 {
			t.Errorf("%d events", events)
		}
	})
}
