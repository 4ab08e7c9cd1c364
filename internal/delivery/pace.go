package delivery

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	crowd      = 500                    // sessions of a room on this node from which on its events gather
	gatherEach = 20 * time.Microsecond  // they gather for so long for each session: about what it costs to write to it
	gatherMost = 200 * time.Millisecond // and for no longer than that
	urgency    = 25 * time.Millisecond  // between two fan-outs of a paced room, when somebody waits for the second
)

// pace is how often a room's worker comes: crowded rooms have one, and live rooms, which may be sampled. What arrives in between gathers, and each session is written to
// once for all of it. After a quiet time there is no waiting. It is guarded by the room's lock, but for the atomics.
type pace struct {
	sampler sampler
	gather  time.Duration // for the room's size; 0: it is not crowded
	last    time.Time     // when the last fan-out of events ended
	turns   uint64        // how often the worker was put off

	waiting atomic.Uint64 // the turn that the worker was put off to; 0: it was not. Who makes it 0 puts the room into the queue
	urgent  atomic.Bool   // something has arrived that is not to wait: a removal or a deletion that is about to be answered
}

// paces are those of the rooms that have one: beside the rooms, most of which have none and pay nothing for it. A room's pace is opened and dropped under
// its lock.
type paces struct {
	rooms sync.Map // *room to *pace
}

// of is the room's pace; nil: its worker comes at once.
func (t *paces) of(r *room) *pace {
	if p, ok := t.rooms.Load(r); ok {
		return p.(*pace)
	}
	return nil
}

// open is the room's pace, made if it has none.
func (t *paces) open(r *room) *pace {
	p := t.of(r)
	if p == nil {
		p = &pace{}
		t.rooms.Store(r, p)
	}
	return p
}

func (t *paces) drop(r *room) { t.rooms.Delete(r) }

// gatherFor is how long the events of a room with so many sessions here gather.
func gatherFor(sessions int) time.Duration {
	if sessions < crowd {
		return 0
	}
	return min(time.Duration(sessions)*gatherEach, gatherMost)
}

// every is the time from the end of a fan-out to the next.
func (p *pace) every() time.Duration { return max(p.gather, p.sampler.tick()) }

// due is when the worker may come.
func (p *pace) due(now time.Time, urgent bool) time.Time {
	if urgent {
		return p.last.Add(min(p.every(), urgency))
	}
	return maxTime(p.last.Add(p.gather), p.sampler.due(now))
}

// putOff reports whether the room is to be left alone for now. Then it comes back into the queue by itself. Called by the room's worker.
func (h *Hub) putOff(r *room) bool {
	p := h.rooms.paces.of(r)
	if p == nil {
		return false
	}
	for {
		urgent := p.urgent.Load()
		now := h.now()
		r.mu.Lock()
		due := p.due(now, urgent)
		r.mu.Unlock()
		if !due.After(now) {
			return false
		}
		p.turns++
		turn := p.turns
		p.waiting.Store(turn)
		if !urgent && p.urgent.Load() && p.waiting.CompareAndSwap(turn, 0) {
			continue // it has become urgent before it could be seen to wait
		}
		h.agenda.at(due, func() {
			if p.waiting.CompareAndSwap(turn, 0) {
				h.queue.push(r)
			}
		})
		return true
	}
}

// hurry has what has arrived in a room dealt with soon. It never blocks.
func (h *Hub) hurry(r *room) {
	p := h.rooms.paces.of(r)
	if p == nil || p.urgent.Swap(true) {
		return
	}
	if p.waiting.Swap(0) != 0 {
		h.queue.push(r)
	}
}

// The methods below are called with r.mu held.

// adjust gives a room the pace that its size asks for. Called by the room's worker, at the end of its work.
func (t *paces) adjust(r *room) {
	gather := gatherFor(r.size())
	p := t.of(r)
	switch {
	case p == nil && gather == 0:
	case gather == 0 && !r.live:
		t.drop(r)
	default:
		t.open(r).gather = gather
	}
}
