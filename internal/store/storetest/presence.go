package storetest

import (
	"fmt"
	"sync"
	"time"

	"github.com/parley-im/parley/internal/presence"
	"github.com/parley-im/parley/protocol"
)

// kept is what the store keeps about a user, as they see it.
func (f *fixture) kept(user string) presence.Kept {
	f.Helper()
	self := presence.Pair{Viewer: user, User: user}
	visible, err := f.store.Visible(f.Context(), []presence.Pair{self})
	f.must(err)
	if _, ok := visible[self]; !ok {
		f.Fatalf("%s does not see themselves", user)
	}
	return visible[self]
}

func (f *fixture) invisible(users []string) []string {
	f.Helper()
	found, err := f.store.Invisible(f.Context(), users)
	f.must(err)
	return sorted(found)
}

func testPresenceKept(f *fixture) {
	const hour = protocol.Time(time.Hour / time.Millisecond)
	set := func(status protocol.Status, at protocol.Time) {
		f.Helper()
		f.must(f.store.SetStatus(f.Context(), "ann", status, at))
	}
	seen := func(at protocol.Time) {
		f.Helper()
		f.must(f.store.Seen(f.Context(), map[string]protocol.Time{"ann": at, "bob": at}))
	}
	is := func(what string, status protocol.Status, at protocol.Time) {
		f.Helper()
		f.equal(what, f.kept("ann"), presence.Kept{Status: status, LastSeen: at})
	}
	is("who never did anything", protocol.StatusOnline, 0)
	set(protocol.StatusAway, 1*hour)
	is("away: it is no time to be seen", protocol.StatusAway, 0)
	seen(2 * hour)
	seen(1 * hour)
	is("seen, and the status stays; it never goes back", protocol.StatusAway, 2*hour)
	f.equal("nobody hides", f.invisible(nil), []string{})

	set(protocol.StatusInvisible, 3*hour)
	is("last seen when they hid", protocol.StatusInvisible, 3*hour)
	set(protocol.StatusInvisible, 4*hour)
	seen(5 * hour)
	is("and so it stays", protocol.StatusInvisible, 3*hour)
	f.must(f.store.SetStatus(f.Context(), "carol", protocol.StatusInvisible, hour))
	f.equal("a first word that hides", f.kept("carol"), presence.Kept{Status: protocol.StatusInvisible, LastSeen: hour})
	f.equal("who hides", f.invisible(nil), []string{"ann", "carol"})
	f.equal("who of some", f.invisible([]string{"ann", "bob", "nobody"}), []string{"ann"})
	f.equal("who of nobody", f.invisible([]string{}), []string{})

	f.restart()
	is("after a restart", protocol.StatusInvisible, 3*hour)
	set(protocol.StatusOnline, 6*hour)
	is("come out: not seen since, until they go", protocol.StatusOnline, 3*hour)
	seen(7 * hour)
	is("gone", protocol.StatusOnline, 7*hour)
	set(protocol.StatusInvisible, 8*hour)
	is("hidden again", protocol.StatusInvisible, 8*hour)
	f.equal("bob was seen beside", f.kept("bob").LastSeen, 7*hour)
	f.must(f.store.Seen(f.Context(), nil))
}

func testPresenceVisible(f *fixture) {
	group := f.room(protocol.Group, "ann", "bob")
	f.room(protocol.Channel, "ann", "carol")
	f.room(protocol.Live, "ann", "dave")
	direct := f.room(protocol.Direct, "ann", "erin")
	f.must(f.store.Hide(f.Context(), direct, "ann"))
	gone := f.room(protocol.Group, "ann", "frank")
	call[protocol.SeqResult](f, "ann", protocol.RoomDelete, &protocol.RoomEventParams{Room: gone})
	banned := f.room(protocol.Group, "ann", "grace")
	f.member(protocol.MemberBan, banned, "ann", "grace")

	see := func() (who []string) {
		f.Helper()
		var pairs []presence.Pair
		for _, other := range []string{"ann", "bob", "carol", "dave", "erin", "frank", "grace", "nobody"} {
			pairs = append(pairs, presence.Pair{Viewer: "ann", User: other}, presence.Pair{Viewer: other, User: "ann"})
		}
		visible, err := f.store.Visible(f.Context(), pairs)
		f.must(err)
		for _, p := range pairs {
			_, there := visible[p]
			_, back := visible[presence.Pair{Viewer: p.User, User: p.Viewer}]
			f.equal(fmt.Sprint("what ", p, " is from the other side"), back, there)
			if there && p.Viewer == "ann" && p.User != "ann" {
				who = append(who, p.User)
			}
		}
		return who
	}
	f.equal("whom one sees", see(), []string{"bob", "erin"})
	f.member(protocol.MemberRemove, group, "ann", "bob")
	f.equal("after a removal", see(), []string{"erin"})
	f.add(group, "ann", "bob", "carol")
	f.equal("added", see(), []string{"bob", "carol", "erin"})
	none, err := f.store.Visible(f.Context(), nil)
	f.must(err)
	f.equal("nobody asks", len(none), 0)
}

