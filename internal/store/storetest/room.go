package storetest

import (
	"fmt"
	"slices"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/protocol"
)

func testScene(f *fixture) {
	f.view("r_none", "ann", func(sc *chat.Scene, _ chat.Snapshot) { f.equal("no room", *sc, chat.Scene{}) })
	at := protocol.At(f.clock.now())
	room := f.roomWith(protocol.RoomCreateParams{
		Kind: protocol.Channel, Name: "Café", Topic: "talk", Avatar: "https://example.org/a.png", Data: protocol.Raw(`{"a": [1, "ü"]}`),
		Settings: &protocol.SettingsPatch{SlowModeS: protocol.Some(int64(7)), Receipts: protocol.Some(false)},
	}, "ann")
	want := &chat.Room{
		ID: room, Kind: protocol.Channel, Name: "Café", Topic: "talk", Avatar: "https://example.org/a.png", Data: protocol.Raw(`{"a":[1,"ü"]}`),
		Settings:  protocol.Settings{History: protocol.HistoryAll, Post: protocol.PostMembers, SlowModeS: 7},
		CreatedAt: at, CreatedBy: "ann", First: 1, Members: 1,
	}
	f.view(room, "ann", func(sc *chat.Scene, _ chat.Snapshot) {
		f.equal("room", sc.Room, want)
		f.equal("head", sc.Head, chat.Head{Seq: 1, At: at})
		f.equal("row", sc.Me, &chat.Member{
			Room: room, User: "ann", State: chat.IsMember, Role: protocol.RoleOwner, JoinedAt: at, JoinedSeq: 1, Read: 1, Delivered: 1, Notify: protocol.NotifyAll,
		})
	})
	f.view(room, "bob", func(sc *chat.Scene, _ chat.Snapshot) { f.equal("no row", sc.Me, (*chat.Member)(nil)) })
	f.view(room, "", func(sc *chat.Scene, _ chat.Snapshot) { f.equal("a back end's row", sc.Me, (*chat.Member)(nil)) })

	name := "Bar"
	call[protocol.RoomUpdateResult](f, "ann", protocol.RoomUpdate, &protocol.RoomUpdateParams{Room: room, Name: protocol.Some(name)})
	call[protocol.SeqResult](f, "ann", protocol.RoomDelete, &protocol.RoomEventParams{Room: room})
	f.view(room, "ann", func(sc *chat.Scene, _ chat.Snapshot) {
		f.equal("name", sc.Room.Name, name)
		f.equal("deleted", sc.Room.Deleted, true)
		f.equal("head", sc.Head.Seq, protocol.Seq(3))
	})
}

func testEvents(f *fixture) {
	room := f.room(protocol.Group, "ann", "bob")
	f.add(room, "ann", "cid", "dan")
	f.send(room, "bob", "hi")
	f.member(protocol.MemberRemove, room, "ann", "cid")
	f.must(f.store.Ensure(f.Context(), "eve"))
	f.member(protocol.MemberBan, room, "ann", "eve")
	call[protocol.SeqResult](f, "dan", protocol.RoomLeave, &protocol.RoomEventParams{Room: room})

	events := f.dense(room)
	type folded struct {
		Name   protocol.Name
		User   string
		Joined []string
		Left   []string
		Reason protocol.LeaveReason
	}
	var got []folded
	for _, e := range events {
		got = append(got, folded{e.Name, e.User, e.Joined, e.Left, e.Reason})
	}
	f.equal("what the log does to memberships", got, []folded{
		{protocol.RoomCreated, "ann", []string{"ann", "bob"}, nil, ""},
		{protocol.MemberJoined, "ann", []string{"cid", "dan"}, nil, ""},
		{protocol.MessageCreated, "bob", nil, nil, ""},
		{protocol.MemberLeft, "ann", nil, []string{"cid"}, protocol.ReasonRemoved},
		{protocol.MemberLeft, "ann", nil, []string{"eve"}, protocol.ReasonBanned},
		{protocol.MemberLeft, "dan", nil, []string{"dan"}, protocol.ReasonLeft},
	})
	f.view(room, "ann", func(_ *chat.Scene, snap chat.Snapshot) {
		for after := range protocol.Seq(8) {
			for upTo := range protocol.Seq(9) {
				for limit := 1; limit <= 7; limit++ {
					page, err := snap.Events(f.Context(), after, upTo, limit)
					f.must(err)
					last := upTo
					if last == 0 {
						last = 6
					}
					want := []protocol.Seq{}
					for seq := after + 1; seq <= min(last, 6) && len(want) < limit; seq++ {
						want = append(want, seq)
					}
					seqs := []protocol.Seq{}
					for _, e := range page {
						seqs = append(seqs, e.Seq)
					}
					f.equal(fmt.Sprintf("events after %d up to %d, %d of them", after, upTo, limit), seqs, want)
				}
			}
		}
	})
}

