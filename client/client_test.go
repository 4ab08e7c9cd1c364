package client_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/parley-im/parley/client"
	"github.com/parley-im/parley/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scene is a fake and one connected client, within a bubble of time.
func scene(t *testing.T, user string, change func(f *fake, o *client.Options), play func(t *testing.T, f *fake, c *client.Client, r *recorder)) {
	synctest.Test(t, func(t *testing.T) {
		f, r := newFake(t), new(recorder)
		o := f.options(user)
		o.Handler = r.handler()
		if change != nil {
			change(f, &o)
		}
		c, err := client.Connect(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		synctest.Wait()
		play(t, f, c, r)
	})
}

// later lets time go by, and then everything come to rest.
func later(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestEventsComeInOrderAndPositionsFollowTheHandler(t *testing.T) {
	scene(t, "alice", func(f *fake, o *client.Options) { f.room("r", "alice", "bob") }, func(t *testing.T, f *fake, c *client.Client, r *recorder) {
		f.say("r", "bob", "one")
		f.say("r", "bob", "two")
		synctest.Wait()
		same(t, "events", take(r, &r.events), []string{"r 2 one", "r 3 two"})
		same(t, "positions", c.Positions(), protocol.Resume{Epoch: "epoch-1", Rooms: map[string]protocol.Seq{"r": 3}})
		if r.rooms != 1 {
			t.Errorf("the inbox was told %d times", r.rooms)
		}
	})
}

func TestResumeBringsExactlyWhatWasMissed(t *testing.T) {
	scene(t, "alice", func(f *fake, o *client.Options) {
		f.room("moved", "alice", "bob")
		f.room("still", "alice", "bob") // no event comes of it: its position is known from the inbox alone
	}, func(t *testing.T, f *fake, c *client.Client, r *recorder) {
		f.say("moved", "bob", "one")
		synctest.Wait()
		f.cut()
		f.say("moved", "bob", "two")
		f.say("still", "bob", "first")
		later(time.Minute)
		got := take(r, &r.events)
		if len(got) != 3 || got[0] != "moved 2 one" || !strings.Contains(strings.Join(got, ","), "moved 3 two") || !strings.Contains(strings.Join(got, ","), "still 2 first") {
			t.Errorf("events %q", got)
		}
		same(t, "phases", take(r, &r.phases), []string{"connecting", "live", "waiting lost", "connecting lost", "live"})
		same(t, "violations", c.Violations(), uint64(0))
	})
}

func TestStartFromKeptPositions(t *testing.T) {
	scene(t, "alice", func(f *fake, o *client.Options) {
		f.room("r", "alice", "bob")
		for i := range 5 {
			f.say("r", "bob", fmt.Sprint(i))
		}
		o.Resume = &protocol.Resume{Epoch: "epoch-1", Rooms: map[string]protocol.Seq{"r": 4, "lost": 7}}
	}, func(t *testing.T, f *fake, c *client.Client, r *recorder) {
		same(t, "events", take(r, &r.events), []string{"r 5 3", "r 6 4"})
		same(t, "positions", c.Positions().Rooms, map[string]protocol.Seq{"r": 6})
		same(t, "room.removed", r.named[protocol.SignalRoomRemoved], 1)
		f.cut()
		later(time.Minute)
		same(t, "what is resumed then", f.hellos()[1].Resume.Rooms, map[string]protocol.Seq{"r": 6})
	})
}

func TestAnotherEpochResets(t *testing.T) {
	scene(t, "alice", func(f *fake, o *client.Options) { f.room("r", "alice") }, func(t *testing.T, f *fake, c *client.Client, r *recorder) {
		f.mu.Lock()
		f.epoch = "epoch-2"
		f.mu.Unlock()
		f.cut()
		later(time.Minute)
		f.say("r", "bob", "new")
		synctest.Wait()
		same(t, "resets", take(r, &r.resets), []string{"r 1"})
		same(t, "events", take(r, &r.events), []string{"r 2 new"})
		same(t, "positions", c.Positions(), protocol.Resume{Epoch: "epoch-2", Rooms: map[string]protocol.Seq{"r": 2}})
	})
}

func TestTooFarBehindResets(t *testing.T) {
	scene(t, "alice", func(f *fake, o *client.Options) {
		f.room("r", "alice")
		f.replay = 3
	}, func(t *testing.T, f *fake, c *client.Client, r *recorder) {
		f.say("r", "bob", "there")
		synctest.Wait()
		f.cut()
		for range 4 {
			f.say("r", "bob", "while away")
		}
		later(time.Minute)
		f.say("r", "bob", "back")
		synctest.Wait()
		same(t, "resets", take(r, &r.resets), []string{"r 6"})
		same(t, "events", take(r, &r.events), []string{"r 2 there", "r 7 back"})
		same(t, "violations", c.Violations(), uint64(0))
	})
}

func TestMoreRoomsThanCanBeNamed(t *testing.T) {
	scene(t, "alice", func(f *fake, o *client.Options) {
		for i := range protocol.MaxResumeRooms + 2 {
			f.room(fmt.Sprint("r", i), "alice")
		}
	}, func(t *testing.T, f *fake, c *client.Client, r *recorder) {
		for i := range protocol.MaxResumeRooms {
			f.say(fmt.Sprint("r", i), "bob", "x") // these moved last, and are named
		}
		synctest.Wait()
		take(r, &r.events)
		f.cut()
		f.say("r0", "bob", "named")
		f.say(fmt.Sprint("r", protocol.MaxResumeRooms), "bob", "missed") // not named: the session follows it from now
		later(time.Minute)
		same(t, "events", take(r, &r.events), []string{"r0 3 named"})
		same(t, "resets", take(r, &r.resets), []string{"r1000 2"})
		f.say("r1000", "bob", "after")
		f.say("r1001", "bob", "after")
		synctest.Wait()
		same(t, "events", take(r, &r.events), []string{"r1000 3 after", "r1001 2 after"})

		// The first event of a room that was not named may come before the inbox tells where the room stands.
		f.mu.Lock()
		f.answer = func(s *fakeSession, call protocol.Call) bool {
			if call.Method == protocol.RoomList {
				f.say("r2", "bob", "before the list")
			}
			return false
		}
		f.mu.Unlock()
		for i := 3; i <= protocol.MaxResumeRooms+1; i++ {
			f.say(fmt.Sprint("r", i), "bob", "x")
		}
		f.say("r0", "bob", "x") // r1 and r2 are those that moved longest ago
		synctest.Wait()
		take(r, &r.events)
		f.cut()
		f.say("r2", "bob", "missed")
		later(time.Minute)
		same(t, "events", take(r, &r.events), []string{"r2 4 before the list"})
		same(t, "resets", take(r, &r.resets), []string{"r2 3"})
		f.mu.Lock()
		f.answer = nil
		f.mu.Unlock()

		f.mu.Lock()
		f.epoch = "epoch-2" // no position means anything any more
		f.mu.Unlock()
		f.cut()
		later(time.Minute)
		same(t, "resets of another epoch", len(take(r, &r.resets)), protocol.MaxResumeRooms+2)
		same(t, "violations", c.Violations(), uint64(0))
	})
}

func TestBreachesOfOrder(t *testing.T) {
	scene(t, "alice", func(f *fake, o *client.Options) { f.room("r", "alice") }, func(t *testing.T, f *fake, c *client.Client, r *recorder) {
		f.say("r", "bob", "one")
		synctest.Wait()
		again := f.rooms["r"].log[1]
		f.open()[0].push(protocol.AppendEvent(nil, &again))
		synctest.Wait()
		same(t, "events after a duplicate", take(r, &r.events), []string{"r 2 one"})
		faults := take(r, &r.faults)
		var order *client.SequenceError
		if len(faults) != 1 || !errors.As(faults[0], &order) || !order.Duplicate() || order.Want != 3 {
			t.Errorf("a duplicate was told as %v", faults)
		}

		f.mu.Lock()
		s := f.sessions[0]
		delete(s.live, "r") // the fake loses an event
		f.mu.Unlock()
		f.say("r", "bob", "two")
		s.live["r"] = true
		f.say("r", "bob", "three")
		later(time.Minute)
		same(t, "events after a hole", take(r, &r.events), []string{"r 3 two", "r 4 three"})
		faults = take(r, &r.faults)
		if len(faults) != 1 || !errors.As(faults[0], &order) || order.Duplicate() || order.Want != 3 || order.Got != 4 {
			t.Errorf("a hole was told as %v", faults)
		}
		phases := take(r, &r.phases)
		same(t, "phases", phases[2:], []string{"waiting violation", "connecting violation", "live"})
		same(t, "violations", c.Violations(), uint64(2))
	})
}

func TestHeartbeats(t *testing.T) {
	scene(t, "alice", nil, func(t *testing.T, f *fake, c *client.Client, r *recorder) {
		later(24 * time.Hour)
		same(t, "phases of a quiet day", take(r, &r.phases), []string{"connecting", "live"})
		f.mu.Lock()
		if beats := int(24 * time.Hour / f.beat); f.beats < beats-1 {
			t.Errorf("%d of %d heartbeats were answered", f.beats, beats)
		}
		f.mu.Unlock()

		s := f.open()[0]
		s.mu.Lock()
		s.silent = true
		s.mu.Unlock()
		later(49 * time.Second)
		same(t, "phases before two heartbeats", take(r, &r.phases), []string(nil))
		later(2 * time.Minute)
		same(t, "phases of a silence", take(r, &r.phases), []string{"waiting silent", "connecting silent", "live"})
	})
}

func TestBackoff(t *testing.T) {
	scene(t, "alice", nil, func(t *testing.T, f *fake, c *client.Client, r *recorder) {
		f.mu.Lock()
		f.down = true
		f.mu.Unlock()
		f.cut()
		later(10 * time.Minute)
		waits := take(r, &r.waits)
		var sum time.Duration
		for i, w := range waits {
			most := min(500*time.Millisecond<<min(i, 10), 30*time.Second)
			if w.Retry <= 0 || w.Retry > most+time.Millisecond {
				t.Errorf("wait %d is %v, of at most %v", i, w.Retry, most)
			}
			sum += w.Retry
		}
		if mean := sum / time.Duration(len(waits)); mean > 22*time.Second {
			t.Errorf("waits of %v on average are not jittered in full", mean)
		}
		if len(waits) < 20 || waits[0].Reason != client.ReasonLost || waits[1].Reason != client.ReasonUnreachable {
			t.Errorf("%d waits in 10 minutes: %+v", len(waits), waits)
		}
		f.mu.Lock()
		f.down = false
		f.mu.Unlock()
		later(2 * time.Minute) // live again, and long enough to be stable
		take(r, &r.waits)
		f.cut()
		synctest.Wait()
		if waits := take(r, &r.waits); len(waits) != 1 || waits[0].Retry > 501*time.Millisecond {
			t.Errorf("after a stable session the wait is %+v", waits)
		}
	})
}

func TestCloseCodes(t *testing.T) {
	for _, row := range protocol.Closes() {
		t.Run(fmt.Sprint(row.Code), func(t *testing.T) {
			turn := 0
			scene(t, "alice", func(f *fake, o *client.Options) {
				o.Token = func(context.Context) (string, error) {
					turn++
					return fmt.Sprintf("token-of-alice/%d", turn), nil
				}
			}, func(t *testing.T, f *fake, c *client.Client, r *recorder) {
				f.closeAll(row.Code, 0)
				later(time.Minute)
				want := client.Live
				if row.Reconnect == protocol.ReconnectNever {
					want = client.Stopped
				}
				if s := c.State(); s.Phase != want || want == client.Stopped && (s.Code != row.Code || s.Reason != client.ReasonClosed) {
					t.Errorf("after %d the state is %+v, want %s", row.Code, s, want)
				}
				err := c.Call(t.Context(), protocol.UserGet, nil, nil)
				var stopped *client.StoppedError
				if errors.As(err, &stopped) != (want == client.Stopped) {
					t.Errorf("a call after %d: %v", row.Code, err)
				}
			})
		})
	}
}

func TestClosingTellsWhatProxiesLose(t *testing.T) {
	scene(t, "alice", nil, func(t *testing.T, f *fake, c *client.Client, r *recorder) {
		for _, s := range f.open() {
			s.push(closing(protocol.CloseOverloaded, 20*time.Second))
			later(time.Millisecond)
			s.end(0) // no close frame
		}
		later(19 * time.Second)
		if waits := take(r, &r.waits); len(waits) != 1 || waits[0].Code != protocol.CloseOverloaded || waits[0].Retry < 20*time.Second {
			t.Fatalf("waits %+v", waits)
		}
		later(2 * time.Second)
		same(t, "phase", c.State().Phase, client.Live)
	})
}

func TestTokens(t *testing.T) {
	t.Run("a fresh one after 4401", func(t *testing.T) {
		asked := 0
		scene(t, "alice", func(f *fake, o *client.Options) {
			o.Token = func(context.Context) (string, error) {
				asked++
				return fmt.Sprintf("token-of-alice/%d", asked), nil
			}
		}, func(t *testing.T, f *fake, c *client.Client, r *recorder) {
			f.closeAll(protocol.CloseUnauthenticated, 0)
			later(time.Minute)
			same(t, "phase", c.State().Phase, client.Live)
			same(t, "token", f.hellos()[1].Token, "token-of-alice/2")
		})
	})
	t.Run("the same one twice is enough", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(t)
			f.accept = func(string) *protocol.Error { return protocol.Errorf(protocol.Unauthenticated, "token", "no") }
			_, err := client.Connect(t.Context(), f.options("alice"))
			var stopped *client.StoppedError
			if !errors.As(err, &stopped) || stopped.State.Reason != client.ReasonUnauthenticated {
				t.Errorf("Connect: %v", err)
			}
			var refusal *protocol.Error
			if !errors.As(err, &refusal) || refusal.Code != protocol.Unauthenticated {
				t.Errorf("Connect hides what the server said: %v", err)
			}
			same(t, "hellos", len(f.hellos()), 2)
		})
	})
	t.Run("refreshed on the open session", func(t *testing.T) {
		scene(t, "alice", nil, func(t *testing.T, f *fake, c *client.Client, r *recorder) {
			f.open()[0].push(protocol.AppendSignal(nil, protocol.SignalTokenExpiring, "", "", protocol.TokenExpiringData{}))
			synctest.Wait()
			same(t, "refreshes", len(f.made(protocol.SessionRefresh)), 1)
			same(t, "phases", take(r, &r.phases), []string{"connecting", "live"})
		})
	})
	t.Run("none to be had", func(t *testing.T) {
		var working atomic.Bool
		synctest.Test(t, func(t *testing.T) {
			f := newFake(t)
			o := f.options("alice")
			o.Token = func(context.Context) (string, error) {
				if !working.Load() {
					return "", errors.New("no network")
				}
				return "token-of-alice", nil
			}
			c, err := client.Start(o)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			later(time.Minute)
			if s := c.State(); s.Phase != client.Waiting || s.Reason != client.ReasonToken {
				t.Errorf("state %+v", s)
			}
			working.Store(true)
			later(time.Minute)
			same(t, "phase", c.State().Phase, client.Live)
		})
	})
}

