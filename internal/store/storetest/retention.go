package storetest

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/protocol"
)

const day = 24 * time.Hour

// keeping is a group that keeps its events for some days.
func keeping(f *fixture, days int64, owner string, members ...string) string {
	f.Helper()
	settings := &protocol.SettingsPatch{RetentionDays: protocol.Some(days)}
	return f.roomWith(protocol.RoomCreateParams{Kind: protocol.Group, Members: members, Settings: settings}, owner)
}

func keepFor(f *fixture, room, by string, days int64) protocol.Seq {
	f.Helper()
	patch := protocol.SettingsPatch{RetentionDays: protocol.Some(days)}
	return call[protocol.RoomUpdateResult](f, by, protocol.RoomUpdate, &protocol.RoomUpdateParams{Room: room, Settings: protocol.Some(patch)}).Seq
}

// sweep does what is due, after the relay, and returns how many events went.
func sweep(f *fixture, s Store) (events int) {
	f.Helper()
	f.apply(s)
	rooms, _, err := s.Claim(f.Context(), 1000)
	f.must(err)
	for _, room := range rooms {
		events += prune(f, s, room)
	}
	for rows := 1; rows > 0; {
		rows, err = s.Forget(f.Context())
		f.must(err)
	}
	return events
}

func prune(f *fixture, s Store, room string) (events int) {
	f.Helper()
	for more := true; more; {
		batch, err := s.Prune(context.WithoutCancel(f.Context()), room)
		f.must(err)
		events, more = events+batch.Events, batch.More
	}
	return events
}

// firstOf is the oldest seq that the room says it keeps, and holds it against the log.
func firstOf(f *fixture, room string) (first protocol.Seq) {
	f.Helper()
	f.view(room, "", func(sc *chat.Scene, snap chat.Snapshot) {
		first = sc.Room.First
		events, err := snap.Events(f.Context(), 0, 0, 100_000)
		f.must(err)
		for i, e := range events {
			f.equal("seq", e.Seq, first+protocol.Seq(i))
		}
		f.equal("end of the log", first+protocol.Seq(len(events)), sc.Head.Seq+1)
	})
	return first
}

// rowsOf counts the rows of a room in a table, with the drivers that the store has registered.
func rowsOf(f *fixture, table, room string) (n int) {
	f.Helper()
	driver, url, _ := strings.Cut(f.at.URL, ":")
	if f.postgres() {
		driver, url = "pgx", f.database(room)
	}
	db, err := sql.Open(driver, url)
	f.must(err)
	defer db.Close()
	f.must(db.QueryRow(`SELECT count(*) FROM `+table+` WHERE room = $1`, room).Scan(&n))
	return n
}

func testRetention(f *fixture) {
	room, forever := keeping(f, 2, "ann", "bob"), f.room(protocol.Group, "ann")
	f.send(forever, "ann", "word that stays")
	old := f.send(room, "ann", "word one", "bob").Seq
	f.edit(room, "ann", old, "word edited")
	f.react(protocol.ReactionAdd, room, "bob", old, "👍")
	f.reply(room, "bob", "word reply", old)
	f.equal("nothing is due", sweep(f, f.store), 0)
	f.clock.advance(day)
	young := f.send(room, "ann", "word two", "bob").Seq
	f.clock.advance(day + time.Second)
	token := listed(f, "bob", "").Position
	f.equal("pruned", sweep(f, f.store), 5)

	f.equal("first", firstOf(f, room), young)
	f.equal("the rest", texts(f.messages(room, "bob")), []string{"word two"})
	f.equal("found", sorted(f.finds("ann", "", "word")), []string{"word that stays", "word two"})
	f.equal("found by what went", f.finds("ann", "", "edited"), []string(nil))
	for table, want := range map[string]int{"events": 1, "messages": 0, "reactions": 0, "mentions": 1, "search": 1, "kept_ids": 3} {
		f.equal(table, rowsOf(f, table, room), want)
	}
	page := listed(f, "bob", token)
	f.equal("the entry has changed", len(page.Entries), 1)
	e := page.Entries[0]
	f.equal("entry", [4]uint64{e.Scene.Room.First, e.Scene.Me.Unread(e.Scene.Head.N), e.Mentions, e.Last.Seq}, [4]uint64{young, 1, 1, young})
	f.equal("again", sweep(f, f.store), 0)

	f.clock.advance(day)
	f.equal("the last one goes as well", sweep(f, f.store), 1)
	f.equal("an empty log", firstOf(f, room), young+1)
	f.equal("no last message", listed(f, "bob", "").Entries[0].Last, (*chat.Message)(nil))
	next := f.send(room, "bob", "word three")
	f.equal("on we go", [2]uint64{next.Seq, next.N}, [2]uint64{young + 1, 4})
	f.equal("first of one", firstOf(f, room), young+1)
	f.equal("without retention", firstOf(f, forever), protocol.Seq(1))
}

