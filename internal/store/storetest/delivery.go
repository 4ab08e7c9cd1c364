package storetest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/delivery"
	"github.com/parley-im/parley/protocol"
)

func testPlaces(f *fixture) {
	sinceJoin := &protocol.SettingsPatch{History: protocol.Some(protocol.HistorySinceJoin)}
	group, direct := f.room(protocol.Group, "ann", "bob"), f.room(protocol.Direct, "bob", "ann")
	later := f.roomWith(protocol.RoomCreateParams{Kind: protocol.Group, Settings: sinceJoin}, "ann")
	f.send(later, "ann", "before")
	f.add(later, "ann", "bob")
	sampled := &protocol.SettingsPatch{SamplePerS: protocol.Some(int64(10))}
	live, liveMember := f.roomWith(protocol.RoomCreateParams{Kind: protocol.Live, Settings: sampled}, "ann"), f.room(protocol.Live, "ann", "bob")
	open, closed := f.room(protocol.Channel, "ann"), f.roomWith(protocol.RoomCreateParams{Kind: protocol.Channel, Settings: sinceJoin}, "ann")
	banned, bannedLive := f.room(protocol.Channel, "ann"), f.room(protocol.Live, "ann")
	for _, room := range []string{banned, bannedLive} {
		f.member(protocol.MemberBan, room, "ann", "bob")
	}
	foreign, left, deleted := f.room(protocol.Group, "ann"), f.room(protocol.Group, "ann", "bob"), f.room(protocol.Group, "ann", "bob")
	call[protocol.SeqResult](f, "bob", protocol.RoomLeave, &protocol.RoomEventParams{Room: left})
	call[protocol.SeqResult](f, "ann", protocol.RoomDelete, &protocol.RoomEventParams{Room: deleted})
	f.must(f.store.Hide(f.Context(), direct, "bob")) // it is followed all the same

	member := []chat.Place{
		{Room: group, Kind: protocol.Group, Head: 1, JoinedSeq: 1, First: 1, From: 1},
		{Room: direct, Kind: protocol.Direct, Head: 1, JoinedSeq: 1, First: 1, From: 1},
		{Room: later, Kind: protocol.Group, Head: 3, JoinedSeq: 3, First: 1, From: 3},
	}
	watched := chat.Place{Room: liveMember, Kind: protocol.Live, Head: 1, JoinedSeq: 1, First: 1, From: 1}
	visitor := []chat.Place{
		{Room: live, Kind: protocol.Live, Head: 1, First: 1, From: 1, SamplePerS: 10},
		{Room: open, Kind: protocol.Channel, Head: 1, First: 1, From: 1},
	}
	check := func(what string, want []chat.Place, got []chat.Place, err error) {
		f.Helper()
		f.must(err)
		byRoom := func(a, b chat.Place) int { return strings.Compare(a.Room, b.Room) }
		slices.SortFunc(got, byRoom)
		slices.SortFunc(want, byRoom)
		f.equal(what, got, want)
	}
	got, err := f.store.Places(f.Context(), "bob", nil)
	check("all that a session follows by itself", member, got, err)
	got, err = f.store.Memberships(f.Context(), "bob")
	check("memberships", append(slices.Clone(member), watched), got, err)
	named := []string{group, direct, later, live, liveMember, open, closed, banned, bannedLive, foreign, left, deleted, "r_none"}
	got, err = f.store.Places(f.Context(), "bob", named)
	check("those named", slices.Concat(member, visitor, []chat.Place{watched}), got, err)
	got, err = f.store.Places(f.Context(), "bob", []string{})
	check("none named", nil, got, err)
}

