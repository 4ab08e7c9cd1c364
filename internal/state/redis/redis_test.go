package redis_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-im/parley/internal/state"
	"github.com/parley-im/parley/internal/state/redis"
	"github.com/parley-im/parley/internal/state/statetest"
	"github.com/parley-im/parley/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is a clock that a test moves.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func open(t testing.TB, o redis.Options) *redis.Engine {
	t.Helper()
	e, err := redis.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func TestContract(t *testing.T) {
	server := testkit.StartRedis(t)
	clock := clock{at: time.Now()}
	e := open(t, redis.Options{URL: server.URL, Now: clock.now})
	conform(t, e, server, clock.now, clock.pass)
}

// The server's own clock, which leases and locks go by anyway.
func TestContractByTheServersClock(t *testing.T) {
	server := testkit.StartRedis(t)
	e := open(t, redis.Options{URL: server.URL})
	conform(t, e, server, nil, time.Sleep)
}

func conform(t *testing.T, e *redis.Engine, server *testkit.Redis, now func() time.Time, pass func(time.Duration)) {
	statetest.Run(t, func(t testing.TB) *statetest.Engine {
		server.Flush()
		engine := &statetest.Engine{Buckets: e, Leases: e, Locks: &redis.Locks{Engine: e}, Now: now, Pass: pass, Grain: redis.Grain}
		if !strings.Contains(t.Name(), "buckets") {
			engine.Pass = time.Sleep // these end by the server's clock
		}
		return engine
	})
}

// A clock that is set back locks nobody out for longer than an empty bucket takes.
func TestClockSetBack(t *testing.T) {
	server := testkit.StartRedis(t)
	clock := clock{at: time.Now()}
	e := open(t, redis.Options{URL: server.URL, Now: clock.now})
	limit := state.PerSecond(1, 10)
	charge := []state.Charge{{Bucket: state.Bucket{User: "alice"}, Limit: limit, Count: 10}}
	if r, err := e.Take(t.Context(), clock.now(), charge); err != nil || r.Wait > 0 {
		t.Fatal(r, err)
	}
	clock.pass(-time.Hour)
	if r, err := e.Take(t.Context(), clock.now(), charge); err != nil || r.Wait != limit.Span {
		t.Errorf("an hour earlier one waits %v, %v", r.Wait, err)
	}
}

// All is forgotten with the server; what is renewed is there again, and tokens go on growing.
func TestFlushKillAndRestart(t *testing.T) {
	server := testkit.StartRedis(t)
	e := open(t, redis.Options{URL: server.URL})
	locks := &redis.Locks{Engine: e}
	ctx := t.Context()
	limit := state.PerSecond(0.01, 1)
	charge := []state.Charge{{Bucket: state.Bucket{User: "alice"}, Limit: limit, Count: 1}}
	var last state.Lock
	loss := map[string]func(){
		"flush": server.Flush,
		"restart": func() {
			server.Kill()
			eventually(t, "it is seen that the server is away", func() bool {
				_, err := e.Renew(ctx, "one", time.Minute)
				return err != nil
			})
			if _, err := e.Take(ctx, time.Now(), charge); err == nil {
				t.Error("Take succeeded without a server")
			}
			if _, err := locks.Acquire(ctx, "sweep", time.Minute); err == nil || errors.Is(err, state.ErrHeld) {
				t.Errorf("Acquire without a server: %v", err)
			}
			server.Start()
		},
	}
	for name, lose := range loss {
		var fresh bool
		var err error
		eventually(t, name+": the server answers", func() bool {
			fresh, err = e.Renew(ctx, "one", time.Minute)
			return err == nil
		})
		for range 2 {
			lock, err := locks.Acquire(ctx, "sweep", time.Minute)
			if err != nil || lock.Token <= last.Token {
				t.Fatalf("%s: a lock %v after %v, %v", name, lock, last, err)
			}
			last = lock
			if err := errors.Join(e.Enter(ctx, "one", []string{"alice"}), second(e.Take(ctx, time.Now(), charge))); err != nil {
				t.Fatal(name, err)
			}
			lose()
			eventually(t, name+": the lease is fresh", func() bool {
				fresh, err = e.Renew(ctx, "one", time.Minute)
				return err == nil
			})
			if !fresh {
				t.Errorf("%s: the lease was kept", name)
			}
			online, err := e.Online(ctx, []string{"alice"})
			if err != nil || online["alice"] {
				t.Errorf("%s: alice is online before she was entered, or %v", name, err)
			}
			if err := locks.Renew(ctx, last, time.Minute); !errors.Is(err, state.ErrLost) {
				t.Errorf("%s: the lock is %v", name, err)
			}
			if r, err := e.Take(ctx, time.Now(), charge); err != nil || r.Wait > 0 {
				t.Errorf("%s: the bucket is not full: %v, %v", name, r, err)
			}
			server.Flush() // the bucket and the lease for the next round
			if fresh, err = e.Renew(ctx, "one", time.Minute); err != nil || !fresh {
				t.Fatal(name, fresh, err)
			}
		}
	}
	if s := e.Stats(); s.Operations == 0 || s.Failures == 0 || !s.Connected {
		t.Errorf("stats: %+v", s)
	}
}

func second(_ state.Refusal, err error) error { return err }

func eventually(t *testing.T, what string, isSo func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !isSo(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain: ", what)
		}
	}
}

// A server that stands still costs the first operation its patience, and the others nothing.
func TestServerThatStandsStill(t *testing.T) {
	server := testkit.StartRedis(t)
	e := open(t, redis.Options{URL: server.URL})
	resume := server.Pause()
	for range 1000 {
		if _, err := e.Renew(t.Context(), "one", time.Minute); err == nil {
			t.Fatal("a server that stands still has answered")
		}
	}
	resume()
	eventually(t, "the server answers", func() bool {
		_, err := e.Renew(t.Context(), "one", time.Minute)
		return err == nil
	})
}

// A node with very many users enters them in one operation.
func TestManyUsers(t *testing.T) {
	server := testkit.StartRedis(t)
	e := open(t, redis.Options{URL: server.URL})
	users := make([]string, 20_001)
	for i := range users {
		users[i] = fmt.Sprint("user", i)
	}
	_, err := e.Renew(t.Context(), "one", time.Minute)
	if err := errors.Join(err, e.Enter(t.Context(), "one", users)); err != nil {
		t.Fatal(err)
	}
	online, err := e.Online(t.Context(), users)
	if err != nil || len(online) != len(users) {
		t.Errorf("%d online, %v", len(online), err)
	}
	if err := e.Leave(t.Context(), "one", users[1:]); err != nil {
		t.Fatal(err)
	}
	if online, err = e.Online(t.Context(), users); err != nil || len(online) != 1 {
		t.Errorf("%d online after all but one have left, %v", len(online), err)
	}
}

func TestOpenWithoutTheServer(t *testing.T) {
	server := testkit.StartRedis(t)
	server.Kill()
	e := open(t, redis.Options{URL: server.URL})
	if _, err := e.Online(t.Context(), []string{"alice"}); err == nil || e.Stats().Connected {
		t.Error("there is no server")
	}
	server.Start()
	eventually(t, "the server answers", func() bool { return e.Stats().Connected })
	for _, url := range []string{"", "http://a", "redis://u:hunter2@a:port"} {
		if _, err := redis.Open(redis.Options{URL: url}); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", url, err)
		}
	}
}
