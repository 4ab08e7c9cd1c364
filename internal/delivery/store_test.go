package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/delivery"
	"github.com/parley-im/parley/protocol"
)

// store is the truth in memory: a delivery.Source that several hubs share, and what the checks compare with.
type store struct {
	mu      sync.Mutex
	pace    func()       // called by every read before and after its snapshot; may sleep
	fail    func() error // called by every read; an error is the read's
	away    string       // a room whose events cannot be read
	silent  string       // a room whose places cannot be asked about
	rooms   map[string]*logged
	changes []storeChange
	reads   map[string]int // calls by method
}

type logged struct {
	room      protocol.Room
	events    []*chat.Event
	members   map[string]member
	sinceJoin bool
	deleted   bool
	redacted  map[protocol.Seq]bool
	first     protocol.Seq // the oldest event that is kept
	erased    map[erasure]bool
}

// erasure is a message whose deletion one node has applied.
type erasure struct {
	node   int
	target protocol.Seq
}

type member struct {
	in           bool
	banned       bool
	joined, left protocol.Seq
}

type storeChange struct {
	room   string
	head   protocol.Seq
	joined []delivery.Membership
	cursor *chat.CursorRow
}

func newStore() *store {
	return &store{pace: func() {}, fail: func() error { return nil }, rooms: map[string]*logged{}, reads: map[string]int{}}
}

func (s *store) begin(method string) error {
	s.rest()
	s.mu.Lock()
	s.reads[method]++
	fail := s.fail
	s.mu.Unlock()
	return fail()
}

func (s *store) rest() {
	s.mu.Lock()
	pace := s.pace
	s.mu.Unlock()
	pace()
}

// slow makes every read take so long before its snapshot and again after it.
func (s *store) slow(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pace = sleeper(func() time.Duration { return d })
}

// fails gives every read to come its error.
func (s *store) fails(with func() error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = with
}

func (s *store) read(method string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads[method]
}

// sees reports whether the user may follow the room. Called with s.mu held.
func (l *logged) sees(user string) bool {
	m := l.members[user]
	open := l.room.Kind == protocol.Channel || l.room.Kind == protocol.Live
	return !l.deleted && (m.in || open && !m.banned)
}

func (l *logged) head() protocol.Seq { return protocol.Seq(len(l.events)) }

func (s *store) Places(_ context.Context, user string, rooms []string) ([]chat.Place, error) {
	if err := s.begin("Places"); err != nil {
		return nil, err
	}
	defer s.rest()
	s.mu.Lock()
	defer s.mu.Unlock()
	all := rooms == nil
	if all {
		rooms = slices.Sorted(maps.Keys(s.rooms))
	}
	var places []chat.Place
	var err error
	for _, id := range rooms {
		l := s.rooms[id]
		if id == s.silent {
			err = &chat.PartialError{Unanswered: func(room string) bool { return room == id }, Err: errAway}
			continue
		}
		if l == nil || !l.sees(user) || all && (!l.members[user].in || l.room.Kind == protocol.Live) {
			continue
		}
		p := chat.Place{Room: id, Kind: l.room.Kind, Head: l.head(), First: l.first, From: l.first, SamplePerS: l.room.Settings.SamplePerS}
		if m := l.members[user]; m.in {
			p.JoinedSeq = m.joined
			if l.sinceJoin {
				p.From = max(m.joined, l.first)
			}
		}
		places = append(places, p)
	}
	return places, err
}

func (s *store) Heads(_ context.Context, rooms []string) (map[string]protocol.Seq, error) {
	if err := s.begin("Heads"); err != nil {
		return nil, err
	}
	defer s.rest()
	s.mu.Lock()
	defer s.mu.Unlock()
	heads := map[string]protocol.Seq{}
	for _, id := range rooms {
		if l := s.rooms[id]; l != nil {
			heads[id] = l.head()
		}
	}
	return heads, nil
}