// listed is the user's list of rooms.
func listed(f *fixture, user string, since chat.Position) *chat.InboxPage {
	f.Helper()
	page, err := f.store.List(f.Context(), user, chat.InboxQuery{Limit: 100, Since: since})
	f.must(err)
	return page
}

func testRetentionSettings(f *fixture) {
	room := f.room(protocol.Group, "ann")
	f.send(room, "ann", "one")
	f.clock.advance(10 * day)
	f.equal("by default all is kept", sweep(f, f.store), 0)
	keepFor(f, room, "ann", 11)
	f.equal("young enough", sweep(f, f.store), 0)
	keepFor(f, room, "ann", 10)
	f.clock.advance(time.Second)
	f.equal("a shorter time counts at once", sweep(f, f.store), 2)
	keepFor(f, room, "ann", 0)
	f.clock.advance(1000 * day)
	f.equal("off again", sweep(f, f.store), 0)
	f.equal("first", firstOf(f, room), protocol.Seq(3))
}

// A time in the log that is later than those behind it holds them up: what goes is a beginning of the log.
func testRetentionPrefix(f *fixture) {
	room := keeping(f, 1, "ann")
	f.send(room, "ann", "one")
	f.clock.advance(5 * time.Hour)
	ahead := f.send(room, "ann", "of a node whose clock is ahead").Seq
	f.clock.advance(-5 * time.Hour)
	f.send(room, "ann", "three")
	f.clock.advance(day + time.Hour)
	f.equal("up to the later one", sweep(f, f.store), 2)
	f.equal("first", firstOf(f, room), ahead)
	f.clock.advance(5 * time.Hour)
	f.equal("the rest", sweep(f, f.store), 2)
}

func testRetentionRemembers(f *fixture) {
	room := keeping(f, 1, "ann", "bob")
	f.must(f.store.Ensure(f.Context(), "cid"))
	send := &protocol.MessageSendParams{Room: room, ClientID: "once", Text: "hello"}
	add := &protocol.MemberAddParams{Room: room, ClientID: "add", Users: []string{"cid"}}
	sent := call[protocol.MessageSendResult](f, "ann", protocol.MessageSend, send)
	added := call[protocol.MemberAddResult](f, "ann", protocol.MemberAdd, add)
	sent.Duplicate, added.Duplicate = true, true
	f.clock.advance(2 * day)
	f.equal("pruned", sweep(f, f.store), 3)
	check := func() {
		f.Helper()
		f.equal("send", call[protocol.MessageSendResult](f, "ann", protocol.MessageSend, send), sent)
		f.equal("add", call[protocol.MemberAddResult](f, "ann", protocol.MemberAdd, add), added)
		other := *send
		other.Text = "something else"
		f.equal("other content", f.refused("ann", protocol.MessageSend, &other).Code, protocol.Conflict)
	}
	check()
	f.restart()
	f.clock.advance(88*day + 23*time.Hour) // from its making: 90 days
	sweep(f, f.store)
	check()
	f.clock.advance(day + 2*time.Hour)
	sweep(f, f.store)
	f.equal("a new message", call[protocol.MessageSendResult](f, "ann", protocol.MessageSend, send).Duplicate, false)
	f.equal("remembered", rowsOf(f, "kept_ids", room), 0)

	// What is older than that when it goes is not remembered at all.
	keepFor(f, room, "ann", 100)
	f.clock.advance(101 * day)
	sweep(f, f.store)
	f.equal("of old events", rowsOf(f, "kept_ids", room), 0)
}

