package api

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"maps"
	"slices"

	"github.com/parley-im/parley/protocol"
)

// An event id (§2.5) is, in base64url, a MAC and what it vouches for: the epoch, where a checkpoint in the store says where the session stood, and where it
// stands otherwise since: rooms of the checkpoint by their place in it, other rooms by their names. The MAC is over the user too, so that an id is of use to
// nobody else; it holds no secret.

// A mark is a position in a room: 0 stands for a room that is not followed any more, and everything else for the seq + 2, which makes delivery.NoPosition 1.
type mark uint64

const left mark = 0

func markOf(at protocol.Seq) mark { return mark(at + 2) }

func (m mark) seq() protocol.Seq { return protocol.Seq(m - 2) }

// The sizes of an id.
const (
	macBytes   = 16
	maxIDBytes = 4096 * 3 / 4 // before base64
)

// streamID is what an id says: where a session stands.
type streamID struct {
	epoch   string // in which the session began: what was told since stands as long
	session string // whose checkpoint; "" with number 0
	number  uint64 // of the checkpoint among those of the session; 0: there is none
	places  map[uint64]mark
	rooms   map[string]mark
}

// append appends the id before it is sealed.
func (id *streamID) append(b []byte) []byte {
	b = binary.AppendUvarint(appendString(appendString(b, id.epoch), id.session), id.number)
	b = binary.AppendUvarint(b, uint64(len(id.places)))
	for place, at := range id.places {
		b = binary.AppendUvarint(binary.AppendUvarint(b, place), uint64(at))
	}
	for room, at := range id.rooms {
		b = binary.AppendUvarint(appendString(b, room), uint64(at))
	}
	return b
}

// put says where the session stands in a room now; base is the checkpoint of the id.
func (id *streamID) put(base *checkpoint, room string, at mark) {
	place, ok := base.place(room)
	switch {
	case ok && base.marks[place] == at:
		delete(id.places, uint64(place))
	case ok:
		id.places[uint64(place)] = at
	case at == left:
		delete(id.rooms, room)
	default:
		id.rooms[room] = at
	}
}

// get is where the session stands in a room.
func (id *streamID) get(base *checkpoint, room string) mark {
	place, ok := base.place(room)
	if !ok {
		return id.rooms[room]
	}
	if at, moved := id.places[uint64(place)]; moved {
		return at
	}
	return base.marks[place]
}

// all is where the session stands in the rooms that it follows.
func (id *streamID) all(base *checkpoint) map[string]mark {
	all := make(map[string]mark, len(base.rooms)+len(id.rooms))
	for place, room := range base.rooms {
		at, moved := id.places[uint64(place)]
		if !moved {
			at = base.marks[place]
		}
		if at != left {
			all[room] = at
		}
	}
	maps.Copy(all, id.rooms)
	return all
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// sealID makes an id of what it says.
func sealID(key []byte, user string, content []byte) string {
	return base64.RawURLEncoding.EncodeToString(append(idMAC(key, user, content), content...))
}

// openID reads an id; false for one that was not made by this deployment for the user.
func openID(key []byte, user, text string) (id streamID, ok bool) {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(sealed) < macBytes || len(sealed) > maxIDBytes {
		return id, false
	}
	content := sealed[macBytes:]
	if !hmac.Equal(sealed[:macBytes], idMAC(key, user, content)) {
		return id, false
	}
	r := positionsReader{rest: content}
	id.epoch, id.session, id.number = r.text(), r.text(), r.number()
	id.places, id.rooms = map[uint64]mark{}, map[string]mark{}
	for n := r.number(); n > 0 && !r.bad; n-- {
		place := r.number()
		id.places[place] = mark(r.number())
	}
	for len(r.rest) > 0 {
		room := r.text()
		id.rooms[room] = mark(r.number())
	}
	return id, !r.bad
}

// idMAC is over the user, in whose name there is no NUL, and the content.
func idMAC(key []byte, user string, content []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(user))
	h.Write([]byte{0})
	h.Write(content)
	return h.Sum(nil)[:macBytes]
}

// checkpoint is where a session stood in all its rooms. It is never changed.
type checkpoint struct {
	rooms []string // sorted
	marks []mark
}

// newCheckpoint makes one of where a session stands.
func newCheckpoint(at map[string]mark) *checkpoint {
	c := &checkpoint{rooms: slices.Sorted(maps.Keys(at)), marks: make([]mark, len(at))}
	for i, room := range c.rooms {
		c.marks[i] = at[room]
	}
	return c
}

// place is where in the checkpoint a room is.
func (c *checkpoint) place(room string) (int, bool) { return slices.BinarySearch(c.rooms, room) }

// bytes is the checkpoint as it is stored.
func (c *checkpoint) bytes() []byte {
	b := binary.AppendUvarint(nil, uint64(len(c.rooms)))
	for i, room := range c.rooms {
		b = binary.AppendUvarint(appendString(b, room), uint64(c.marks[i]))
	}
	return b
}

// readCheckpoint reads what bytes has made; false if it did not.
func readCheckpoint(b []byte) (c *checkpoint, ok bool) {
	c = &checkpoint{}
	r := positionsReader{rest: b}
	for n := r.number(); n > 0 && !r.bad; n-- {
		c.rooms = append(c.rooms, r.text())
		c.marks = append(c.marks, mark(r.number()))
	}
	return c, !r.bad
}

// positionsReader takes an id or a checkpoint apart. After a fault everything reads as zero, and bad says so.
type positionsReader struct {
	rest []byte
	bad  bool
}

func (r *positionsReader) number() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.rest, r.bad = nil, true
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *positionsReader) text() string {
	n := r.number()
	if n > uint64(len(r.rest)) {
		r.rest, r.bad = nil, true
		return ""
	}
	s := string(r.rest[:n])
	r.rest = r.rest[n:]
	return s
}
