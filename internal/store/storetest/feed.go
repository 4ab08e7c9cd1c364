package storetest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/parley-im/parley/internal/feed"
	"github.com/parley-im/parley/internal/relay"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/protocol"
)

// roomy is a limit that the tests do not reach.
var roomy = feed.Limit{Lines: 100, Each: 1000, Bytes: 1 << 30}

// several is what is tested where it is several stores.
type several interface {
	Keeper() feed.Keeper
	Stores() map[string]*store.Store
	Of(room string) *store.Store
}

// keeper is the feed of all stores as one.
func keeper(f *fixture) feed.Keeper {
	if s, ok := f.store.(several); ok {
		return s.Keeper()
	}
	return alone(f).Feed()
}

// feedOf is the feed of the store that holds a room.
func feedOf(f *fixture, room string) *store.Feed {
	if s, ok := f.store.(several); ok {
		return s.Of(room).Feed()
	}
	return alone(f).Feed()
}

// feeds are those of each store.
func feeds(f *fixture) (all []*store.Feed) {
	s, ok := f.store.(several)
	if !ok {
		return []*store.Feed{alone(f).Feed()}
	}
	for _, one := range s.Stores() {
		all = append(all, one.Feed())
	}
	return all
}

// beginFeeds has jobs made in all stores.
func beginFeeds(f *fixture) {
	f.Helper()
	for _, one := range feeds(f) {
		f.must(one.Begin(f.Context()))
	}
}

// jobs are all that wait.
func (f *fixture) jobs() (all []feed.Job) {
	f.Helper()
	for _, one := range feeds(f) {
		jobs, err := one.Take(f.Context(), everything, feed.Line{}, roomy)
		f.must(err)
		all = append(all, jobs...)
	}
	slices.SortStableFunc(all, func(a, b feed.Job) int { return cmp.Or(cmp.Compare(a.Sink, b.Sink), cmp.Compare(a.Room, b.Room)) })
	return all
}

// settled removes jobs.
func settled(f *fixture, jobs []feed.Job) {
	f.Helper()
	for _, one := range feeds(f) {
		f.must(one.Done(f.Context(), jobs))
	}
}

// replayed puts events again, and says how many.
func replayed(f *fixture, room string, since protocol.Time, queue string) (events int) {
	f.Helper()
	events, err := feed.Replay(f.Context(), keeper(f), room, since, queue)
	f.must(err)
	return events
}

// named are jobs as texts: sink, number of the room among those given, seq.
func named(jobs []feed.Job, rooms ...string) (names []string) {
	for _, j := range jobs {
		for i, room := range rooms {
			if room == j.Room {
				names = append(names, fmt.Sprintf("%s %d/%d", j.Sink, i, j.Seq))
			}
		}
	}
	return names
}

func testJobs(f *fixture) {
	before := f.room(protocol.Group, "ann")
	f.send(before, "ann", "before")
	f.apply(f.store)
	since, err := alone(f).Feed().Since(f.Context())
	f.must(err)
	f.equal("since", since, protocol.Time(0))

	f.clock.advance(time.Minute)
	for range 2 {
		f.must(alone(f).Feed().Begin(f.Context()))
		since, err = alone(f).Feed().Since(f.Context())
		f.must(err)
		f.equal("since", since, protocol.At(f.clock.now()))
		f.equal("nothing from before", len(f.jobs()), 0)
	}
	room := f.room(protocol.Channel, "ann")
	sent := f.send(room, "ann", "a < b & \"c\"")
	f.send(before, "ann", "now")
	f.equal("not before they are applied", len(f.jobs()), 0)
	f.apply(f.store)
	f.equal("jobs", sorted(named(f.jobs(), before, room)), []string{"feed 0/3", "feed 1/1", "feed 1/2"})
	for _, j := range f.jobs() {
		if j.Room == room && j.Seq == sent.Seq {
			e := j.Entry
			f.equal("entry", []any{e.Room, e.Seq, e.Kind, e.Event, e.User, e.Epoch}, []any{room, sent.Seq, "channel", "message.created", "ann", f.store.Epoch()})
			events, err := f.store.Events(f.Context(), room, 1, 1)
			f.must(err)
			f.equal("frame", string(e.Data), string(protocol.AppendEvent(nil, &events[0].Event)))
		}
	}
	backlog, err := alone(f).Feed().Backlog(f.Context())
	f.must(err)
	f.equal("backlog", backlog, feed.Backlog{Jobs: 3})
	f.clock.advance(time.Minute)
	backlog, err = alone(f).Feed().Backlog(f.Context())
	f.must(err)
	f.equal("backlog, a minute later", backlog, feed.Backlog{Jobs: 3, Oldest: time.Minute})

	f.restart()
	jobs := f.jobs()
	f.equal("after a restart", len(jobs), 3)
	f.must(alone(f).Feed().Done(f.Context(), jobs[1:2]))
	f.must(alone(f).Feed().Done(f.Context(), jobs[1:2]))
	f.equal("one is done", named(f.jobs(), before, room), named(append(jobs[:1:1], jobs[2]), before, room))

	// The search index is built anew: what was handed is not handed again.
	f.must(f.store.RebuildSearch(f.Context()))
	f.apply(f.store)
	f.equal("after a rebuild", len(f.jobs()), 2)

	f.must(alone(f).Feed().End(f.Context()))
	f.send(room, "ann", "after the end")
	f.apply(f.store)
	f.equal("after the end", len(f.jobs()), 0)
}

