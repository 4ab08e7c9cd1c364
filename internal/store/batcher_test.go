package store

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-im/parley/protocol"
)

// gate is a batcher of numbers whose runs wait until they are let go.
type gate struct {
	*batcher[int]
	runs  [][]int
	begun chan struct{}
	let   chan error
}

func newGate() *gate {
	g := &gate{begun: make(chan struct{}), let: make(chan error)}
	g.batcher = newBatcher(func(_ context.Context, items []int) error {
		g.runs = append(g.runs, slices.Clone(items))
		g.begun <- struct{}{}
		return <-g.let
	})
	return g
}

// next lets one run go.
func (g *gate) next(err error) {
	<-g.begun
	g.let <- err
}

func TestBatcherGathersWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		var group sync.WaitGroup
		for i := range 1 + 2*maxGathered {
			group.Go(func() {
				if err := g.do(t.Context(), i); err != nil {
					t.Errorf("item %d: %v", i, err)
				}
			})
			synctest.Wait() // the first is being carried out, the others wait in this order
		}
		for range 3 {
			g.next(nil)
		}
		group.Wait()
		var sizes []int
		for _, run := range g.runs {
			sizes = append(sizes, len(run))
		}
		if diff := cmp.Diff([]int{1, maxGathered, maxGathered}, sizes); diff != "" {
			t.Errorf("items of each run (-want +got):\n%s", diff)
		}
		if got := slices.Concat(g.runs...); !slices.IsSorted(got) {
			t.Errorf("not in the order of arrival: %v", got)
		}
	})
}

func TestBatcherSparesNeighbours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		fault := errors.New("fault")
		results := make([]error, 4)
		var group sync.WaitGroup
		for i := range results {
			group.Go(func() { results[i] = g.do(t.Context(), i) })
			synctest.Wait()
		}
		for _, err := range []error{nil, fault, nil, fault, nil} { // the first; the other three; each of these alone
			g.next(err)
		}
		group.Wait()
		if results[0] != nil || results[1] != nil || results[2] != fault || results[3] != nil {
			t.Errorf("results: %v", results)
		}

		// What may succeed when it is tried again is not at fault: the whole batch is answered at once.
		group.Go(func() { results[0] = g.do(t.Context(), 0) })
		synctest.Wait()
		for i := 1; i < 3; i++ {
			group.Go(func() { results[i] = g.do(t.Context(), i) })
			synctest.Wait()
		}
		g.next(nil)
		g.next(unavailable())
		group.Wait()
		for _, err := range results[1:3] {
			if e, ok := errors.AsType[*protocol.Error](err); !ok || e.Code != protocol.Unavailable {
				t.Errorf("got %v, want unavailable", err)
			}
		}
	})
}

func TestBatcherTakesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		ctx, cancel := context.WithCancel(t.Context())
		var first, second error
		var group sync.WaitGroup
		group.Go(func() { first = g.do(ctx, 1) })
		synctest.Wait()
		group.Go(func() { second = g.do(ctx, 2) })
		synctest.Wait()
		cancel()
		synctest.Wait()
		if second == nil {
			t.Error("an item that nobody began with was not taken back")
		}
		g.next(nil)
		group.Wait()
		if first != nil {
			t.Errorf("an item that was being carried out: %v", first)
		}
		if diff := cmp.Diff([][]int{{1}}, g.runs); diff != "" {
			t.Errorf("runs (-want +got):\n%s", diff)
		}
	})
}

func TestBatcherStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		results := make([]error, 3)
		var group sync.WaitGroup
		for i := range results {
			group.Go(func() { results[i] = g.do(t.Context(), i) })
			synctest.Wait()
		}
		stopped := false
		group.Go(func() {
			g.stop()
			stopped = true
		})
		synctest.Wait()
		if stopped {
			t.Error("stop did not wait for the run that was on")
		}
		g.next(nil)
		// Whoever comes first after that run leads: stop, or one of those who wait. Runs that still begin are let go.
		done := make(chan struct{})
		go func() { group.Wait(); close(done) }()
		for ended := false; !ended; {
			select {
			case <-g.begun:
				g.let <- nil
			case <-done:
				ended = true
			}
		}
		if results[0] != nil {
			t.Errorf("the run that was on: %v", results[0])
		}
		if err := g.do(t.Context(), 9); err == nil {
			t.Error("an item was taken after the end")
		}
	})
}