// A call that names a message that was pruned is answered as if it had never been.
func testRetentionTargets(f *fixture) {
	room := keeping(f, 1, "ann")
	root := f.send(room, "ann", "root").Seq
	f.clock.advance(12 * time.Hour)
	reply := f.reply(room, "ann", "reply", root)
	f.clock.advance(13 * time.Hour)
	f.equal("pruned", sweep(f, f.store), 2)
	for method, params := range map[string]any{
		protocol.MessageEdit:    &protocol.MessageEditParams{Room: room, Seq: root, Text: protocol.Some("x")},
		protocol.MessageDelete:  &protocol.MessageParams{Room: room, Seq: root},
		protocol.ReactionAdd:    &protocol.ReactionParams{Room: room, Seq: root, Emoji: "x"},
		protocol.ReactionRemove: &protocol.ReactionParams{Room: room, Seq: root, Emoji: "x"},
	} {
		err := f.refused("ann", method, params)
		f.equal(method, [2]string{string(err.Code), err.Field}, [2]string{"not_found", "seq"})
	}
	err := f.refused("ann", protocol.MessageSend, &protocol.MessageSendParams{Room: room, ClientID: "x", Text: "x", ReplyTo: root})
	f.equal("reply", [2]string{string(err.Code), err.Field}, [2]string{"not_found", "reply_to"})
	f.reply(room, "ann", "to a reply", reply) // whose root is gone

	ann := chat.Actor{User: "ann"}
	list := func(p protocol.MessageListParams) (string, []protocol.Seq) {
		f.Helper()
		p.Room = room
		result, err := f.core.ListMessages(f.Context(), ann, &p)
		if err != nil {
			return string(err.Code) + " " + err.Field, nil
		}
		var seqs []protocol.Seq
		for _, m := range result.Messages {
			seqs = append(seqs, m.Seq)
		}
		return "", seqs
	}
	zero, below := protocol.Seq(0), root+1
	for _, tt := range []struct {
		name string
		p    protocol.MessageListParams
		err  string
		want []protocol.Seq
	}{
		{"newest", protocol.MessageListParams{}, "", []protocol.Seq{reply, reply + 1}},
		{"after 0", protocol.MessageListParams{After: &zero}, "", []protocol.Seq{reply, reply + 1}},
		{"before", protocol.MessageListParams{Before: &below}, "", nil},
		{"around", protocol.MessageListParams{Around: &root}, "not_found around", nil},
		{"thread", protocol.MessageListParams{Thread: root}, "not_found thread", nil},
	} {
		err, seqs := list(tt.p)
		f.equal(tt.name, err, tt.err)
		f.equal(tt.name, seqs, tt.want)
	}
	events, refused := f.core.ListEvents(f.Context(), ann, &protocol.EventListParams{Room: room})
	if refused != nil || len(events.Events) != 2 {
		f.Fatalf("event.list: %d events, %v", len(events.Events), refused)
	}
	place, refused := f.core.Place(f.Context(), ann, room)
	f.equal("place", []any{place.First, place.From, refused}, []any{reply, reply, (*protocol.Error)(nil)})
}

func testRetentionCursors(f *fixture) {
	room := keeping(f, 1, "ann", "bob")
	for range 10 { // 2 to 11
		f.send(room, "ann", "old", "bob")
	}
	f.equal("before", f.read(room, "bob", 3), protocol.ReceiptReadResult{Read: 3, Delivered: 3, Unread: 8})
	f.clock.advance(12 * time.Hour)
	for range 5 { // 12 to 16
		f.send(room, "ann", "young", "bob")
	}
	f.clock.advance(13 * time.Hour)
	f.equal("pruned", sweep(f, f.store), 11)
	f.view(room, "bob", func(sc *chat.Scene, snap chat.Snapshot) {
		f.equal("head, number, cursor, unread", [4]uint64{sc.Head.Seq, sc.Head.N, sc.Me.Read, sc.Me.Unread(sc.Head.N)}, [4]uint64{16, 15, 3, 13})
		n, err := snap.Mentions(f.Context(), 1, sc.Me.Passed())
		f.must(err)
		f.equal("mentions of what is kept", n, uint64(5))
	})
	f.equal("an old one", f.read(room, "bob", 2), protocol.ReceiptReadResult{Read: 3, Delivered: 3, Unread: 13})
	f.equal("into what is gone", f.read(room, "bob", 7), protocol.ReceiptReadResult{Read: 11, Delivered: 11, Unread: 5})
	f.equal("into what is kept", f.read(room, "bob", 12), protocol.ReceiptReadResult{Read: 12, Delivered: 12, Unread: 4})
	f.clock.advance(day)
	f.equal("pruned", sweep(f, f.store), 5)
	f.equal("all is gone", f.read(room, "bob", 14), protocol.ReceiptReadResult{Read: 16, Delivered: 16, Unread: 0})
}

