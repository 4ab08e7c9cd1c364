package storetest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/protocol"
)

func testSends(f *fixture) {
	room := f.room(protocol.Group, "ann", "bob")
	for i := range 5 {
		at := f.clock.now()
		got := f.send(room, "ann", fmt.Sprint("text ", i))
		f.equal("answer", got, protocol.MessageSendResult{Room: room, Seq: protocol.Seq(i + 2), N: uint64(i + 1), At: protocol.At(at)})
		f.clock.advance(1500e6)
	}
	events := f.dense(room)
	f.equal("first event", events[0].Name, protocol.RoomCreated)
	f.equal("first members", events[0].Joined, []string{"ann", "bob"})
	f.equal("texts", texts(f.messages(room, "bob")), []string{"text 0", "text 1", "text 2", "text 3", "text 4"})
}

func testDuplicates(f *fixture) {
	room := f.room(protocol.Group, "ann", "bob")
	p := protocol.MessageSendParams{Room: room, ClientID: "once", Text: "hello"}
	first := call[protocol.MessageSendResult](f, "ann", protocol.MessageSend, &p)
	again := first
	again.Duplicate = true
	f.clock.advance(1e9)
	check := func() {
		f.Helper()
		f.equal("repeated", call[protocol.MessageSendResult](f, "ann", protocol.MessageSend, &p), again)
		other := p
		other.Text = "something else"
		f.equal("other content", f.refused("ann", protocol.MessageSend, &other).Code, protocol.Conflict)
	}
	check()
	f.delete(room, "ann", first.Seq)
	check()
	f.restart()
	check()
	f.equal("another user's client_id", call[protocol.MessageSendResult](f, "bob", protocol.MessageSend, &p).Duplicate, false)

	// Many at once, in one transaction or in several.
	p.ClientID = "storm"
	var seqs sync.Map
	var group sync.WaitGroup
	for range 32 {
		group.Go(func() {
			result, err := f.core.Do(context.Background(), chat.Actor{User: "ann"}, protocol.MessageSend, &p)
			if err != nil {
				f.Errorf("repeated at once: %v", err)
				return
			}
			seqs.Store(result.(protocol.MessageSendResult).Seq, true)
		})
	}
	group.Wait()
	count := 0
	seqs.Range(func(any, any) bool { count++; return true })
	f.equal("seqs of one client_id", count, 1)
	f.dense(room)
}

func testManyWriters(f *fixture) {
	const rooms, writers, each = 4, 32, 25
	var told sync.Map // room → the last seq that the hook was told
	f.close()
	f.committed = func(c *chat.Commit) {
		for _, e := range c.Events {
			last, _ := told.LoadOrStore(e.Room, protocol.Seq(0))
			if e.Seq != last.(protocol.Seq)+1 {
				f.Errorf("the hook was told of %d after %d", e.Seq, last)
			}
			told.Store(e.Room, e.Seq)
		}
	}
	f.open()
	ids := make([]string, rooms)
	for i := range ids {
		ids[i] = f.room(protocol.Group, "ann", "bob")
	}
	var answered sync.Map // client_id → seq
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for i := range each {
				p := &protocol.MessageSendParams{Room: ids[(w+i)%rooms], ClientID: fmt.Sprintf("w%d-%d", w, i), Text: "x"}
				result, err := f.core.Do(context.Background(), chat.Actor{User: []string{"ann", "bob"}[w%2]}, protocol.MessageSend, p)
				if err != nil {
					f.Errorf("send: %v", err)
					return
				}
				answered.Store(p.ClientID, result.(protocol.MessageSendResult).Seq)
			}
		})
	}
	group.Wait()
	stored := 0
	for _, room := range ids {
		n := uint64(0)
		for _, e := range f.dense(room) {
			if e.Name == protocol.MessageCreated {
				n++
				stored++
				seq, _ := answered.Load(e.ClientID)
				f.equal("the seq answered", seq, any(e.Seq))
			}
			f.equal("running number", e.N, n)
		}
		last, _ := told.Load(room)
		f.view(room, "", func(sc *chat.Scene, _ chat.Snapshot) { f.equal("told up to", last, any(sc.Head.Seq)) })
	}
	f.equal("messages", stored, writers*each)
}

