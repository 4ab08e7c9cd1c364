package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/parley-im/parley/internal/auth"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/protocol"
)

// session opens one on a node.
func (f *fixture) session(user, device, node string, issued int64) (s auth.Session, replaced string, err error) {
	s = auth.Session{
		ID: f.clientID(), User: user, Device: device, Client: "test", Node: node, CreatedAt: protocol.At(f.clock.now()), IssuedAt: issued,
	}
	replaced, err = f.store.Open(f.Context(), &s)
	return s, replaced, err
}

// opened opens one that must open.
func (f *fixture) opened(user, device, node string) auth.Session {
	f.Helper()
	s, _, err := f.session(user, device, node, 100)
	f.must(err)
	return s
}

func (f *fixture) sessions(user string) []auth.Session {
	f.Helper()
	sessions, err := f.store.Sessions(f.Context(), user)
	f.must(err)
	return sessions
}

func testSessionsReplace(f *fixture) {
	phone := f.opened("ann", "phone", "n1")
	f.clock.advance(time.Second)
	desk := f.opened("ann", "desk", "n1")
	f.equal("sessions, newest first", f.sessions("ann"), []auth.Session{desk, phone})
	users, err := f.store.Get(f.Context(), []string{"ann"})
	f.must(err)
	f.equal("the user exists", len(users), 1)

	f.clock.advance(time.Second)
	at := f.changed("").Position
	again, replaced, err := f.session("ann", "phone", "n2", 0)
	f.must(err)
	f.equal("replaced", replaced, phone.ID)
	f.equal("other nodes hear of it", f.changed(at).Sessions, true)
	f.equal("sessions", f.sessions("ann"), []auth.Session{again, desk})
	standing, err := f.store.Standing(f.Context(), []string{phone.ID, desk.ID, again.ID, "none"})
	f.must(err)
	f.equal("standing", standing, map[string]bool{desk.ID: true, again.ID: true})
	f.equal("another user's device of the same name", f.opened("bob", "phone", "n1").User, "bob")

	// What a program says of itself may be anything, and must not keep others out whose sessions are opened in the same transaction.
	odd := auth.Session{ID: f.clientID(), User: "eve", Device: "d", Client: "a\x00b\xffc", Node: "n1", CreatedAt: protocol.At(f.clock.now()), IssuedAt: 100}
	_, err = f.store.Open(f.Context(), &odd)
	f.must(err)
	f.equal("an odd client", f.sessions("eve")[0].Client, "ab\ufffdc")

	f.must(f.store.End(f.Context(), []string{desk.ID, phone.ID, "none"}))
	f.must(f.store.End(f.Context(), nil))
	f.equal("after the end", f.sessions("ann"), []auth.Session{again})
	f.restart()
	f.equal("after a restart", f.sessions("ann"), []auth.Session{again})
}

func testSessionsLive(f *fixture) {
	f.must(f.store.Beat(f.Context(), "dying"))
	for i := range protocol.MaxSessionsPerUser {
		f.opened("ann", fmt.Sprint("d", i), "dying")
	}
	_, _, err := f.session("ann", "one more", "n1", 100)
	f.fails(err, auth.ErrTooMany)
	_, replaced, err := f.session("ann", "d7", "n1", 100)
	f.must(err)
	f.equal("one of the devices again", replaced != "", true)
	f.equal("another user", f.opened("bob", "one more", "n1").User, "bob")

	f.clock.advance(44 * time.Second)
	f.must(f.store.Beat(f.Context(), "n1"))
	f.equal("sessions", len(f.sessions("ann")), protocol.MaxSessionsPerUser)
	f.clock.advance(2 * time.Second)
	f.equal("after the node died", len(f.sessions("ann")), 1)
	f.opened("ann", "one more", "n1")
	f.equal("room again", len(f.sessions("ann")), 2)

	// A node that was held up finds its sessions again; after an hour they are gone.
	f.must(f.store.Beat(f.Context(), "dying"))
	f.equal("it lives", len(f.sessions("ann")), protocol.MaxSessionsPerUser+1)
	f.clock.advance(59 * time.Minute)
	f.must(f.store.Beat(f.Context(), "n1"))
	f.must(f.store.Beat(f.Context(), "dying"))
	f.equal("still there", len(f.sessions("ann")), protocol.MaxSessionsPerUser+1)
	f.clock.advance(61 * time.Minute)
	f.must(f.store.Beat(f.Context(), "n1"))
	f.must(f.store.Beat(f.Context(), "dying"))
	f.equal("swept", len(f.sessions("ann")), 2)
}

