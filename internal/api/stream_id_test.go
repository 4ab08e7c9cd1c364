package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/parley-im/parley/internal/delivery"
	"github.com/parley-im/parley/internal/gateway"
	"github.com/parley-im/parley/protocol"
)

// shelf keeps checkpoints as the store does: the last two of a session.
type shelf struct {
	mu   sync.Mutex
	kept map[uint64][]byte
	away bool

	meanwhile func() // happens while one is saved; may be nil
}

func (s *shelf) SaveCheckpoint(_ context.Context, _ string, number uint64, positions []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return errors.New("away")
	}
	if s.meanwhile != nil {
		s.meanwhile()
	}
	s.kept[number] = positions
	maps.DeleteFunc(s.kept, func(n uint64, _ []byte) bool { return n+1 < number })
	return nil
}

func (s *shelf) Checkpoint(_ context.Context, _ string, number uint64) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept[number], nil
}

func (s *shelf) KeepCheckpoints(context.Context, string) error { return nil }

func newTestTrack(kept *shelf) *track {
	s := newStreams(Options{Epoch: func() string { return "e" }, Checkpoints: kept, StreamKey: []byte("key"), Log: slog.New(slog.DiscardHandler)})
	t := newTrack(s)
	t.user, t.session = "alice", &gateway.Session{}
	return t
}

// given is what a message says with an id, and where the client stands then.
type given struct {
	id    string
	saves int
	at    map[string]protocol.Seq
}

// story is a stream that says things, and what it has given.
type story struct {
	t     *rapid.T
	kept  *shelf
	track *track
	rooms int // how many there are
	at    map[string]protocol.Seq
	saves int
	all   []given
}

func name(i int) string { return fmt.Sprintf("r_%028d", i) }

// room is one of the rooms.
func (s *story) room(t *rapid.T, label string) string {
	return name(rapid.IntRange(0, s.rooms-1).Draw(t, label))
}

func (s *story) begin() {
	for i := range s.rooms / 2 {
		s.at[name(i)] = protocol.Seq(i)
	}
	if err := s.track.begin(s.t.Context(), s.at); err != nil {
		s.t.Fatal(err)
	}
	s.saves = len(s.kept.kept)
	s.say(protocol.AppendSignal(nil, protocol.SignalHello, "", "", protocol.HelloResult{}))
}

// say has the stream send a frame, after which the client stands where the story says.
func (s *story) say(line []byte) {
	if id := s.track.label(line); id != "" {
		if len(id) > 4096 {
			s.t.Fatalf("an id of %d bytes", len(id))
		}
		s.all = append(s.all, given{id, s.saves, maps.Clone(s.at)})
	}
}

func (s *story) event(room string, seq protocol.Seq) {
	s.at[room] = seq
	s.say(protocol.AppendEvent(nil, &protocol.Event{Room: room, Seq: seq, Name: protocol.MessageCreated, Data: protocol.Raw("{}")}))
}

func (s *story) removed(room string) {
	delete(s.at, room)
	s.say(protocol.AppendSignal(nil, protocol.SignalRoomRemoved, room, "", protocol.RoomRemovedData{Reason: protocol.ReasonLeft}))
}

func (s *story) save() {
	s.track.refused = false // who was refused is told by the session, and this one is none
	if err := s.track.save(context.Background()); err != nil {
		s.t.Fatal(err)
	}
	s.saves++
}

// actions are what may happen.
func (s *story) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"event": func(t *rapid.T) {
			room := s.room(t, "room")
			if s.track.full() {
				s.save()
			}
			seq := s.at[room] + 1
			if seq == 0 { // after a reset that was due
				seq = 1
			}
			s.event(room, seq)
		},
		"reset": func(t *rapid.T) {
			room := s.room(t, "room")
			s.at[room] = rapid.Uint64Range(1, 1<<60).Draw(t, "head")
			s.say(protocol.AppendSignal(nil, protocol.SignalReset, room, "", protocol.ResetData{Head: s.at[room]}))
		},
		"skipped": func(t *rapid.T) {
			room := s.room(t, "room")
			s.at[room] += 5
			s.say(protocol.AppendSignal(nil, protocol.SignalSkipped, room, "", protocol.SkippedData{From: s.at[room] - 4, To: s.at[room]}))
		},
		"removed": func(t *rapid.T) { s.removed(s.room(t, "room")) },
		"added": func(t *rapid.T) {
			room, after := s.room(t, "room"), rapid.SampledFrom([]protocol.Seq{0, 7, delivery.NoPosition}).Draw(t, "after")
			s.track.joins(room, after)
			s.event(name(s.rooms), 1) // in another room, before the client knows of this one
			s.at[room] = after
			s.say(protocol.AppendSignal(nil, protocol.SignalRoomAdded, room, "", protocol.RoomAddedData{}))
		},
		"subscribed": func(t *rapid.T) {
			room := s.room(t, "room")
			if _, follows := s.at[room]; !follows {
				s.at[room] = 3
			}
			s.track.follows(room, 3)
		},
		"unsubscribed": func(t *rapid.T) {
			room := s.room(t, "room")
			delete(s.at, room)
			s.track.leaves(room)
		},
		"saved": func(t *rapid.T) {
			goes, comes := s.room(t, "goes"), s.room(t, "comes")
			s.kept.meanwhile = func() {
				s.removed(goes)
				s.event(comes, 77)
			}
			s.save()
			s.kept.meanwhile = nil
		},
	}
}