func testPresenceStorm(f *fixture) {
	var writers sync.WaitGroup
	for i := range 40 {
		writers.Go(func() {
			user := fmt.Sprint("user", i%10)
			status := []protocol.Status{protocol.StatusAway, protocol.StatusInvisible}[i/10%2]
			if err := f.store.SetStatus(f.Context(), user, status, protocol.Time(i)); err != nil {
				f.Errorf("%v", err)
			}
			if err := f.store.Seen(f.Context(), map[string]protocol.Time{user: protocol.Time(i), "user0": 1, "user9": 1}); err != nil {
				f.Errorf("%v", err)
			}
		})
	}
	writers.Wait()
	for i := range 10 {
		user := fmt.Sprint("user", i)
		f.must(f.store.SetStatus(f.Context(), user, protocol.StatusAway, 100))
		f.equal(user, f.kept(user).Status, protocol.StatusAway)
	}
	f.equal("who hides", f.invisible(nil), []string{})
}

func testPresenceLost(f *fixture) {
	lost := func(node string) {
		f.Helper()
		f.must(f.store.Lost(f.Context(), node))
	}
	at := func() protocol.Time { return protocol.At(f.clock.now()) }
	f.must(f.store.SetStatus(f.Context(), "carol", protocol.StatusInvisible, 1))
	f.opened("ann", "phone", "n1")
	f.clock.advance(time.Second)
	f.opened("ann", "desk", "n1")
	came := at()
	f.opened("bob", "phone", "n2")
	f.opened("carol", "phone", "n1")
	lost("")
	f.equal("while they live", f.kept("ann").LastSeen, protocol.Time(0))
	f.clock.advance(10 * time.Second)
	f.must(f.store.Beat(f.Context(), "n2"))
	beat := at()
	lost("n1")
	f.equal("what n1 left behind in a former life", f.kept("ann").LastSeen, came)
	f.equal("who hid is not given away", f.kept("carol").LastSeen, protocol.Time(1))
	if !f.postgres() {
		f.equal("the one server of a store has died, whatever its name was", f.kept("bob").LastSeen, beat)
		return
	}
	f.equal("n2 lives", f.kept("bob").LastSeen, protocol.Time(0))
	f.clock.advance(time.Minute)
	lost("")
	f.equal("n2 has died", f.kept("bob").LastSeen, beat)
	f.must(f.store.Seen(f.Context(), map[string]protocol.Time{"bob": beat + 1}))
	lost("")
	f.equal("seen since", f.kept("bob").LastSeen, beat+1)
	f.opened("dave", "phone", "n3")
	f.clock.advance(30 * time.Minute)
	lost("")
	f.equal("nobody looked in time", f.kept("dave").LastSeen, protocol.Time(0))
	lost("n4")
	f.equal("one who begins looks at all", f.kept("dave").LastSeen > 0, true)
}

func testPresenceErased(f *fixture) {
	for _, user := range []string{"ann", "bob"} {
		f.opened(user, "phone", "n1")
		f.must(f.store.SetStatus(f.Context(), user, protocol.StatusInvisible, 1))
	}
	f.must(f.store.Blank(f.Context(), "ann"))
	f.must(f.store.Seen(f.Context(), map[string]protocol.Time{"ann": 2}))
	f.equal("who was erased", f.kept("ann"), presence.Kept{Status: protocol.StatusOnline})
	f.equal("who hides", f.invisible(nil), []string{"bob"})
	f.opened("ann", "phone", "n1")
	f.must(f.store.Seen(f.Context(), map[string]protocol.Time{"ann": 3}))
	f.equal("come again", f.kept("ann").LastSeen, protocol.Time(3))
}