func testTwoNodes(f *fixture) {
	if !f.postgres() {
		_, err := f.at.Open(f.Context(), store.Options{Log: silent()})
		if err == nil || !strings.Contains(err.Error(), "in use") {
			f.Fatalf("a second server on one file: %v", err)
		}
		return
	}
	other := f.node()
	defer other.Close()
	f.equal("epoch", other.Epoch(), f.store.Epoch())
	room := f.room(protocol.Group, "ann", "bob")
	nodes := []*chat.Service{f.core, coreOf(other, f.clock)}
	const each = 60
	var failed atomic.Bool
	var group sync.WaitGroup
	for i, node := range nodes {
		for w := range 4 {
			group.Go(func() {
				for n := range each {
					p := &protocol.MessageSendParams{Room: room, ClientID: fmt.Sprintf("%d-%d-%d", i, w, n), Text: "x"}
					if _, err := node.Do(context.Background(), chat.Actor{User: "ann"}, protocol.MessageSend, p); err != nil {
						f.Errorf("node %d: %v", i, err)
						failed.Store(true)
						return
					}
				}
			})
		}
	}
	group.Wait()
	if !failed.Load() {
		f.equal("events", len(f.dense(room)), 1+2*4*each)
	}
}

func testRedaction(f *fixture) {
	room := f.room(protocol.Group, "ann", "bob")
	seq := f.send(room, "ann", "my secret", "bob").Seq
	f.edit(room, "ann", seq, "a changed secret")
	f.react(protocol.ReactionAdd, room, "bob", seq, "👍")
	f.view(room, "bob", func(_ *chat.Scene, snap chat.Snapshot) {
		n, err := snap.Mentions(f.Context(), 1, 0)
		f.must(err)
		f.equal("mentions before", n, uint64(1))
	})
	deleted := f.delete(room, "ann", seq)

	for _, e := range f.dense(room) {
		if strings.Contains(string(e.Data), "secret") {
			f.Fatalf("event %d still holds the text: %s", e.Seq, e.Data)
		}
	}
	events := f.events(room)
	f.equal("created", string(events[seq-1].Data), `{"client_id":"`+events[seq-1].ClientID+`","n":1,"deleted":true}`)
	f.equal("edited", string(events[seq].Data), fmt.Sprintf(`{"target":%d,"deleted":true}`, seq))
	m := f.messages(room, "bob")[0]
	f.equal("content", m.Content, chat.Content{})
	f.equal("deleted at", m.DeletedAt, protocol.At(f.clock.now()))
	f.equal("rev", m.Rev, deleted)
	f.equal("reactions", len(m.Reactions), 0)
	f.view(room, "bob", func(_ *chat.Scene, snap chat.Snapshot) {
		n, err := snap.Mentions(f.Context(), 1, 0)
		f.must(err)
		f.equal("mentions after", n, uint64(0))
	})
}