func TestDrain(t *testing.T) {
	scene(t, "alice", func(f *fake, o *client.Options) { f.room("r", "alice") }, func(t *testing.T, f *fake, c *client.Client, r *recorder) {
		old := f.open()[0]
		answers := make(chan error, 1)
		f.answer = func(s *fakeSession, call protocol.Call) bool {
			if call.Method == protocol.UserGet { // answered late, by the session that is replaced meanwhile
				go func() {
					time.Sleep(5*time.Second + 500*time.Millisecond)
					s.push(protocol.AppendResult(nil, call.ID, protocol.UsersResult{}))
				}()
				return true
			}
			return false
		}
		go func() { answers <- c.Call(t.Context(), protocol.UserGet, nil, nil) }()
		old.push(protocol.AppendSignal(nil, protocol.SignalReconnect, "", "", protocol.ReconnectData{DelayMS: 5000}))
		later(4 * time.Second)
		f.say("r", "bob", "before the move")
		synctest.Wait()
		same(t, "hellos before the delay", len(f.hellos()), 1)
		later(1100 * time.Millisecond)
		f.say("r", "bob", "after the move")
		synctest.Wait()
		same(t, "hellos after the delay", len(f.hellos()), 2)
		same(t, "resumed from", f.hellos()[1].Resume.Rooms, map[string]protocol.Seq{"r": 2})
		same(t, "phases", take(r, &r.phases), []string{"connecting", "live", "live"})
		later(time.Minute)
		same(t, "events", take(r, &r.events), []string{"r 2 before the move", "r 3 after the move"})
		select {
		case err := <-answers:
			if err != nil {
				t.Error("the call on the replaced session:", err)
			}
		default:
			t.Error("the call on the replaced session never ended")
		}
		same(t, "violations", c.Violations(), uint64(0))
	})
}

