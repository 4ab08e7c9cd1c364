package delivery_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"

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
}

// push judges a frame; "" is no complaint.
func (s *stream) push(f pushed, names func(seq protocol.Seq) (joined, left []string)) string {
	s.say(f)
	if f.Seq == 0 {
		return s.signal(f)
	}
	joined, left := names(f.Seq)
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
