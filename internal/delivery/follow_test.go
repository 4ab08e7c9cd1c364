package delivery_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/delivery"
	"github.com/parley-im/parley/protocol"
)

func (n *node) subscribe(f *delivery.Follower, room string, after *protocol.Seq) (head protocol.Seq) {
	n.t.Helper()
	replies := 0
	if err := f.Subscribe(n.t.Context(), room, after, "", func(h protocol.Seq) { head, replies = h, replies+1 }); err != nil {
		n.t.Error(err)
		runtime.Goexit() // as in enterWith
	}
	want(n.t, "replies to room.subscribe", replies, 1)
	return head
}

func at(seq protocol.Seq) *protocol.Seq { return &seq }

func TestSubscribing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, newStore(), delivery.Options{}).start()
		room := n.create(protocol.Live, "host")
		n.send(room, 4)
		s, f := n.enter("s", "guest")
		want(t, "head", n.subscribe(f, room, at(3)), protocol.Seq(5))
		n.send(room, 1)
		settle()
		want(t, "from a position", s.story(room), []any{4, 5, 6})
		want(t, "again", n.subscribe(f, room, at(0)), protocol.Seq(6))
		f.Unsubscribe(room)
		n.send(room, 1)
		settle()
		want(t, "the stream stays, and ends with unsubscribing", s.story(room), []any{4, 5, 6})
		want(t, "from now", n.subscribe(f, room, nil), protocol.Seq(7))
		n.send(room, 1)
		settle()
		want(t, "from now", s.story(room), []any{4, 5, 6, 8})
		n.leave(room, protocol.ReasonBanned, "guest")
		n.send(room, 1)
		settle()
		want(t, "a guest who is banned", s.story(room), []any{4, 5, 6, 8, 9, "room.removed"})
	})
}

func TestWhatComesOfUnsubscribingFromOnesOwnRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStore()
		n := newNode(t, st, delivery.Options{}).start()
		room := n.create(protocol.Group, "alice", "bob")
		s, f := n.enter("s", "alice")
		f.Unsubscribe(room)
		n.send(room, 1)
		n.hub.Typing(room, "bob", "", true)
		settle()
		want(t, "nothing", s.story(room), []any(nil))
		n.leave(room, protocol.ReasonRemoved, "alice")
		settle()
		want(t, "but that it is over", s.story(room), []any{"room.removed"})
		n.join(room, "alice")
		settle()
		want(t, "and begins anew", s.story(room), []any{"room.removed", "room.added", 4})
		f.Unsubscribe(room)
		n.hub.Committed(&chat.Commit{Events: []*chat.Event{st.at(room, 4)}}) // an old word of it
		settle()
		want(t, "not twice", len(s.story(room)), 3)
	})
}

func TestAGuestWhoBecomesAMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, newStore(), delivery.Options{}).start()
		room := n.create(protocol.Channel, "bob")
		s, f := n.enter("s", "alice")
		n.subscribe(f, room, nil)
		n.send(room, 1)
		n.join(room, "alice")
		n.send(room, 1)
		settle()
		n.hub.Typing(room, "bob", "", true)
		settle()
		want(t, "alice", s.story(room), []any{2, "room.added", 3, 4, "typing"})
	})
}

func TestHistoryBeginsWithJoining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStore()
		n := newNode(t, st, delivery.Options{}).start()
		room := n.must(func() (*chat.Event, error) { return st.create(protocol.Group, true, "bob"), nil }).Room
		n.send(room, 3)
		n.join(room, "alice") // 5
		n.send(room, 1)
		s, _ := n.enterWith(newSink("s", "alice"), delivery.Entry{All: true, Resume: map[string]protocol.Seq{room: 0}})
		settle()
		want(t, "alice", s.story(room), []any{5, 6})
	})
}

func TestWhatIsNoLongerKeptIsReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStore()
		n := newNode(t, st, delivery.Options{RingBytes: 1}).start()
		room := n.create(protocol.Group, "alice")
		n.send(room, 9)
		st.trim(room, 6)
		s, _ := n.enterWith(newSink("s", "alice"), delivery.Entry{All: true, Resume: map[string]protocol.Seq{room: 2}})
		settle()
		want(t, "a position before the first event", s.story(room), []any{"reset"})
		s, _ = n.enterWith(newSink("s2", "alice"), delivery.Entry{All: true, Resume: map[string]protocol.Seq{room: 5}})
		settle()
		want(t, "a position just before it", s.story(room), []any{6, 7, 8, 9, 10})
		n.join(room, "bob") // 11
		st.trim(room, 11)
		s, _ = n.enterWith(newSink("s3", "bob"), delivery.Entry{All: true, Resume: map[string]protocol.Seq{room: 8}})
		settle()
		want(t, "all that is kept is from one's time, and not all that one saw", s.story(room), []any{"reset"})
	})
}

// A node that stood still for so long that a room has pruned what it had still to push lets everybody in anew, as the store has it now.
func TestANodeThatIsBehindWhatIsKept(t *testing.T) {
	for _, all := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			st := newStore()
			nodes, bus := newCluster(t, st, delivery.Options{}, delivery.Options{})
			a, b := nodes[0], nodes[1]
			room := a.create(protocol.Group, "bob", "carol")
			a.join(room, "alice") // 2
			settle()
			alice, _ := b.enter("a", "alice")
			bob, _ := b.enter("b", "bob")
			bus.setDown(true)
			a.send(room, 4) // 3 to 6
			a.leave(room, protocol.ReasonRemoved, "bob")
			a.send(room, 2) // 8, 9
			first := protocol.Seq(9)
			if all {
				first = 10
			}
			st.trim(room, first)
			time.Sleep(3 * time.Second)
			bus.setDown(false)
			want(t, "a member", alice.story(room), []any{"room.removed", "room.added", "reset"})
			want(t, "one who was removed", bob.story(room), []any{"room.removed"})
			time.Sleep(3 * time.Second)
			a.send(room, 1)
			time.Sleep(3 * time.Second)
			want(t, "a member, later", alice.story(room), []any{"room.removed", "room.added", "reset", 10})
			want(t, "one who was removed, later", bob.story(room), []any{"room.removed"})
		})
	}
}

func TestErasedContentIsNotServedFromMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStore()
		n := newNode(t, st, delivery.Options{}).start()
		room := n.create(protocol.Group, "alice")
		n.enter("s0", "alice")
		n.send(room, 3)
		reads := st.read("Events")
		s, _ := n.enterWith(newSink("s1", "alice"), delivery.Entry{All: true, Resume: map[string]protocol.Seq{room: 1}})
		settle()
		want(t, "before", string(s.got(room)[1].Data), fmt.Sprintf(`{"text":"secret %s 3"}`, room))
		want(t, "reads of the store", st.read("Events"), reads)
		e := n.must(func() (*chat.Event, error) { return st.erase(room, 3) })
		if err := n.hub.Applied(t.Context(), room, e.Seq); err != nil {
			t.Fatal(err)
		}
		s, _ = n.enterWith(newSink("s2", "alice"), delivery.Entry{All: true, Resume: map[string]protocol.Seq{room: 1}})
		settle()
		want(t, "after", s.story(room), []any{2, 3, 4, 5})
		if frames := s.got(room); !bytes.Contains(frames[1].Data, []byte("deleted")) {
			t.Errorf("the erased message was replayed as %s", frames[1].Data)
		}
	})
}

func TestErasureOvertakesAReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStore()
		n := newNode(t, st, delivery.Options{RingBytes: 1}).start()
		room := n.create(protocol.Group, "alice")
		n.enter("s0", "alice")
		n.send(room, 3)
		settle()
		st.slow(time.Second) // before and after what it reads
		s := newSink("s", "alice")
		go n.enterWith(s, delivery.Entry{All: true, Resume: map[string]protocol.Seq{room: 1}})
		time.Sleep(3500 * time.Millisecond) // the replay has been read, and not been offered
		want(t, "so far", s.story(room), []any(nil))
		e := n.must(func() (*chat.Event, error) { return st.erase(room, 3) })
		if err := n.hub.Applied(t.Context(), room, e.Seq); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		want(t, "the stream", s.story(room), []any{2, 3, 4, 5})
		want(t, "the erased message", string(s.got(room)[1].Data), `{"deleted":true}`)
	})
}

