package presence

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/state/memory"
	"github.com/parley-im/parley/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shelf is a Store in memory. Everybody sees everybody, but for those who are apart.
type shelf struct {
	mu        sync.Mutex
	kept      map[string]Kept
	apart     map[Pair]bool
	down      bool
	questions int      // to Visible
	late      func()   // called once, when an answer of Visible is on its way
	unknown   error    // of Invisible, beside those who are known
	lost      []string // to Lost
}

func newShelf() *shelf { return &shelf{kept: map[string]Kept{}, apart: map[Pair]bool{}} }

var errDown = errors.New("the store is down")

func (s *shelf) lock() (unlock func(), err error) {
	s.mu.Lock()
	if s.down {
		s.mu.Unlock()
		return nil, errDown
	}
	return s.mu.Unlock, nil
}

func (s *shelf) of(user string) Kept {
	if k, ok := s.kept[user]; ok {
		return k
	}
	return Kept{Status: protocol.StatusOnline}
}

func (s *shelf) SetStatus(_ context.Context, user string, status protocol.Status, at protocol.Time) error {
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	k := s.of(user)
	if status == protocol.StatusInvisible && k.Status != status {
		k.LastSeen = at
	}
	k.Status = status
	s.kept[user] = k
	return nil
}

func (s *shelf) Seen(_ context.Context, last map[string]protocol.Time) error {
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	for user, at := range last {
		if k := s.of(user); k.Status != protocol.StatusInvisible {
			k.LastSeen = max(k.LastSeen, at)
			s.kept[user] = k
		}
	}
	return nil
}

func (s *shelf) Lost(_ context.Context, node string) error {
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	s.lost = append(s.lost, node)
	return nil
}

func (s *shelf) Visible(_ context.Context, pairs []Pair) (map[Pair]Kept, error) {
	unlock, err := s.lock()
	if err != nil {
		return nil, err
	}
	s.questions++
	visible := map[Pair]Kept{}
	for _, p := range pairs {
		if !s.apart[p] {
			visible[p] = s.of(p.User)
		}
	}
	late := s.late
	s.late = nil
	unlock()
	if late != nil {
		late()
	}
	return visible, nil
}

func (s *shelf) Invisible(_ context.Context, users []string) ([]string, error) {
	unlock, err := s.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	if users == nil {
		users = slices.Collect(maps.Keys(s.kept))
	}
	return slices.DeleteFunc(slices.Clone(users), func(user string) bool { return s.of(user).Status != protocol.StatusInvisible }), s.unknown
}

// part lets two users share a room, or no longer.
func (s *shelf) part(a, b string, apart bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apart[Pair{a, b}], s.apart[Pair{b, a}] = apart, apart
}

func (s *shelf) set(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

// meanwhile has something happen while the next answer of Visible is on its way.
func (s *shelf) meanwhile(late func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.late = late
}

// world is a Service that runs, in a bubble of its own time.
type world struct {
	t       *testing.T
	shelf   *shelf
	service *Service
	began   time.Time
	ahead   atomic.Int64 // nanoseconds by which the clock of the leases is ahead
	stop    func()
}

// inWorld runs a test, at second 0 of the world.
func inWorld(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, shelf: newShelf(), began: time.Now()}
		w.service = New(Options{Store: w.shelf, Node: "n", Leases: memory.NewLeases(func() time.Time {
			return time.Now().Add(time.Duration(w.ahead.Load()))
		})})
		ctx, cancel := context.WithCancel(t.Context())
		if err := w.service.Recover(ctx); err != nil {
			t.Fatal(err)
		}
		var running sync.WaitGroup
		running.Go(func() { w.service.Run(ctx) })
		w.stop = func() {
			cancel()
			running.Wait()
		}
		defer w.stop()
		synctest.Wait()
		test(t, w)
	})
}

// client is a session and what was pushed to it.
type client struct {
	*Session
	w *world

	mu     sync.Mutex
	pushes []string
	before []string // what had been pushed when the last subscription was answered
	full   bool
	offers int
}

func (w *world) enter(user string) *client {
	c := &client{w: w}
	c.Session = w.service.Enter(user, func(frames []byte) bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.offers++
		if c.full {
			return false
		}
		if len(frames) > protocol.MaxServerMessage {
			w.t.Errorf("a batch of %d bytes", len(frames))
		}
		c.pushes = append(c.pushes, strings.Split(string(frames), "\n")...)
		return true
	})
	return c
}

// seen is a view as the tests write it: the status, and the second at which the user was seen.
func (w *world) seen(status protocol.Status, last protocol.Time) string {
	if last == 0 {
		return string(status)
	}
	return fmt.Sprint(status, " since ", last.Go().Sub(w.began).Round(time.Second))
}

// fill lets the session have no room, or again.
func (c *client) fill(full bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.full = full
}

