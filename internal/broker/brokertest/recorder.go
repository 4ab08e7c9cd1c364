package brokertest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/parley-im/parley/internal/broker"
)

// patience is how long the suite waits for what must come. It is long because it is only ever used up by a failure.
const patience = 20 * time.Second

// Recorder is a receiver that remembers what came. It also checks what an adapter promises a receiver: one call at a time for each room.
type Recorder struct {
	mu     sync.Mutex
	news   chan struct{} // closed and made anew when anything changes
	got    map[string][]string
	lost   int
	inside map[string]bool // rooms for which Receive is being called
	faults []string
	block  chan struct{} // while it is not nil, Receive waits for it
}

// NewRecorder makes a recorder to which nothing has come.
func NewRecorder() *Recorder {
	return &Recorder{news: make(chan struct{}), got: map[string][]string{}, inside: map[string]bool{}}
}

// Receive remembers a message and then spoils it, which is the receiver's right.
func (r *Recorder) Receive(m broker.Message) {
	r.change(func() {
		if r.inside[m.Room] {
			r.faults = append(r.faults, fmt.Sprintf("Receive was called twice at a time for room %q", m.Room))
		}
		r.inside[m.Room] = true
	})
	r.mu.Lock()
	block := r.block
	r.mu.Unlock()
	if block != nil {
		<-block
	}
	text := string(m.Data)
	clear(m.Data)
	r.change(func() {
		r.inside[m.Room] = false
		r.got[m.Room] = append(r.got[m.Room], text)
	})
}

// Lost counts.
func (r *Recorder) Lost() { r.change(func() { r.lost++ }) }

func (r *Recorder) change(do func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	do()
	close(r.news)
	r.news = make(chan struct{})
}

// Hold makes Receive wait until release is called, as a receiver that is stuck.
func (r *Recorder) Hold() (release func()) {
	block := make(chan struct{})
	r.change(func() { r.block = block })
	return sync.OnceFunc(func() {
		r.change(func() { r.block = nil })
		close(block)
	})
}

// Messages are what came for a room, or with "" by broadcast, in the order in which it came.
func (r *Recorder) Messages(room string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.got[room]...)
}

// Has reports whether a message came for a room.
func (r *Recorder) Has(room, text string) bool {
	for _, message := range r.Messages(room) {
		if message == text {
			return true
		}
	}
	return false
}

// Losses is how often Lost was called.
func (r *Recorder) Losses() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lost
}

// Await waits until something is so, and fails the test when that takes too long. What is looked at after every call of the receiver, and from time to
// time for what is outside of it.
func (r *Recorder) Await(t testing.TB, what string, isSo func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for {
		r.mu.Lock()
		news := r.news
		r.mu.Unlock()
		if isSo() {
			return
		}
		select {
		case <-news:
		case <-time.After(5 * time.Millisecond):
		case <-deadline:
			t.Fatalf("waited %v in vain: %s", patience, what)
		}
	}
}

// AwaitMessage waits for a message.
func (r *Recorder) AwaitMessage(t testing.TB, room, text string) {
	t.Helper()
	r.Await(t, fmt.Sprintf("message %.40q in room %q", text, room), func() bool { return r.Has(room, text) })
}

// check fails the test for what the adapter did wrong.
func (r *Recorder) check(t testing.TB) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, fault := range r.faults {
		t.Error(fault)
	}
}