func TestARemovalOvertakesAHello(t *testing.T) {
	for _, when := range []time.Duration{500 * time.Millisecond, 1500 * time.Millisecond, 2500 * time.Millisecond, 3500 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			st := newStore()
			n := newNode(t, st, delivery.Options{RingBytes: 1}).start()
			room := n.create(protocol.Group, "alice", "bob")
			n.enter("s0", "bob")
			n.send(room, 3)
			settle()
			st.slow(time.Second)
			s := newSink("s", "alice")
			go n.enterWith(s, delivery.Entry{All: true, Resume: map[string]protocol.Seq{room: 1}})
			time.Sleep(when)
			e := n.leave(room, protocol.ReasonRemoved, "alice")
			if err := n.hub.Applied(t.Context(), room, e.Seq); err != nil {
				t.Fatal(err)
			}
			n.send(room, 1)
			time.Sleep(time.Minute)
			want(t, fmt.Sprint("removed ", when, " after the hello"), s.story(room), []any{"room.removed"})
		})
	}
}

func TestAHelloOvertakesTheFold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStore()
		n := newNode(t, st, delivery.Options{}).start()
		room := n.create(protocol.Group, "bob")
		n.enter("s0", "bob")
		st.slow(time.Second)
		s := newSink("s", "alice")
		go n.enterWith(s, delivery.Entry{All: true})
		time.Sleep(500 * time.Millisecond) // she is here, and her rooms have not been read
		n.join(room, "alice")
		n.leave(room, protocol.ReasonRemoved, "alice")
		n.join(room, "alice") // 4
		time.Sleep(time.Minute)
		n.send(room, 1)
		settle()
		want(t, "alice, whose rooms were read after all that", s.story(room), []any{5})
	})
}

func TestWhoIsInDoubtWhenTheStoreGoesAwayIsNotIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStore()
		n := newNode(t, st, delivery.Options{}).start()
		room := n.create(protocol.Group, "alice", "bob")
		n.enter("s0", "bob")
		s, f := n.enterWith(newSink("s", "alice"), delivery.Entry{})
		st.slow(time.Second)
		replied := make(chan *protocol.Error)
		go func() {
			replied <- f.Subscribe(t.Context(), room, nil, "", func(protocol.Seq) { t.Error("ready was called") })
		}()
		time.Sleep(1500 * time.Millisecond) // her place has been read
		n.leave(room, protocol.ReasonRemoved, "alice")
		st.fails(func() error { return errors.New("away") })
		want(t, "subscribing", (<-replied).Code, protocol.Unavailable)
		n.send(room, 1)
		settle()
		want(t, "alice", s.story(room), []any{"room.removed"})
		want(t, "follows", f.Follows(room), false)
	})
}

// instant is a session that refuses every other batch, and has room again before it has said so.
type instant struct {
	*sink
	refuse bool
}

func (s *instant) Offer(b *delivery.Batch) bool {
	if s.refuse = !s.refuse; s.refuse {
		s.follower.Drained()
		return false
	}
	return s.sink.Offer(b)
}

func TestRoomThatComesBackAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, newStore(), delivery.Options{}).start()
		room := n.create(protocol.Group, "alice")
		s := &instant{sink: newSink("s", "alice")}
		f, err := n.hub.Enter(t.Context(), &delivery.Entry{Sink: s, All: true, Ready: s.replied})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		s.entered(f)
		for i := range 5 {
			n.send(room, 1)
			settle()
			want(t, "events", len(s.seqs(room)), i+1)
		}
	})
}

func TestAStoreThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStore()
		n := newNode(t, st, delivery.Options{}).start()
		room := n.create(protocol.Channel, "alice")
		_, f := n.enter("s0", "bob")
		for k := range 3 { // the k-th read fails
			reads := 0
			st.fails(func() error {
				if reads++; reads > k {
					return errors.New("away")
				}
				return nil
			})
			s := newSink("s", "alice")
			if _, err := n.hub.Enter(t.Context(), &delivery.Entry{Sink: s, All: true, Ready: s.replied, Resume: map[string]protocol.Seq{"r_no": 1}}); err == nil {
				t.Fatal("Enter did not see that the store is away")
			}
			want(t, "replies to hello", s.ready, -1)
		}
		err := f.Subscribe(t.Context(), room, nil, "", func(protocol.Seq) { t.Error("ready was called") })
		want(t, "subscribing", err.Code, protocol.Unavailable)
		want(t, "follows", f.Follows(room), false)
		want(t, "sessions", n.hub.Stats().Sessions, 1)
		st.fails(func() error { return nil })
		s, _ := n.enter("s", "alice")
		n.send(room, 1)
		settle()
		want(t, "when it is back", s.story(room), []any{2})
	})
}

func TestJoiningWhileTheStoreIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStore()
		n := newNode(t, st, delivery.Options{}).start()
		s, _ := n.enter("s", "alice")
		st.fails(func() error { return errors.New("away") })
		room := n.create(protocol.Group, "alice")
		n.send(room, 1)
		time.Sleep(5 * time.Second)
		st.fails(func() error { return nil })
		time.Sleep(5 * time.Second)
		want(t, "alice", s.story(room), []any{"room.added", 1, 2})
	})
}

// However many sessions wait for a room that cannot be read, the others are caught up at once.
func TestWhoCannotBeCaughtUpHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStore()
		n := newNode(t, st, delivery.Options{RingBytes: 1}).start()
		lost, well := n.create(protocol.Group, "alice"), n.create(protocol.Group, "alice", "bob")
		st.lose(lost)
		var waiting []*sink
		for i := range 2 * n.hub.Stats().ReadsMost {
			s, _ := n.enterWith(newSink(fmt.Sprint("a", i), "alice"), delivery.Entry{All: true, Resume: map[string]protocol.Seq{lost: 0, well: 1}})
			waiting = append(waiting, s)
		}
		for range 3 { // when they have all just come, and when they have come again
			s, f := n.enterWith(newSink("b", "bob"), delivery.Entry{All: true, Resume: map[string]protocol.Seq{well: 0}})
			settle()
			want(t, "bob", s.story(well), []any{1})
			f.Close()
			time.Sleep(time.Second)
		}
		before := st.read("Events")
		time.Sleep(10 * time.Second)
		want(t, "reads in ten seconds", st.read("Events")-before, 10*len(waiting))
		st.lose("")
		time.Sleep(time.Second)
		for _, s := range waiting {
			want(t, "alice", s.story(lost), []any{1})
		}
		want(t, "sessions that wait", n.hub.Stats().Lagging, 0)
	})
}

func TestNothingBeforeStartOrAfterStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, newStore(), delivery.Options{})
		room := n.create(protocol.Group, "alice")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := n.hub.Enter(ctx, &delivery.Entry{Sink: newSink("s", "alice"), All: true}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Enter before Start: %v", err)
		}
		n.start()
		s, f := n.enter("s", "alice")
		n.send(room, 1)
		settle()
		n.hub.Stop()
		n.hub.Stop()
		n.send(room, 1)
		settle()
		want(t, "alice", s.story(room), []any{2})
		if err := n.hub.Applied(t.Context(), room, 3); !errors.Is(err, context.Canceled) {
			t.Errorf("Applied after Stop: %v", err)
		}
		f.Close()
		f.Close()
		want(t, "sessions", n.hub.Stats().Sessions, 0)
	})
}

