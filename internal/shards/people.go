package shards

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/parley-im/parley/internal/auth"
	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/presence"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/slots"
	"github.com/parley-im/parley/protocol"
)

var (
	_ chat.Users     = (*people)(nil)
	_ auth.Sessions  = (*people)(nil)
	_ presence.Store = (*people)(nil)
)

// people are the ports that are about users: profiles, sessions, presence.
type people struct {
	*router

	// What was read last of each shard of what a node has to know of all: while a shard is away this goes on to hold.
	mu        sync.Mutex
	revoked   map[*shard][]auth.Revocation
	invisible map[*shard][]string
}

func newPeople(r *router) *people {
	return &people{router: r, revoked: map[*shard][]auth.Revocation{}, invisible: map[*shard][]string{}}
}

// exist tells which of the users exist.
func (p *people) exist(ctx context.Context, users []string) (map[string]bool, error) {
	found, err := p.Get(ctx, users)
	exist := make(map[string]bool, len(found))
	for _, u := range found {
		exist[u.ID] = true
	}
	return exist, err
}

// Ensure implements chat.Users.
func (p *people) Ensure(ctx context.Context, users ...string) error {
	_, err := p.askEach(ctx, users, userSlot, func(ctx context.Context, s *store.Store, users []string) error { return s.Ensure(ctx, users...) })
	return err
}

// Update implements chat.Users.
func (p *people) Update(ctx context.Context, user string, name, avatar *string, data *protocol.Raw) (u *protocol.User, err error) {
	err = p.ask(ctx, userSlot(user), func(ctx context.Context, s *store.Store) (err error) {
		u, err = s.Update(ctx, user, name, avatar, data)
		return err
	})
	return u, err
}

// Get implements chat.Users.
func (p *people) Get(ctx context.Context, users []string) ([]protocol.User, error) {
	var mu sync.Mutex
	var found []protocol.User
	_, err := p.askEach(ctx, users, userSlot, func(ctx context.Context, s *store.Store, users []string) error {
		some, err := s.Get(ctx, users)
		mu.Lock()
		defer mu.Unlock()
		found = append(found, some...)
		return err
	})
	place := make(map[string]int, len(users))
	for i, id := range users {
		place[id] = i
	}
	slices.SortFunc(found, func(a, b protocol.User) int { return place[a.ID] - place[b.ID] })
	return found, err
}

// Search implements chat.Users. Users of shards that do not answer are not found.
func (p *people) Search(ctx context.Context, query string, limit int) ([]protocol.User, error) {
	answers, _, err := gather(ctx, p.router, func(ctx context.Context, s *shard) ([]protocol.User, error) { return s.store.Search(ctx, query, limit) })
	found := onlyOnce(answers, func(u protocol.User) string { return u.ID })
	slices.SortFunc(found, func(a, b protocol.User) int { return strings.Compare(a.ID, b.ID) })
	return found[:min(len(found), limit)], err
}

// Blank implements privacy.Estate.
func (p *people) Blank(ctx context.Context, user string) error {
	return p.ask(ctx, userSlot(user), func(ctx context.Context, s *store.Store) error { return s.Blank(ctx, user) })
}

// Open implements auth.Sessions.
func (p *people) Open(ctx context.Context, session *auth.Session) (replaced string, err error) {
	err = p.ask(ctx, userSlot(session.User), func(ctx context.Context, s *store.Store) (err error) {
		replaced, err = s.Open(ctx, session)
		return err
	})
	return replaced, err
}

// End implements auth.Sessions. Whose the sessions are is not known: every shard forgets those that it has. What a shard that does not answer has is forgotten
// after the node's end, or when the device opens another session.
func (p *people) End(ctx context.Context, ids []string) error {
	return p.tellAll(ctx, func(ctx context.Context, s *store.Store) error { return s.End(ctx, ids) })
}

// Sessions implements auth.Sessions.
func (p *people) Sessions(ctx context.Context, user string) (sessions []auth.Session, err error) {
	err = p.ask(ctx, userSlot(user), func(ctx context.Context, s *store.Store) (err error) {
		sessions, err = s.Sessions(ctx, user)
		return err
	})
	return sessions, err
}

// Standing implements auth.Sessions. While a shard does not answer all stand: which of them it has is not known.
func (p *people) Standing(ctx context.Context, ids []string) (map[string]bool, error) {
	answers, missing, err := gather(ctx, p.router, func(ctx context.Context, s *shard) (map[string]bool, error) { return s.store.Standing(ctx, ids) })
	known := make(map[string]bool, len(ids))
	for _, a := range answers {
		maps.Copy(known, a.value)
	}
	if err == nil && !missing.Empty() {
		for _, id := range ids {
			known[id] = true
		}
	}
	return known, err
}

// Revoke implements auth.Sessions.
func (p *people) Revoke(ctx context.Context, user, session, device string, notBefore int64) (ended []auth.Session, err error) {
	err = p.ask(ctx, userSlot(user), func(ctx context.Context, s *store.Store) (err error) {
		ended, err = s.Revoke(ctx, user, session, device, notBefore)
		return err
	})
	return ended, err
}