func (s *store) Events(_ context.Context, room string, after protocol.Seq, limit int) ([]*chat.Event, error) {
	if err := s.begin("Events"); err != nil {
		return nil, err
	}
	defer s.rest()
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.rooms[room]
	if room == s.away {
		return nil, errAway
	}
	if l == nil {
		return nil, nil
	}
	var events []*chat.Event
	for _, e := range l.events[min(max(int(after), int(l.first)-1), len(l.events)):] {
		if len(events) == limit {
			break
		}
		copied := *e
		if l.redacted[e.Seq] {
			copied.Data = protocol.Raw(`{"deleted":true}`)
		}
		events = append(events, &copied)
	}
	return events, nil
}

func (s *store) Room(_ context.Context, room string) (*protocol.Room, error) {
	if err := s.begin("Room"); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.rooms[room]; l != nil {
		r := l.room
		r.Head = l.head()
		return &r, nil
	}
	return nil, nil
}

func (s *store) Changed(_ context.Context, since chat.Position) (*delivery.Changes, error) {
	if err := s.begin("Changed"); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &delivery.Changes{Position: chat.Position(strconv.Itoa(len(s.changes))), Heads: map[string]protocol.Seq{}}
	if since == "" {
		return c, nil
	}
	from, err := strconv.Atoi(string(since))
	if err != nil {
		return nil, err
	}
	const page = 50
	to := min(from+page, len(s.changes))
	for _, ch := range s.changes[from:to] {
		if ch.head > 0 {
			c.Heads[ch.room] = ch.head
		}
		c.Joined = append(c.Joined, ch.joined...)
		if ch.cursor != nil {
			c.Cursors = append(c.Cursors, *ch.cursor)
		}
	}
	c.Position, c.More = chat.Position(strconv.Itoa(to)), to < len(s.changes)
	return c, nil
}

// lose has the events of a room not be read; "": they can be again.
func (s *store) lose(room string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = room
}

var (
	errGone = errors.New("no such room")
	errAway = errors.New("away")
)

// append commits an event; change, when it is not nil, is asked under the lock whether it can be, and fills it in.
func (s *store) append(room string, name protocol.Name, user string, change func(l *logged, e *chat.Event) bool) (*chat.Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.rooms[room]
	if l == nil || l.deleted {
		return nil, errGone
	}
	e := &chat.Event{Event: protocol.Event{Room: room, Seq: l.head() + 1, Name: name, User: user, At: 1, Data: protocol.Raw(`{}`)}}
	if change != nil && !change(l, e) {
		return nil, errGone
	}
	l.events = append(l.events, e)
	ch := storeChange{room: room, head: e.Seq}
	for _, u := range e.Joined {
		l.members[u] = member{in: true, joined: e.Seq}
		ch.joined = append(ch.joined, delivery.Membership{Room: room, User: u, Seq: e.Seq})
	}
	for _, u := range e.Left {
		l.members[u] = member{joined: l.members[u].joined, left: e.Seq, banned: e.Reason == protocol.ReasonBanned}
	}
	s.changes = append(s.changes, ch)
	return e, nil
}

func (s *store) create(kind protocol.Kind, sinceJoin bool, users ...string) *chat.Event {
	s.mu.Lock()
	id := fmt.Sprintf("r_%d", len(s.rooms)+1)
	s.rooms[id] = &logged{
		room: protocol.Room{ID: id, Kind: kind}, members: map[string]member{}, sinceJoin: sinceJoin, redacted: map[protocol.Seq]bool{}, first: 1,
	}
	s.mu.Unlock()
	e, err := s.append(id, protocol.RoomCreated, "", func(_ *logged, e *chat.Event) bool {
		e.Joined = users
		return true
	})
	if err != nil {
		panic(err)
	}
	return e
}