func testCursors(f *fixture) {
	room := f.room(protocol.Group, "ann", "bob")
	for range 10 {
		f.send(room, "ann", "x")
	}
	f.equal("read", f.read(room, "bob", 5), protocol.ReceiptReadResult{Read: 5, Delivered: 5, Unread: 6})
	f.equal("an older one", f.read(room, "bob", 3), protocol.ReceiptReadResult{Read: 5, Delivered: 5, Unread: 6})
	f.equal("past the head", f.read(room, "bob", 99), protocol.ReceiptReadResult{Read: 11, Delivered: 11, Unread: 0})
	f.send(room, "bob", "mine")
	f.send(room, "ann", "and one more")
	f.equal("one's own is read", f.read(room, "bob", 11).Unread, uint64(1))

	// Reports of many sessions at once come to the largest.
	for range 20 {
		f.send(room, "ann", "x")
	}
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			p := &protocol.ReceiptReadParams{Room: room, Seq: protocol.Seq(13 + i)}
			if _, err := f.core.Do(context.Background(), chat.Actor{User: "bob"}, protocol.ReceiptRead, p); err != nil {
				f.Errorf("read: %v", err)
			}
		})
	}
	group.Wait()
	f.restart()
	f.view(room, "bob", func(sc *chat.Scene, _ chat.Snapshot) {
		f.equal("read", sc.Me.Read, protocol.Seq(32))
		f.equal("unread", sc.Me.Unread(sc.Head.N), uint64(1))
	})
}

func testCursorsTogether(f *fixture) {
	one, two := f.room(protocol.Group, "ann", "bob"), f.room(protocol.Group, "ann", "bob")
	closed := f.room(protocol.Group, "ann")
	for _, room := range []string{one, two} {
		f.send(room, "ann", "x")
	}
	move := func(rooms ...string) *protocol.ReceiptDeliveredParams {
		p := &protocol.ReceiptDeliveredParams{Cursors: map[string]protocol.Seq{}}
		for _, room := range rooms {
			p.Cursors[room] = 2
		}
		return p
	}
	delivered := func(room string) (seq protocol.Seq) {
		f.view(room, "bob", func(sc *chat.Scene, _ chat.Snapshot) { seq = sc.Me.Delivered })
		return seq
	}
	err := f.refused("bob", protocol.ReceiptDelivered, move(one, closed, two))
	f.equal("refusal", [2]string{string(err.Code), err.Field}, [2]string{"not_found", "cursors"})
	f.equal("moved nothing", [2]protocol.Seq{delivered(one), delivered(two)}, [2]protocol.Seq{1, 1})
	call[protocol.Empty](f, "bob", protocol.ReceiptDelivered, move(one, two))
	f.equal("moved both", [2]protocol.Seq{delivered(one), delivered(two)}, [2]protocol.Seq{2, 2})
}

func testRestart(f *fixture) {
	room := f.room(protocol.Group, "ann", "bob", "cid")
	seq := f.send(room, "ann", "one", "bob").Seq
	f.edit(room, "ann", seq, "two")
	f.reply(room, "bob", "three", seq)
	f.react(protocol.ReactionAdd, room, "cid", seq, "🎉")
	f.member(protocol.MemberRemove, room, "ann", "cid")
	f.read(room, "bob", 3)
	look := func() (all []any) {
		f.Helper()
		for _, user := range []string{"ann", "bob", "cid"} {
			f.view(room, user, func(sc *chat.Scene, snap chat.Snapshot) {
				members, err := snap.Members(f.Context(), "", 100)
				f.must(err)
				all = append(all, *sc, members)
			})
		}
		return append(all, f.events(room), f.messages(room, "bob"), f.store.Epoch())
	}
	before := look()
	f.restart()
	f.equal("after the restart", look(), before)
	f.send(room, "ann", "on we go")
	f.dense(room)
}

func testClose(f *fixture) {
	room := f.room(protocol.Group, "ann")
	var ok, refused atomic.Int64
	var group sync.WaitGroup
	for i := range 400 {
		group.Add(1)
		f.store.Append(chat.NewAppend(chat.Actor{User: "ann"}, protocol.MessageSend,
			&protocol.MessageSendParams{Room: room, ClientID: fmt.Sprint(i), Text: "x"}), func(_ any, err *protocol.Error) {
			if err == nil {
				ok.Add(1)
			} else {
				refused.Add(1)
			}
			group.Done()
		})
	}
	f.close()
	group.Wait()
	f.open()
	f.equal("stored", int64(len(f.dense(room)))-1, ok.Load())
	f.equal("answered", ok.Load()+refused.Load(), int64(400))
}