func testSessionsStorm(f *fixture) {
	const users, devices = 100, 12
	var group sync.WaitGroup
	for u := range users {
		for d := range devices {
			group.Go(func() {
				s := auth.Session{ID: fmt.Sprintf("s%d-%d", u, d), User: fmt.Sprint("u", u), Device: fmt.Sprint("d", d%10), Node: "n1", IssuedAt: 1}
				if _, err := f.store.Open(context.Background(), &s); err != nil {
					f.Errorf("open: %v", err)
				}
			})
		}
	}
	group.Wait()
	for u := range users {
		if n := len(f.sessions(fmt.Sprint("u", u))); n != 10 {
			f.Fatalf("user %d has %d sessions of 10 devices", u, n)
		}
	}
	// Two at once on one device: each is told of the other, or of none; one stands.
	var replaced sync.Map
	for i := range 20 {
		group.Go(func() {
			s := auth.Session{ID: fmt.Sprint("r", i), User: "racer", Device: "d", Node: "n1", IssuedAt: 1}
			old, err := f.store.Open(context.Background(), &s)
			if _, twice := replaced.LoadOrStore(old, true); err != nil || twice {
				f.Errorf("replaced %q (%v), twice: %v", old, err, twice)
			}
		})
	}
	group.Wait()
	standing := f.sessions("racer")
	f.equal("sessions of one device", len(standing), 1)
	_, gone := replaced.Load(standing[0].ID)
	f.equal("the one that stands was replaced", gone, false)

	// What is taken back before it began does no harm, and neither does the end of the store.
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for i := range 100 {
		group.Go(func() { _ = f.store.End(ctx, []string{fmt.Sprintf("s%d-0", i)}) }) // done or taken back: both are right
	}
	group.Wait()
	closing := f.store
	for i := range 50 {
		group.Go(func() {
			s := auth.Session{ID: fmt.Sprint("late", i), User: "late", Device: fmt.Sprint(i), Node: "n1", IssuedAt: 1}
			_, _ = closing.Open(context.Background(), &s) // opened or `unavailable`: both are right, hanging is not
		})
	}
	f.close()
	group.Wait()
	f.open()
}

func testRevoke(f *fixture) {
	var phone, desk auth.Session
	begin := func(user string) {
		f.Helper()
		phone, desk = f.opened(user, "phone", "n1"), f.opened(user, "desk", "n1")
	}
	ended := func(user, session, device string, notBefore int64) []string {
		f.Helper()
		sessions, err := f.store.Revoke(f.Context(), user, session, device, notBefore)
		f.must(err)
		var ids []string
		for _, s := range sessions {
			ids = append(ids, s.ID)
		}
		return sorted(ids)
	}
	opens := func(user, device string, issued int64, want error) {
		f.Helper()
		if _, _, err := f.session(user, device, "n1", issued); want == nil {
			f.must(err)
		} else {
			f.fails(err, want)
		}
	}
	begin("ann")
	f.equal("one session", ended("ann", phone.ID, "", 200), []string{phone.ID})
	f.equal("the others", f.sessions("ann"), []auth.Session{desk})
	opens("ann", "phone", 200, auth.ErrRevoked)
	opens("ann", "phone", 0, auth.ErrRevoked)
	opens("ann", "desk", 50, nil)
	opens("ann", "phone", 201, nil)

	begin("bob")
	f.equal("a device", ended("bob", "", "phone", 200), []string{phone.ID})
	opens("bob", "phone", 200, auth.ErrRevoked)
	opens("bob", "desk", 200, nil)
	f.equal("an older revocation takes nothing back", ended("bob", "", "phone", 150), []string{})
	opens("bob", "phone", 200, auth.ErrRevoked)

	begin("cid")
	f.equal("all", ended("cid", "", "", 300), sorted([]string{phone.ID, desk.ID}))
	opens("cid", "tablet", 300, auth.ErrRevoked)
	opens("cid", "tablet", 301, nil)
	f.equal("nobody's", ended("dan", "", "", 300), []string{})
	opens("dan", "tablet", 300, auth.ErrRevoked)

	_, err := f.store.Revoke(f.Context(), "bob", desk.ID, "", 1)
	f.fails(err, auth.ErrNoSession)
	f.restart()
	all, err := f.store.Revocations(f.Context())
	f.must(err)
	f.equal("revocations", all, []auth.Revocation{
		{User: "ann", Device: "phone", NotBefore: 200},
		{User: "bob", Device: "phone", NotBefore: 200},
		{User: "cid", NotBefore: 300},
		{User: "dan", NotBefore: 300},
	})
}