// What the relay has not applied is not pruned, and an index that is built anew holds what is kept.
func testRetentionRelay(f *fixture) {
	room := keeping(f, 1, "ann")
	for i := range 5 {
		f.send(room, "ann", fmt.Sprint("word ", i))
	}
	f.clock.advance(2 * day)
	f.equal("the relay is behind", prune(f, f.store, room), 0)
	f.apply(f.store)
	f.equal("pruned", prune(f, f.store, room), 6)
	f.send(room, "ann", "word 5")
	f.must(f.store.RebuildSearch(f.Context()))
	rooms, events, err := f.store.Unapplied(f.Context(), f.clock.now().Add(time.Second))
	f.must(err)
	f.equal("to be applied", [2]int{rooms, events}, [2]int{1, 1})
	rooms, _, err = f.store.Unapplied(f.Context(), f.clock.now())
	f.must(err)
	f.equal("of what is older", rooms, 0)
	f.apply(f.store)
	f.equal("found", f.finds("ann", "", "word"), []string{"word 5"})
}

func testRetentionClaims(f *fixture) {
	one, two := keeping(f, 1, "ann"), keeping(f, 1, "ann")
	claim := func(limit int) ([]string, int) {
		f.Helper()
		rooms, due, err := f.store.Claim(f.Context(), limit)
		f.must(err)
		return rooms, due
	}
	rooms, due := claim(1)
	f.equal("one of two", []int{len(rooms), due}, []int{1, 2})
	more, due := claim(10)
	f.equal("the other", []int{len(more), due}, []int{1, 1})
	f.equal("both", sorted(append(rooms, more...)), sorted([]string{one, two}))
	rooms, due = claim(10)
	f.equal("nothing is left", []int{len(rooms), due}, []int{0, 0})
	f.clock.advance(10 * time.Minute) // whoever claimed them died
	rooms, _ = claim(10)
	f.equal("again", sorted(rooms), sorted([]string{one, two}))
	f.apply(f.store)
	prune(f, f.store, one)
	f.clock.advance(10 * time.Minute)
	rooms, _ = claim(10)
	f.equal("what was not done", rooms, []string{two})
	f.clock.advance(day)
	rooms, _ = claim(10)
	f.equal("what has expired", sorted(rooms), sorted([]string{one, two}))
}

func testRetentionDeleted(f *fixture) {
	room := f.roomWith(protocol.RoomCreateParams{Kind: protocol.Group, Name: "a secret name", Topic: "a topic", Members: []string{"bob"}}, "ann")
	direct := f.room(protocol.Direct, "ann", "bob")
	for _, id := range []string{room, direct} {
		seq := f.send(id, "ann", "a secret", "bob").Seq
		f.react(protocol.ReactionAdd, id, "bob", seq, "x")
	}
	token := listed(f, "bob", "").Position
	head := call[protocol.SeqResult](f, "ann", protocol.RoomDelete, &protocol.RoomEventParams{Room: room}).Seq
	call[protocol.SeqResult](f, "ann", protocol.RoomDelete, &protocol.RoomEventParams{Room: direct})
	f.clock.advance(23 * time.Hour)
	f.equal("not yet", sweep(f, f.store), 0)
	f.clock.advance(2 * time.Hour)
	f.equal("emptied", sweep(f, f.store), 6)
	for table, want := range map[string]int{"events": 1, "messages": 0, "reactions": 0, "mentions": 0, "search": 0, "kept_ids": 0, "members": 2} {
		f.equal(table, rowsOf(f, table, room), want)
	}
	events := f.events(room)
	f.equal("its end can still be replayed", []any{events[0].Seq, events[0].Name}, []any{head, protocol.RoomDeleted})
	f.view(room, "ann", func(sc *chat.Scene, _ chat.Snapshot) {
		f.equal("tombstone", []any{sc.Room.Deleted, sc.Room.Name, sc.Room.Topic, sc.Head.Seq}, []any{true, "", "", head})
	})
	f.equal("removed", sorted(listed(f, "bob", token).Removed), sorted([]string{room, direct}))
	f.equal("not found", f.refused("bob", protocol.MessageSend, &protocol.MessageSendParams{Room: room, ClientID: "x", Text: "x"}).Code, protocol.NotFound)
	if again := f.room(protocol.Direct, "ann", "bob"); again == direct {
		f.Fatalf("the id of a deleted room is used again")
	}
	f.clock.advance(91 * day)
	sweep(f, f.store)
	f.equal("members", rowsOf(f, "members", room), 0)
	f.equal("head", rowsOf(f, "room_heads", room), 1)
	f.clock.advance(1000 * day)
	rooms, _, err := f.store.Claim(f.Context(), 10)
	f.must(err)
	f.equal("nothing is left to do", rooms, []string(nil))
}