// check takes every id back.
func (s *story) check() {
	for _, g := range s.all {
		entry := &delivery.Entry{}
		if err := s.track.streams.goOn(context.Background(), entry, "alice", g.id); err != nil {
			s.t.Fatal(err)
		}
		if entry.Epoch != "e" || entry.Lost && g.saves+1 >= s.saves {
			s.t.Fatalf("after %d of %d checkpoints: %+v", g.saves, s.saves, entry)
		}
		if diff := cmp.Diff(g.at, entry.Resume); diff != "" && !entry.Lost {
			s.t.Fatalf("an id stands for another position (-its message +it):\n%s", diff)
		}
		for _, user := range []string{"bob", "alic", "alice\x00"} {
			entry := &delivery.Entry{}
			if err := s.track.streams.goOn(context.Background(), entry, user, g.id); err != nil || !entry.Lost || entry.Resume != nil {
				s.t.Fatalf("an id of another user's is taken: %+v, %v", entry, err)
			}
		}
	}
}

// Every id stands for the position after its own message, while its checkpoint is one of the last two; then it is lost, and says so.
func TestStreamIDs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kept := &shelf{kept: map[uint64][]byte{}}
		s := &story{t: t, kept: kept, track: newTestTrack(kept), rooms: rapid.IntRange(1, 300).Draw(t, "rooms"), at: map[string]protocol.Seq{}}
		s.begin()
		t.Repeat(s.actions())
		s.check()
	})
}

// While no checkpoint can be made, events are taken until ids have no space for them, and again when one was made.
func TestStreamIDsFull(t *testing.T) {
	kept := &shelf{kept: map[uint64][]byte{}, away: true}
	tr := newTestTrack(kept)
	event := func(i int) []byte {
		return protocol.AppendEvent(nil, &protocol.Event{Room: fmt.Sprintf("r_%028d", i), Seq: 1, Name: protocol.MessageCreated, Data: protocol.Raw("{}")})
	}
	n := 0
	for ; !tr.full(); n++ {
		if tr.label(event(n)) == "" {
			t.Fatalf("the event in room %d has no id", n)
		}
	}
	if n < 40 {
		t.Errorf("full after events in %d rooms", n)
	}
	for i := range 100 { // what must be taken
		if id := tr.label(event(n + i)); len(id) > 4096 {
			t.Fatalf("an id of %d bytes", len(id))
		}
	}
	if !tr.full() {
		t.Error("an event is taken before there is space for it")
	}
	if err := tr.save(t.Context()); err == nil {
		t.Fatal("saved nowhere")
	}
	kept.away = false
	tr.refused = false // who was refused is told by the session, and this one is none
	if err := tr.save(t.Context()); err != nil || tr.full() {
		t.Errorf("saved (%v), and still full", err)
	}
	if id := tr.label(event(0)); id == "" || len(id) > 200 {
		t.Errorf("behind a checkpoint comes the id %q", id)
	}
}

func TestStreamIDsOfAnotherEpoch(t *testing.T) {
	tr := newTestTrack(&shelf{})
	id := tr.label(protocol.AppendEvent(nil, &protocol.Event{Room: "r_a", Seq: 9, Name: protocol.MessageCreated, Data: protocol.Raw("{}")}))
	tr.streams.epoch = func() string { return "another" }
	entry := &delivery.Entry{}
	if err := tr.streams.goOn(t.Context(), entry, "alice", id); err != nil || entry.Epoch != "e" || entry.Resume["r_a"] != 9 {
		t.Errorf("%+v, %v", entry, err)
	}
}

// FuzzStreamID reads what nobody has made, under a good MAC too.
func FuzzStreamID(f *testing.F) {
	f.Add([]byte("12345678"), "r_")
	f.Add([]byte("12345678\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), strings.Repeat("A", 5000))
	f.Fuzz(func(t *testing.T, content []byte, text string) {
		key := []byte("key")
		_, _ = openID(key, "alice", text)
		_, _ = openID(key, "alice", sealID(key, "alice", content))
		_, _ = readCheckpoint(content)
	})
}