// watch subscribes, and tells the answer.
func (c *client) watch(users ...string) (views []string) {
	c.w.t.Helper()
	err := c.Subscribe(c.w.t.Context(), users, func(list []protocol.UserPresence) {
		c.mu.Lock()
		defer c.mu.Unlock()
		views, c.before = c.w.list(list), slices.Clone(c.pushes)
	})
	if err != nil {
		c.w.t.Fatal(err)
	}
	return views
}

func (w *world) list(list []protocol.UserPresence) (views []string) {
	for _, u := range list {
		views = append(views, u.User+" "+w.seen(u.Status, u.LastSeen))
	}
	return views
}

// after lets time pass, and returns what was pushed since it was asked last.
func (c *client) after(d time.Duration) (views []string) {
	c.w.t.Helper()
	time.Sleep(d)
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, line := range c.pushes {
		f, err := protocol.ParseFrame([]byte(line))
		var data protocol.PresenceData
		if err == nil {
			err = json.Unmarshal(f.Data, &data)
		}
		if err != nil || f.Event != protocol.SignalPresence {
			c.w.t.Fatalf("%s: %v", line, err)
		}
		views = append(views, f.User+" "+c.w.seen(data.Status, data.LastSeen))
	}
	slices.Sort(views)
	c.pushes = nil
	return views
}

func want(t testing.TB, what string, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

func TestComingAndGoing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		bob := w.enter("bob")
		want(t, "before", bob.watch("alice", "alice", "bob", "nobody"), "alice offline", "bob online", "nobody offline")
		alice := w.enter("alice")
		want(t, "she comes", bob.after(gather), "alice online")
		want(t, "a question meanwhile", bob.watch("alice"), "alice online")
		tablet := w.enter("alice")
		alice.Close()
		want(t, "one session of two ends", bob.after(time.Minute))
		tablet.Close()
		want(t, "the other does", bob.after(9900*time.Millisecond))
		tablet = w.enter("alice")
		want(t, "back within 10 s", bob.after(time.Minute))
		tablet.Close()
		want(t, "gone", bob.after(10*time.Second+gather), "alice offline since 2m10s")
		want(t, "a question after it", bob.watch("alice"), "alice offline since 2m10s")
		want(t, "nothing more", bob.after(time.Hour))
	})
}

func TestStatus(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		announced := 0
		w.service.announce = func() { announced++ }
		bob, alice, desk := w.enter("bob"), w.enter("alice"), w.enter("alice")
		bob.watch("alice")
		desk.watch("alice")
		set := func(status protocol.Status) {
			t.Helper()
			if err := w.service.Set(t.Context(), "alice", status); err != nil {
				t.Fatal(err)
			}
			if hidden := w.service.Hidden("alice"); hidden != (status == protocol.StatusInvisible) {
				t.Errorf("%s, and hidden: %v", status, hidden)
			}
		}
		set(protocol.StatusAway)
		want(t, "away", bob.after(time.Second), "alice away")
		want(t, "to herself", desk.after(0), "alice away")
		set(protocol.StatusInvisible)
		want(t, "hidden", bob.after(time.Second), "alice offline since 1s")
		want(t, "to herself", desk.after(0), "alice invisible")
		alice.Close()
		desk.Close()
		want(t, "gone while hidden", bob.after(time.Minute))
		w.enter("alice")
		want(t, "back while hidden", bob.after(time.Minute))
		want(t, "asked for", bob.watch("alice"), "alice offline since 1s")
		set(protocol.StatusInvisible)
		want(t, "hidden twice", bob.after(time.Minute))
		set(protocol.StatusOnline)
		want(t, "come out", bob.after(time.Second), "alice online")
		if announced != 2 {
			t.Errorf("%d times other nodes were told; hiding and coming out is 2", announced)
		}
	})
}

func TestFlapping(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		bob := w.enter("bob")
		bob.watch("alice", "carol")
		before := w.shelf.questions
		for range 50 {
			w.enter("alice").Close()
			for _, status := range []protocol.Status{protocol.StatusInvisible, protocol.StatusAway} {
				if err := w.service.Set(t.Context(), "carol", status); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Millisecond)
		}
		carol := w.enter("carol")
		want(t, "a burst", bob.after(2*gather), "alice online", "carol away")
		if w.shelf.questions-before > 3 || bob.offers > 2 {
			t.Errorf("a burst took %d questions and %d batches", w.shelf.questions-before, bob.offers)
		}
		carol.Close()
		want(t, "its end", bob.after(time.Minute), "alice offline since 0s", "carol offline since 0s")
	})
}

