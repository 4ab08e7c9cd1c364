package api

import (
	"context"
	"sync"

	"github.com/go-json-experiment/json"

	"github.com/parley-im/parley/internal/delivery"
	"github.com/parley-im/parley/internal/gateway"
	"github.com/parley-im/parley/protocol"
)

// The sizes of what ids spell out, in bytes.
const (
	maxInline = 256     // at the beginning of a stream: more goes into a checkpoint
	maxDelta  = 1 << 10 // then another checkpoint is made
	maxOffer  = 2 << 10 // then no events are taken until it is made, so that there is space for what must be taken
)

// track is where the client of an event stream stands once it has got what was sent so far, and makes ids of it.
//
// mu may be taken with a room's, the follower's or the session's lock held; under it nothing is taken but streams.mu.
type track struct {
	streams *streams
	user    string           // fixed, as is what follows
	session *gateway.Session // nil until the session is opened

	mu      sync.Mutex
	base    *checkpoint
	now     streamID        // where it stands, by base
	added   map[string]mark // where it will stand in a room once its room.added is sent
	size    int             // of what the last id says
	saving  bool            // a checkpoint is being made
	refused bool            // an Offer was, until it is
}

func newTrack(s *streams) *track {
	return &track{streams: s, base: &checkpoint{}, now: streamID{epoch: s.epoch(), places: map[uint64]mark{}, rooms: map[string]mark{}}}
}

// begin says where the session stands. With an error of the store it must not go on.
func (t *track) begin(ctx context.Context, at map[string]protocol.Seq) error {
	t.mu.Lock()
	for room, seq := range at {
		t.now.rooms[room] = markOf(seq)
	}
	long := len(t.content()) > maxInline
	t.mu.Unlock()
	if long {
		return t.save(ctx)
	}
	return nil
}

// content is what an id says now, with mu held.
func (t *track) content() []byte {
	content := t.now.append(make([]byte, 0, t.size+64))
	t.size = len(content)
	return content
}

// follows says that the session follows a room from behind a position, unless it did already.
func (t *track) follows(room string, after protocol.Seq) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now.get(t.base, room) == left {
		t.now.put(t.base, room, markOf(after))
	}
}

// leaves says that the session follows a room no longer.
func (t *track) leaves(room string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now.put(t.base, room, left)
}

// joins says where the session will stand in a room once its room.added has been sent.
func (t *track) joins(room string, after protocol.Seq) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.added == nil {
		t.added = map[string]mark{}
	}
	t.added[room] = markOf(after)
}

// label is the id of the message that carries a frame: there is one where the position changes. One that would be too long is left out, so that who is cut
// off right there gets the message once more; it takes hundreds of rooms that one is added to, or removed from, while no checkpoint can be made.
func (t *track) label(line []byte) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.take(line) {
		return ""
	}
	content := t.content()
	if len(content) > maxDelta && !t.saving {
		t.saving = true
		t.streams.saveSoon(t)
	}
	if len(content) > maxIDBytes-macBytes {
		return ""
	}
	return sealID(t.streams.key, t.user, content)
}

// take takes note of a frame, and reports whether the position has changed, with mu held.
func (t *track) take(line []byte) bool {
	f, err := protocol.ParseFrame(line)
	if err != nil {
		return false // it is one of ours: it parses
	}
	switch {
	case f.Seq != 0:
		t.now.put(t.base, f.Room, markOf(f.Seq))
	case f.Event == protocol.SignalHello:
	case f.Event == protocol.SignalReset:
		var d protocol.ResetData
		_ = json.Unmarshal(f.Data, &d)
		t.now.put(t.base, f.Room, markOf(d.Head))
	case f.Event == protocol.SignalSkipped:
		var d protocol.SkippedData
		_ = json.Unmarshal(f.Data, &d)
		t.now.put(t.base, f.Room, markOf(d.To))
	case f.Event == protocol.SignalRoomAdded:
		at, ok := t.added[f.Room]
		if !ok {
			return false // the session is told, and does not follow it
		}
		delete(t.added, f.Room)
		t.now.put(t.base, f.Room, at)
	case f.Event == protocol.SignalRoomRemoved:
		t.now.put(t.base, f.Room, left)
	default:
		return false
	}
	return true
}

// full reports whether no event may be taken now; then Peer.Drained follows.
func (t *track) full() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refused = t.refused || t.saving && t.size > maxOffer
	return t.refused
}

// save makes a checkpoint of where the session stands now. It blocks for the store.
func (t *track) save(ctx context.Context) error {
	t.mu.Lock()
	next, number := newCheckpoint(t.now.all(t.base)), t.now.number+1
	t.mu.Unlock()

	if err := t.streams.checkpoints.SaveCheckpoint(ctx, t.session.ID(), number, next.bytes()); err != nil {
		return err
	}

	t.mu.Lock()
	all := t.now.all(t.base)
	t.base, t.now = next, streamID{t.now.epoch, t.session.ID(), number, map[uint64]mark{}, map[string]mark{}}
	for _, room := range next.rooms {
		t.now.put(next, room, all[room]) // left, if it is not there any more
		delete(all, room)
	}
	for room, at := range all {
		t.now.put(next, room, at)
	}
	refused := t.refused
	t.saving, t.refused = false, false
	t.mu.Unlock()
	if refused {
		t.session.Nudge()
	}
	return nil
}

// streamSink is the session of an event stream as delivery sees it.
type streamSink struct {
	sink
	track *track
}

// Offer implements delivery.Sink.
func (s *streamSink) Offer(b *delivery.Batch) bool { return !s.track.full() && s.sink.Offer(b) }

// Added implements delivery.Sink.
func (s *streamSink) Added(b *delivery.Batch, room string, after protocol.Seq) {
	s.track.joins(room, after)
	s.sink.Push(b)
}
