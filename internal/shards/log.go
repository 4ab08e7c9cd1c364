package shards

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/privacy"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/protocol"
)

var (
	_ chat.Log       = (*rooms)(nil)
	_ chat.Snapshots = (*rooms)(nil)
	_ chat.Desk      = (*rooms)(nil)
)

// rooms are the ports that are about one room.
type rooms struct {
	*router
	parking *parking
	several chan struct{} // moves of cursors that concern several shards, which have to be looked at first
}

const maxSeveral = 64 // moves over several shards at a time

func newRooms(r *router) *rooms {
	return &rooms{router: r, parking: newParking(r), several: make(chan struct{}, maxSeveral)}
}

// Append implements chat.Log. What comes while its slot is being moved waits for it, in order.
func (r *rooms) Append(a *chat.Append, done func(answer any, err *protocol.Error)) {
	n := roomSlot(a.Room)
	r.parking.put(&parked{
		slot: n, size: a.Size + parkedSize, since: time.Now(), refuse: func() { done(nil, unavailable()) },
		send: func(over func(moved bool)) {
			s := r.of(n)
			if s.away.Load() {
				s.spared.Add(1)
				done(nil, unavailable())
				over(false)
				return
			}
			s.store.Append(a, func(answer any, err *protocol.Error) {
				moved := err != nil && store.IsMoved(err)
				if !moved {
					done(answer, err)
				}
				over(moved)
			})
		},
	})
}

// Move implements chat.Log. In each shard all of its rooms are moved or none; where there are several, all are looked at before any is moved.
func (r *rooms) Move(m *chat.Move, done func(rows []chat.CursorRow, err *protocol.Error)) {
	parts := r.split(m)
	if len(parts) == 1 {
		r.movePart(m, done)
		return
	}
	select {
	case r.several <- struct{}{}:
	default:
		done(nil, unavailable())
		return
	}
	r.loops.Go(func() {
		defer func() { <-r.several }()
		ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
		defer cancel()
		if err := r.check(ctx, m); err != nil {
			pe := unavailable()
			if refused, ok := errors.AsType[*protocol.Error](err); ok {
				pe = refused
			}
			done(nil, pe)
			return
		}
		r.moveParts(m, parts, done)
	})
}

// split is a move in parts, one for each shard that has some of its rooms.
func (r *rooms) split(m *chat.Move) []*chat.Move {
	byShard := map[*shard]*chat.Move{}
	var parts []*chat.Move
	for _, room := range m.Rooms {
		s := r.of(roomSlot(room.Room))
		if byShard[s] == nil {
			byShard[s] = &chat.Move{Actor: m.Actor, Field: m.Field}
			parts = append(parts, byShard[s])
		}
		byShard[s].Rooms = append(byShard[s].Rooms, room)
	}
	return parts
}

// check asks all shards whether they would refuse the move.
func (r *rooms) check(ctx context.Context, m *chat.Move) error {
	at := make(map[string]chat.RoomCursor, len(m.Rooms))
	names := make([]string, len(m.Rooms))
	for i, room := range m.Rooms {
		names[i], at[room.Room] = room.Room, room
	}
	_, err := r.askEach(ctx, names, roomSlot, func(ctx context.Context, s *store.Store, names []string) error {
		part := &chat.Move{Actor: m.Actor, Field: m.Field}
		for _, name := range names {
			part.Rooms = append(part.Rooms, at[name])
		}
		return s.CheckMove(ctx, part)
	})
	return err
}

// moveParts carries out all parts, and answers with the rows in the order of the whole.
func (r *rooms) moveParts(m *chat.Move, parts []*chat.Move, done func(rows []chat.CursorRow, err *protocol.Error)) {
	var mu sync.Mutex
	found := make(map[string]chat.CursorRow, len(m.Rooms))
	var refused *protocol.Error
	left := len(parts)
	for _, part := range parts {
		r.movePart(part, func(rows []chat.CursorRow, err *protocol.Error) {
			mu.Lock()
			for _, row := range rows {
				found[row.Room] = row
			}
			if err != nil {
				refused = err
			}
			left--
			last := left == 0
			mu.Unlock()
			if !last {
				return
			}
			if refused != nil {
				done(nil, refused)
				return
			}
			all := make([]chat.CursorRow, len(m.Rooms))
			for i, room := range m.Rooms {
				all[i] = found[room.Room]
			}
			done(all, nil)
		})
	}
}