func testSource(f *fixture) {
	room := f.roomWith(protocol.RoomCreateParams{Kind: protocol.Group, Name: "here"}, "ann")
	deleted := f.room(protocol.Group, "ann")
	for i := range 7 {
		f.send(room, "ann", fmt.Sprint(i))
	}
	call[protocol.SeqResult](f, "ann", protocol.RoomDelete, &protocol.RoomEventParams{Room: deleted})
	heads, err := f.store.Heads(f.Context(), []string{room, deleted, "r_none"})
	f.must(err)
	f.equal("heads", heads, map[string]protocol.Seq{room: 8, deleted: 2})
	object, err := f.store.Room(f.Context(), room)
	f.must(err)
	f.equal("room", [3]any{object.Name, object.Head, object.Messages}, [3]any{"here", protocol.Seq(8), uint64(7)})
	for _, none := range []string{deleted, "r_none"} {
		object, err := f.store.Room(f.Context(), none)
		f.must(err)
		f.equal("no room", object, (*protocol.Room)(nil))
	}
	var seqs []protocol.Seq
	for after := protocol.Seq(0); ; {
		page, err := f.store.Events(f.Context(), room, after, 3)
		f.must(err)
		if len(page) == 0 {
			break
		}
		for _, e := range page {
			seqs = append(seqs, e.Seq)
			after = e.Seq
		}
	}
	f.equal("events by pages", seqs, []protocol.Seq{1, 2, 3, 4, 5, 6, 7, 8})
}

// changed asks until there is no more, and gathers what it is told.
func (f *fixture) changed(since chat.Position) *delivery.Changes {
	f.Helper()
	all := &delivery.Changes{Heads: map[string]protocol.Seq{}, Position: since, More: true}
	for all.More {
		c, err := f.store.Changed(f.Context(), all.Position)
		f.must(err)
		maps.Copy(all.Heads, c.Heads)
		all.Joined, all.Cursors = append(all.Joined, c.Joined...), append(all.Cursors, c.Cursors...)
		all.Sessions = all.Sessions || c.Sessions
		all.Position, all.More = c.Position, c.More
	}
	return all
}

func testChanged(f *fixture) {
	one, two := f.room(protocol.Group, "ann", "bob"), f.room(protocol.Group, "ann", "bob")
	quiet := f.roomWith(protocol.RoomCreateParams{
		Kind: protocol.Group, Members: []string{"bob"}, Settings: &protocol.SettingsPatch{Receipts: protocol.Some(false)},
	}, "ann")
	start := f.changed("")
	f.equal("without a position", *start, delivery.Changes{Heads: map[string]protocol.Seq{}, Position: start.Position})
	f.send(one, "ann", "x")
	c := f.changed(start.Position)
	f.equal("heads", c.Heads, map[string]protocol.Seq{one: 2})
	f.equal("sessions", c.Sessions, false)

	at := f.changed("").Position
	f.read(two, "bob", 1) // moves nothing
	f.send(quiet, "ann", "x")
	f.read(quiet, "bob", 2)
	f.read(one, "bob", 2)
	joined := f.add(two, "ann", "cid")
	f.member(protocol.MemberRemove, one, "ann", "bob")
	c = f.changed(at)
	f.equal("heads", c.Heads, map[string]protocol.Seq{one: 3, two: joined, quiet: 2})
	f.equal("cid joined", slices.Contains(c.Joined, delivery.Membership{Room: two, User: "cid", Seq: joined}), true)
	for _, m := range c.Joined {
		f.equal("bob is out of the room", m.Room == one && m.User == "bob", false)
	}
	f.equal("cursors", slices.Contains(c.Cursors, chat.CursorRow{Room: quiet, User: "bob", Delivered: 2, Read: 2, Moved: true, Private: true}), true)

	for i, change := range []func() error{
		func() error { return f.store.AddKey(f.Context(), "key", [32]byte{1}) },
		func() error { _, err := f.store.Revoke(f.Context(), "ann", "", "phone", 7); return err },
		func() error { return f.store.RemoveKey(f.Context(), "key") },
	} {
		at = f.changed("").Position
		f.must(change())
		f.equal(fmt.Sprintf("change %d of keys and revocations", i), f.changed(at).Sessions, true)
	}
	for _, p := range []chat.Position{"x", "-1", "WyIxIl0", "1 OR 1=1"} {
		_, err := f.store.Changed(f.Context(), p)
		f.fails(err, chat.ErrPosition)
	}
}

