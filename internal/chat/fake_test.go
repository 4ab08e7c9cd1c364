package chat

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-im/parley/protocol"
)

// fakeStore implements the ports in memory, on Decide and Apply: all rows of a room are in its State.
type fakeStore struct {
	mu    sync.Mutex
	now   protocol.Time
	rooms map[string]*State
	logs  map[string][]*Event
	users map[string]protocol.User
	made  int
	fault error // answered by every port but the log
	stuck bool  // the log answers nobody

	viewed func(room string) // is told after each View

	inbox  func(user string, q InboxQuery) (*InboxPage, error)
	browse func(after string, limit int) ([]*Scene, string)
	hidden []string
}

var (
	_ Log       = (*fakeStore)(nil)
	_ Snapshots = (*fakeStore)(nil)
	_ Inbox     = (*fakeStore)(nil)
	_ Desk      = (*fakeStore)(nil)
	_ Users     = fakeUsers{}
	_ Names     = (*fakeStore)(nil)
)

// newService is a service on a fake store that knows some users, and what it has logged.
func newService(t *testing.T) (*Service, *fakeStore, *bytes.Buffer) {
	t.Helper()
	f := &fakeStore{now: start, rooms: map[string]*State{}, logs: map[string][]*Event{}, users: map[string]protocol.User{}}
	for _, id := range []string{"ann", "ben", "cem", "dan", "out"} {
		f.users[id] = protocol.User{ID: id}
	}
	var logged bytes.Buffer
	s := NewService(Ports{Log: f, Snapshots: f, Inbox: f, Desk: f, Users: fakeUsers{f}, Names: f}, Options{
		Epoch: func() string { return "e1" }, Key: bytes.Repeat([]byte("k"), 32),
		Now: func() time.Time { return f.now.Go() }, Logger: slog.New(slog.NewTextHandler(&logged, nil)),
	})
	return s, f, &logged
}

func (f *fakeStore) state(room string) *State {
	s := f.rooms[room]
	if s == nil {
		s = &State{}
		f.rooms[room] = s
	}
	s.Users = map[string]bool{}
	for id := range f.users {
		s.Users[id] = true
	}
	return s
}

func (f *fakeStore) Append(a *Append, done func(any, *protocol.Error)) {
	if f.stuck {
		return
	}
	f.mu.Lock()
	s := f.state(a.Room)
	e, err := s.Decide(a, f.now, rateFunc(nil))
	if err == nil {
		s.Apply(e)
		if e.Event != nil {
			f.logs[a.Room] = append(f.logs[a.Room], e.Event)
		}
	}
	f.mu.Unlock()
	if err != nil {
		done(nil, err)
		return
	}
	done(e.Answer, nil)
}