// movePart moves cursors in rooms that are all one shard's by the map. When they turn out not to be, they are split again.
func (r *rooms) movePart(m *chat.Move, done func(rows []chat.CursorRow, err *protocol.Error)) {
	r.parking.put(&parked{
		slot: roomSlot(m.Rooms[0].Room), size: parkedSize + 64*len(m.Rooms), since: time.Now(), refuse: func() { done(nil, unavailable()) },
		send: func(over func(moved bool)) {
			if parts := r.split(m); len(parts) > 1 {
				over(false)
				r.moveParts(m, parts, done)
				return
			}
			s := r.of(roomSlot(m.Rooms[0].Room))
			if s.away.Load() {
				s.spared.Add(1)
				done(nil, unavailable())
				over(false)
				return
			}
			s.store.Move(m, func(rows []chat.CursorRow, err *protocol.Error) {
				moved := err != nil && store.IsMoved(err)
				if !moved {
					done(rows, err)
				}
				over(moved)
			})
		},
	})
}

// View implements chat.Snapshots.
func (r *rooms) View(ctx context.Context, room, user string, fn func(*chat.Scene, chat.Snapshot) error) error {
	return r.ask(ctx, roomSlot(room), func(ctx context.Context, s *store.Store) error { return s.View(ctx, room, user, fn) })
}

// Settings implements chat.Desk.
func (r *rooms) Settings(ctx context.Context, room, user string, notify *protocol.Notify, pinned, archived *bool) error {
	return r.ask(ctx, roomSlot(room), func(ctx context.Context, s *store.Store) error {
		return s.Settings(ctx, room, user, notify, pinned, archived)
	})
}

// Hide implements chat.Desk.
func (r *rooms) Hide(ctx context.Context, room, user string) error {
	return r.ask(ctx, roomSlot(room), func(ctx context.Context, s *store.Store) error { return s.Hide(ctx, room, user) })
}

// Whereabouts tells what has become of an event; see [store.Store.Whereabouts]. Who is connected is from another moment than the rest, and not known of users
// whose shard is away.
func (r *rooms) Whereabouts(ctx context.Context, room string, seq protocol.Seq, limit int) (w *store.Whereabouts, err error) {
	err = r.ask(ctx, roomSlot(room), func(ctx context.Context, s *store.Store) (err error) {
		w, err = s.Whereabouts(ctx, room, seq, limit)
		return err
	})
	if err != nil || w == nil {
		return nil, err
	}
	users := make([]string, len(w.Listed))
	for i, m := range w.Listed {
		users[i] = m.User
	}
	var mu sync.Mutex
	_, err = r.askEach(ctx, users, userSlot, func(ctx context.Context, s *store.Store, users []string) error {
		sessions, err := s.SessionsOf(ctx, users)
		mu.Lock()
		defer mu.Unlock()
		for _, user := range users {
			delete(w.Sessions, user)
		}
		for _, one := range sessions {
			w.Sessions[one.User] = append(w.Sessions[one.User], one)
		}
		return err
	})
	if err != nil {
		r.log.Warn("asking who is connected", "error", err)
	}
	return w, nil
}

// Written implements privacy.Estate.
func (r *rooms) Written(ctx context.Context, room, user string, after protocol.Seq, limit int) (messages []*chat.Message, err error) {
	err = r.ask(ctx, roomSlot(room), func(ctx context.Context, s *store.Store) (err error) {
		messages, err = s.Written(ctx, room, user, after, limit)
		return err
	})
	return messages, err
}

// Reacted implements privacy.Estate.
func (r *rooms) Reacted(ctx context.Context, room, user string) (keys []chat.ReactionKey, err error) {
	err = r.ask(ctx, roomSlot(room), func(ctx context.Context, s *store.Store) (err error) {
		keys, err = s.Reacted(ctx, room, user)
		return err
	})
	return keys, err
}

// Emptied implements privacy.Estate.
func (r *rooms) Emptied(ctx context.Context, room string) (empty bool, err error) {
	err = r.ask(ctx, roomSlot(room), func(ctx context.Context, s *store.Store) (err error) {
		empty, err = s.Emptied(ctx, room)
		return err
	})
	return empty, err
}

var _ privacy.Estate = (*Store)(nil)