// testJobsCommitted: an event is applied and has its job, or neither.
func testJobsCommitted(f *fixture) {
	f.must(alone(f).Feed().Begin(f.Context()))
	one, two := f.room(protocol.Group, "ann"), f.room(protocol.Group, "ann")
	spans := whole(f.behind(f.store))
	f.apply(f.store)
	f.send(one, "ann", "x")
	jobs := named(f.jobs(), one, two)
	_, err := f.store.Apply(f.Context(), append(spans[:0:0], relay.Span{Room: one, After: 1, UpTo: 2}, relay.Span{Room: two, After: 0, UpTo: 1}))
	f.fails(err, relay.ErrOvertaken)
	f.equal("nothing was made", named(f.jobs(), one, two), jobs)
	f.apply(f.store)
	f.equal("made once", sorted(named(f.jobs(), one, two)), []string{"feed 0/1", "feed 0/2", "feed 1/1"})
}

// testJobsStand: what is read is what is in the log now.
func testJobsStand(f *fixture) {
	f.must(alone(f).Feed().Begin(f.Context()))
	room := f.room(protocol.Group, "ann")
	sent := f.send(room, "ann", "a secret")
	f.edit(room, "ann", sent.Seq, "an edited secret")
	f.apply(f.store)
	f.delete(room, "ann", sent.Seq)
	f.apply(f.store)
	jobs := f.jobs()
	f.equal("jobs", named(jobs, room), []string{"feed 0/1", "feed 0/2", "feed 0/3", "feed 0/4"})
	for _, j := range jobs {
		if strings.Contains(string(j.Entry.Data), "secret") {
			f.Errorf("the text of a deleted message: %s", j.Entry.Data)
		}
	}
	f.equal("the deletion", jobs[3].Entry.Event, "message.deleted")

	// What retention has taken is not there any more.
	old := keeping(f, 1, "ann")
	f.send(old, "ann", "x")
	f.apply(f.store)
	f.clock.advance(2 * day)
	prune(f, f.store, old)
	gone := 0
	for _, j := range f.jobs() {
		if j.Room == old && j.Gone() {
			gone++
		}
	}
	f.equal("pruned", gone, 2)
}

// testJobLines: rooms are gone through by pages, each with its first jobs, of the share alone.
func testJobLines(f *fixture) {
	f.must(alone(f).Feed().Begin(f.Context()))
	var rooms []string
	for i := range 7 {
		room := f.room(protocol.Group, "ann")
		for range 4 + i {
			f.send(room, "ann", strings.Repeat("x", 1000))
		}
		rooms = append(rooms, room)
	}
	f.apply(f.store)
	f.equal("replayed", replayed(f, rooms[0], 0, "q"), 5)

	var lines []string
	for after := (feed.Line{}); ; {
		jobs, err := alone(f).Feed().Take(f.Context(), everything, after, feed.Limit{Lines: 3, Each: 2, Bytes: 1 << 30})
		f.must(err)
		if len(jobs) == 0 {
			break
		}
		if len(jobs) > 6 || len(jobs)%2 != 0 {
			f.Errorf("%d jobs", len(jobs))
		}
		for i, j := range jobs {
			f.equal("seq", j.Seq, uint64(1+i%2))
			if i%2 == 0 {
				lines = append(lines, j.Sink+" "+j.Room)
			}
		}
		after = jobs[len(jobs)-1].Line
	}
	var want []string
	for _, room := range sorted(rooms) {
		want = append(want, "feed "+room)
	}
	f.equal("lines", lines, append(want, "feed/again/q "+rooms[0]))

	for _, slot := range everything {
		jobs, err := alone(f).Feed().Take(f.Context(), feed.Share{slot}, feed.Line{}, roomy)
		f.must(err)
		for _, j := range jobs {
			if j.Room[2:3] != slot {
				f.Errorf("room %s is not in the share %s", j.Room, slot)
			}
		}
	}
	jobs, err := alone(f).Feed().Take(f.Context(), everything, feed.Line{}, feed.Limit{Lines: 3, Each: 100, Bytes: 4000})
	f.must(err)
	if len(jobs) < 2 || len(jobs) > 4 {
		f.Errorf("%d jobs of 1,200 bytes are taken for 4,000", len(jobs))
	}
	jobs, err = alone(f).Feed().Take(f.Context(), everything, feed.Line{}, feed.Limit{Lines: 3, Each: 100, Bytes: 1})
	f.must(err)
	f.equal("one at least", len(jobs), 1)
}

