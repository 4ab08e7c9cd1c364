package storetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/protocol"
)

// inbox reads all pages of a user's inbox.
func (f *fixture) inbox(user string, q chat.InboxQuery) (entries []chat.InboxEntry, removed []string, at chat.Position) {
	f.Helper()
	if q.Limit == 0 {
		q.Limit = 100
	}
	for {
		page, err := f.store.List(f.Context(), user, q)
		f.must(err)
		if len(page.Entries) > q.Limit {
			f.Fatalf("%d entries in a page of %d", len(page.Entries), q.Limit)
		}
		if q.Page == "" {
			at = page.Position
		}
		entries, removed = append(entries, page.Entries...), append(removed, page.Removed...)
		if q.Page = page.Next; q.Page == "" {
			return entries, removed, at
		}
	}
}

func ids(entries []chat.InboxEntry) []string {
	rooms := make([]string, len(entries))
	for i, e := range entries {
		rooms[i] = e.Scene.Room.ID
	}
	return rooms
}

func testInboxOrder(f *fixture) {
	var rooms []string
	for range 12 {
		rooms = append(rooms, f.room(protocol.Group, "ann", "bob"))
		f.clock.advance(time.Second)
	}
	f.send(rooms[4], "ann", "to the top")
	var together []string // at the same moment: by id, the larger first
	for range 3 {
		together = append(together, f.room(protocol.Group, "bob"))
	}
	f.room(protocol.Group, "ann")                                // not bob's
	want := append(sorted(append(together, rooms[4])), rooms[0]) // all at one moment but the last
	want = want[:4]
	slices.Reverse(want)
	for i := 11; i >= 0; i-- {
		if i != 4 {
			want = append(want, rooms[i])
		}
	}
	for _, limit := range []int{1, 2, 5, 15, 16, 100} {
		entries, removed, _ := f.inbox("bob", chat.InboxQuery{Limit: limit})
		f.equal(fmt.Sprintf("inbox by pages of %d", limit), ids(entries), want)
		f.equal("removed", removed, []string(nil))
	}
	_, err := f.store.List(f.Context(), "bob", chat.InboxQuery{Limit: 5, Page: "nonsense"})
	if err == nil {
		f.Fatal("a page that nobody gave out was taken")
	}
}

func testInboxEntry(f *fixture) {
	room := f.room(protocol.Group, "ann", "bob")
	f.send(room, "ann", "for bob", "bob")
	first := f.send(room, "ann", "for bob again", "bob").Seq
	gone := f.send(room, "ann", "for bob, but gone", "bob").Seq
	f.delete(room, "ann", gone)
	last := f.send(room, "ann", "for nobody").Seq
	f.react(protocol.ReactionAdd, room, "bob", last, "x")
	entry := func() chat.InboxEntry {
		f.Helper()
		entries, _, _ := f.inbox("bob", chat.InboxQuery{})
		f.equal("entries", len(entries), 1)
		return entries[0]
	}
	e := entry()
	f.equal("unread", e.Scene.Me.Unread(e.Scene.Head.N), uint64(4))
	f.equal("mentions", e.Mentions, uint64(2))
	f.equal("last message", e.Last, f.messages(room, "bob")[3])
	f.equal("its reactions", e.Last.Reactions, []protocol.Reaction{{Emoji: "x", Count: 1, Mine: true}})
	f.read(room, "bob", first-1)
	f.equal("mentions after the first was read", entry().Mentions, uint64(1))
	f.send(room, "bob", "my own word passes what was before it")
	f.equal("mentions after one's own message", entry().Mentions, uint64(0))

	// With history since_join the last message may be out of sight.
	private := f.roomWith(protocol.RoomCreateParams{
		Kind: protocol.Group, Settings: &protocol.SettingsPatch{History: protocol.Some(protocol.HistorySinceJoin)},
	}, "ann")
	f.send(private, "ann", "before cid")
	f.add(private, "ann", "cid")
	entries, _, _ := f.inbox("cid", chat.InboxQuery{})
	f.equal("out of sight", entries[0].Last, (*chat.Message)(nil))
	f.send(private, "ann", "after cid", "cid")
	entries, _, _ = f.inbox("cid", chat.InboxQuery{})
	f.equal("in sight", texts([]*chat.Message{entries[0].Last}), []string{"after cid"})
	f.equal("mentions", entries[0].Mentions, uint64(1))
}

func testInboxFilters(f *fixture) {
	group, channel := f.room(protocol.Group, "ann", "bob"), f.room(protocol.Channel, "bob")
	direct, live := f.room(protocol.Direct, "ann", "bob"), f.room(protocol.Live, "bob")
	deleted := f.room(protocol.Group, "ann", "bob")
	call[protocol.SeqResult](f, "ann", protocol.RoomDelete, &protocol.RoomEventParams{Room: deleted})
	yes, no := true, false
	f.must(f.store.Settings(f.Context(), channel, "bob", nil, nil, &yes))
	list := func(q chat.InboxQuery) []string {
		f.Helper()
		entries, _, _ := f.inbox("bob", q)
		return sorted(ids(entries))
	}
	f.equal("all", list(chat.InboxQuery{}), sorted([]string{group, channel, direct, live}))
	f.equal("kinds", list(chat.InboxQuery{Kinds: []protocol.Kind{protocol.Direct, protocol.Live}}), sorted([]string{direct, live}))
	f.equal("archived", list(chat.InboxQuery{Archived: &yes}), []string{channel})
	f.equal("not archived", list(chat.InboxQuery{Archived: &no}), sorted([]string{group, direct, live}))

	f.must(f.store.Hide(f.Context(), direct, "bob"))
	f.equal("hidden", list(chat.InboxQuery{Kinds: []protocol.Kind{protocol.Direct}}), []string{})
	entries, _, _ := f.inbox("ann", chat.InboxQuery{Kinds: []protocol.Kind{protocol.Direct}})
	f.equal("for the other", ids(entries), []string{direct})
	f.send(direct, "ann", "back again")
	f.equal("back by its next event", list(chat.InboxQuery{Kinds: []protocol.Kind{protocol.Direct}}), []string{direct})
}

