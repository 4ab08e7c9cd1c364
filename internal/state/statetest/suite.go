// Package statetest is the conformance suite for engines of package state.
package statetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/parley-im/parley/internal/state"
)

// Engine is an engine under test, with nothing in it.
type Engine struct {
	Buckets state.Buckets
	Leases  state.Leases
	Locks   state.Locks

	// Now is the clock that the buckets go by. It is nil for a clock that the test cannot read: the random tests, which must be exact, are not run then.
	Now  func() time.Time
	Pass func(d time.Duration) // lets time pass: it moves that clock, or sleeps

	Grain time.Duration // the unit in which the buckets count time, to which intervals are rounded up; 0: exactly
}

// now is the time, as far as it can be known.
func (e *Engine) now() time.Time {
	if e.Now == nil {
		return time.Now()
	}
	return e.Now()
}

// Run holds an engine to the contract. open is called once for each test, and for each draw of the random ones.
func Run(t *testing.T, open func(testing.TB) *Engine) {
	tests := []struct {
		name string
		run  func(*testing.T, *Engine)
	}{
		{"buckets/as much as the burst at once, then at the rate", testBurst},
		{"buckets/all charges are taken or none", testAllOrNone},
		{"buckets/many at once", testManyAtOnce},
		{"buckets/no limit", testNoLimit},
		{"buckets/many who take", testTakersAtOnce},
		{"leases/users are online while a node says so", testOnline},
		{"leases/a node that falls silent", testSilentNode},
		{"locks/one holder at a time", testOneHolder},
		{"locks/a lock that ended stays lost", testLostLock},
		{"locks/many who want it", testContended},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, open(t)) })
	}
	t.Run("buckets/against a model", func(t *testing.T) {
		if open(t).Now == nil {
			t.Log("these buckets go by a clock that cannot be read")
			return
		}
		rapid.Check(t, func(r *rapid.T) { testBucketModel(r, open(t)) })
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func fails(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got the error %v, want %v", err, want)
	}
}

func equal(t testing.TB, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

// take takes one of each bucket, which have one limit.
func (e *Engine) take(t testing.TB, l state.Limit, names ...state.Bucket) state.Refusal {
	t.Helper()
	charges := make([]state.Charge, len(names))
	for i, name := range names {
		charges[i] = state.Charge{Bucket: name, Limit: l, Count: 1}
	}
	r, err := e.Buckets.Take(t.Context(), e.now(), charges)
	must(t, err)
	return r
}

var (
	alice = state.Bucket{User: "alice"}
	bob   = state.Bucket{User: "bob"}
	room  = state.Bucket{Room: "r_a"}
	share = state.Bucket{User: "alice", Room: "r_a"}
)

func testBurst(t *testing.T, e *Engine) {
	limit := state.PerSecond(10, 5)
	for range 5 {
		equal(t, "within the burst", e.take(t, limit, alice), state.Refusal{})
	}
	wait := e.take(t, limit, alice).Wait
	if wait <= 0 || wait > 100*time.Millisecond {
		t.Fatalf("at the end of the burst one waits %v", wait)
	}
	equal(t, "another's", e.take(t, limit, bob), state.Refusal{})
	equal(t, "a share is a bucket of its own", e.take(t, limit, share), state.Refusal{})
	equal(t, "and so is the room's", e.take(t, limit, room), state.Refusal{})
	e.Pass(wait)
	equal(t, "after the wait", e.take(t, limit, alice), state.Refusal{})
	e.Pass(limit.Span)
	for range 5 {
		equal(t, "when it is full again", e.take(t, limit, alice), state.Refusal{})
	}
	if e.take(t, limit, alice).Wait == 0 {
		t.Fatal("it was fuller than full")
	}
}

func testAllOrNone(t *testing.T, e *Engine) {
	slow, fast := state.PerSecond(0.1, 1), state.PerSecond(1, 1)
	equal(t, "the room's", e.take(t, slow, room), state.Refusal{})
	equal(t, "bob's", e.take(t, fast, bob), state.Refusal{})
	now := e.now()
	r, err := e.Buckets.Take(t.Context(), now, []state.Charge{
		{Bucket: alice, Limit: fast, Count: 1}, {Bucket: bob, Limit: fast, Count: 1}, {Bucket: room, Limit: slow, Count: 1},
	})
	must(t, err)
	if r.Charge != 2 || r.Wait <= time.Second || r.Wait > 10*time.Second {
		t.Fatalf("the longest wait is charge %d with %v", r.Charge, r.Wait)
	}
	equal(t, "what the others have cost", e.take(t, fast, alice), state.Refusal{})
	carol := state.Bucket{User: "carol"}
	must(t, second(e.Buckets.Take(t.Context(), now, []state.Charge{{Bucket: carol, Limit: slow, Count: 1}, {Bucket: state.Bucket{Room: "r_b"}, Limit: slow, Count: 1}})))
	r, err = e.Buckets.Take(t.Context(), now, []state.Charge{{Bucket: carol, Limit: slow, Count: 1}, {Bucket: state.Bucket{Room: "r_b"}, Limit: slow, Count: 1}})
	must(t, err)
	if r.Charge != 0 || r.Wait == 0 {
		t.Fatalf("of two that wait as long it is charge %d, with %v", r.Charge, r.Wait)
	}
}

func second(_ state.Refusal, err error) error { return err }

func testManyAtOnce(t *testing.T, e *Engine) {
	limit := state.PerSecond(10, 20)
	many := func(n int) time.Duration {
		t.Helper()
		r, err := e.Buckets.Take(t.Context(), e.now(), []state.Charge{{Bucket: room, Limit: limit, Count: n}})
		must(t, err)
		return r.Wait
	}
	if many(21) == 0 {
		t.Fatal("more than the burst was let through")
	}
	equal(t, "the most of it", many(15), time.Duration(0))
	if wait := many(10); wait <= 0 || wait > 500*time.Millisecond {
		t.Fatalf("for five too many one waits %v", wait)
	}
	equal(t, "the rest", many(5), time.Duration(0))
	if many(1<<62) == 0 {
		t.Fatal("a number beyond all reason was let through")
	}
}

func testNoLimit(t *testing.T, e *Engine) {
	for _, l := range []state.Limit{{}, state.PerSecond(0, 5), state.PerSecond(5, 0), state.PerSecond(-1, 5)} {
		for range 100 {
			equal(t, "without a limit", e.take(t, l, alice, room), state.Refusal{})
		}
	}
}

func testTakersAtOnce(t *testing.T, e *Engine) {
	limit, now := state.PerSecond(0.001, 100), e.now()
	var taken atomic.Int64
	var workers sync.WaitGroup
	for worker := range 8 {
		workers.Go(func() {
			for i := range 50 {
				user := state.Bucket{User: fmt.Sprint((worker + i) % 4)}
				r, err := e.Buckets.Take(t.Context(), now, []state.Charge{{Bucket: user, Limit: limit, Count: 1}, {Bucket: room, Limit: limit, Count: 1}})
				switch {
				case err != nil:
					t.Error(err)
				case r.Wait == 0:
					taken.Add(1)
				}
			}
		})
	}
	workers.Wait()
	equal(t, "taken of the room", taken.Load(), int64(100))
}

// tank is the model of a bucket, told the other way round: it holds time, a charge costs some, and it fills as time goes by.
type tank struct {
	limit state.Limit
	level time.Duration
}

// rounded is a limit in whole grains.
func (e *Engine) rounded(l state.Limit) state.Limit {
	if e.Grain == 0 || l.Interval == 0 {
		return l
	}
	burst := l.Span / l.Interval
	interval := (l.Interval + e.Grain - 1) / e.Grain * e.Grain
	return state.Limit{Interval: interval, Span: burst * interval}
}

func testBucketModel(t *rapid.T, e *Engine) {
	names := []state.Bucket{alice, share, room, bob}
	tanks := map[state.Bucket]*tank{}
	for _, name := range names {
		l := e.rounded(state.PerSecond(rapid.SampledFrom([]float64{0, 1, 3, 7, 50}).Draw(t, "rate"), rapid.IntRange(0, 9).Draw(t, "burst")))
		tanks[name] = &tank{l, l.Span}
	}
	last := e.Now()
	for range rapid.IntRange(1, 60).Draw(t, "steps") {
		e.Pass(time.Duration(rapid.SampledFrom([]int{0, 0, 1, 10, 99, 334, 2000}).Draw(t, "pause")) * time.Millisecond)
		now := e.Now()
		var charges []state.Charge
		want := state.Refusal{}
		for i, name := range rapid.SliceOfNDistinct(rapid.SampledFrom(names), 1, 3, func(b state.Bucket) state.Bucket { return b }).Draw(t, "buckets") {
			k := tanks[name]
			c := state.Charge{Bucket: name, Limit: k.limit, Count: rapid.IntRange(1, 3).Draw(t, "count")}
			charges = append(charges, c)
			level := min(k.limit.Span, k.level+now.Sub(last))
			if wait := c.Limit.Interval*time.Duration(c.Count) - level; c.Limit.Interval > 0 && wait > want.Wait {
				want = state.Refusal{Charge: i, Wait: wait}
			}
		}
		for _, k := range tanks {
			k.level = min(k.limit.Span, k.level+now.Sub(last))
		}
		last = now
		got, err := e.Buckets.Take(t.Context(), now, charges)
		if err != nil || got != want {
			t.Fatalf("%+v: got %+v, %v, want %+v", charges, got, err, want)
		}
		if want.Wait == 0 {
			for _, c := range charges {
				tanks[c.Bucket].level -= c.Limit.Interval * time.Duration(c.Count)
			}
		}
	}
}

func testOnline(t *testing.T, e *Engine) {
	ctx := t.Context()
	online := func(users ...string) map[string]bool {
		t.Helper()
		m, err := e.Leases.Online(ctx, users)
		must(t, err)
		for user, yes := range m {
			if !yes {
				delete(m, user)
			}
		}
		return m
	}
	fails(t, e.Leases.Enter(ctx, "one", []string{"alice"}), state.ErrNoLease)
	equal(t, "before any lease", online("alice"), map[string]bool{})
	for _, node := range []string{"one", "two"} {
		fresh, err := e.Leases.Renew(ctx, node, time.Minute)
		must(t, err)
		equal(t, "the first lease is fresh", fresh, true)
	}
	must(t, e.Leases.Enter(ctx, "one", []string{"alice", "bob"}))
	must(t, e.Leases.Enter(ctx, "one", []string{"alice"}))
	must(t, e.Leases.Enter(ctx, "two", []string{"bob"}))
	equal(t, "on any node", online("alice", "bob", "carol"), map[string]bool{"alice": true, "bob": true})
	must(t, e.Leases.Leave(ctx, "one", []string{"alice", "bob", "nobody"}))
	equal(t, "left one node", online("alice", "bob"), map[string]bool{"bob": true})
	must(t, e.Leases.Leave(ctx, "three", []string{"bob"}))
	fresh, err := e.Leases.Renew(ctx, "two", time.Minute)
	must(t, err)
	equal(t, "a renewed lease is not fresh", fresh, false)
	n, err := e.Leases.Nodes(ctx)
	must(t, err)
	equal(t, "nodes with a lease", n, 2)
	equal(t, "and keeps its users", online("bob"), map[string]bool{"bob": true})
	equal(t, "nobody is asked about", online(), map[string]bool{})
}

func testSilentNode(t *testing.T, e *Engine) {
	ctx := t.Context()
	const ttl = 300 * time.Millisecond
	second := func(m map[string]bool, err error) bool {
		t.Helper()
		must(t, err)
		return m["alice"]
	}
	_, err := e.Leases.Renew(ctx, "one", ttl)
	must(t, err)
	must(t, e.Leases.Enter(ctx, "one", []string{"alice"}))
	for range 3 {
		e.Pass(ttl / 2)
		_, err := e.Leases.Renew(ctx, "one", ttl)
		must(t, err)
	}
	equal(t, "renewed", second(e.Leases.Online(ctx, []string{"alice"})), true)
	e.Pass(ttl)
	equal(t, "silent", second(e.Leases.Online(ctx, []string{"alice"})), false)
	n, err := e.Leases.Nodes(ctx)
	must(t, err)
	equal(t, "nodes with a lease", n, 0)
	fails(t, e.Leases.Enter(ctx, "one", []string{"bob"}), state.ErrNoLease)
	fresh, err := e.Leases.Renew(ctx, "one", ttl)
	must(t, err)
	equal(t, "fresh", fresh, true)
	equal(t, "back, without its users", second(e.Leases.Online(ctx, []string{"alice"})), false)
}

func testOneHolder(t *testing.T, e *Engine) {
	ctx := t.Context()
	first, err := e.Locks.Acquire(ctx, "sweep", time.Minute)
	must(t, err)
	_, err = e.Locks.Acquire(ctx, "sweep", time.Minute)
	fails(t, err, state.ErrHeld)
	other, err := e.Locks.Acquire(ctx, "another", time.Minute)
	must(t, err)
	must(t, e.Locks.Release(ctx, other))
	must(t, e.Locks.Renew(ctx, first, time.Minute))
	must(t, e.Locks.Release(ctx, first))
	fails(t, e.Locks.Release(ctx, first), state.ErrLost)
	next, err := e.Locks.Acquire(ctx, "sweep", time.Minute)
	must(t, err)
	if next.Token <= first.Token {
		t.Fatalf("the token went from %d to %d", first.Token, next.Token)
	}
	fails(t, e.Locks.Renew(ctx, first, time.Minute), state.ErrLost)
	fails(t, e.Locks.Release(ctx, first), state.ErrLost)
	must(t, e.Locks.Renew(ctx, next, time.Minute))
}

func testLostLock(t *testing.T, e *Engine) {
	ctx := t.Context()
	const ttl = 300 * time.Millisecond
	lock, err := e.Locks.Acquire(ctx, "sweep", ttl)
	must(t, err)
	for range 3 {
		e.Pass(ttl / 2)
		must(t, e.Locks.Renew(ctx, lock, ttl))
	}
	e.Pass(2 * ttl) // the engine has its own clock
	fails(t, e.Locks.Renew(ctx, lock, ttl), state.ErrLost)
	fails(t, e.Locks.Release(ctx, lock), state.ErrLost)
	next, err := e.Locks.Acquire(ctx, "sweep", ttl)
	must(t, err)
	if next.Token <= lock.Token {
		t.Fatalf("the token went from %d to %d", lock.Token, next.Token)
	}
}

func testContended(t *testing.T, e *Engine) {
	var holders, acquired atomic.Int64
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for range 50 {
				lock, err := e.Locks.Acquire(t.Context(), "sweep", time.Minute)
				if errors.Is(err, state.ErrHeld) {
					continue
				}
				if err != nil || holders.Add(1) != 1 {
					t.Error("two hold the lock, or it cannot be taken:", err)
				}
				acquired.Add(1)
				holders.Add(-1)
				if err := e.Locks.Release(t.Context(), lock); err != nil {
					t.Error(err)
				}
			}
		})
	}
	workers.Wait()
	if acquired.Load() == 0 {
		t.Error("nobody got the lock")
	}
}
