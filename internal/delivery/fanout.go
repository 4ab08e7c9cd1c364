package delivery

import (
	"context"
	"runtime"
	"time"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/protocol"
)

// pass is one worker's work on one room: everything that had arrived when it began, in order, with r.mu held. While it writes more gathers, and makes
// the next pass larger: that is all the batching there is.
type pass struct {
	hub     *Hub
	room    *room
	run     []*entry // events in order that have not been offered yet; room.next is already past them
	signals []*signal
	look    bool   // at the audience
	hint    []byte // for the other nodes that follow the room
}

// work takes rooms from the queue until it is stopped.
func (h *Hub) work() {
	p := pass{hub: h}
	for {
		r := h.queue.pop()
		if r == nil {
			return
		}
		if h.putOff(r) {
			continue
		}
		p.over(r)
		if !r.rest() {
			h.queue.push(r) // behind the rooms that wait
		}
	}
}

func (p *pass) over(r *room) {
	p.room = r
	if pace := p.hub.rooms.paces.of(r); pace != nil {
		pace.urgent.Store(false) // before what has arrived is taken: what comes after is urgent again
	}
	arrived := r.take()
	p.carryOut(arrived)
	if p.hint != nil {
		p.hub.live.Publish(r.id, p.hint)
		p.hint = nil
	}
}

// carryOut does what follows from what has arrived.
func (p *pass) carryOut(arrived *arrival) {
	r := p.room
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.next
	for a := arrived; a != nil; a = a.next {
		p.arrival(a)
	}
	p.flush()
	for _, s := range p.signals {
		p.signal(s)
	}
	clear(p.signals)
	p.signals = p.signals[:0]
	if p.look && r.live && !r.dead {
		p.lookAtAudience()
	}
	p.look = false
	p.finish(before)
}

func (p *pass) arrival(a *arrival) {
	r := p.room
	switch a.kind {
	case arrivedEvent:
		p.hub.backlog.Add(-int64(len(a.entry.frame)))
		p.event(a.entry)
	case arrivedHead:
		r.hear(a.seq)
		p.early() // a room that has just been placed
	case arrivedNews:
		if r.dead || a.seq < r.next || r.next == 0 {
			p.hub.news.old(r, a.seq, a.change)
		} else {
			r.hear(a.seq)
		}
	case arrivedTrimmed:
		if r.next != 0 && r.next < a.seq && !r.dead {
			p.giveUp(a.seq)
		}
	case arrivedFill:
		r.busy().filling = false
	case arrivedNothing:
		m := r.busy()
		m.filling = false
		if m.heard == a.seq { // the store does not have it, and nothing has been heard since: it is not true
			m.heard, m.early = 0, nil
		}
	case arrivedNoFill:
		p.hub.fillAfter(r, retryLast) // and stays "filling" until then
	case arrivedSignal:
		p.signals = append(p.signals, a.signal)
	case arrivedWatcher, arrivedWatching, arrivedBeat:
		p.audience(a)
	}
}

// audience takes note of what has come of a live room's audience, to be looked at when all has arrived.
func (p *pass) audience(arrived *arrival) {
	p.look = true
	var a *audience
	if p.room.more != nil {
		a = p.room.more.audience
	}
	switch {
	case a == nil: // nobody is here yet
	case arrived.kind == arrivedWatcher:
		a.fresh = true
	case arrived.kind == arrivedWatching:
		a.heard(arrived.node, arrived.sessions, p.hub.now())
	case arrived.audience == a:
		a.beating = false
	}
}

// hear takes note that the room's head is at least seq.
func (r *room) hear(seq protocol.Seq) {
	if seq >= r.next {
		m := r.busy()
		m.heard = max(m.heard, seq)
	}
}

// event puts an event in its place: out, if it is the next, together with those that waited for it.
func (p *pass) event(e *entry) {
	r := p.room
	switch {
	case r.dead || r.next != 0 && e.seq < r.next:
		if e.change != nil {
			p.hub.news.old(r, e.seq, e.change)
		}
	case r.next != 0 && e.seq == r.next:
		p.out(e)
		p.early()
	default:
		r.hear(e.seq)
		m := r.busy()
		if m.early == nil {
			m.early = map[protocol.Seq]*entry{}
		}
		if len(m.early) < maxEarly {
			m.early[e.seq] = e
		}
	}
}

// early puts out what has waited for the events before it.
func (p *pass) early() {
	for p.room.more != nil && len(p.room.more.early) > 0 {
		e := p.room.more.early[p.room.next]
		if e == nil {
			return
		}
		p.out(e)
	}
}

// out takes the next event. What changes who is in the room is applied between it and its neighbours: those who join get room.added before the event
// that let them in, those who leave get nothing after the one that put them out.
func (p *pass) out(e *entry) {
	r := p.room
	if r.more != nil {
		delete(r.more.early, e.seq)
	}
	if e.sample != nil {
		p.flush() // what came before is under the old setting
		p.hub.rooms.paces.setSample(r, *e.sample, e.seq)
	}
	if e.change != nil {
		r.changed = e.seq
		if len(e.change.joined) > 0 {
			p.flush()
			p.join(e.seq, e.change.joined)
		}
	}
	p.run = append(p.run, e)
	r.next = e.seq + 1
	if e.change.shutsOut() {
		p.flush()
		p.leave(e.seq, e.change)
	}
	if e.erases {
		p.flush()
		r.erasures++
		p.hub.recent.drop(r)
	}
	e.change = nil // it has been applied: who keeps the event keeps its frame, and not the names of all who joined
}