// TestWhatWaitsIsBounded stops the only worker, and commits more than may wait.
func TestWhatWaitsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStore()
		n := newNode(t, st, delivery.Options{Workers: 1, Replay: 1 << 20}).start()
		stuck, busy := n.create(protocol.Group, "alice"), n.create(protocol.Group, "bob")
		release := make(chan struct{})
		alice := newSink("a", "alice")
		alice.saw = func(*sink, pushed) { <-release }
		n.enterWith(alice, delivery.Entry{All: true})
		bob, _ := n.enter("b", "bob")
		n.send(stuck, 1)
		settle()
		large := data(map[string]string{"text": string(bytes.Repeat([]byte("x"), 1<<20))})
		for range 80 {
			n.must(func() (*chat.Event, error) {
				return st.append(busy, protocol.MessageCreated, "", func(_ *logged, e *chat.Event) bool {
					e.Data = large
					return true
				})
			})
		}
		if got := n.hub.Stats().Backlog; got < 60<<20 || got > 65<<20 {
			t.Errorf("%d bytes wait", got)
		}
		close(release)
		time.Sleep(time.Minute)
		want(t, "events", len(bob.seqs(busy)), 80)
		want(t, "backlog", n.hub.Stats().Backlog, 0)
	})
}

func TestARemovalOvertakesAWelcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStore()
		n := newNode(t, st, delivery.Options{}).start()
		room := n.create(protocol.Group, "alice") // not here
		s, _ := n.enter("s", "bob")
		st.slow(time.Second)
		n.join(room, "bob")
		time.Sleep(500 * time.Millisecond)
		e := n.leave(room, protocol.ReasonRemoved, "bob")
		if err := n.hub.Applied(t.Context(), room, e.Seq); err != nil {
			t.Fatal(err)
		}
		before := len(s.story(room))
		time.Sleep(time.Minute)
		for _, f := range s.got(room)[before:] {
			if f.Seq != 0 {
				t.Errorf("event %d after the removal was answered: %v", f.Seq, s.story(room))
			}
		}
	})
}

func TestAReturnOvertakesAHello(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStore()
		n := newNode(t, st, delivery.Options{}).start()
		room := n.create(protocol.Group, "alice", "bob")
		n.enter("s0", "bob")
		n.send(room, 3)
		settle()
		st.slow(time.Second)
		s := newSink("s", "alice")
		go n.enterWith(s, delivery.Entry{All: true, Resume: map[string]protocol.Seq{room: 1}})
		time.Sleep(1500 * time.Millisecond) // her place has been read
		n.leave(room, protocol.ReasonRemoved, "alice")
		n.join(room, "alice") // 6
		n.send(room, 1)
		time.Sleep(time.Minute)
		want(t, "alice", s.story(room), []any{"room.removed", "room.added", 6, 7})
		want(t, "before the reply", s.ready, 0)
	})
}

func TestAReturnOvertakesTheSecondLook(t *testing.T) {
	for _, call := range []string{"hello", "room.subscribe"} {
		synctest.Test(t, func(t *testing.T) {
			st := newStore()
			n := newNode(t, st, delivery.Options{}).start()
			room := n.create(protocol.Group, "alice", "bob")
			n.enter("s0", "bob")
			s := newSink("s", "alice")
			if call == "hello" {
				st.slow(time.Second)
				go n.enterWith(s, delivery.Entry{All: true})
			} else {
				_, f := n.enterWith(s, delivery.Entry{All: true})
				f.Unsubscribe(room)
				st.slow(time.Second)
				go f.Subscribe(t.Context(), room, nil, "", func(protocol.Seq) { t.Error("ready was called") })
			}
			time.Sleep(1500 * time.Millisecond)
			n.leave(room, protocol.ReasonRemoved, "alice") // her place has been read
			time.Sleep(2 * time.Second)
			n.join(room, "alice") // 3: it has been read again, and she was out
			n.send(room, 1)
			time.Sleep(time.Minute)
			story := s.story(room)
			want(t, call, story[max(0, len(story)-3):], []any{"room.added", 3, 4})
		})
	}
}

func TestAJoinOvertakesASubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStore()
		n := newNode(t, st, delivery.Options{}).start()
		room := n.create(protocol.Channel, "bob")
		n.enter("s0", "bob")
		n.send(room, 3)
		s, f := n.enter("s", "alice")
		st.slow(time.Second)
		go n.subscribe(f, room, at(0))
		time.Sleep(1500 * time.Millisecond) // her place has been read
		n.join(room, "alice")               // 5
		n.send(room, 1)
		time.Sleep(time.Minute)
		want(t, "alice", s.story(room), []any{"room.added", 5, 6})
	})
}

// Who keeps its position elsewhere is told where it stands when it enters, and when it is let into a room.
func TestStanding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, newStore(), delivery.Options{Replay: 3}).start()
		fresh, missed, tooFar, above := n.create(protocol.Group, "alice"), n.create(protocol.Group, "alice"), n.create(protocol.Group, "alice"), n.create(protocol.Group, "alice")
		foreign, live := n.create(protocol.Group, "bob"), n.create(protocol.Live, "bob")
		for _, room := range []string{fresh, missed, tooFar, above, foreign, live} {
			n.send(room, 9)
		}
		var standing map[string]protocol.Seq
		resume := map[string]protocol.Seq{missed: 8, tooFar: 2, above: delivery.NoPosition, foreign: 5, live: 10}
		enter := func(id string, e delivery.Entry) *sink {
			e.All, e.Standing = true, func(at map[string]protocol.Seq) { standing = at }
			s, _ := n.enterWith(newSink(id, "alice"), e)
			settle()
			return s
		}
		s := enter("s", delivery.Entry{Resume: resume})
		none := delivery.NoPosition
		want(t, "standing", standing, map[string]protocol.Seq{fresh: 10, missed: 8, tooFar: none, above: none, foreign: 5, live: 10})
		want(t, "a position above the head", s.story(above), []any{"reset"})

		joined := n.create(protocol.Group, "bob")
		n.send(joined, 3)
		n.join(joined, "alice")
		settle()
		want(t, "added", s.added, map[string]protocol.Seq{joined: 4})

		lost := enter("lost", delivery.Entry{Resume: map[string]protocol.Seq{missed: 9}, Lost: true})
		want(t, "positions lost", standing, map[string]protocol.Seq{fresh: none, missed: 9, tooFar: none, above: none, joined: none})
		want(t, "the one that is known", lost.story(missed), []any{10})
		want(t, "one that is not", lost.story(fresh), []any{"reset"})
	})
}

// TestPositionsThatCannotBeLookedAt: what a session knows of a room that is away goes on to be of the life that it is of. So nobody who comes back later passes for
// one who has seen what the room holds now.
func TestPositionsThatCannotBeLookedAt(t *testing.T) {
	for name, stands := range map[string]bool{"of the present life": true, "of another": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var away string
				n := newNode(t, newStore(), delivery.Options{
					Epoch:  func() string { return "now" },
					Stands: func(epoch, room string) bool { return epoch == "now" || stands || room != away },
				}).start()
				here := n.create(protocol.Group, "alice")
				away = n.create(protocol.Group, "alice")
				n.send(here, 2)
				n.send(away, 2)
				n.store.silent = away
				var standing map[string]protocol.Seq
				s, epoch := newSink("s", "alice"), ""
				entry := &delivery.Entry{Sink: s, All: true, Resume: map[string]protocol.Seq{here: 1, away: 1}, Epoch: "then"}
				entry.Standing = func(at map[string]protocol.Seq) { standing = at }
				entry.Ready = func() { epoch = entry.Epoch }
				f, err := n.hub.Enter(t.Context(), entry)
				if err != nil {
					t.Fatal(err)
				}
				defer close(s.gone)
				defer f.Close()
				s.entered(f)
				settle()
				if stands {
					want(t, "the epoch", epoch, "now")
					want(t, "standing", standing, map[string]protocol.Seq{here: 1, away: 1})
				} else {
					want(t, "the epoch", epoch, "then")
					want(t, "standing", standing, map[string]protocol.Seq{here: 1, away: delivery.NoPosition})
				}
				want(t, "what is there", s.story(here), []any{2, 3})
				want(t, "what is away", s.story(away), []any(nil))
			})
		})
	}
}
