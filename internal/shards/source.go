package shards

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/delivery"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/slots"
	"github.com/parley-im/parley/protocol"
)

var _ delivery.Source = (*source)(nil)

// source is what delivery asks.
type source struct {
	*router

	mu   sync.Mutex
	last map[int]chat.Position // the last position of each shard that was read here
}

// A position of several is that of each shard, by its number: 0=1234,1=987.

func joinPositions(each map[int]chat.Position) chat.Position {
	parts := make([]string, 0, len(each))
	for _, number := range slices.Sorted(maps.Keys(each)) {
		parts = append(parts, strconv.Itoa(number)+"="+string(each[number]))
	}
	return chat.Position(strings.Join(parts, ","))
}

func splitPosition(p chat.Position) (map[int]chat.Position, error) {
	each := map[int]chat.Position{}
	for part := range strings.SplitSeq(string(p), ",") {
		number, position, found := strings.Cut(part, "=")
		n, err := strconv.Atoi(number)
		if !found || err != nil || position == "" {
			return nil, chat.ErrPosition
		}
		each[n] = chat.Position(position)
	}
	return each, nil
}

// Places implements delivery.Source. Of rooms by name each shard has a snapshot of its own.
func (s *source) Places(ctx context.Context, user string, names []string) ([]chat.Place, error) {
	if names != nil {
		var mu sync.Mutex
		var places []chat.Place
		unanswered, err := s.askEach(ctx, names, roomSlot, func(ctx context.Context, st *store.Store, names []string) error {
			found, err := st.Places(ctx, user, names)
			mu.Lock()
			defer mu.Unlock()
			places = append(places, found...)
			return err
		})
		if err != nil {
			return places, &chat.PartialError{Unanswered: func(room string) bool { return slices.Contains(unanswered, room) }, Err: err}
		}
		return places, nil
	}
	answers, missing, err := gather(ctx, s.router, func(ctx context.Context, sh *shard) ([]chat.Place, error) { return sh.store.Places(ctx, user, nil) })
	if err != nil {
		return nil, err
	}
	places := onlyOnce(answers, func(p chat.Place) string { return p.Room })
	if !missing.Empty() {
		return places, &chat.PartialError{Unanswered: inSlots(missing), Err: unavailable()}
	}
	return places, nil
}

// inSlots reports rooms of the slots.
func inSlots(set slots.Set) func(room string) bool {
	return func(room string) bool { return set.Has(roomSlot(room)) }
}

// onlyOnce joins lists in which what is just being moved may stand twice.
func onlyOnce[T any](answers []answer[[]T], id func(T) string) []T {
	var all []T
	seen := map[string]bool{}
	for _, a := range answers {
		for _, v := range a.value {
			if !seen[id(v)] {
				seen[id(v)] = true
				all = append(all, v)
			}
		}
	}
	return all
}

// Heads implements delivery.Source.
func (s *source) Heads(ctx context.Context, rooms []string) (map[string]protocol.Seq, error) {
	heads := make(map[string]protocol.Seq, len(rooms))
	var mu sync.Mutex
	_, err := s.askEach(ctx, rooms, roomSlot, func(ctx context.Context, st *store.Store, rooms []string) error {
		found, err := st.Heads(ctx, rooms)
		mu.Lock()
		defer mu.Unlock()
		maps.Copy(heads, found)
		return err
	})
	return heads, err
}

// Events implements delivery.Source.
func (s *source) Events(ctx context.Context, room string, after protocol.Seq, limit int) (events []*chat.Event, err error) {
	err = s.ask(ctx, roomSlot(room), func(ctx context.Context, st *store.Store) (err error) {
		events, err = st.Events(ctx, room, after, limit)
		return err
	})
	return events, err
}

// Room implements delivery.Source.
func (s *source) Room(ctx context.Context, room string) (object *protocol.Room, err error) {
	err = s.ask(ctx, roomSlot(room), func(ctx context.Context, st *store.Store) (err error) {
		object, err = st.Room(ctx, room)
		return err
	})
	return object, err
}

// Changed implements delivery.Source. Of a shard that does not answer the position stays where it was, so that it is asked again from there.
func (s *source) Changed(ctx context.Context, since chat.Position) (*delivery.Changes, error) {
	from := map[int]chat.Position{}
	if since != "" {
		var err error
		if from, err = splitPosition(since); err != nil {
			return nil, err
		}
	}
	answers, _, err := gather(ctx, s.router, func(ctx context.Context, sh *shard) (*delivery.Changes, error) {
		at := from[sh.number]
		if at == "" && since != "" {
			at = "0" // nothing has been read of it yet
		}
		return sh.store.Changed(ctx, at)
	})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	all := &delivery.Changes{Heads: map[string]protocol.Seq{}}
	to := map[int]chat.Position{}
	for _, sh := range s.shards { // those that have not answered
		if to[sh.number] = "0"; s.last[sh.number] != "" {
			to[sh.number] = s.last[sh.number]
		}
	}
	maps.Copy(to, from)
	for _, a := range answers {
		c := a.value
		to[a.shard.number] = c.Position
		if !c.More {
			s.last[a.shard.number] = c.Position
		}
		for room, head := range c.Heads {
			all.Heads[room] = max(all.Heads[room], head)
		}
		all.Joined = append(all.Joined, c.Joined...)
		all.Cursors = append(all.Cursors, c.Cursors...)
		all.Sessions = all.Sessions || c.Sessions
		all.More = all.More || c.More
	}
	all.Position = joinPositions(to)
	return all, nil
}