func testReplay(f *fixture) {
	for _, room := range []string{"", "r_00none"} {
		_, err := feed.Replay(f.Context(), keeper(f), room, 0, "")
		f.fails(err, feed.ErrNone)
	}
	beginFeeds(f)
	one, two := f.room(protocol.Group, "ann"), f.room(protocol.Group, "ann")
	f.send(one, "ann", "old")
	f.clock.advance(time.Hour)
	since := protocol.At(f.clock.now())
	f.send(one, "ann", "young")
	f.apply(f.store)
	f.send(two, "ann", "not applied: its turn comes")
	settled(f, f.jobs())
	replay := func(room string, since protocol.Time, queue string, want ...string) {
		f.Helper()
		f.equal("events", replayed(f, room, since, queue), len(want))
		f.equal("jobs", sorted(named(f.jobs(), one, two)), want)
		settled(f, f.jobs())
	}
	replay(one, 0, "", "feed/again 0/1", "feed/again 0/2", "feed/again 0/3")
	replay("", since, "q", "feed/again/q 0/3")
	replay("", 0, "", "feed/again 0/1", "feed/again 0/2", "feed/again 0/3", "feed/again 1/1")
	replay("", since+1, "")
	for range 1100 {
		f.send(two, "ann", "many")
	}
	f.apply(f.store)
	settled(f, f.jobs())
	f.equal("more than one transaction", replayed(f, two, since, ""), 1101)
}

func testDeadLetters(f *fixture) {
	beginFeeds(f)
	room := f.room(protocol.Group, "ann")
	f.send(room, "ann", "x")
	f.send(room, "ann", "y")
	f.apply(f.store)
	jobs := f.jobs()
	f.must(feedOf(f, room).Bury(f.Context(), jobs[1:2], "too large"+strings.Repeat("é", 1000)))
	f.must(feedOf(f, room).Bury(f.Context(), jobs[1:2], "again"))
	f.equal("jobs", named(f.jobs(), room), []string{"feed 0/1", "feed 0/3"})
	dead, err := keeper(f).Dead(f.Context(), 10)
	f.must(err)
	f.equal("dead", len(dead), 1)
	f.equal("reason", dead[0].Reason[:9], "too large")
	dead[0].Reason = ""
	f.equal("dead", dead[0], feed.DeadLetter{Sink: "feed", Room: room, Seq: 2, At: protocol.At(f.clock.now())})
	backlog, err := keeper(f).Backlog(f.Context())
	f.must(err)
	f.equal("backlog", backlog, feed.Backlog{Jobs: 2, Dead: 1})

	n, err := keeper(f).Settle(f.Context(), true)
	f.must(err)
	f.equal("retried", n, 1)
	f.equal("jobs", named(f.jobs(), room), []string{"feed 0/1", "feed 0/3", "feed/again 0/2"})
	f.must(feedOf(f, room).Bury(f.Context(), f.jobs(), "no"))
	n, err = keeper(f).Settle(f.Context(), false)
	f.must(err)
	f.equal("forgotten", n, 3)
	f.equal("jobs", len(f.jobs()), 0)
}

// testFeedLease: two feeders share the rooms, and one that goes gives its own to the other. The relay's leases are others.
func testFeedLease(f *fixture) {
	shares := func(node string, ttl time.Duration) int {
		share, err := alone(f).Feed().Lease(f.Context(), node, ttl)
		f.must(err)
		return len(share)
	}
	if !f.postgres() {
		f.equal("alone", shares("n1", time.Second), 32)
		return
	}
	f.equal("the first", shares("n1", 3*time.Second), 32)
	f.equal("the second, while the first holds all", shares("n2", 3*time.Second), 0)
	_, err := f.store.Lease(f.Context(), "n2", 3*time.Second)
	f.must(err)
	f.equal("the first still", shares("n1", 0), 32)
	f.equal("the second, after the first has given back", shares("n2", 3*time.Second), 32)
}
