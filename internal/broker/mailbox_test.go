package broker_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-im/parley/internal/broker"
)

// reader takes what comes out of a mailbox. It stops at a gate, if it has one, until that is opened (closed, as channels are).
type reader struct {
	mu   sync.Mutex
	log  []string
	gate chan struct{}
}

func (r *reader) handle(m broker.Message) {
	if r.gate != nil {
		<-r.gate
	}
	r.note(m.Room + ":" + string(m.Data))
}

func (r *reader) lost() { r.note("lost") }

func (r *reader) note(s string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = append(r.log, s)
}

func (r *reader) want(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(r.log, want) {
		t.Errorf("got %v, want %v", r.log, want)
	}
	r.log = nil
}

func text(s string) broker.Message { return broker.Message{Room: "r", Data: []byte(s)} }

func TestMailboxKeepsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r reader
		m := broker.OpenMailbox(1<<20, r.handle, r.lost)
		defer m.Close()
		var want []string
		for i := range 1000 {
			m.Put(text(fmt.Sprint(i)))
			want = append(want, fmt.Sprint("r:", i))
		}
		r.want(t, want...)
	})
}

func TestMailboxIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := reader{gate: make(chan struct{})}
		m := broker.OpenMailbox(300, r.handle, r.lost)
		defer m.Close()
		for i, want := range []bool{true, true, true, false, false} { // each costs 100
			if got := m.Put(text(fmt.Sprintf("%036d", i))); got != want {
				t.Errorf("put %d: %v", i, got)
			}
			synctest.Wait() // the first is being handled and still counts
		}
		close(r.gate)
		number := func(i int) string { return fmt.Sprintf("r:%036d", i) }
		r.want(t, number(0), number(1), number(2), "lost")

		if !m.Put(text("again")) {
			t.Error("there is no room again")
		}
		r.want(t, "r:again")
	})
}

// What has been handled makes room for as much, and no more.
func TestMailboxMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := reader{gate: make(chan struct{})}
		m := broker.OpenMailbox(300, r.handle, r.lost)
		defer m.Close()
		message := text(strings.Repeat("x", 36))
		for range 3 {
			m.Put(message)
		}
		r.gate <- struct{}{}
		synctest.Wait()
		if !m.Put(message) {
			t.Error("there is no room for one more")
		}
		if m.Put(message) {
			t.Error("there is room for two more")
		}
		close(r.gate)
	})
}

func TestMailboxInBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var batches [][]string
		gate := make(chan struct{})
		handle := func(batch []broker.Message) {
			<-gate
			var texts []string
			for _, m := range batch {
				texts = append(texts, string(m.Data))
			}
			batches = append(batches, texts)
		}
		m := broker.OpenBatchMailbox(1000, 3, handle, func() {})
		m.Put(text("a"))
		synctest.Wait()
		for _, s := range []string{"b", "c", "d", "e"} {
			m.Put(text(s))
		}
		close(gate)
		m.Close()
		if diff := cmp.Diff([][]string{{"a"}, {"b", "c", "d"}, {"e"}}, batches); diff != "" {
			t.Error(diff)
		}
		if s := m.Stats(); s.Bytes != 0 {
			t.Errorf("%d bytes are left", s.Bytes)
		}
	})
}

func TestMailboxTakesOneLargeMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := reader{gate: make(chan struct{})}
		m := broker.OpenMailbox(300, r.handle, r.lost)
		defer m.Close()
		large := strings.Repeat("x", 1000)
		if !m.Put(text(large)) || m.Put(text("")) {
			t.Error("want the large message to be taken, and nothing beside it")
		}
		close(r.gate)
		r.want(t, "r:"+large, "lost")
	})
}

func TestMailboxTellsOfLossOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := reader{gate: make(chan struct{})}
		m := broker.OpenMailbox(1000, r.handle, r.lost)
		defer m.Close()
		m.Put(text("a"))
		synctest.Wait()
		m.Put(text("b"))
		m.Lose()
		m.Lose()
		close(r.gate)
		r.want(t, "r:a", "r:b", "lost")
		m.Lose()
		r.want(t, "lost")
	})
}

func TestMailboxClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := reader{gate: make(chan struct{})}
		m := broker.OpenMailbox(1000, r.handle, r.lost)
		m.Put(text("a"))
		synctest.Wait()
		m.Put(text("b"))
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(m.Close)
		}
		synctest.Wait()
		if m.Put(text("late")) {
			t.Error("a message was taken after Close")
		}
		close(r.gate)
		wg.Wait()
		r.want(t, "r:a", "r:b")
		m.Close()
		m.Lose()
		r.want(t)
	})
}