// testChangedMissesNothing gives each of many rooms a single message while somebody asks all the time.
func testChangedMissesNothing(f *fixture) {
	const rooms, writers = 200, 8
	ids := make([]string, rooms)
	for i := range ids {
		ids[i] = f.room(protocol.Group, "ann", "bob")
	}
	at := f.changed("").Position
	nodes := []*chat.Service{f.core}
	if f.postgres() {
		other := f.node()
		defer other.Close()
		nodes = append(nodes, coreOf(other, f.clock))
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		var group sync.WaitGroup
		for w := range writers {
			group.Go(func() {
				for i := w; i < rooms; i += writers {
					p := &protocol.MessageSendParams{Room: ids[i], ClientID: "x", Text: "x"}
					if _, err := nodes[i%len(nodes)].Do(context.Background(), chat.Actor{User: "ann"}, protocol.MessageSend, p); err != nil {
						f.Errorf("send: %v", err)
					}
				}
			})
		}
		group.Wait()
	}()
	told := map[string]protocol.Seq{}
	for last := false; ; {
		c := f.changed(at)
		maps.Copy(told, c.Heads)
		at = c.Position
		if last {
			break
		}
		select {
		case <-done:
			last = true // once more
		default:
		}
	}
	for _, room := range ids {
		f.equal("head told", told[room], protocol.Seq(2))
	}
}

// testChangedLateCommit holds a transaction open while younger ones commit and are asked for.
func testChangedLateCommit(f *fixture) {
	if !f.postgres() {
		f.Log("one writer at a time: no transaction commits after a younger one")
		return
	}
	late, other := f.room(protocol.Group, "ann"), f.room(protocol.Group, "ann")
	at := f.changed("").Position
	commit := f.changeHead(late)
	for range 3 {
		f.send(other, "ann", "younger")
		changes := f.changed(at)
		f.equal("younger", changes.Heads[other] > 1, true)
		f.equal("not committed", changes.Heads[late], protocol.Seq(0))
		at = changes.Position
	}
	commit()
	f.equal("the late one", f.changed(at).Heads[late], protocol.Seq(1))
}

// changeHead marks the head of a room as changed, in a transaction of PostgreSQL that lasts until commit is called.
func (f *fixture) changeHead(room string) (commit func()) {
	f.Helper()
	c, err := pgx.Connect(f.Context(), f.database(room))
	f.must(err)
	t, err := c.Begin(f.Context())
	f.must(err)
	_, err = t.Exec(f.Context(), `UPDATE room_heads SET seq = 1, changed = pg_current_xact_id() WHERE room = $1`, room)
	f.must(err)
	return func() {
		f.Helper()
		f.must(t.Commit(f.Context()))
		f.must(c.Close(f.Context()))
	}
}

// testChangedSweep asks for more rows than one answer holds, while they go on changing.
func testChangedSweep(f *fixture) {
	const rooms = 5200 // one answer holds 5,000
	late := f.room(protocol.Group, "ann")
	at := f.changed("").Position
	commit := func() { f.send(late, "ann", "x") }
	if f.postgres() {
		commit = f.changeHead(late)
	}
	ids := make([]string, rooms)
	var group sync.WaitGroup
	slots := make(chan struct{}, 512)
	for i := range ids {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			result, err := f.core.CreateRoom(context.Background(), chat.Actor{User: "ann"}, &protocol.RoomCreateParams{Kind: protocol.Group})
			if err != nil {
				f.Errorf("create: %v", err)
				return
			}
			ids[i] = result.Room.ID
		})
	}
	group.Wait()
	c, err := f.store.Changed(f.Context(), at)
	f.must(err)
	f.equal("more", c.More, true)
	told := c.Heads
	f.clock.advance(time.Second)
	for _, i := range []int{0, rooms / 2, rooms - 1} { // before and behind the place that the sweep has reached
		f.send(ids[i], "ann", "while the sweep is on")
	}
	commit() // where a transaction can be late: with a number that the sweep has passed
	rest := f.changed(c.Position)
	maps.Copy(told, rest.Heads)
	next := f.changed(rest.Position)
	maps.Copy(told, next.Heads)
	f.equal("rooms", len(told), rooms+1)
	f.equal("the late one", told[late] > 0, true)
	for i, room := range ids {
		want := protocol.Seq(1)
		if i == 0 || i == rooms/2 || i == rooms-1 {
			want = 2
		}
		f.equal("head", told[room], want)
	}
	f.equal("members", len(c.Joined)+len(rest.Joined) >= rooms, true)
}
