package delivery_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/protocol"
)

// stream judges what one session is pushed about one room, frame by frame, as a client that believes the contract would: promise 4, promise 5, and
// "Removed or gone" of §4.2.
type stream struct {
	user    string
	in      bool         // follows the room, as far as the client knows
	next    protocol.Seq // the next event; 0: whichever is the first, but above floor and not above ceiling
	floor   protocol.Seq
	ceiling protocol.Seq
	history protocol.Seq // what the user did up to here had happened before the stream began
	added   bool         // room.added was the last frame
	restart bool         // the stream may begin anew with the user's joining
	ended   protocol.Seq
	said    []string
	sample  sampleCheck
}

// sampleCheck judges how many events of a sampled room a session is pushed, and which.
type sampleCheck struct {
	most    int // in any second; 0: that is not judged
	times   []time.Time
	batch   int
	message bool // the batch has brought a message,
	other   bool // and has left out something that is neither message nor reaction
}

func (c *sampleCheck) begin(f pushed) {
	if f.Batch != c.batch {
		c.batch, c.message, c.other = f.Batch, false, false
	}
}

func (c *sampleCheck) pushed(f pushed) string {
	c.message = c.message || f.Event == protocol.MessageCreated
	c.times = append(c.times, f.At)
	if i := len(c.times) - 1 - c.most; c.most > 0 && i >= 0 && f.At.Sub(c.times[i]) < time.Second {
		return fmt.Sprintf("%d events in %v", c.most+1, f.At.Sub(c.times[i]))
	}
	return c.choice()
}

func (c *sampleCheck) left(name protocol.Name) string {
	c.other = c.other || name != protocol.MessageCreated && name != protocol.ReactionAdded && name != protocol.ReactionRemoved
	return c.choice()
}

func (c *sampleCheck) choice() string {
	if c.message && c.other {
		return "a message, though something that is neither message nor reaction was left out for it"
	}
	return ""
}

// push judges a frame; "" is no complaint.
func (s *stream) push(f pushed, at func(seq protocol.Seq) *chat.Event) string {
	s.say(f)
	s.sample.begin(f)
	switch {
	case f.Event == protocol.SignalSkipped:
		return s.skipped(f, at)
	case f.Seq == 0:
		return s.signal(f)
	}
	joined, left := at(f.Seq).Joined, at(f.Seq).Left
	if s.restart && slices.Contains(joined, s.user) {
		s.next = f.Seq
	}
	s.restart = false
	switch {
	case !s.in:
		return "an event though the session does not follow the room"
	case s.ended != 0:
		return fmt.Sprintf("an event above the user's own removal at %d", s.ended)
	case s.added && !slices.Contains(joined, s.user):
		return "the stream after room.added does not begin with the event that made the user a member"
	case s.next != 0 && f.Seq != s.next:
		return fmt.Sprintf("event %d where %d was due", f.Seq, s.next)
	case s.next == 0 && !s.added && (f.Seq <= s.floor || f.Seq > s.ceiling+1):
		return fmt.Sprintf("the first event is %d, the head at the hello was %d to %d", f.Seq, s.floor, s.ceiling)
	}
	s.next, s.added = f.Seq+1, false
	if slices.Contains(left, s.user) && f.Seq > s.history {
		s.ended = f.Seq
	}
	return s.sample.pushed(f)
}

// skipped judges what stands for events that are left out.
func (s *stream) skipped(f pushed, at func(seq protocol.Seq) *chat.Event) string {
	d := skippedData(f)
	switch {
	case !s.in || s.ended != 0:
		return "something is left out of a room that the session does not follow"
	case d.To < d.From || s.next != 0 && d.From != s.next:
		return fmt.Sprintf("%d to %d are left out where %d was due", d.From, d.To, s.next)
	case s.next == 0 && !s.added && (d.From <= s.floor || d.From > s.ceiling+1):
		return fmt.Sprintf("what is left out begins at %d, the head at the hello was %d to %d", d.From, s.floor, s.ceiling)
	}
	s.next, s.added, s.restart = d.To+1, false, false
	for seq := d.From; seq <= d.To; seq++ {
		if complaint := s.sample.left(at(seq).Name); complaint != "" {
			return complaint
		}
	}
	return ""
}

func (s *stream) signal(f pushed) string {
	switch f.Event {
	case protocol.SignalRoomAdded:
		s.restart = s.in && len(s.said) == 1 // a subscription may have been answered while the join was under way
		if !s.in {
			s.in, s.next, s.ended, s.added = true, 0, 0, true
		}
	case protocol.SignalRoomRemoved:
		s.in, s.next, s.ended, s.added = false, 0, 0, false
	case protocol.SignalReset:
		if !s.in {
			return "a reset though the session does not follow the room"
		}
		var d protocol.ResetData
		if err := json.Unmarshal(f.Data, &d); err != nil {
			return err.Error()
		}
		if s.next > d.Head+1 {
			return fmt.Sprintf("a reset to %d, below %d", d.Head, s.next)
		}
		s.next, s.ended, s.added = d.Head+1, 0, false
	default:
		if !s.in || s.ended != 0 {
			return "a signal though the session does not follow the room"
		}
	}
	return ""
}

func (s *stream) say(f pushed) {
	if f.Seq != 0 {
		s.said = append(s.said, fmt.Sprint(f.Seq))
	} else if f.Event == protocol.SignalSkipped {
		d := skippedData(f)
		s.said = append(s.said, fmt.Sprintf("(%d-%d)", d.From, d.To))
	} else {
		s.said = append(s.said, string(f.Event))
	}
	if len(s.said) > 60 {
		s.said = s.said[1:]
	}
}

// faults gathers complaints.
type faults struct {
	mu   sync.Mutex
	list []string
}

func (f *faults) add(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = append(f.list, fmt.Sprintf(format, args...))
}

func (f *faults) all() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.list)
}

func (f *faults) String() string {
	list := f.all()
	if len(list) > 8 {
		list = append(list[:8], fmt.Sprintf("… %d in all", len(list)))
	}
	return strings.Join(list, "\n")
}