func testKeys(f *fixture) {
	one, two := [32]byte{1}, [32]byte{2}
	made := protocol.At(f.clock.now())
	f.must(f.store.AddKey(f.Context(), "b", one))
	f.must(f.store.AddKey(f.Context(), "a", two))
	f.must(f.store.AddKey(f.Context(), "b", one)) // the call again
	f.fails(f.store.AddKey(f.Context(), "b", [32]byte{3}), auth.ErrKeyExists)
	name, err := f.store.KeyByHash(f.Context(), two)
	f.must(err)
	f.equal("name", name, "a")
	keys, err := f.store.Keys(f.Context())
	f.must(err)
	f.equal("keys", keys, []auth.Key{{Name: "a", CreatedAt: made}, {Name: "b", CreatedAt: made}})

	// A command works beside a server, on its store.
	at := f.changed("").Position
	command, err := f.at.Open(f.Context(), store.Options{Now: f.clock.now, Log: silent(), Shared: true})
	f.must(err)
	f.must(command.AddKey(f.Context(), "c", [32]byte{4}))
	f.must(command.Close())
	f.equal("the server hears of it", f.changed(at).Sessions, true)
	f.must(f.store.RemoveKey(f.Context(), "c"))

	f.must(f.store.RemoveKey(f.Context(), "a"))
	f.fails(f.store.RemoveKey(f.Context(), "a"), auth.ErrNoKey)
	_, err = f.store.KeyByHash(f.Context(), two)
	f.fails(err, auth.ErrNoKey)
}

func testTickets(f *fixture) {
	ticket := func(n byte, life time.Duration) auth.Ticket {
		f.Helper()
		t := auth.Ticket{
			Hash: [32]byte{n}, User: "alice", Role: protocol.TokenModerator, IssuedAt: 100,
			SessionUntil: protocol.At(f.clock.now().Add(time.Hour)), ExpiresAt: protocol.At(f.clock.now().Add(life)),
		}
		f.must(f.store.AddTicket(f.Context(), &t))
		return t
	}
	take := func(n byte) (*auth.Ticket, error) { return f.store.TakeTicket(f.Context(), [32]byte{n}) }
	one := ticket(1, 30*time.Second)
	_, err := take(2)
	f.fails(err, auth.ErrNoTicket)

	// Of a hundred one gets it, also when they are on two nodes.
	other := f.store
	if f.postgres() {
		other = f.node()
		defer other.Close()
	}
	var taken []auth.Ticket
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range 100 {
		node := f.store
		if i%2 == 1 {
			node = other
		}
		wg.Go(func() {
			t, err := node.TakeTicket(f.Context(), one.Hash)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				taken = append(taken, *t)
			} else if !errors.Is(err, auth.ErrNoTicket) {
				f.t.Error(err)
			}
		})
	}
	wg.Wait()
	f.equal("those who got it", taken, []auth.Ticket{one})

	// An expired one is as good as none, and goes for good.
	ticket(3, 30*time.Second)
	f.clock.advance(30 * time.Second)
	_, err = take(3)
	f.fails(err, auth.ErrNoTicket)
	ticket(4, 30*time.Second)
	f.clock.advance(30 * time.Second)
	ticket(5, 30*time.Second)
	f.clock.advance(-30 * time.Second)
	_, err = take(4)
	f.fails(err, auth.ErrNoTicket)
	f.restart()
	_, err = take(5)
	f.must(err)
}