func (f *fakeStore) Move(m *Move, done func([]CursorRow, *protocol.Error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var rows []CursorRow
	for _, r := range m.Rooms {
		s := f.state(r.Room)
		row := s.Members[m.Actor.User]
		if err := m.Check(s.Room, row); err != nil {
			done(nil, err)
			return
		}
		read, delivered := min(r.Read, s.Head.Seq), min(max(r.Read, r.Delivered), s.Head.Seq)
		if read > row.Read {
			row.Read, row.ReadN = read, f.logs[r.Room][read-1].N
		}
		row.Delivered = max(row.Delivered, delivered)
		rows = append(rows, CursorRow{Room: r.Room, User: row.User, Read: row.Read, Delivered: row.Delivered, Unread: row.Unread(s.Head.N)})
	}
	done(rows, nil)
}

func (f *fakeStore) View(ctx context.Context, room, user string, fn func(*Scene, Snapshot) error) error {
	if f.fault != nil {
		return f.fault
	}
	if f.viewed != nil {
		defer f.viewed(room)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.state(room)
	return fn(&Scene{Room: s.Room, Head: s.Head, Me: s.Members[user]}, fakeSnapshot{s, f.logs[room], user})
}

type fakeSnapshot struct {
	*State
	log  []*Event
	user string
}

func (f fakeSnapshot) Events(_ context.Context, after, upTo protocol.Seq, limit int) ([]*Event, error) {
	to := min(after+protocol.Seq(limit), upTo)
	return f.log[after:to], nil
}

// Messages knows the newest, those after a position, and those around one.
func (f fakeSnapshot) Messages(_ context.Context, q MessageQuery) ([]*Message, bool, error) {
	var list []*Message
	for _, seq := range slices.Sorted(maps.Keys(f.State.Messages)) {
		if seq >= q.From && (q.After == nil || seq > *q.After) {
			list = append(list, f.State.Messages[seq])
		}
	}
	switch over := len(list) - q.Limit; {
	case over <= 0:
		return list, false, nil
	case q.After != nil || q.Around != 0:
		return list[:q.Limit], true, nil
	default:
		return list[over:], true, nil
	}
}

func (f fakeSnapshot) Members(_ context.Context, after string, limit int) ([]*Member, error) {
	var list []*Member
	for _, id := range slices.Sorted(maps.Keys(f.State.Members)) {
		if m := f.State.Members[id]; m.current() && id > after && len(list) < limit {
			list = append(list, m)
		}
	}
	return list, nil
}

func (f fakeSnapshot) Member(_ context.Context, user string) (*Member, error) {
	return f.State.Members[user], nil
}

func (f fakeSnapshot) Mentions(_ context.Context, from protocol.Seq, n uint64) (uint64, error) {
	count := uint64(0)
	for _, m := range f.State.Messages {
		if m.Seq >= from && m.N > n && m.DeletedAt == 0 && slices.Contains(m.Mentions, f.user) {
			count++
		}
	}
	return count, nil
}

func (f *fakeStore) List(_ context.Context, user string, q InboxQuery) (*InboxPage, error) {
	return f.inbox(user, q)
}

func (f *fakeStore) Memberships(context.Context, string) ([]Place, error) {
	return nil, errors.New("not asked by the service")
}

func (f *fakeStore) Browse(_ context.Context, _, _, after string, limit int) ([]*Scene, string, error) {
	rooms, next := f.browse(after, limit)
	return rooms, next, f.fault
}

func (f *fakeStore) Settings(_ context.Context, room, user string, notify *protocol.Notify, pinned, archived *bool) error {
	m := f.rooms[room].Members[user]
	if !m.current() {
		return ErrNoMember
	}
	if notify != nil {
		m.Notify = *notify
	}
	if pinned != nil {
		m.Pinned = *pinned
	}
	if archived != nil {
		m.Archived = *archived
	}
	return nil
}

func (f *fakeStore) Hide(_ context.Context, room, user string) error {
	s := f.rooms[room]
	s.Members[user].HiddenAt = s.Head.Seq
	f.hidden = append(f.hidden, user)
	return nil
}

func (f *fakeStore) Direct(a, b string, generation int) string {
	return fmt.Sprintf("r_direct|%s|%s|%d", min(a, b), max(a, b), generation)
}

func (f *fakeStore) Created(user, clientID string) string { return "r_create|" + user + "|" + clientID }

func (f *fakeStore) Random() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.made++
	return fmt.Sprintf("r_random|%d", f.made)
}

// fakeUsers is the store's table of profiles.
type fakeUsers struct{ *fakeStore }

func (f fakeUsers) Ensure(_ context.Context, users ...string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range users {
		if _, known := f.users[id]; !known {
			f.users[id] = protocol.User{ID: id}
		}
	}
	return f.fault
}

func (f fakeUsers) Update(_ context.Context, user string, name, avatar *string, data *protocol.Raw) (*protocol.User, error) {
	u := f.users[user]
	u.ID = user
	if name != nil {
		u.Name = *name
	}
	if avatar != nil {
		u.Avatar = *avatar
	}
	if data != nil {
		u.Data = *data
	}
	f.users[user] = u
	return &u, f.fault
}

func (f fakeUsers) Get(_ context.Context, users []string) ([]protocol.User, error) {
	var found []protocol.User
	for _, id := range users {
		if u, known := f.users[id]; known {
			found = append(found, u)
		}
	}
	return found, f.fault
}

func (f fakeUsers) Search(_ context.Context, query string, limit int) ([]protocol.User, error) {
	var found []protocol.User
	for id, u := range f.users {
		if strings.HasPrefix(id, query) && len(found) < limit {
			found = append(found, u)
		}
	}
	slices.SortFunc(found, func(a, b protocol.User) int { return cmp.Compare(a.ID, b.ID) })
	return found, f.fault
}
