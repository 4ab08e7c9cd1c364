package shards

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/words"
	"github.com/parley-im/parley/protocol"
)

var (
	_ chat.Inbox  = (*lists)(nil)
	_ chat.Search = (*lists)(nil)
)

// lists are the ports that are about many rooms: every shard is asked, and what they say is merged.
type lists struct{ *router }

// List implements chat.Inbox. The pages of all shards go on behind the same entry. What a shard that does not answer has, the next question since this position
// brings: its part of the position stays where the question began, or is left out.
func (l *lists) List(ctx context.Context, user string, q chat.InboxQuery) (*chat.InboxPage, error) {
	since := map[int]chat.Position{}
	if q.Since != "" {
		var err error
		if since, err = splitPosition(q.Since); err != nil {
			return nil, err
		}
	}
	answers, _, err := gather(ctx, l.router, func(ctx context.Context, s *shard) (*chat.InboxPage, error) {
		part := q
		part.Since = since[s.number]
		return s.store.List(ctx, user, part)
	})
	if err != nil {
		return nil, err
	}
	page := &chat.InboxPage{}
	entries := make([]answer[[]chat.InboxEntry], len(answers))
	removed := make([]answer[[]string], len(answers))
	more := false
	for i, a := range answers {
		since[a.shard.number] = a.value.Position
		entries[i].value, removed[i].value = a.value.Entries, a.value.Removed
		more = more || a.value.Next != ""
	}
	page.Position = joinPositions(since)
	page.Entries = onlyOnce(entries, func(e chat.InboxEntry) string { return e.Scene.Room.ID })
	slices.SortStableFunc(page.Entries, func(a, b chat.InboxEntry) int {
		return cmp.Or(-cmp.Compare(a.Scene.Head.At, b.Scene.Head.At), -strings.Compare(a.Scene.Room.ID, b.Scene.Room.ID))
	})
	page.Removed = onlyOnce(removed, func(room string) string { return room })
	slices.Sort(page.Removed)
	if len(page.Entries) > q.Limit {
		page.Entries, more = page.Entries[:q.Limit], true
	}
	if more {
		last := page.Entries[len(page.Entries)-1].Scene
		page.Next = store.PageAfter(strconv.FormatInt(int64(last.Head.At), 10), last.Room.ID)
	}
	return page, nil
}

// Memberships implements chat.Inbox. All shards must answer.
func (l *lists) Memberships(ctx context.Context, user string) ([]chat.Place, error) {
	answers, missing, err := gather(ctx, l.router, func(ctx context.Context, s *shard) ([]chat.Place, error) { return s.store.Memberships(ctx, user) })
	if err == nil && !missing.Empty() {
		err = unavailable()
	}
	return onlyOnce(answers, func(p chat.Place) string { return p.Room }), err
}

// Browse implements chat.Inbox. Channels of shards that do not answer are left out.
func (l *lists) Browse(ctx context.Context, user, query, after string, limit int) (rooms []*chat.Scene, next string, err error) {
	type part struct {
		rooms []*chat.Scene
		next  string
	}
	answers, _, err := gather(ctx, l.router, func(ctx context.Context, s *shard) (p part, err error) {
		p.rooms, p.next, err = s.store.Browse(ctx, user, query, after, limit)
		return p, err
	})
	if err != nil {
		return nil, "", err
	}
	var found []answer[[]*chat.Scene]
	var end []string // up to where all shards have looked
	for _, a := range answers {
		found = append(found, answer[[]*chat.Scene]{value: a.value.rooms})
		if a.value.next == "" {
			continue
		}
		key, err := store.PageKey(a.value.next, 2)
		if err != nil {
			return nil, "", err
		}
		if end == nil || slices.Compare(key, end) < 0 {
			end = key
		}
	}
	key := func(sc *chat.Scene) []string { return []string{words.Fold(sc.Room.Name), sc.Room.ID} }
	rooms = onlyOnce(found, func(sc *chat.Scene) string { return sc.Room.ID })
	slices.SortFunc(rooms, func(a, b *chat.Scene) int { return slices.Compare(key(a), key(b)) })
	if end != nil {
		rooms = slices.DeleteFunc(rooms, func(sc *chat.Scene) bool { return slices.Compare(key(sc), end) > 0 })
	}
	if len(rooms) > limit {
		rooms = rooms[:limit]
		end = key(rooms[limit-1])
	}
	if end != nil {
		next = store.PageAfter(end...)
	}
	return rooms, next, nil
}