func testProfiles(f *fixture) {
	f.must(f.store.Ensure(f.Context(), "bob", "ann", "bob"))
	name, avatar, data := "Ann", "https://example.org/a.png", protocol.Raw(`{"a":1}`)
	u, err := f.store.Update(f.Context(), "ann", &name, nil, nil)
	f.must(err)
	f.equal("name", *u, protocol.User{ID: "ann", Name: name})
	u, err = f.store.Update(f.Context(), "cid", nil, &avatar, &data)
	f.must(err)
	f.equal("a new one", *u, protocol.User{ID: "cid", Avatar: avatar, Data: data})
	u, err = f.store.Update(f.Context(), "cid", &name, nil, nil)
	f.must(err)
	f.equal("the rest stays", *u, protocol.User{ID: "cid", Name: name, Avatar: avatar, Data: data})
	null := protocol.Raw("null")
	for range 2 {
		u, err = f.store.Update(f.Context(), "cid", nil, nil, &null)
		f.must(err)
		f.equal("no data", *u, protocol.User{ID: "cid", Name: name, Avatar: avatar})
	}
	f.must(f.store.Ensure(f.Context(), "cid"))
	users, err := f.store.Get(f.Context(), []string{"cid", "nobody", "bob", "ann"})
	f.must(err)
	f.equal("in the order asked for", users, []protocol.User{*u, {ID: "bob"}, {ID: "ann", Name: name}})

	var group sync.WaitGroup
	many := map[string]bool{}
	for i := range 100 {
		many[fmt.Sprint("many", i%40)] = true
		group.Go(func() {
			if err := f.store.Ensure(context.Background(), fmt.Sprint("many", i%40), fmt.Sprint("many", (i+7)%40)); err != nil {
				f.Errorf("ensure: %v", err)
			}
		})
	}
	group.Wait()
	users, err = f.store.Get(f.Context(), slices.Collect(maps.Keys(many)))
	f.must(err)
	f.equal("made at once", len(users), 40)
}

func testSearch(f *fixture) {
	for id, name := range map[string]string{
		"alice": "", "Alicia": "zzz", "bob": "Alister B.", "carl": "ÉMILE", "dora": "al", "eve": "Straße", "fay": "100%_", "u0": "\U0010FFFF",
	} {
		_, err := f.store.Update(f.Context(), id, &name, nil, nil)
		f.must(err)
	}
	for query, want := range map[string][]string{
		"ali": {"Alicia", "alice", "bob"}, "ALI": {"Alicia", "alice", "bob"}, "al": {"Alicia", "alice", "bob", "dora"}, "émi": {"carl"}, "STRASS": {"eve"},
		"100%": {"fay"}, "10%": nil, "a_": nil, "lice": nil, "'": nil, "\U0010FFFF": {"u0"},
	} {
		for _, limit := range []int{1, 2, 10} {
			users, err := f.store.Search(f.Context(), query, limit)
			f.must(err)
			var ids []string
			for _, u := range users {
				ids = append(ids, u.ID)
			}
			f.equal(fmt.Sprintf("%q, %d of them", query, limit), ids, want[:min(limit, len(want))])
		}
	}
	name := "Zoé"
	_, err := f.store.Update(f.Context(), "bob", &name, nil, nil)
	f.must(err)
	for query, want := range map[string]int{"ZOÉ": 1, "alister": 0} {
		users, err := f.store.Search(f.Context(), query, 5)
		f.must(err)
		f.equal("by the new name alone", len(users), want)
	}
}