func TestSharingBeginsAndEnds(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		bob, _ := w.enter("bob"), w.enter("alice")
		w.shelf.part("alice", "bob", true)
		want(t, "strangers", bob.watch("alice"), "alice offline")
		if err := w.service.Set(t.Context(), "alice", protocol.StatusAway); err != nil {
			t.Fatal(err)
		}
		want(t, "a stranger's change", bob.after(time.Minute))

		for _, moved := range []*chat.Event{{Joined: []string{"alice"}}, {Joined: []string{"carol", "bob"}}} {
			w.shelf.part("alice", "bob", false)
			w.service.Committed(&chat.Commit{Events: []*chat.Event{{}, moved}})
			want(t, "they share a room", bob.after(time.Second), "alice away")
			w.shelf.part("alice", "bob", true)
			w.service.Committed(&chat.Commit{Events: []*chat.Event{{Left: moved.Joined}}})
			want(t, "and no longer", bob.after(time.Second), "alice offline")
		}

		w.shelf.part("alice", "bob", false)
		if err := w.service.Set(t.Context(), "alice", protocol.StatusOnline); err != nil {
			t.Fatal(err)
		}
		want(t, "seen with the next change", bob.after(time.Second), "alice online")
		w.shelf.part("alice", "bob", true) // elsewhere: this node was not told
		for _, status := range []protocol.Status{protocol.StatusAway, protocol.StatusOnline, protocol.StatusAway} {
			if err := w.service.Set(t.Context(), "alice", status); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		}
		want(t, "told once, and of no change after it", bob.after(time.Minute), "alice offline")
	})
}

func TestUnsubscribing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		bob, other := w.enter("bob"), w.enter("bob")
		bob.watch("alice", "carol")
		other.watch("alice")
		left, err := bob.Unsubscribe(t.Context(), []string{"alice", "dave"})
		if err != nil {
			t.Fatal(err)
		}
		want(t, "the answer", w.list(left), "alice offline", "dave offline")
		w.enter("alice")
		w.enter("carol")
		want(t, "what is left", bob.after(time.Second), "carol online")
		want(t, "another session's", other.after(0), "alice online")
		bob.Close()
		other.Close()
		if got := w.service.Stats().Subscriptions; got != 0 || len(w.service.watched)+len(w.service.viewers)+len(w.service.marked) != 0 {
			t.Errorf("%d subscriptions of sessions that have ended", got)
		}
		err = bob.Subscribe(t.Context(), []string{"alice"}, func([]protocol.UserPresence) {})
		if got := w.service.Stats().Subscriptions; err != nil || got != 0 {
			t.Errorf("a call that comes late: %v, %d subscriptions", err, got)
		}
	})
}

func TestBounds(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		bob := w.enter("bob")
		var users []string
		for i := range MaxSubscriptions {
			users = append(users, fmt.Sprint(strings.Repeat("u", 100), i))
		}
		for part := range slices.Chunk(users, 200) {
			bob.watch(part...)
		}
		bob.watch(users[:200]...)
		refused := &protocol.Error{}
		err := bob.Subscribe(t.Context(), []string{users[0], "one more"}, func([]protocol.UserPresence) { t.Error("answered") })
		if !errors.As(err, &refused) || refused.Code != protocol.BadRequest || refused.Field != "users" {
			t.Errorf("one too many: %v", err)
		}
		if _, err := bob.Unsubscribe(t.Context(), users[:1]); err != nil {
			t.Fatal(err)
		}
		want(t, "room for one", bob.watch("one more"), "one more offline")
		bob.watch()
		for _, user := range users {
			w.enter(user)
		}
		if got := bob.after(time.Second); len(got) != MaxSubscriptions-1 || bob.offers > 5 {
			t.Errorf("%d of %d who came, in %d batches", len(got), MaxSubscriptions-1, bob.offers)
		}
	})
}

func TestASessionWithoutRoom(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		slow, fast := w.enter("bob"), w.enter("carol")
		slow.watch("alice")
		fast.watch("alice", "dave")
		slow.fill(true)
		alice := w.enter("alice")
		want(t, "no room", slow.after(gather))
		want(t, "another", fast.after(0), "alice online")
		w.enter("dave")
		want(t, "who does not wait for it", fast.after(gather), "dave online")
		slow.fill(false)
		want(t, "room again", slow.after(retry), "alice online")
		alice.Close()
		want(t, "and so on", slow.after(time.Minute), "alice offline since 1s")
	})
}

func TestTheStoreIsAway(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		bob, alice := w.enter("bob"), w.enter("alice")
		bob.watch("alice")
		w.shelf.set(true)
		alice.Close()
		carol := w.enter("carol")
		if err := bob.Subscribe(t.Context(), []string{"carol"}, func([]protocol.UserPresence) { t.Error("answered") }); !errors.Is(err, errDown) {
			t.Errorf("a subscription: %v", err)
		}
		if err := w.service.Set(t.Context(), "carol", protocol.StatusInvisible); !errors.Is(err, errDown) || w.service.Hidden("carol") {
			t.Errorf("a status: %v", err)
		}
		want(t, "nothing is told that is not durable", bob.after(time.Minute))
		if got := w.service.Stats().Subscriptions; got != 1 {
			t.Errorf("%d subscriptions", got)
		}
		w.shelf.set(false)
		want(t, "then it is", bob.after(2*retry), "alice offline since 0s")
		carol.Close()
		want(t, "who was not subscribed to", bob.after(time.Minute))
	})
}

