package client_test

import (
	"fmt"
	"sync"

	"github.com/parley-im/parley/client"
	"github.com/parley-im/parley/protocol"
)

// recorder notes what a handler is told, one line each.
type recorder struct {
	mu     sync.Mutex
	events []string // "room 3 text"
	resets []string // "room 3"
	phases []string // "waiting lost"
	waits  []client.State
	faults []error
	named  map[protocol.Name]int // signals
	rooms  int                   // calls of Rooms
}

func (r *recorder) handler() client.Handler {
	r.named = make(map[protocol.Name]int)
	locked := func(f func()) {
		r.mu.Lock()
		defer r.mu.Unlock()
		f()
	}
	return client.Handler{
		Event: func(e protocol.Event) {
			data, _ := client.Data[protocol.MessageCreatedData](e.Data)
			text := string(e.Name)
			if data.Text != nil {
				text = *data.Text
			}
			locked(func() { r.events = append(r.events, fmt.Sprintf("%s %d %s", e.Room, e.Seq, text)) })
		},
		Reset: func(room string, head protocol.Seq) {
			locked(func() { r.resets = append(r.resets, fmt.Sprintf("%s %d", room, head)) })
		},
		Signal: func(s client.Signal) { locked(func() { r.named[s.Name]++ }) },
		Rooms:  func([]protocol.InboxEntry, []string) { locked(func() { r.rooms++ }) },
		State: func(s client.State) {
			locked(func() {
				line := string(s.Phase)
				if s.Reason != client.ReasonNone {
					line += " " + string(s.Reason)
				}
				r.phases = append(r.phases, line)
				if s.Phase == client.Waiting {
					r.waits = append(r.waits, s)
				}
			})
		},
		Violation: func(err error) { locked(func() { r.faults = append(r.faults, err) }) },
	}
}

// take returns what slice has gathered, and empties it.
func take[T any](r *recorder, slice *[]T) []T {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := *slice
	*slice = nil
	return taken
}