func (s *store) send(room, user string) (*chat.Event, error) {
	return s.append(room, protocol.MessageCreated, user, func(l *logged, e *chat.Event) bool {
		e.Data = protocol.Raw(fmt.Sprintf(`{"text":"secret %s %d"}`, room, e.Seq))
		return user == "" || l.sees(user)
	})
}

func (s *store) join(room string, users ...string) (*chat.Event, error) {
	return s.append(room, protocol.MemberJoined, "", func(l *logged, e *chat.Event) bool {
		for _, u := range users {
			if m := l.members[u]; !m.in && !m.banned {
				e.Joined = append(e.Joined, u)
			}
		}
		e.Data = data(protocol.MemberJoinedData{Users: e.Joined, Role: protocol.RoleMember})
		return len(e.Joined) > 0
	})
}

func (s *store) leave(room string, reason protocol.LeaveReason, user string) (*chat.Event, error) {
	return s.append(room, protocol.MemberLeft, "", func(l *logged, e *chat.Event) bool {
		e.Left, e.Reason = []string{user}, reason
		e.Data = data(protocol.MemberLeftData{Users: e.Left, Reason: reason})
		m := l.members[user]
		return m.in || reason == protocol.ReasonBanned && !m.banned
	})
}

func (s *store) react(room string) (*chat.Event, error) {
	return s.append(room, protocol.ReactionAdded, "", func(_ *logged, e *chat.Event) bool {
		e.Data = protocol.Raw(`{"target":1,"key":"+1"}`)
		return true
	})
}

func (s *store) erase(room string, target protocol.Seq) (*chat.Event, error) {
	return s.append(room, protocol.MessageDeleted, "", func(l *logged, e *chat.Event) bool {
		ok := target >= 1 && target <= l.head() && l.events[target-1].Name == protocol.MessageCreated && !l.redacted[target]
		l.redacted[target] = l.redacted[target] || ok
		e.Target, e.Data = target, data(protocol.MessageDeletedData{Target: target})
		return ok
	})
}

// sample gives a room another settings.sample_per_s.
func (s *store) sample(room string, perSecond int64) (*chat.Event, error) {
	return s.append(room, protocol.RoomUpdated, "", func(l *logged, e *chat.Event) bool {
		l.room.Settings.SamplePerS = perSecond
		settings := l.room.Settings
		e.Data = data(protocol.RoomUpdatedData{Settings: &settings})
		return true
	})
}

func (s *store) remove(room string) (*chat.Event, error) {
	return s.append(room, protocol.RoomDeleted, "", func(l *logged, _ *chat.Event) bool {
		l.deleted = true
		return true
	})
}

func (s *store) move(row chat.CursorRow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	row.Moved = true
	s.changes = append(s.changes, storeChange{room: row.Room, cursor: &row})
}

// trim lets go of the events before first.
func (s *store) trim(room string, first protocol.Seq) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rooms[room].first = first
}

func (s *store) heads() map[string]protocol.Seq {
	s.mu.Lock()
	defer s.mu.Unlock()
	heads := map[string]protocol.Seq{}
	for id, l := range s.rooms {
		heads[id] = l.head()
	}
	return heads
}

// membership is what the user is to the room now.
func (s *store) membership(room, user string) (m member, sees bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.rooms[room]
	if l == nil {
		return member{}, false
	}
	return l.members[user], l.sees(user)
}

func (s *store) kind(room string) protocol.Kind {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rooms[room].room.Kind
}

// at is the event of a seq.
func (s *store) at(room string, seq protocol.Seq) *chat.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.rooms[room]; l != nil && seq >= 1 && seq <= l.head() {
		return l.events[seq-1]
	}
	return nil
}

func data(v any) protocol.Raw {
	b, err := json.Marshal(v, protocol.Encoding())
	if err != nil {
		panic(err)
	}
	return b
}

// sleeper returns a pace that sleeps for what next says.
func sleeper(next func() time.Duration) func() {
	return func() { time.Sleep(next()) }
}
