package delivery

import (
	"bytes"
	"encoding/binary"
	"hash/fnv"
	"unicode/utf8"

	"github.com/parley-im/parley/internal/broker"
	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/protocol"
)

// What nodes tell each other, in a form of their own: a byte for the kind, the sender's name, eight bytes for the life of the log, and a body. A
// string is its length and its bytes, a list is its length and its strings, a number is a uvarint. What does not read is dropped: it was a hint. Nodes of two
// versions run together while a cluster is upgraded: what is here may be added to, and not changed.

// kind is the first byte of a message.
type kind byte

const (
	kindEvent    kind = 1 + iota // to the room: seq, bits, sample_per_s if a bit says so, reason, joined, left, and the rest is the frame; none if it would be too large for the broker
	kindReceipts                 // to the room: whether private, and rows to the end: user, session, delivered, read
	kindTyping                   // to the room: user, whether active
	kindNews                     // to everyone: its number, room, seq, reason, joined, left
	kindSessions                 // to everyone: nothing
	kindProbe                    // to everyone: its number, meant for the sender itself, and how much news the sender has sent
	kindTrace                    // to the room, before the event that it is about, which is traced: seq, and the rest is the name of its span
	kindWatching                 // to the room: how many sessions follow it on the sender
)

const (
	bitErases = 1 << iota
	bitDeleted
	bitMessage
	bitSample // a number follows the bits: settings.sample_per_s
	bitReaction
)

// envelope begins a message about a room, or with room "" about none, with place for a body of about size bytes.
func (h *Hub) envelope(k kind, room string, size int) []byte {
	b := make([]byte, 0, 1+2+len(h.node)+8+size)
	b = appendString(append(b, byte(k)), h.node)
	return binary.BigEndian.AppendUint64(b, h.lives.mark(room))
}

// mark is the 64-bit FNV-1a hash of an epoch.
func mark(epoch string) uint64 {
	sum := fnv.New64a()
	sum.Write([]byte(epoch))
	return sum.Sum64()
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendList(b []byte, list []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, s := range list {
		b = appendString(b, s)
	}
	return b
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

func appendEvent(b []byte, e *entry) []byte {
	b = binary.AppendUvarint(b, e.seq)
	var bits byte
	if e.erases {
		bits |= bitErases
	}
	c := e.change
	if c == nil {
		c = &change{}
	}
	if c.deleted {
		bits |= bitDeleted
	}
	switch e.rank {
	case rankMessage:
		bits |= bitMessage
	case rankReaction:
		bits |= bitReaction
	}
	if e.sample != nil {
		b = binary.AppendUvarint(append(b, bits|bitSample), uint64(*e.sample))
	} else {
		b = append(b, bits)
	}
	b = appendString(b, string(c.reason))
	b = appendList(appendList(b, c.joined), c.left)
	return append(b, e.frame...)
}

func appendNews(b []byte, number uint64, room string, seq protocol.Seq, c *change) []byte {
	b = appendString(binary.AppendUvarint(b, number), room)
	b = binary.AppendUvarint(b, seq)
	b = appendString(b, string(c.reason))
	return appendList(appendList(b, c.joined), c.left)
}

func appendProbe(b []byte, number, news uint64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, number), news)
}

func appendReceipts(b []byte, private bool, rows []chat.CursorRow) []byte {
	b = appendBool(b, private)
	for _, r := range rows {
		b = appendString(appendString(b, r.User), r.Session)
		b = binary.AppendUvarint(binary.AppendUvarint(b, r.Delivered), r.Read)
	}
	return b
}

func appendTrace(b []byte, e *entry) []byte {
	return append(binary.AppendUvarint(b, e.seq), e.span.Traceparent()...)
}

func appendTyping(b []byte, user string, active bool) []byte {
	return appendBool(appendString(b, user), active)
}

func appendWatching(b []byte, sessions int) []byte {
	return binary.AppendUvarint(b, uint64(sessions))
}

// reader takes a body apart. After a fault everything reads as zero, and bad says so.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) fail() {
	r.rest, r.bad = nil, true
}

func (r *reader) number() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.rest)) {
		r.fail()
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) string() string {
	b := r.bytes(r.number())
	if !utf8.Valid(b) {
		r.fail()
	}
	return string(b)
}

