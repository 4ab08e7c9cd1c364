package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parley-im/parley/client"
	"github.com/parley-im/parley/protocol"
)

// speakers are the users of a storm that are not cut.
func speakers(c Config) int {
	if c.Scenario == Storm {
		return min(20, c.Users)
	}
	return 0
}

// setUp connects everybody and makes the rooms, until everybody has seen all of theirs.
func (r *run) setUp(ctx context.Context) (err error) {
	if r.measured.first, err = r.usages(); err != nil {
		return err
	}
	if err := r.connect(ctx); err != nil {
		return err
	}
	if err := r.makeRooms(ctx); err != nil {
		return err
	}
	if r.c.Scenario == Durable {
		return nil
	}
	const what = "the rooms that users follow"
	if err := r.await(ctx, 5*time.Second, what, r.unfollowed); err == nil || ctx.Err() != nil {
		return err
	}
	// A session that began while a room was being made may follow it from behind its first event: the next resumes from the beginning.
	for _, u := range r.users {
		if u.follows() < len(u.rooms) {
			u.link.Cut()
		}
	}
	return r.await(ctx, time.Minute, what, r.unfollowed)
}

// unfollowed is how many rooms have not reached how many users.
func (r *run) unfollowed() int {
	missing := 0
	for _, u := range r.users {
		missing += len(u.rooms) - u.follows()
	}
	return missing
}

// follows is how many rooms have told the user an event.
func (u *user) follows() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	n := 0
	for _, p := range u.places {
		if p.next.Load() > 0 {
			n++
		}
	}
	return n
}

// connect opens all sessions, so many at a time as a server with bounded handshakes takes.
func (r *run) connect(ctx context.Context) error {
	total := r.c.Users + speakers(r.c)
	rooms := protocol.RoomsAll
	if r.c.Scenario == Durable {
		rooms = protocol.RoomsNone
	}
	for i := range total {
		u, err := newUser(r, i, rooms)
		if err != nil {
			return err
		}
		r.users = append(r.users, u)
	}
	const atOnce = 128
	opened := 0
	return r.await(ctx, time.Minute, "the sessions", func() int {
		live := int(r.count.lives.Load())
		for ; opened < total && opened < live+atOnce; opened++ {
			r.users[opened].link.Open()
		}
		return total - live
	})
}

// http makes the calls of a user that are not part of the load.
func (r *run) http(u *user) (*client.HTTP, error) {
	base := r.c.URLs[r.c.node(u.index)]
	if rest, ok := strings.CutPrefix(base, "ws"); ok {
		base = "http" + rest
	}
	return client.NewHTTP(client.HTTPOptions{URL: base, Token: r.token(u.id), Client: r.caller})
}

// newCaller makes the HTTP client of a run.
func newCaller(c Config) *http.Client {
	return &http.Client{
		Timeout:   30 * time.Second,
		Transport: &http.Transport{DialContext: c.Dial, TLSClientConfig: c.TLS, MaxIdleConnsPerHost: 16, MaxConnsPerHost: 16},
	}
}

// makeRooms makes the rooms of the scenario: each room's members are neighbours in a ring, so that every user is in as many.
func (r *run) makeRooms(ctx context.Context) error {
	switch r.c.Scenario {
	case Fanout:
		r.rooms = []*room{{members: r.users}}
	case Durable:
		for _, u := range r.users {
			r.rooms = append(r.rooms, &room{members: []*user{u}})
		}
	default:
		n := max(r.c.Users*r.c.RoomsEach/r.c.RoomSize, 1)
		for i := range n {
			made := &room{}
			first := i * r.c.Users / n
			for k := range r.c.RoomSize {
				made.members = append(made.members, r.users[(first+k)%r.c.Users])
			}
			if talkers := r.users[r.c.Users:]; len(talkers) > 0 {
				made.members = append(made.members, talkers[i%len(talkers)])
			}
			r.rooms = append(r.rooms, made)
		}
	}
	for _, made := range r.rooms {
		for _, u := range made.members {
			u.mu.Lock()
			u.rooms = append(u.rooms, made)
			u.mu.Unlock()
		}
	}
	return each(len(r.rooms), 16, func(i int) error { return r.makeRoom(ctx, r.rooms[i], i) })
}

// makeRoom makes one room and adds the members that the first call has no room for.
func (r *run) makeRoom(ctx context.Context, made *room, number int) error {
	h, err := r.http(made.members[0])
	if err != nil {
		return err
	}
	var others []string
	for _, u := range made.members[1:] {
		others = append(others, u.id)
	}
	first := others[:min(len(others), protocol.MaxUsersPerCall-1)]
	err = r.insist(ctx, func() error {
		result, err := h.Rooms.Create(ctx, protocol.RoomCreateParams{
			Kind: protocol.Group, Name: fmt.Sprint(r.name, " ", number), Members: first, ClientID: "room-" + strconv.Itoa(number),
		})
		made.mu.Lock()
		made.id = result.Room.ID
		made.mu.Unlock()
		return err
	})
	for more := range slices.Chunk(others[len(first):], protocol.MaxUsersPerCall) {
		if err == nil {
			err = r.insist(ctx, func() error {
				_, err := h.Members.Add(ctx, protocol.MemberAddParams{Room: made.id, Users: more, ClientID: "add-" + more[0]})
				return err
			})
		}
	}
	if err != nil {
		return fmt.Errorf("bench: making a room: %w", err)
	}
	return nil
}

// insist makes a call until it is answered for good, for as long as Settle: the server may be about to come back.
func (r *run) insist(ctx context.Context, do func() error) error {
	begin := time.Now()
	for {
		err := do()
		refusal := new(protocol.Error)
		forGood := errors.As(err, &refusal) && refusal.Code != protocol.Unavailable && refusal.Code != protocol.RateLimited
		if err == nil || forGood || time.Since(begin) > r.c.Settle {
			return err
		}
		wait := time.NewTimer(max(time.Duration(refusal.RetryAfterMS)*time.Millisecond, 100*time.Millisecond))
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return context.Cause(ctx)
		}
	}
}