// The other node may refuse: then the session stays where it is, and tries again.
func TestDrainToANodeThatRefuses(t *testing.T) {
	scene(t, "alice", func(f *fake, o *client.Options) { f.room("r", "alice") }, func(t *testing.T, f *fake, c *client.Client, r *recorder) {
		refused := 0
		f.mu.Lock()
		f.before = func(s *fakeSession, call protocol.Call) *protocol.Error {
			if call.Method != protocol.Hello || refused == 2 {
				return nil
			}
			refused++
			return protocol.Errorf(protocol.Unavailable, "", "not yet")
		}
		f.mu.Unlock()
		f.open()[0].push(protocol.AppendSignal(nil, protocol.SignalReconnect, "", "", protocol.ReconnectData{DelayMS: 1000}))
		later(1100 * time.Millisecond)
		f.say("r", "bob", "one")
		synctest.Wait()
		same(t, "events on the session that stays", take(r, &r.events), []string{"r 2 one"})
		later(time.Minute)
		f.say("r", "bob", "two")
		synctest.Wait()
		same(t, "events", take(r, &r.events), []string{"r 3 two"})
		same(t, "phases", take(r, &r.phases), []string{"connecting", "live", "live"})
		same(t, "refusals", refused, 2)
	})
}

func TestDrainOfTheOnlyNode(t *testing.T) {
	scene(t, "alice", func(f *fake, o *client.Options) { f.room("r", "alice") }, func(t *testing.T, f *fake, c *client.Client, r *recorder) {
		f.mu.Lock()
		f.draining = true
		f.mu.Unlock()
		s := f.open()[0]
		s.push(protocol.AppendSignal(nil, protocol.SignalReconnect, "", "", protocol.ReconnectData{DelayMS: 1000}))
		later(10 * time.Second)
		f.say("r", "bob", "still here")
		synctest.Wait()
		same(t, "events", take(r, &r.events), []string{"r 2 still here"})
		same(t, "phase", c.State().Phase, client.Live)
		f.closeAll(protocol.CloseRestart, 0)
		later(time.Second)
		if s := c.State(); s.Phase == client.Live || s.Reason == client.ReasonNone {
			t.Errorf("state %+v", s)
		}
		f.mu.Lock()
		f.draining = false
		f.mu.Unlock()
		f.say("r", "bob", "while away")
		later(time.Minute)
		same(t, "events", take(r, &r.events), []string{"r 3 while away"})
	})
}