func testMessageWindows(f *fixture) {
	room := f.room(protocol.Group, "ann", "bob")
	root := f.send(room, "ann", "root").Seq
	f.send(room, "bob", "second")
	f.react(protocol.ReactionAdd, room, "bob", root, "a")
	f.reply(room, "bob", "reply 1", root)
	f.add(room, "ann", "cid")
	inner := f.reply(room, "ann", "reply 2", root)
	f.edit(room, "ann", inner, "reply 2, edited")
	f.reply(room, "bob", "reply 3", inner)
	last := f.send(room, "ann", "seventh").Seq
	f.delete(room, "ann", last)
	f.send(room, "bob", "eighth")
	f.react(protocol.ReactionAdd, room, "ann", root, "b")

	all := f.messages(room, "bob")
	f.equal("messages", len(all), 7)
	var head protocol.Seq
	f.view(room, "bob", func(sc *chat.Scene, snap chat.Snapshot) {
		head = sc.Head.Seq
		for _, from := range []protocol.Seq{1, 5, head} {
			for _, thread := range []protocol.Seq{0, root, 999} {
				for limit := 1; limit <= 8; limit++ {
					for at := range head + 3 {
						checkWindows(f, snap, all, chat.MessageQuery{From: from, Thread: thread, Limit: limit}, at)
					}
				}
			}
		}
	})
}

// checkWindows holds the windows at one position against the list of all messages.
func checkWindows(f *fixture, snap chat.Snapshot, all []*chat.Message, q chat.MessageQuery, at protocol.Seq) {
	f.Helper()
	var visible, below, above []protocol.Seq
	for _, m := range all {
		if m.Seq < q.From || q.Thread != 0 && m.Thread != q.Thread {
			continue
		}
		visible = append(visible, m.Seq)
		if m.Seq < at || at == 0 {
			below = append(below, m.Seq)
		}
		if m.Seq > at {
			above = append(above, m.Seq)
		}
	}
	ask := func(q chat.MessageQuery) ([]protocol.Seq, bool) {
		f.Helper()
		messages, more, err := snap.Messages(f.Context(), q)
		f.must(err)
		var seqs []protocol.Seq
		for _, m := range messages {
			seqs = append(seqs, m.Seq)
		}
		return seqs, more
	}
	what := func(kind string) string { return fmt.Sprintf("%s %d, %+v", kind, at, q) }

	before := q
	before.Before = at // 0: the newest
	got, more := ask(before)
	f.equal(what("before"), got, below[max(0, len(below)-q.Limit):])
	f.equal(what("more before"), more, len(below) > q.Limit)

	after := q
	after.After = &at
	got, more = ask(after)
	f.equal(what("after"), got, above[:min(q.Limit, len(above))])
	f.equal(what("more after"), more, len(above) > q.Limit)

	if at == 0 {
		return
	}
	around := q
	around.Around = at
	got, more = ask(around)
	f.equal(what("as many around"), len(got), min(q.Limit, len(visible)))
	f.equal(what("more around"), more, len(visible) > len(got))
	if len(got) > 0 {
		i := slices.Index(visible, got[0])
		f.equal(what("around"), got, visible[i:i+len(got)])
	}
	if slices.Contains(visible, at) {
		f.equal(what("its own"), slices.Contains(got, at), true)
	}
}