func testInboxSince(f *fixture) {
	quiet, loud := f.room(protocol.Group, "ann", "bob"), f.room(protocol.Group, "ann", "bob")
	left, banned, deleted := f.room(protocol.Group, "ann", "bob"), f.room(protocol.Group, "ann", "bob"), f.room(protocol.Group, "ann", "bob")
	hidden, unbanned := f.room(protocol.Direct, "ann", "bob"), f.room(protocol.Channel, "ann")
	call[protocol.RoomJoinResult](f, "bob", protocol.RoomJoin, &protocol.RoomEventParams{Room: unbanned})
	f.send(loud, "ann", "one")
	_, _, start := f.inbox("bob", chat.InboxQuery{})
	since := func(p chat.Position) (rooms, removed []string, next chat.Position) {
		f.Helper()
		entries, removed, next := f.inbox("bob", chat.InboxQuery{Since: p, Limit: 2})
		return sorted(ids(entries)), sorted(removed), next
	}
	// The question may repeat; asked from its own answer it must come to rest, which a store with a log of its own does at once.
	rooms, removed, at := since(start)
	if !f.postgres() {
		f.equal("nothing changed", [][]string{rooms, removed}, [][]string{{}, {}})
	}
	f.send(loud, "ann", "two")
	f.read(quiet, "bob", 1) // moves nothing
	call[protocol.SeqResult](f, "bob", protocol.RoomLeave, &protocol.RoomEventParams{Room: left})
	f.member(protocol.MemberBan, banned, "ann", "bob")
	call[protocol.SeqResult](f, "ann", protocol.RoomDelete, &protocol.RoomEventParams{Room: deleted})
	f.must(f.store.Hide(f.Context(), hidden, "bob"))
	f.member(protocol.MemberBan, unbanned, "ann", "bob")
	f.member(protocol.MemberUnban, unbanned, "ann", "bob")
	never := f.room(protocol.Channel, "ann") // bob never saw it
	f.must(f.store.Ensure(f.Context(), "bob"))
	f.member(protocol.MemberBan, never, "ann", "bob")
	fresh := f.room(protocol.Group, "ann", "bob")
	for _, p := range []chat.Position{start, at} {
		rooms, removed, _ = since(p)
		f.equal("changed rooms", rooms, sorted([]string{loud, fresh}))
		f.equal("removed", removed, sorted([]string{left, banned, deleted, hidden, unbanned}))
	}
	_, _, at = since(at)
	yes := true
	f.must(f.store.Settings(f.Context(), quiet, "bob", nil, &yes, nil))
	f.send(hidden, "ann", "back")
	rooms, removed, _ = since(at)
	f.equal("changed by a setting, and back", slices.DeleteFunc(rooms, func(r string) bool { return f.postgres() && r != quiet && r != hidden }),
		sorted([]string{quiet, hidden}))
	f.equal("back", slices.Contains(removed, hidden), false)
	_, err := f.store.List(f.Context(), "bob", chat.InboxQuery{Since: "x'); --", Limit: 1})
	f.fails(err, chat.ErrPosition)
}

func testBrowse(f *fixture) {
	names := []string{"Zebra", "apple pie", "Äpfel", "Apple juice", "banana", "APPLE"}
	byName := map[string]string{}
	for _, name := range names {
		byName[name] = f.roomWith(protocol.RoomCreateParams{Kind: protocol.Channel, Name: name}, "ann")
	}
	f.roomWith(protocol.RoomCreateParams{Kind: protocol.Group, Name: "apple group"}, "ann")
	gone := f.roomWith(protocol.RoomCreateParams{Kind: protocol.Channel, Name: "apple gone"}, "ann")
	call[protocol.SeqResult](f, "ann", protocol.RoomDelete, &protocol.RoomEventParams{Room: gone})
	f.must(f.store.Ensure(f.Context(), "bob"))
	f.member(protocol.MemberBan, byName["banana"], "ann", "bob")
	call[protocol.RoomJoinResult](f, "bob", protocol.RoomJoin, &protocol.RoomEventParams{Room: byName["Zebra"]})

	browse := func(query string, limit int) (found []string) {
		f.Helper()
		for after, calls := "", 0; ; calls++ {
			scenes, next, err := f.store.Browse(f.Context(), "bob", query, after, limit)
			f.must(err)
			for _, sc := range scenes {
				found = append(found, sc.Room.Name)
				f.equal("own row in "+sc.Room.Name, sc.Me != nil, sc.Room.Name == "Zebra")
				f.equal("head", sc.Head.Seq > 0, true)
			}
			if after = next; next == "" {
				return found
			}
			if len(scenes) > limit || calls > 20 {
				f.Fatalf("%d channels in a page of %d, after %d pages", len(scenes), limit, calls)
			}
		}
	}
	for limit := 1; limit < 8; limit++ {
		f.equal("all channels", browse("", limit), []string{"APPLE", "Apple juice", "apple pie", "Zebra", "Äpfel"})
		f.equal("one word", browse("aPPle", limit), []string{"APPLE", "Apple juice", "apple pie"})
		f.equal("two words in any order", browse(" pie  app", limit), []string{"apple pie"})
		f.equal("no wildcards", browse("%", limit), []string{})
		f.equal("other letters", browse("ÄPF", limit), []string{"Äpfel"})
	}
}