// flush offers what is in run to everyone in the room; of a sampled room what is chosen of it.
func (p *pass) flush() {
	if len(p.run) == 0 {
		return
	}
	h, r := p.hub, p.room
	h.recent.keep(r, p.run, h.now())
	h.counters.events.Add(uint64(len(p.run)))
	if r.size() > 0 {
		began, run, events := h.now(), p.run, len(p.run)
		if s := h.rooms.paces.sampler(r); s != nil {
			run, events = s.choose(r.id, run, began)
			h.counters.skipped.Add(uint64(len(p.run) - events))
		}
		h.batches(run, func(b *Batch, of []*entry) bool {
			s := stretchOf(of)
			p.everyone(func(f *Follower) { p.offer(f, b, &s) })
			return true
		})
		if pace := h.rooms.paces.of(r); pace != nil {
			pace.last = h.now()
			if pace.gather > 0 && len(p.run) > 1 {
				h.counters.gathered.Add(1)
			}
			pace.sampler.spend(pace.last, events)
		}
		h.observer.offered(r, p.run, began, h.now())
	}
	clear(p.run)
	p.run = p.run[:0]
}

// atOnce is how many sessions are offered a batch before others get at the room and at the processor.
const atOnce = 256

// everyone calls do for every session in the room. It lets go of the room's lock now and then.
func (p *pass) everyone(do func(*Follower)) {
	p.each(&p.room.followers, do)
	if p.room.more != nil {
		p.each(&p.room.more.watchers, do)
	}
}

// each is the hot loop: every session of one list.
func (p *pass) each(sessions *[]uint32, do func(*Follower)) {
	h, r := p.hub, p.room
	if len(*sessions) <= atOnce {
		for _, i := range *sessions {
			do(h.followers.get(i))
		}
		return
	}
	f := &fan{list: sessions}
	r.busy().fan = f
	for f.done < len(*sessions) {
		for range min(atOnce, len(*sessions)-f.done) {
			do(h.followers.get((*sessions)[f.done]))
			f.done++
		}
		r.mu.Unlock()
		runtime.Gosched()
		r.mu.Lock()
	}
	r.more.fan = nil
}

// offer offers a batch to a session that does not lag.
func (p *pass) offer(f *Follower, b *Batch, s *stretch) {
	if f.behind.Load() != 0 {
		if l := f.behindIn(p.room); l != nil {
			p.serveProbation(f, l, b, s)
			return
		}
	}
	p.offerTo(f, b, s)
}

func (p *pass) offerTo(f *Follower, b *Batch, s *stretch) {
	drained := f.drained.Load()
	if !f.sink.Offer(b) {
		p.hub.counters.refused.Add(1)
		f.fallBehind(p.room, s.first, drained)
	}
}

// finish looks to what the room needs next.
func (p *pass) finish(before protocol.Seq) {
	r, h := p.room, p.hub
	if r.dead {
		return
	}
	if m := r.more; m != nil {
		r.release(r.next)
		if r.next != before {
			for _, i := range m.ahead {
				if f := h.followers.get(i); f != nil { // may be another by now, who does not mind
					f.kick()
				}
			}
			m.ahead = nil
		}
		if r.hole() && !m.filling {
			m.filling = true
			wait := patience
			if pace := h.rooms.paces.of(r); pace != nil {
				wait += pace.every() // what came early may have to wait for its predecessors so long
			}
			h.fillAfter(r, wait)
		}
	}
	r.settle()
	h.rooms.paces.adjust(r)
}

// fillAfter reads the room's hole from the Source unless it closes by itself before.
func (h *Hub) fillAfter(r *room, d time.Duration) {
	h.agenda.at(h.now().Add(d), func() { h.spawn(func(ctx context.Context) { h.fill(ctx, r) }) })
}

// fill reads what is missing, once for everyone who waits for it. It arrives like any event, and a word that it has all arrived after it.
func (h *Hub) fill(ctx context.Context, r *room) {
	r.mu.Lock()
	next, hole := r.next, r.hole() && !r.dead
	heard := r.busy().heard
	r.mu.Unlock()
	if !hole {
		h.arrive(r, &arrival{kind: arrivedFill})
		return
	}
	h.counters.fills.Add(1)
	h.position.suspect()
	found, first, err := h.missing(ctx, r.id, next)
	if err != nil {
		h.log.Warn("reading a hole", "room", r.id, "after", next-1, "err", err)
		h.arrive(r, &arrival{kind: arrivedNoFill})
		return
	}
	if first > next {
		h.log.Warn("a room has pruned what this node had still to push: its sessions come anew", "room", r.id, "next", next, "first", first)
		h.arrive(r, &arrival{kind: arrivedTrimmed, seq: first})
	}
	for _, e := range found {
		n := newEntry(e)
		h.backlog.Add(int64(len(n.frame)))
		h.arrive(r, &arrival{kind: arrivedEvent, seq: n.seq, entry: n})
	}
	if len(found) == 0 && first == next {
		h.arrive(r, &arrival{kind: arrivedNothing, seq: heard})
	} else {
		h.arrive(r, &arrival{kind: arrivedFill})
	}
}

// missing reads a room's events from next on. first is the first of them that the room keeps, or the one that it goes on with; next where that is not known.
func (h *Hub) missing(ctx context.Context, room string, next protocol.Seq) (found []*chat.Event, first protocol.Seq, err error) {
	first = next
	err = h.reading(ctx, func() (err error) {
		if found, err = h.source.Events(ctx, room, next-1, pageEvents); err != nil || len(found) > 0 {
			return err
		}
		heads, err := h.source.Heads(ctx, []string{room})
		if err != nil || heads[room] < next {
			return err
		}
		first = heads[room] + 1
		found, err = h.source.Events(ctx, room, next-1, pageEvents) // again: up to that head they are here now, or are kept no longer
		return err
	})
	if len(found) > 0 {
		first = found[0].Seq
	}
	return found, first, err
}
