package delivery

import (
	"slices"
	"time"

	"github.com/parley-im/parley/protocol"
)

const (
	// sampleWindow is the second of sample_per_s: a tenth longer, so that a client that counts by the arrival of frames finds no more either.
	sampleWindow = 1100 * time.Millisecond
	sampleTicks  = 4 // fan-outs of a busy sampled room in that time
)

// rank is how early an event of a sampled room is left out.
type rank uint8

const (
	rankOther    rank = iota // what changes what was pushed, or the room: as late as can be
	rankMessage              // message.created
	rankReaction             // reactions come in floods: beside messages they have a part of what may be pushed, not all of it
)

func rankOf(event protocol.Name) rank {
	switch event {
	case protocol.MessageCreated:
		return rankMessage
	case protocol.ReactionAdded, protocol.ReactionRemoved:
		return rankReaction
	}
	return rankOther
}

// reactionShare is the part of what a fan-out pushes that reactions have while there are messages for the rest.
const reactionShare = 4

// sampler chooses what the watchers of a sampled live room are pushed: once for all of them. It is guarded by the room's lock.
type sampler struct {
	most   int          // events in any second; 0: the room is not sampled
	asOf   protocol.Seq // the event as of which this is so
	pushed []pushes     // within the window, oldest first
	sum    int          // of their events
	short  bool         // the last time something was left out
}

// pushes are events that went out together.
type pushes struct {
	at     time.Time
	events int
}

// set takes the setting as of an event, unless a later one is known.
func (s *sampler) set(most int64, asOf protocol.Seq) {
	if asOf >= s.asOf {
		s.most, s.asOf = int(most), asOf
	}
}

// tick is the time between two fan-outs of a busy room.
func (s *sampler) tick() time.Duration {
	if s.most == 0 {
		return 0
	}
	return sampleWindow / time.Duration(min(s.most, sampleTicks))
}

// free is how many events may be pushed now.
func (s *sampler) free(now time.Time) int {
	old := 0
	for old < len(s.pushed) && now.Sub(s.pushed[old].at) >= sampleWindow {
		s.sum -= s.pushed[old].events
		old++
	}
	s.pushed = slices.Delete(s.pushed, 0, old)
	return max(s.most-s.sum, 0)
}

// reserve is what messages and reactions do without when there are too many of them.
func (s *sampler) reserve() int {
	if s.most < 2 {
		return 0
	}
	return max(s.most/10, 1)
}

// due is when more events are to be pushed: a tick after the last, or when that may be again. Zero: at once.
func (s *sampler) due(now time.Time) time.Time {
	free, least := s.free(now), 1
	if s.short {
		least += s.reserve()
	}
	switch {
	case s.most == 0 || len(s.pushed) == 0:
		return time.Time{}
	case free < least:
		return s.pushed[0].at.Add(sampleWindow)
	}
	return s.pushed[len(s.pushed)-1].at.Add(s.tick())
}

// spend takes note of events that were pushed.
func (s *sampler) spend(now time.Time, events int) {
	if s.most > 0 && events > 0 {
		s.pushed = append(s.pushed, pushes{now, events})
		s.sum += events
	}
}

// choose is the run as it is to be pushed now, with an entry in the place of each stretch that is left out, and how many of its events are pushed. All of
// it, if that may be; otherwise what is neither message nor reaction comes before those, and the later before the earlier. Then messages and reactions do without
// a tenth of what may be pushed, so that a deletion finds its place at any time, and come in parts, tick by tick.
func (s *sampler) choose(room string, run []*entry, now time.Time) (chosen []*entry, events int) {
	free := s.free(now)
	if s.short = len(run) > free; !s.short {
		return run, len(run)
	}
	leave := s.share(run, free)
	for _, e := range slices.Backward(run) {
		if leave[e.rank] > 0 {
			leave[e.rank]--
			events++
			chosen = append(chosen, e)
		} else if n := len(chosen); n > 0 && chosen[n-1].through != 0 {
			chosen[n-1].seq = e.seq
		} else {
			chosen = append(chosen, &entry{seq: e.seq, through: e.seq})
		}
	}
	slices.Reverse(chosen)
	for _, e := range chosen {
		if e.through != 0 {
			e.frame = skippedFrame(room, e.seq, e.through)
		}
	}
	return chosen, events
}

