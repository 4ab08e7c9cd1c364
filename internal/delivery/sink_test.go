package delivery_test

import (
	"bytes"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/parley-im/parley/internal/delivery"
	"github.com/parley-im/parley/protocol"
)

// sink is a session with a bounded queue, as the gateway is one, that keeps everything it was given.
type sink struct {
	id, user string
	bound    int                          // bytes that may wait; 0: no bound
	read     func() (time.Duration, bool) // how long until the client has read what waits; false: it does not read
	saw      func(s *sink, f pushed)      // called for every frame, with no lock of the sink held

	mu       sync.Mutex
	frames   []pushed
	ready    int // how many frames were there when Ready was called; -1: it was not
	batches  int
	queued   int
	refused  bool
	added    map[string]protocol.Seq // what Added said last
	draining bool
	follower *delivery.Follower
	owed     bool          // a Drained from before there was a follower
	gone     chan struct{} // closed when the session has ended
}

// pushed is a frame as the client reads it.
type pushed struct {
	Event protocol.Name `json:"event"`
	Room  string        `json:"room"`
	Seq   protocol.Seq  `json:"seq"`
	User  string        `json:"user"`
	Data  protocol.Raw  `json:"data"`
	At    time.Time     `json:"-"` // when it was queued
	Batch int           `json:"-"` // of the session's batches, the one that it came in
}

func newSink(id, user string) *sink {
	return &sink{id: id, user: user, ready: -1, gone: make(chan struct{})}
}

func (s *sink) ID() string   { return s.id }
func (s *sink) User() string { return s.user }

func (s *sink) Offer(b *delivery.Batch) bool {
	s.mu.Lock()
	if s.bound > 0 && s.queued+len(b.Frames) > s.bound && s.queued > 0 {
		s.refused = true
		s.mu.Unlock()
		return false
	}
	s.take(b)
	return true
}

func (s *sink) Push(b *delivery.Batch) {
	s.mu.Lock()
	s.take(b)
}

func (s *sink) Added(b *delivery.Batch, room string, after protocol.Seq) {
	s.mu.Lock()
	if s.added == nil {
		s.added = map[string]protocol.Seq{}
	}
	s.added[room] = after
	s.take(b)
}

// take is called with s.mu held and lets it go.
func (s *sink) take(b *delivery.Batch) {
	var fresh []pushed
	s.batches++
	for line := range bytes.SplitSeq(b.Frames, []byte{'\n'}) {
		f := pushed{At: time.Now(), Batch: s.batches}
		if err := json.Unmarshal(line, &f); err != nil {
			panic("a frame that is none: " + string(line))
		}
		fresh = append(fresh, f)
	}
	s.frames = append(s.frames, fresh...)
	if s.bound > 0 {
		s.queued += len(b.Frames)
		if !s.draining {
			s.draining = true
			go s.drain()
		}
	}
	s.mu.Unlock()
	if s.saw != nil {
		for _, f := range fresh {
			s.saw(s, f)
		}
	}
}

// drain is the client reading what waits.
func (s *sink) drain() {
	for {
		wait, reads := s.read()
		select {
		case <-s.gone:
			return
		case <-time.After(wait):
		}
		if !reads {
			continue
		}
		s.mu.Lock()
		s.queued = 0
		refused := s.refused
		s.refused = false
		f := s.follower
		if refused && f == nil {
			s.owed = true
		}
		if !refused {
			s.draining = false
		}
		s.mu.Unlock()
		if refused && f != nil {
			f.Drained()
		}
		if !refused {
			return
		}
	}
}

// entered gives the sink its follower, as a gateway's peer has it once Enter has returned.
func (s *sink) entered(f *delivery.Follower) {
	s.mu.Lock()
	s.follower = f
	owed := s.owed
	s.mu.Unlock()
	if owed {
		f.Drained()
	}
}

// replied is Ready.
func (s *sink) replied() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ready >= 0 {
		panic("Ready was called twice")
	}
	s.ready = len(s.frames)
}

// got are the frames so far; of one room if it is named.
func (s *sink) got(room string) []pushed {
	s.mu.Lock()
	defer s.mu.Unlock()
	var frames []pushed
	for _, f := range s.frames {
		if room == "" || f.Room == room {
			frames = append(frames, f)
		}
	}
	return frames
}

// seqs are the events of a room so far.
func (s *sink) seqs(room string) []protocol.Seq {
	var seqs []protocol.Seq
	for _, f := range s.got(room) {
		if f.Seq > 0 {
			seqs = append(seqs, f.Seq)
		}
	}
	return seqs
}

// story is what was pushed about a room, one word each: the seq of an event, the name of a signal. The audience of live rooms is a story of its own.
func (s *sink) story(room string) []any {
	var story []any
	for _, f := range s.got(room) {
		if f.Seq > 0 {
			story = append(story, int(f.Seq))
		} else if f.Event != protocol.SignalAudience {
			story = append(story, string(f.Event))
		}
	}
	return story
}
