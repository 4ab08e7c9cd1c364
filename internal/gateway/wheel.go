package gateway

import (
	"sync"
	"sync/atomic"
	"time"
)

// wheelSlots ticks are one turn of the wheel. What is due later than in one turn is looked at once more on the way.
const wheelSlots = 256

// maxStep is how far one tick moves the clock. A process that did not run for a minute has heard nobody for a minute, which is not the fault of its
// sessions: their bytes are waiting in the kernel.
const maxStep = time.Second

// wheel is the clock of a gateway, the list of its sessions, and the order in which they are looked at. Every session that is not gone is in one slot.
// Times are durations since the gateway started.
type wheel struct {
	elapsed atomic.Int64 // the time at the last tick

	mu    sync.Mutex
	tick  int64 // the last tick whose slot was emptied
	slots [wheelSlots]*Session
}

// spoke is what a session is to the wheel: its neighbours in the slot, and the tick at which it is due. wheel.mu guards it.
type spoke struct {
	prev, next *Session
	due        int64 // 0: not in the wheel
}

// now is the time at the last tick.
func (w *wheel) now() time.Duration { return time.Duration(w.elapsed.Load()) }

// stamp is now rounded up to the next tick, so that nothing that is counted from it is due too early.
func (w *wheel) stamp() time.Duration { return w.now() + tickLength }

// run moves the clock with the ticks and calls check for every session that is due, until stop is closed.
func (w *wheel) run(start time.Time, ticks <-chan time.Time, stop <-chan struct{}, check func(s *Session, at time.Time)) {
	for last := start; ; {
		select {
		case <-stop:
			return
		case at := <-ticks:
			if step := min(at.Sub(last), maxStep); step > 0 {
				w.elapsed.Add(int64(step))
			}
			last = at
			for s := w.due(); s != nil; s = w.due() {
				check(s, at)
			}
		}
	}
}

// due finds a session that is due and moves it on by a whole turn: the check puts it where it belongs. nil: there is none left.
func (w *wheel) due() *Session {
	w.mu.Lock()
	defer w.mu.Unlock()
	for until := int64(w.now() / tickLength); w.tick < until; {
		if s := w.slots[(w.tick+1)%wheelSlots]; s != nil {
			w.unlink(s)
			w.link(s, w.tick+wheelSlots)
			return s
		}
		w.tick++
	}
	return nil
}

// add puts a new session into the wheel. It is due at once, and its first check puts it where it belongs.
func (w *wheel) add(s *Session) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.link(s, w.tickOf(0))
}

// sooner makes a session be looked at no later than at a time. A session that is not in the wheel stays out.
func (w *wheel) sooner(s *Session, at time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if tick := w.tickOf(at); tick < s.spoke.due {
		w.unlink(s)
		w.link(s, tick)
	}
}

// remove takes a session out for good.
func (w *wheel) remove(s *Session) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.spoke.due != 0 {
		w.unlink(s)
		s.spoke = spoke{}
	}
}

// sessions are all sessions in the wheel, in no order.
func (w *wheel) sessions() []*Session {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []*Session
	for _, s := range w.slots {
		for ; s != nil; s = s.spoke.next {
			all = append(all, s)
		}
	}
	return all
}

// tickOf is the first tick at or after a time, but one that is still to come.
func (w *wheel) tickOf(at time.Duration) int64 {
	return int64(max(w.now()/tickLength+1, (at+tickLength-1)/tickLength))
}

func (w *wheel) link(s *Session, tick int64) {
	slot := &w.slots[tick%wheelSlots]
	s.spoke = spoke{next: *slot, due: tick}
	if *slot != nil {
		(*slot).spoke.prev = s
	}
	*slot = s
}

func (w *wheel) unlink(s *Session) {
	if s.spoke.prev != nil {
		s.spoke.prev.spoke.next = s.spoke.next
	} else {
		w.slots[s.spoke.due%wheelSlots] = s.spoke.next
	}
	if s.spoke.next != nil {
		s.spoke.next.spoke.prev = s.spoke.prev
	}
}