// What changes while a subscription is being answered is told after the answer, and not before it.
func TestTheAnswerComesFirst(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		bob := w.enter("bob")
		w.enter("alice")
		meanwhile := func(status protocol.Status) {
			w.shelf.meanwhile(func() {
				if err := w.service.Set(t.Context(), "alice", status); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Second)
			})
		}
		meanwhile(protocol.StatusAway)
		want(t, "the answer", bob.watch("alice"), "alice online")
		want(t, "before it", bob.before)
		want(t, "after it", bob.after(gather), "alice away")
		meanwhile(protocol.StatusOnline)
		want(t, "asked again", bob.watch("alice"), "alice away")
		want(t, "before the second answer", bob.before)
		want(t, "after it", bob.after(gather), "alice online")

		if err := w.service.Set(t.Context(), "alice", protocol.StatusAway); err != nil {
			t.Fatal(err)
		}
		meanwhile(protocol.StatusInvisible) // while the round asks
		want(t, "one after the other", bob.after(3*time.Second), "alice away", "alice offline since 2s")
		w.shelf.meanwhile(func() { bob.watch("alice") })
		if err := w.service.Set(t.Context(), "alice", protocol.StatusOnline); err != nil {
			t.Fatal(err)
		}
		want(t, "an answer while the round asks says it all", bob.after(time.Second))
	})
}

func TestDeadNodes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		time.Sleep(2*mournEvery + renewEvery)
		w.stop()
		want(t, "what the store is asked for", w.shelf.lost, "n", "", "")
	})
}

func TestHiddenElsewhere(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		bob, _ := w.enter("bob"), w.enter("alice")
		bob.watch("alice")
		for _, status := range []protocol.Status{protocol.StatusInvisible, protocol.StatusAway} {
			if err := w.shelf.SetStatus(t.Context(), "alice", status, protocol.At(w.began)); err != nil {
				t.Fatal(err)
			}
			if err := w.service.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			if w.service.Hidden("alice") != (status == protocol.StatusInvisible) {
				t.Errorf("%s, and hidden is %v", status, w.service.Hidden("alice"))
			}
			bob.after(time.Second)
		}
		want(t, "what it was told in the end", bob.watch("alice"), "alice away")
	})
}

// TestHiddenInTheDark: of whom nobody knows whether they are invisible nothing is told, until somebody does.
func TestHiddenInTheDark(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		hidden := func(want ...string) {
			t.Helper()
			if err := w.service.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, user := range []string{"alice", "bob", "carol"} {
				if w.service.Hidden(user) != slices.Contains(want, user) {
					t.Errorf("%s is hidden: %v", user, w.service.Hidden(user))
				}
			}
		}
		if err := w.service.Set(t.Context(), "bob", protocol.StatusInvisible); err != nil {
			t.Fatal(err)
		}
		hidden("bob")
		w.shelf.unknown = &chat.PartialError{Unanswered: func(user string) bool { return user == "alice" }, Err: errDown}
		hidden("alice", "bob")
		w.shelf.unknown = nil
		hidden("bob")
	})
}

func TestLeases(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ctx, leases := t.Context(), w.service.leases
		online := func(users ...string) []string {
			t.Helper()
			m, err := leases.Online(ctx, users)
			if err != nil {
				t.Fatal(err)
			}
			return slices.Sorted(maps.Keys(m))
		}
		alice, bob := w.enter("alice"), w.enter("bob")
		bob.after(time.Minute)
		want(t, "renewed", online("alice", "bob"), "alice", "bob")
		alice.Close()
		bob.after(time.Minute)
		want(t, "gone", online("alice", "bob"), "bob")
		if _, err := leases.Renew(ctx, "other", time.Hour); err != nil {
			t.Fatal(err)
		}
		if err := leases.Enter(ctx, "other", []string{"carol"}); err != nil {
			t.Fatal(err)
		}
		want(t, "on another node", bob.watch("carol", "dave"), "carol online", "dave offline")
		w.ahead.Add(int64(leaseTime)) // the node was silent for too long
		want(t, "ended", online("bob"))
		bob.after(time.Minute)
		want(t, "entered anew", online("bob"), "bob")
		w.stop()
		want(t, "the node has stopped", online("bob"))
		if got := w.shelf.of("bob").LastSeen.Go().Sub(w.began); got != 3*time.Minute {
			t.Errorf("who was there when it stopped was seen last at %v", got)
		}
	})
}