func testTombstones(f *fixture) {
	room := f.room(protocol.Group, "ann", "bob", "cid", "dan", "eve")
	token := listed(f, "bob", "").Position
	call[protocol.SeqResult](f, "bob", protocol.RoomLeave, &protocol.RoomEventParams{Room: room})
	f.member(protocol.MemberRemove, room, "ann", "cid")
	f.member(protocol.MemberBan, room, "ann", "dan")
	until := protocol.At(f.clock.now().Add(200 * day))
	call[protocol.SeqResult](f, "ann", protocol.MemberUpdate, &protocol.MemberUpdateParams{Room: room, User: "eve", MutedUntil: protocol.Some(until)})
	call[protocol.SeqResult](f, "eve", protocol.RoomLeave, &protocol.RoomEventParams{Room: room})
	f.clock.advance(90 * day)
	sweep(f, f.store)
	f.equal("a token that is as old as may be", listed(f, "bob", token).Removed, []string{room})
	f.equal("rows", rowsOf(f, "members", room), 5)
	f.clock.advance(2 * day)
	sweep(f, f.store)
	f.equal("members, bans and mutes stay", rowsOf(f, "members", room), 3)
	f.equal("banned", f.refused("dan", protocol.RoomLeave, &protocol.RoomEventParams{Room: room}).Code, protocol.NotFound)
	f.add(room, "ann", "bob")
	f.clock.advance(200 * day)
	sweep(f, f.store)
	f.equal("the mute has ended, and bob is back", rowsOf(f, "members", room), 3)
}

// Two nodes prune while others write, edit, react, and apply what they wrote: the log stays whole, and nothing remains of what went.
func testRetentionWriters(f *fixture) {
	room := keeping(f, 1, "ann")
	nodes := []Store{f.store, f.store}
	if f.postgres() {
		other := f.node()
		defer func() { f.must(other.Close()) }()
		nodes[1] = other
	}
	const writers, each = 4, 60
	done := make(chan struct{})
	var writing, sweeping sync.WaitGroup
	for _, node := range nodes {
		sweeping.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				behind, err := node.Behind(f.Context(), everything, "", 100)
				if err != nil {
					f.Errorf("behind: %v", err)
					return
				}
				_, _ = node.Apply(f.Context(), whole(behind)) // the other may be quicker
				if _, err := node.Prune(f.Context(), room); err != nil {
					f.Errorf("prune: %v", err)
					return
				}
			}
		})
	}
	for w := range writers {
		writing.Go(func() {
			core := coreOf(nodes[w%2], f.clock)
			do := func(method string, params any) any {
				result, err := core.Do(context.Background(), chat.Actor{User: "ann"}, method, params)
				if err != nil && err.Code != protocol.NotFound {
					f.Errorf("%s: %v", method, err)
				}
				return result
			}
			for i := range each {
				f.clock.advance(45 * time.Minute)
				p := &protocol.MessageSendParams{Room: room, ClientID: fmt.Sprint(w, "-", i), Text: fmt.Sprint("word w", w, "i", i)}
				sent, ok := do(protocol.MessageSend, p).(protocol.MessageSendResult)
				if !ok {
					return
				}
				old := max(sent.Seq, 110) - 109 + 10*protocol.Seq(w) // about where the log begins
				do(protocol.ReactionAdd, &protocol.ReactionParams{Room: room, Seq: old, Emoji: "x"})
				do(protocol.MessageEdit, &protocol.MessageEditParams{Room: room, Seq: old + 1, Text: protocol.Some(fmt.Sprint("word again", w, i))})
			}
		})
	}
	writing.Wait()
	close(done)
	sweeping.Wait()
	sweep(f, f.store)
	first := firstOf(f, room)
	messages := f.messages(room, "ann")
	f.equal("found is what is kept", sorted(f.finds("ann", room, "word")), sorted(texts(messages)))
	f.equal("in the index", rowsOf(f, "search", room), len(messages))
	if first == 1 || len(messages) == 0 {
		f.Fatalf("nothing was at stake: first %d, %d messages", first, len(messages))
	}
	f.clock.advance(2 * day)
	sweep(f, f.store)
	for _, table := range []string{"events", "messages", "reactions", "mentions", "search"} {
		f.equal(table, rowsOf(f, table, room), 0)
	}
	f.equal("remembered", rowsOf(f, "kept_ids", room), writers*each+1)
	f.t.Logf("%d messages were kept from %d on", len(messages), first)
}