// life reads the mark of an envelope.
func (r *reader) life() uint64 {
	if b := r.bytes(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// newsRoom is the room of the news that is to be read.
func (r *reader) newsRoom() string {
	ahead := *r
	ahead.number()
	room := ahead.string()
	r.bad = ahead.bad
	return room
}

func (r *reader) list() []string {
	n := r.number()
	if n > uint64(len(r.rest)) { // each has a byte at least
		r.fail()
		return nil
	}
	var list []string
	for range n {
		list = append(list, r.string())
	}
	return list
}

// event reads the body of an event; nil if it is none.
func (r *reader) event() *entry {
	e := &entry{seq: r.number()}
	bits := r.byte()
	if bits&bitSample != 0 {
		sample := int64(min(r.number(), protocol.MaxSamplePerS))
		e.sample = &sample
	}
	switch {
	case bits&bitMessage != 0:
		e.rank = rankMessage
	case bits&bitReaction != 0:
		e.rank = rankReaction
	}
	c := change{reason: protocol.LeaveReason(r.string()), joined: r.list(), left: r.list(), deleted: bits&bitDeleted != 0}
	if len(c.joined) > 0 || len(c.left) > 0 || c.deleted {
		e.change = &c
	}
	e.erases = bits&bitErases != 0
	e.frame = bytes.Clone(r.rest)
	if r.bad || e.seq == 0 || bytes.IndexByte(e.frame, '\n') >= 0 || !utf8.Valid(e.frame) {
		return nil
	}
	return e
}

// receipts reads the body of receipts in a room; nil if they are none.
func (r *reader) receipts(room string) []chat.CursorRow {
	private := r.byte() != 0
	var rows []chat.CursorRow
	for !r.bad && len(r.rest) > 0 {
		rows = append(rows, chat.CursorRow{
			Room: room, User: r.string(), Session: r.string(), Delivered: r.number(), Read: r.number(), Moved: true, Private: private,
		})
	}
	if r.bad {
		return nil
	}
	return rows
}

// Receive takes a message of the broker. It does not block.
func (h *Hub) Receive(m broker.Message) {
	r := reader{rest: m.Data}
	k := kind(r.byte())
	node := r.string()
	life := r.life()
	about := m.Room
	if k == kindNews && about == "" {
		about = r.newsRoom()
	}
	to := h.rooms.get(about) // before the life is looked at: a room that was there before it changed is dead by then
	switch {
	case r.bad:
	case !h.lives.good(life, about):
		if node != h.node && h.news.knows(node) {
			h.position.suspect() // one of the two does not know yet what has become of the log
		}
	case k == kindProbe:
		h.receiveProbe(node, &r)
	case node == h.node: // this node has applied what it sent
	case m.Room != "":
		if to != nil {
			h.receiveInRoom(to, node, k, &r)
		}
	case k == kindNews:
		h.receiveNews(to, node, &r)
	case k == kindSessions:
		poke(h.position.sessionsChanged)
	}
}

func (h *Hub) receiveProbe(node string, r *reader) {
	number, sent := r.number(), r.number()
	switch {
	case r.bad:
	case node == h.node:
		h.position.heard(number)
	case !h.news.complete(node, number, sent, h.now()):
		h.position.suspect()
	}
}

func (h *Hub) receiveInRoom(to *room, node string, k kind, r *reader) {
	id := to.id
	switch k {
	case kindEvent:
		switch e := r.event(); {
		case e == nil:
		case len(e.frame) == 0:
			h.arrive(to, &arrival{kind: arrivedHead, seq: e.seq})
		default:
			e.origin, e.span = OfHint, h.observer.take(id, e.seq)
			h.arriveEvent(to, e)
		}
	case kindReceipts:
		h.receipts.moved(r.receipts(id), false)
	case kindTrace:
		h.observer.expect(id, r.number(), string(r.rest))
	case kindTyping:
		user, active := r.string(), r.byte() != 0
		if !r.bad {
			h.typing.here(typist{id, user}, active)
		}
	case kindWatching:
		if n := r.number(); !r.bad && n <= maxWatching {
			h.arrive(to, &arrival{kind: arrivedWatching, node: node, sessions: int(n)})
		}
	}
}

func (h *Hub) receiveNews(to *room, node string, r *reader) {
	number, room, seq := r.number(), r.string(), r.number()
	c := &change{reason: protocol.LeaveReason(r.string()), joined: r.list(), left: r.list()}
	if r.bad || seq == 0 {
		return
	}
	h.news.received(node, number)
	if to != nil {
		h.arrive(to, &arrival{kind: arrivedNews, seq: seq, change: c})
	} else {
		h.news.apply(room, seq, c, nil)
	}
}

// Lost takes note that hints were lost: the store is asked what has changed.
func (h *Hub) Lost() { h.position.suspect() }