// share is how many events of each rank are pushed of a run that is more than free.
func (s *sampler) share(run []*entry, free int) (leave [3]int) {
	for _, e := range run {
		leave[e.rank]++
	}
	others, messages, reactions := min(leave[rankOther], free), leave[rankMessage], leave[rankReaction]
	rest := max(free-others-s.reserve(), 0)
	part := min(rest, max((s.most+sampleTicks-1)/sampleTicks, (rest+1)/2))
	reactions = min(reactions, max(part/reactionShare, part-messages))
	messages = min(messages, part-reactions)
	return [3]int{rankOther: others, rankMessage: messages, rankReaction: reactions}
}

func skippedFrame(room string, from, to protocol.Seq) []byte {
	return protocol.AppendSignal(nil, protocol.SignalSkipped, room, "", protocol.SkippedData{From: from, To: to})
}

// stretch is what a batch says: events and what stands in for those left out, from first up to next.
type stretch struct {
	first, next protocol.Seq
	events      int
	without     *Batch // the whole stretch as left out; made when somebody needs it
}

func stretchOf(run []*entry) stretch {
	s := stretch{first: run[0].seq}
	for _, e := range run {
		if e.through == 0 {
			s.events++
		}
	}
	last := run[len(run)-1]
	s.next = max(last.seq, last.through) + 1
	return s
}

// The methods below are called with r.mu held.

// sampler is the room's, nil for a room that is not sampled.
func (t *paces) sampler(r *room) *sampler {
	if p := t.of(r); p != nil && p.sampler.most > 0 {
		return &p.sampler
	}
	return nil
}

// setSample takes the room's setting as of an event. It has no meaning but in a live room.
func (t *paces) setSample(r *room, most int64, asOf protocol.Seq) {
	if r.live {
		t.open(r).sampler.set(most, asOf)
	}
}

// A session of a sampled room that was replayed something has had more than the others for a second. Until that is over it keeps a lag, which says how
// much of what the others are pushed it may be pushed too: probation. Where that is exceeded, it is told that a batch is left out.

// replayable is how many events a session that lags may be replayed now.
func (l *lag) replayable(s *sampler, now time.Time) int { return s.free(now) - l.replayed }

// reach ends a session's lag at the room's next: it is live, or on probation.
func (f *Follower) reach(r *room, l *lag) {
	s := f.hub.rooms.paces.sampler(r)
	if s == nil || l.replayed == 0 {
		f.goLive(r)
		return
	}
	now := f.hub.now()
	f.mu.Lock()
	defer f.mu.Unlock()
	l.probation, l.left = now.Add(sampleWindow), max(l.replayable(s, now), 0)
}

// serveProbation brings a batch to a session on probation; false if the session is not, and lags.
func (p *pass) serveProbation(f *Follower, l *lag, b *Batch, s *stretch) bool {
	if l.probation.IsZero() {
		return false
	}
	switch {
	case p.hub.rooms.paces.sampler(p.room) == nil || !p.hub.now().Before(l.probation):
		f.goLive(p.room)
	case s.events > l.left:
		if s.without == nil {
			s.without = p.hub.batch(skippedFrame(p.room.id, s.first, s.next-1))
		}
		b = s.without
	default:
		l.left -= s.events
	}
	p.offerTo(f, b, s)
	return true
}

// skip tells a session that lags in a sampled room that what it missed is left out.
func (f *Follower) skip(r *room, l *lag) {
	h := f.hub
	if !f.sink.Offer(h.batch(skippedFrame(r.id, l.pos, r.next-1))) {
		h.counters.refused.Add(1)
		return // Drained begins anew
	}
	h.counters.skipped.Add(r.next - l.pos)
	f.reach(r, l)
}