func testMessageOverlay(f *fixture) {
	room := f.room(protocol.Group, "ann", "bob", "cid")
	p := &protocol.MessageSendParams{
		Room: room, ClientID: "m", Text: "a\u2028b <&> \"q\"", Data: protocol.Raw(`{"k": "\u00e9", "big": 12345678901234567890}`),
		Attachments: protocol.Raw(`[{"url":"https://example.org/x"}]`), Mentions: []string{"bob", "zoe", "bob"},
	}
	at := protocol.At(f.clock.now())
	seq := call[protocol.MessageSendResult](f, "ann", protocol.MessageSend, p).Seq
	f.clock.advance(60e9)
	reply := f.reply(room, "cid", "re", seq)
	f.react(protocol.ReactionAdd, room, "cid", seq, "z")
	f.react(protocol.ReactionAdd, room, "bob", seq, "a")
	f.react(protocol.ReactionAdd, room, "ann", seq, "z")
	f.react(protocol.ReactionAdd, room, "ann", seq, "gone")
	last := f.react(protocol.ReactionRemove, room, "ann", seq, "gone")
	want := &chat.Message{
		Seq: seq, N: 1, User: "ann", ClientID: "m", At: at, Mentions: []string{"bob", "zoe"}, Rev: last, Replies: 1,
		Content:   chat.Content{Text: &p.Text, Data: protocol.Raw(`{"k":"\u00e9","big":12345678901234567890}`), Attachments: p.Attachments},
		Reactions: []protocol.Reaction{{Emoji: "z", Count: 2, Mine: true}, {Emoji: "a", Count: 1}},
	}
	f.equal("message", f.messages(room, "cid")[0], want)
	f.equal("reply", f.messages(room, "cid")[1].Thread, seq)
	f.equal("reply to", f.messages(room, "cid")[1].ReplyTo, seq)
	f.equal("its rev", f.messages(room, "cid")[1].Rev, reply)

	text := "changed"
	want.Rev = f.edit(room, "ann", seq, text)
	want.EditedAt = protocol.At(f.clock.now())
	want.Content.Text = &text
	want.Reactions = []protocol.Reaction{{Emoji: "z", Count: 2}, {Emoji: "a", Count: 1, Mine: true}}
	f.equal("edited", f.messages(room, "bob")[0], want)
}

func testMembers(f *fixture) {
	var users []string
	for i := range 25 {
		users = append(users, fmt.Sprintf("u%02d", i))
	}
	room := f.room(protocol.Group, "ann", users...)
	f.member(protocol.MemberRemove, room, "ann", "u03")
	f.member(protocol.MemberBan, room, "ann", "u04")
	f.member(protocol.MemberBan, room, "ann", "u05")
	f.member(protocol.MemberUnban, room, "ann", "u05")
	want := append([]string{"ann"}, slices.Concat(users[:3], users[6:])...)
	f.view(room, "ann", func(sc *chat.Scene, snap chat.Snapshot) {
		f.equal("count", sc.Room.Members, uint64(len(want)))
		var got []string
		for after := ""; ; after = got[len(got)-1] {
			page, err := snap.Members(f.Context(), after, 4)
			f.must(err)
			for _, m := range page {
				got = append(got, m.User)
			}
			if len(page) < 4 {
				break
			}
		}
		f.equal("members", got, want)
		for user, state := range map[string]chat.Membership{"u03": chat.WasRemoved, "u04": chat.IsBanned, "u05": chat.NotMember} {
			m, err := snap.Member(f.Context(), user)
			f.must(err)
			f.equal(user, m.State, state)
		}
		none, err := snap.Member(f.Context(), "nobody")
		f.must(err)
		f.equal("no row", none, (*chat.Member)(nil))
	})
}

func testDesk(f *fixture) {
	room := f.room(protocol.Group, "ann", "bob")
	yes, no, mentions := true, false, protocol.NotifyMentions
	f.must(f.store.Settings(f.Context(), room, "bob", &mentions, &yes, nil))
	f.must(f.store.Settings(f.Context(), room, "bob", nil, nil, &yes))
	f.view(room, "bob", func(sc *chat.Scene, _ chat.Snapshot) {
		f.equal("pinned, archived", [2]bool{sc.Me.Pinned, sc.Me.Archived}, [2]bool{true, true})
	})
	f.send(room, "bob", "the log does not undo them")
	f.member(protocol.MemberRemove, room, "ann", "bob")
	f.fails(f.store.Settings(f.Context(), room, "bob", nil, &no, nil), chat.ErrNoMember)
	f.add(room, "ann", "bob")
	f.must(f.store.Settings(f.Context(), room, "bob", nil, &no, nil))
	f.view(room, "bob", func(sc *chat.Scene, _ chat.Snapshot) {
		f.equal("notify", sc.Me.Notify, mentions)
		f.equal("pinned, archived", [2]bool{sc.Me.Pinned, sc.Me.Archived}, [2]bool{false, true})
	})
	f.fails(f.store.Hide(f.Context(), "r_none", "bob"), chat.ErrNoMember)
}
