package client

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/parley-im/parley/protocol"
)

// stream is how far one got in every room followed. What it decides is where the next event of a room must stand.
type stream struct {
	epoch string
	rooms map[string]place
	moves uint64
	// left are positions that the last hello had no room to name: the session follows those rooms from wherever they were then.
	left map[string]protocol.Seq
	// muted are rooms that were unsubscribed from.
	muted map[string]struct{}
}

// place is a position in one room.
type place struct {
	seq   protocol.Seq
	open  bool   // the stream may begin before or behind it: seq is what a list said
	moved uint64 // when it moved last, in moves
}

func newStream(from *protocol.Resume) stream {
	s := stream{rooms: make(map[string]place), left: make(map[string]protocol.Seq), muted: make(map[string]struct{})}
	if from != nil {
		s.epoch = from.Epoch
		for room, seq := range from.Rooms {
			s.set(room, seq, false)
		}
	}
	return s
}

func (s *stream) set(room string, seq protocol.Seq, open bool) {
	s.moves++
	s.rooms[room] = place{seq, open, s.moves}
}

// positions are those of all rooms.
func (s *stream) positions() protocol.Resume {
	r := protocol.Resume{Epoch: s.epoch, Rooms: make(map[string]protocol.Seq, len(s.rooms))}
	for room, p := range s.rooms {
		r.Rooms[room] = p.seq
	}
	return r
}

// resume are the positions to say hello with: those of the rooms that moved last, as many as may be named. The others are left.
func (s *stream) resume() *protocol.Resume {
	if len(s.rooms) > protocol.MaxResumeRooms {
		rooms := slices.SortedFunc(maps.Keys(s.rooms), func(a, b string) int { return cmp.Compare(s.rooms[b].moved, s.rooms[a].moved) })
		for _, room := range rooms[protocol.MaxResumeRooms:] {
			s.left[room] = s.rooms[room].seq
			delete(s.rooms, room)
		}
	}
	if len(s.rooms) == 0 {
		return nil
	}
	r := s.positions()
	return &r
}

// greeted notes the epoch that the server told. Rooms that were named and are of another one the server resets by itself.
func (s *stream) greeted(epoch string) {
	if epoch != s.epoch {
		for room := range s.left {
			s.left[room] = 0
		}
	}
	s.epoch = epoch
}

// SequenceError is a breach of the promise that the events of a room come one after another: Got came where Want was next.
type SequenceError struct {
	Room      string
	Want, Got protocol.Seq
}

// Error names the room and the numbers.
func (e *SequenceError) Error() string {
	return fmt.Sprintf("client: room %s: event %d came where %d is next", e.Room, e.Got, e.Want)
}

// Duplicate reports an event that had come before; otherwise some are missing.
func (e *SequenceError) Duplicate() bool { return e.Got < e.Want }

// next moves a room on over the events from … to. lost is true if a position that was left has lost its connection with them. A *SequenceError tells
// that they are not the ones that must come, and nothing moves.
func (s *stream) next(room string, from, to protocol.Seq) (lost bool, err error) {
	p, known := s.rooms[room]
	switch old, wasLeft := s.left[room]; {
	case wasLeft:
		delete(s.left, room)
		lost = from > old+1
	case known && !p.open && p.seq > 0 && from != p.seq+1:
		return false, &SequenceError{room, p.seq + 1, from}
	}
	s.set(room, to, false)
	return lost, nil
}

// listed takes the head of a room from a list. lost is true if a position that was left is behind it.
func (s *stream) listed(room string, head protocol.Seq) (lost bool) {
	if _, known := s.rooms[room]; known || s.isMuted(room) {
		return false
	}
	old, wasLeft := s.left[room]
	delete(s.left, room)
	s.set(room, head, true)
	return wasLeft && head > old
}

// follow begins a room at a position, unless it is followed already.
func (s *stream) follow(room string, seq protocol.Seq) {
	delete(s.muted, room)
	if _, known := s.rooms[room]; !known {
		s.set(room, seq, false)
	}
}

// drop ends a room.
func (s *stream) drop(room string) {
	delete(s.rooms, room)
	delete(s.left, room)
}

// mute ends a room that the user stays a member of.
func (s *stream) mute(room string) {
	s.drop(room)
	s.muted[room] = struct{}{}
}

func (s *stream) isMuted(room string) bool {
	_, ok := s.muted[room]
	return ok
}