// Revocations implements auth.Sessions. Of a shard that does not answer they are those that were read last, and where it never has the error says so.
func (p *people) Revocations(ctx context.Context) ([]auth.Revocation, error) {
	answers, missing, err := gather(ctx, p.router, func(ctx context.Context, s *shard) ([]auth.Revocation, error) { return s.store.Revocations(ctx) })
	if err != nil {
		return nil, err
	}
	all, unknown := remembered(p, p.revoked, answers, &missing)
	slices.SortFunc(all, func(a, b auth.Revocation) int {
		return cmp.Or(strings.Compare(a.User, b.User), strings.Compare(a.Device, b.Device))
	})
	if !unknown.Empty() {
		err = &auth.PartialError{Unanswered: ofUsers(unknown), Err: unavailable()}
	}
	return all, err
}

// remembered is what all shards have said, each the last time that it answered, and the slots of which none has ever said anything.
func remembered[T any](p *people, last map[*shard][]T, answers []answer[[]T], missing *slots.Set) (all []T, unknown slots.Set) {
	p.mu.Lock()
	defer p.mu.Unlock()
	silent := map[*shard]bool{} // now, and not before
	for s := range last {
		silent[s] = true
	}
	for _, a := range answers {
		last[a.shard] = slices.Clip(a.value)
		silent[a.shard] = false
	}
	for _, s := range p.shards {
		all = append(all, last[s]...)
	}
	for n := range missing.Each() {
		unknown.Put(n, !silent[p.of(n)])
	}
	return all, unknown
}

// ofUsers reports users of the slots.
func ofUsers(set slots.Set) func(user string) bool {
	return func(user string) bool { return set.Has(userSlot(user)) }
}

// Beat implements auth.Sessions. Each shard knows which nodes live.
func (p *people) Beat(ctx context.Context, node string) error { return p.beat(ctx, node) }

// beat tells every shard that a node lives, and by which map it routes.
func (r *router) beat(ctx context.Context, node string) error {
	version := r.table.Load().Version + 1 // 0 is of nodes that know no shards
	return r.tellAll(ctx, func(ctx context.Context, s *store.Store) error { return s.BeatSharded(ctx, node, version) })
}

// SetStatus implements presence.Store.
func (p *people) SetStatus(ctx context.Context, user string, status protocol.Status, at protocol.Time) error {
	return p.ask(ctx, userSlot(user), func(ctx context.Context, s *store.Store) error { return s.SetStatus(ctx, user, status, at) })
}

// Seen implements presence.Store.
func (p *people) Seen(ctx context.Context, last map[string]protocol.Time) error {
	_, err := p.askEach(ctx, slices.Collect(maps.Keys(last)), userSlot, func(ctx context.Context, s *store.Store, users []string) error {
		some := make(map[string]protocol.Time, len(users))
		for _, user := range users {
			some[user] = last[user]
		}
		return s.Seen(ctx, some)
	})
	return err
}

// Lost implements presence.Store.
func (p *people) Lost(ctx context.Context, node string) error {
	return p.tellAll(ctx, func(ctx context.Context, s *store.Store) error { return s.Lost(ctx, node) })
}

// Visible implements presence.Store: who shares a room, as all shards say, and what is kept, as the user's does. Of users whose shard does not answer nothing is
// told, since they may be invisible.
func (p *people) Visible(ctx context.Context, pairs []presence.Pair) (map[presence.Pair]presence.Kept, error) {
	answers, _, err := gather(ctx, p.router, func(ctx context.Context, s *shard) (map[presence.Pair]presence.Kept, error) {
		return s.store.Visible(ctx, pairs)
	})
	if err != nil {
		return nil, err
	}
	sharing := map[presence.Pair]bool{}
	for _, a := range answers {
		for pair := range a.value {
			sharing[pair] = true
		}
	}
	users := map[string]bool{}
	for pair := range sharing {
		users[pair.User] = true
	}
	var mu sync.Mutex
	kept := map[string]presence.Kept{}
	unanswered, err := p.askEach(ctx, slices.Collect(maps.Keys(users)), userSlot, func(ctx context.Context, s *store.Store, users []string) error {
		some, err := s.Kept(ctx, users)
		mu.Lock()
		defer mu.Unlock()
		maps.Copy(kept, some)
		return err
	})
	if err != nil && len(unanswered) == len(users) {
		return nil, err
	}
	visible := make(map[presence.Pair]presence.Kept, len(sharing))
	for pair := range sharing {
		if k, known := kept[pair.User]; known {
			visible[pair] = k
		}
	}
	return visible, nil
}

// Invisible implements presence.Store. Of a shard that does not answer they are those that were read last, and where it never has the error says so.
func (p *people) Invisible(ctx context.Context, users []string) ([]string, error) {
	if users == nil {
		answers, missing, err := gather(ctx, p.router, func(ctx context.Context, s *shard) ([]string, error) { return s.store.Invisible(ctx, nil) })
		if err != nil {
			return nil, err
		}
		all, unknown := remembered(p, p.invisible, answers, &missing)
		if !unknown.Empty() {
			err = &chat.PartialError{Unanswered: ofUsers(unknown), Err: unavailable()}
		}
		return all, err
	}
	var mu sync.Mutex
	var found []string
	_, err := p.askEach(ctx, users, userSlot, func(ctx context.Context, s *store.Store, users []string) error {
		some, err := s.Invisible(ctx, users)
		mu.Lock()
		defer mu.Unlock()
		found = append(found, some...)
		return err
	})
	return found, err
}
