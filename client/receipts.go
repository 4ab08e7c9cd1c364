package client

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/parley-im/parley/protocol"
)

// receiptPause is the least time between two reports of cursors.
const receiptPause = time.Second

// receipts gathers cursors that have moved and reports the newest of each room, at most once a second. What a lost connection did not answer
// is reported again on the next.
type receipts struct {
	c *Client

	mu        sync.Mutex
	delivered map[string]protocol.Seq // to be reported
	read      map[string]protocol.Seq
	none      map[string]struct{} // rooms that take no receipts
	pausing   bool                // since the last report, or for the next
}

func newReceipts(c *Client) *receipts {
	return &receipts{
		c: c, delivered: make(map[string]protocol.Seq), read: make(map[string]protocol.Seq), none: make(map[string]struct{}),
	}
}

// Read moves the user's read cursor of a room up to seq, soon and without waiting: within a second the newest of each room is reported. Receipts.Read
// reports at once and tells what is unread.
func (c *Client) Read(room string, seq protocol.Seq) {
	c.receipts.note(&c.receipts.read, room, seq)
}

// Delivered moves the delivered cursor in the same way. Without Options.ManualReceipts the client does so itself.
func (c *Client) Delivered(room string, seq protocol.Seq) {
	c.receipts.note(&c.receipts.delivered, room, seq)
}

// handled reports an event that the handler has seen. The user's own need no report: senders look at the cursors of others.
func (r *receipts) handled(e protocol.Event) {
	if hello := r.c.State().Hello; hello != nil && hello.User == e.User {
		return
	}
	r.note(&r.delivered, e.Room, e.Seq)
}

// note moves a cursor, which is one of r.delivered and r.read.
func (r *receipts) note(cursors *map[string]protocol.Seq, room string, seq protocol.Seq) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.none[room]; !ok {
		(*cursors)[room] = max((*cursors)[room], seq)
		r.start()
	}
}

// start begins to report, unless that goes on already.
func (r *receipts) start() {
	if !r.pausing {
		r.pausing = r.c.background(r.report)
	}
}

// live reports what the session before did not.
func (r *receipts) live() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.delivered)+len(r.read) > 0 {
		r.start()
	}
}

// report sends what there is, once a second, until there is nothing or no session.
func (r *receipts) report() {
	for {
		if !r.flush() {
			return
		}
		pause(r.c.ctx, receiptPause)
	}
}

// flush sends what there is, and reports false if that was nothing or no session is open.
func (r *receipts) flush() bool {
	r.mu.Lock()
	delivered, read := r.delivered, r.read
	if len(delivered)+len(read) == 0 || r.c.ctx.Err() != nil || r.c.State().Phase != Live {
		r.pausing = false
		r.mu.Unlock()
		return false
	}
	r.delivered, r.read = make(map[string]protocol.Seq), make(map[string]protocol.Seq)
	r.mu.Unlock()
	rooms := slices.Collect(maps.Keys(delivered))
	for some := range slices.Chunk(rooms, protocol.MaxCursorsPerCall) {
		r.sendDelivered(pick(delivered, some))
	}
	for room, seq := range read {
		r.sendRead(room, seq)
	}
	return true
}

// pick is the part of cursors that is about rooms.
func pick(cursors map[string]protocol.Seq, rooms []string) map[string]protocol.Seq {
	picked := make(map[string]protocol.Seq, len(rooms))
	for _, room := range rooms {
		picked[room] = cursors[room]
	}
	return picked
}

func (r *receipts) sendDelivered(cursors map[string]protocol.Seq) {
	r.send(protocol.ReceiptDelivered, protocol.ReceiptDeliveredParams{Cursors: cursors}, func(err *protocol.Error) {
		switch {
		case retriable(err):
			for room, seq := range cursors {
				r.note(&r.delivered, room, seq)
			}
		case len(cursors) > 1: // one room makes the whole call fail: find it by halves
			rooms := slices.Collect(maps.Keys(cursors))
			for half := range slices.Chunk(rooms, (len(rooms)+1)/2) {
				r.sendDelivered(pick(cursors, half))
			}
		default:
			for room := range cursors {
				r.refused(room)
			}
		}
	})
}

func (r *receipts) sendRead(room string, seq protocol.Seq) {
	r.send(protocol.ReceiptRead, protocol.ReceiptReadParams{Room: room, Seq: seq}, func(err *protocol.Error) {
		if retriable(err) {
			r.note(&r.read, room, seq)
		} else {
			r.refused(room)
		}
	})
}

// send makes a call and has failed told why it came to nothing.
func (r *receipts) send(method string, params any, failed func(*protocol.Error)) {
	answered := func(_ protocol.Raw, err error) {
		if refusal := new(protocol.Error); errors.As(err, &refusal) {
			failed(refusal)
		}
	}
	if _, err := r.c.start(method, params, answered); errors.Is(err, errNotLive) {
		failed(errLost)
	}
}

// retriable reports an error that says nothing about the rooms.
func retriable(err *protocol.Error) bool {
	switch err.Code {
	case protocol.Unavailable, protocol.RateLimited, protocol.Internal, protocol.Unauthenticated:
		return true
	}
	return false
}

// refused stops reporting a room that takes no receipts: a live one, or one that is gone.
func (r *receipts) refused(room string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.none[room] = struct{}{}
}

// gone forgets a room: should the user be added again, it is reported again.
func (r *receipts) gone(room string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.delivered, room)
	delete(r.read, room)
	delete(r.none, room)
}