// Recent implements chat.Search. more is told too where a shard does not answer.
func (l *lists) Recent(ctx context.Context, user string, limit int) (places []chat.Place, more bool, err error) {
	answers, missing, err := gather(ctx, l.router, func(ctx context.Context, s *shard) ([]store.RecentPlace, error) {
		return s.store.RecentPlaces(ctx, user, limit+1)
	})
	if err != nil {
		return nil, false, err
	}
	recent := onlyOnce(answers, func(p store.RecentPlace) string { return p.Room })
	slices.SortStableFunc(recent, func(a, b store.RecentPlace) int {
		return cmp.Or(-cmp.Compare(a.At, b.At), -strings.Compare(a.Room, b.Room))
	})
	for _, p := range recent[:min(len(recent), limit)] {
		places = append(places, p.Place)
	}
	return places, len(recent) > limit || !missing.Empty(), nil
}

// FindMessages implements chat.Search. What a shard that does not answer holds is not found, and the page is partial.
func (l *lists) FindMessages(ctx context.Context, user string, q chat.SearchQuery) (*chat.SearchPage, error) {
	places := make(map[string]chat.Place, len(q.Rooms))
	names := make([]string, len(q.Rooms))
	for i, p := range q.Rooms {
		names[i], places[p.Room] = p.Room, p
	}
	if len(names) == 0 { // a page that is none is refused all the same
		return l.shards[0].store.FindMessages(ctx, user, q)
	}
	var mu sync.Mutex
	var pages []*chat.SearchPage
	unanswered, err := l.askEach(ctx, names, roomSlot, func(ctx context.Context, s *store.Store, names []string) error {
		part := q
		part.Rooms = make([]chat.Place, len(names))
		for i, name := range names {
			part.Rooms[i] = places[name]
		}
		page, err := s.FindMessages(ctx, user, part)
		if err == nil {
			mu.Lock()
			defer mu.Unlock()
			pages = append(pages, page)
		}
		return err
	})
	if err != nil && (len(pages) == 0 && !errors.Is(ctx.Err(), context.DeadlineExceeded) || !failure(ctx, err)) {
		return nil, err
	}
	page, err := mergeFound(pages, q.Limit)
	if err == nil && len(unanswered) > 0 {
		page.Partial = true
	}
	return page, err
}

// mergeFound merges pages. Where a shard had no time to look further, nothing older than what it has looked at is told, so that the next page brings it.
func mergeFound(pages []*chat.SearchPage, limit int) (*chat.SearchPage, error) {
	all := &chat.SearchPage{}
	var end *chat.Found // up to where all shards have looked
	for _, p := range pages {
		all.Found = append(all.Found, p.Found...)
		all.Partial = all.Partial || p.Partial
		if p.Next == "" {
			continue
		}
		at, err := foundAt(p.Next)
		if err != nil {
			return nil, err
		}
		if end == nil || newerFound(at, *end) < 0 {
			end = &at
		}
	}
	slices.SortFunc(all.Found, newerFound)
	if end != nil {
		all.Found = slices.DeleteFunc(all.Found, func(f chat.Found) bool { return newerFound(f, *end) > 0 })
	}
	if len(all.Found) > limit {
		all.Found = all.Found[:limit]
		end = &all.Found[limit-1]
	}
	if end != nil {
		m := end.Message
		all.Next = store.PageAfter(strconv.FormatInt(int64(m.At), 10), end.Room, strconv.FormatUint(uint64(m.Seq), 10), "0")
	}
	return all, nil
}

// newerFound orders what is found, newest first, as the stores do.
func newerFound(a, b chat.Found) int {
	return cmp.Or(-cmp.Compare(a.Message.At, b.Message.At), -strings.Compare(a.Room, b.Room), -cmp.Compare(a.Message.Seq, b.Message.Seq))
}

// foundAt is the place behind which a page goes on.
func foundAt(page string) (f chat.Found, err error) {
	key, err := store.PageKey(page, 4)
	if err != nil {
		return f, err
	}
	at, err := strconv.ParseInt(key[0], 10, 64)
	if err != nil {
		return f, err
	}
	seq, err := strconv.ParseUint(key[2], 10, 64)
	return chat.Found{Room: key[1], Message: &chat.Message{At: protocol.Time(at), Seq: protocol.Seq(seq)}}, err
}

// Traces implements privacy.Estate. All shards must answer.
func (l *lists) Traces(ctx context.Context, user, after string, limit int) ([]string, error) {
	answers, missing, err := gather(ctx, l.router, func(ctx context.Context, s *shard) ([]string, error) { return s.store.Traces(ctx, user, after, limit) })
	if err == nil && !missing.Empty() {
		err = unavailable()
	}
	rooms := onlyOnce(answers, func(room string) string { return room })
	slices.Sort(rooms)
	return rooms[:min(len(rooms), limit)], err
}
