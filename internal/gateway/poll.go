package gateway

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/parley-im/parley/protocol"
)

// mailbox is what a session of LongPoll has in place of a connection: what waits stays in the queue, a frame for each of its wires, until it is acknowledged.
// HTTPSide.mu guards it.
type mailbox struct {
	first   uint64        // the number of the first frame in the queue
	given   uint64        // frames before this one have been in an answer
	quietBy time.Duration // the end of a session that is not polled; 0: it is being polled
	poll    *poll         // that waits; nil: none
}

// poll is one that waits.
type poll struct {
	wake chan struct{} // capacity 1: there may be something
	over bool          // another has come
}

// Polled is the session of LongPoll with the id, and its Peer; ok is false when there is none, or it has ended and everything was taken.
func (g *Gateway) Polled(id string) (h *HTTPSide, p Peer, ok bool) {
	g.mu.Lock()
	h, ok = g.polls[id]
	g.mu.Unlock()
	if !ok {
		return nil, nil, false
	}
	h.turn.Lock() // it may be being opened
	p = h.peer
	h.turn.Unlock()
	h.tellDrained()
	return h, p, true
}

// Poll is one poll (§2.6). ack is the cursor of an answer whose frames have arrived, with all before; any other text acknowledges nothing. Poll returns the
// frames that follow, at most protocol.MaxServerMessage bytes of them unless a single one is larger, as soon as there are any; none when wait is over, ctx ends,
// or another Poll comes. ok is false when the session has ended and everything was taken.
func (h *HTTPSide) Poll(ctx context.Context, ack string, wait time.Duration) (cursor string, frames []protocol.Raw, ok bool) {
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	p := &poll{wake: make(chan struct{}, 1)}
	h.mu.Lock()
	defer h.mu.Unlock()
	m := &h.mailbox
	if m.poll != nil {
		m.poll.over = true
		h.wake()
	}
	m.poll, m.quietBy = p, 0
	h.acknowledge(ack)
	for waiting := wait > 0; waiting && h.out == nil && !p.over && !h.state.closing; {
		h.mu.Unlock()
		select {
		case <-p.wake:
		case <-timeout.C:
			waiting = false
		case <-ctx.Done():
			waiting = false
		}
		h.mu.Lock()
	}
	if m.poll == p {
		m.poll = nil
		m.quietBy = h.g.wheel.stamp() + pollTimeout
		h.g.wheel.sooner(h.Session, m.quietBy)
	}
	if h.state.closing && h.out == nil {
		return "", nil, false
	}
	frames = h.take()
	m.given = max(m.given, m.first+uint64(len(frames)))
	return strconv.FormatUint(m.first+uint64(len(frames)), 10), frames, true
}

// Last is a Poll that does not wait and returns `closing` alone, whatever waits before it; its cursor is behind that. ok is false when the session has not
// ended, has ended without `closing`, or everything was taken.
func (h *HTTPSide) Last(ack string) (cursor string, closing protocol.Raw, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.acknowledge(ack)
	if !h.state.closing || h.state.code == closeCutDown || h.out == nil {
		return "", nil, false
	}
	m := &h.mailbox
	m.given = m.first + uint64(len(h.out.wires))
	closing = h.out.wires[len(h.out.wires)-1]
	h.written += uint64(len(closing))
	h.g.count.bytesOut.Add(uint64(len(closing)))
	return strconv.FormatUint(m.given, 10), closing, true
}

// acknowledge takes what has arrived off the queue, with mu held.
func (h *HTTPSide) acknowledge(ack string) {
	m := &h.mailbox
	upTo, err := strconv.ParseUint(ack, 10, 64)
	if err != nil || upTo <= m.first || upTo > m.given || h.out == nil {
		return
	}
	bytes := 0
	for _, frame := range h.out.wires[:upTo-m.first] {
		bytes += len(frame)
	}
	m.first = upTo
	h.out.taken(bytes)
	h.g.count.queueBytes.Add(-int64(bytes))
	if h.out.bytes <= h.g.opts.QueueBytes/2 {
		h.makeRoom()
	}
	if h.out.bytes == 0 {
		h.out = nil
		if h.state.closing {
			h.forget()
		}
	}
}

// take is what the next answer holds, with mu held.
func (h *HTTPSide) take() (frames []protocol.Raw) {
	if h.out == nil {
		return nil
	}
	bytes := 0
	for _, frame := range h.out.wires {
		if bytes += len(frame); bytes > protocol.MaxServerMessage && len(frames) > 0 {
			break
		}
		frames = append(frames, frame)
		h.written += uint64(len(frame))
		h.g.count.bytesOut.Add(uint64(len(frame)))
	}
	return slices.Clip(frames)
}

// post queues frames for the next poll, with mu held.
func (h *HTTPSide) post(frames []byte) {
	for frame := range protocol.Lines(frames) {
		h.enqueue(frame)
	}
	h.wake()
}

// wake has the poll that waits look, with mu held.
func (h *HTTPSide) wake() {
	if p := h.poll; p != nil {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
}

// isForgotten reports whether a session of LongPoll was not polled for too long, with mu held.
func (h *HTTPSide) isForgotten(now time.Duration) bool {
	return h != nil && h.quietBy > 0 && now >= h.quietBy
}
