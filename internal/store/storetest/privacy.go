package storetest

import (
	"time"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/privacy"
	"github.com/parley-im/parley/protocol"
)

// testEstate: what a user has left is found room by room, wherever they are a member now or not.
func testEstate(f *fixture) {
	f.must(f.store.Ensure(f.Context(), "alice", "bob", "carol"))
	written := f.room(protocol.Group, "alice", "bob")
	left := f.room(protocol.Group, "alice", "bob")
	foreign := f.room(protocol.Group, "alice", "carol")
	watched := f.room(protocol.Live, "alice")
	deleted := f.room(protocol.Group, "bob")

	first := f.send(written, "bob", "one")
	f.send(written, "alice", "not bob's")
	second := f.send(written, "bob", "two")
	gone := f.send(written, "bob", "three")
	f.edit(written, "bob", second.Seq, "two, mended")
	f.delete(written, "bob", gone.Seq)
	f.react(protocol.ReactionAdd, written, "bob", second.Seq, "👍")
	f.member(protocol.MemberRemove, left, "alice", "bob")
	f.send(foreign, "alice", "bob is not here")
	f.send(watched, "bob", "nor a member of this")
	f.send(deleted, "bob", "and this is no more")
	if _, err := f.core.Do(f.Context(), chat.Actor{User: "bob"}, protocol.RoomDelete, &protocol.RoomEventParams{Room: deleted}); err != nil {
		f.Fatal(err)
	}

	var rooms []string
	for after := ""; ; {
		page, err := f.store.Traces(f.Context(), "bob", after, 1)
		f.must(err)
		if len(page) == 0 {
			break
		}
		rooms = append(rooms, page...)
		after = page[0]
	}
	want := map[string]bool{written: true, left: true, watched: true}
	for _, room := range rooms {
		if !want[room] {
			f.Errorf("bob has left nothing in %s, which is found", room)
		}
		delete(want, room)
	}
	f.equal("rooms in which bob left something and which are not found", len(want), 0)

	texts := func(after protocol.Seq, limit int) (texts []string) {
		messages, err := f.store.Written(f.Context(), written, "bob", after, limit)
		f.must(err)
		for _, m := range messages {
			texts = append(texts, *m.Content.Text)
		}
		return texts
	}
	f.equal("bob's messages", texts(0, 10), []string{"one", "two, mended"})
	f.equal("the first of them", texts(0, 1), []string{"one"})
	f.equal("those after it", texts(first.Seq, 10), []string{"two, mended"})
	reacted, err := f.store.Reacted(f.Context(), written, "bob")
	f.must(err)
	f.equal("bob's reactions", reacted, []chat.ReactionKey{{Target: second.Seq, User: "bob", Emoji: "👍"}})
}

// testBlank: an erased profile is found by nobody, until its user comes again.
func testBlank(f *fixture) {
	name := "Bob"
	_, err := f.store.Update(f.Context(), "bob", &name, nil, nil)
	f.must(err)
	found := func() (n int) {
		users, err := f.store.Get(f.Context(), []string{"bob"})
		f.must(err)
		for _, query := range []string{"bo", "Bo"} {
			byName, err := f.store.Search(f.Context(), query, 10)
			f.must(err)
			users = append(users, byName...)
		}
		return len(users)
	}
	f.equal("how often bob is found", found(), 3)
	f.must(f.store.Blank(f.Context(), "bob"))
	f.equal("how often, erased", found(), 0)
	f.opened("bob", "phone", "n_1")
	users, err := f.store.Get(f.Context(), []string{"bob"})
	f.must(err)
	f.equal("bob, who has come again", users, []protocol.User{{ID: "bob"}})
}

// testErasures: what is asked for stays on the list, done or not.
func testErasures(f *fixture) {
	bob, room := privacy.Subject{Kind: privacy.User, ID: "bob"}, privacy.Subject{Kind: privacy.Room, ID: "r_1"}
	f.must(f.store.Request(f.Context(), bob))
	f.clock.advance(time.Second)
	asked := protocol.At(f.clock.now())
	f.must(f.store.Request(f.Context(), room))
	f.must(f.store.Done(f.Context(), bob))
	all, err := f.store.Erasures(f.Context(), false)
	f.must(err)
	f.equal("the list", all, []privacy.Erasure{{Subject: bob, RequestedAt: asked - 1000, DoneAt: asked}, {Subject: room, RequestedAt: asked}})
	pending, err := f.store.Erasures(f.Context(), true)
	f.must(err)
	f.equal("those that are not carried out", pending, all[1:])
	f.must(f.store.Request(f.Context(), bob))
	all, err = f.store.Erasures(f.Context(), false)
	f.must(err)
	f.equal("asked for anew", len(all) == 2 && all[0].DoneAt == 0 && all[1].DoneAt == 0, true)
	empty, err := f.store.Emptied(f.Context(), f.room(protocol.Group, "alice"))
	f.must(err)
	f.equal("a room that lives is emptied", empty, false)
	empty, err = f.store.Emptied(f.Context(), "r_never")
	f.must(err)
	f.equal("a room that never was is emptied", empty, true)
}
