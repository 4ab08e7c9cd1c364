package delivery_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/delivery"
	"github.com/parley-im/parley/protocol"
)

// signals are the data of a session's signals of one name in a room.
func (s *sink) signals(room string, name protocol.Name) []string {
	var list []string
	for _, f := range s.got(room) {
		if f.Event == name {
			list = append(list, string(f.Data))
		}
	}
	return list
}

func (n *node) moved(rows ...chat.CursorRow) {
	for i := range rows {
		rows[i].Moved = true
	}
	n.hub.Committed(&chat.Commit{Cursors: rows})
}

func TestReceiptsAreGathered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, newStore(), delivery.Options{}).start()
		room := n.create(protocol.Channel, "alice", "bob", "carol")
		alice, _ := n.enter("a", "alice")
		bob, _ := n.enter("b", "bob")
		bob2, _ := n.enter("b2", "bob")
		guest, g := n.enter("g", "guest")
		if err := g.Subscribe(t.Context(), room, nil, "", func(protocol.Seq) {}); err != nil {
			t.Fatal(err)
		}

		n.moved(chat.CursorRow{Room: room, User: "bob", Session: "b", Delivered: 1})
		settle()
		first := []string{`{"members":[{"user":"bob","delivered":1,"read":0}]}`}
		want(t, "at once after a quiet second", alice.signals(room, protocol.SignalReceipt), first)
		want(t, "the user's other session", bob2.signals(room, protocol.SignalReceipt), first)
		want(t, "the session that reported it", bob.signals(room, protocol.SignalReceipt), []string(nil))

		for i := range 5 {
			time.Sleep(100 * time.Millisecond)
			n.moved(chat.CursorRow{Room: room, User: "bob", Session: "b", Delivered: protocol.Seq(2 + i), Read: protocol.Seq(i)})
		}
		settle()
		want(t, "within the second", len(alice.signals(room, protocol.SignalReceipt)), 1)
		time.Sleep(time.Second)
		want(t, "after it", alice.signals(room, protocol.SignalReceipt)[1:], []string{`{"members":[{"user":"bob","delivered":6,"read":4}]}`})

		n.moved(chat.CursorRow{Room: room, User: "bob", Session: "b", Delivered: 5, Read: 5}, chat.CursorRow{Room: room, User: "carol", Session: "c", Delivered: 3})
		time.Sleep(2 * time.Second)
		want(t, "never back, and the reporter hears of the others", bob.signals(room, protocol.SignalReceipt), []string{`{"members":[{"user":"carol","delivered":3,"read":0}]}`})
		n.moved(chat.CursorRow{Room: room, User: "bob", Delivered: 6, Read: 5})
		time.Sleep(2 * time.Second)
		want(t, "nothing new", len(alice.signals(room, protocol.SignalReceipt)), 3)
		want(t, "one who is no member", guest.signals(room, protocol.SignalReceipt), []string(nil))
	})
}

func TestPrivateReceiptsStayWithTheUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newPair(t)
		room := a.create(protocol.Group, "alice", "bob")
		settle()
		alice, _ := a.enter("a", "alice")
		bob, _ := a.enter("b", "bob")
		far, _ := b.enter("b2", "bob")
		a.moved(chat.CursorRow{Room: room, User: "bob", Session: "b", Delivered: 1, Read: 1, Private: true})
		settle()
		want(t, "another user", alice.signals(room, protocol.SignalReceipt), []string(nil))
		want(t, "the reporter", bob.signals(room, protocol.SignalReceipt), []string(nil))
		want(t, "the user's session on another node", far.signals(room, protocol.SignalReceipt), []string{`{"members":[{"user":"bob","delivered":1,"read":1}]}`})
	})
}

func TestHiddenUsersReceiptsStayWithThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hidden := map[string]bool{"bob": true}
		n := newNode(t, newStore(), delivery.Options{Hidden: func(user string) bool { return hidden[user] }}).start()
		room := n.create(protocol.Group, "alice", "bob", "carol")
		alice, _ := n.enter("a", "alice")
		bob, _ := n.enter("b", "bob")
		n.moved(
			chat.CursorRow{Room: room, User: "bob", Session: "b2", Delivered: 1, Read: 1},
			chat.CursorRow{Room: room, User: "carol", Session: "c", Delivered: 1},
		)
		settle()
		want(t, "another user", alice.signals(room, protocol.SignalReceipt), []string{`{"members":[{"user":"carol","delivered":1,"read":0}]}`})
		want(t, "the user's other session", len(bob.signals(room, protocol.SignalReceipt)), 2)
		delete(hidden, "bob")
		n.moved(chat.CursorRow{Room: room, User: "bob", Session: "b2", Delivered: 2, Read: 2})
		time.Sleep(2 * time.Second)
		want(t, "once shown again", alice.signals(room, protocol.SignalReceipt)[1:], []string{`{"members":[{"user":"bob","delivered":2,"read":2}]}`})
	})
}

func TestReceiptsCrossNodesForwardOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newPair(t)
		room := a.create(protocol.Group, "alice", "bob")
		settle()
		alice, _ := b.enter("a", "alice")
		a.moved(chat.CursorRow{Room: room, User: "bob", Delivered: 5, Read: 3})
		settle()
		b.moved(chat.CursorRow{Room: room, User: "bob", Delivered: 4, Read: 4})
		time.Sleep(3 * time.Second)
		want(t, "two nodes' word of one user", alice.signals(room, protocol.SignalReceipt), []string{
			`{"members":[{"user":"bob","delivered":5,"read":3}]}`,
			`{"members":[{"user":"bob","delivered":5,"read":4}]}`,
		})
		time.Sleep(30 * time.Second)
		b.moved(chat.CursorRow{Room: room, User: "bob", Delivered: 5, Read: 2})
		time.Sleep(3 * time.Second)
		want(t, "an old word, half a minute late", len(alice.signals(room, protocol.SignalReceipt)), 2)
	})
}

func TestTyping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const on, off = `{"active":true,"expires_ms":5000}`, `{"active":false,"expires_ms":0}`
		a, b := newPair(t)
		room := a.create(protocol.Group, "alice", "bob")
		settle()
		alice, _ := b.enter("a", "alice")
		bob, f := a.enter("b", "bob")
		typing := func() []string { return alice.signals(room, protocol.SignalTyping) }

		a.hub.Typing(room, "bob", "b", true)
		settle()
		want(t, "a start", typing(), []string{on})
		time.Sleep(2 * time.Second)
		a.hub.Typing(room, "bob", "b", true)
		settle()
		want(t, "a start within 3 s", typing(), []string{on})
		time.Sleep(2 * time.Second)
		a.hub.Typing(room, "bob", "b", true)
		settle()
		want(t, "a start after 3 s", typing(), []string{on, on})
		time.Sleep(4900 * time.Millisecond)
		want(t, "4.9 s after the last start", typing(), []string{on, on})
		time.Sleep(200 * time.Millisecond)
		want(t, "5 s after the last start", typing(), []string{on, on, off})

		a.hub.Typing(room, "bob", "b", true)
		a.hub.Typing(room, "bob", "b", false)
		a.hub.Typing(room, "bob", "b", false)
		settle()
		want(t, "a stop, told once", typing()[3:], []string{on, off})
		a.hub.Typing(room, "bob", "b", true)
		f.Close()
		settle()
		want(t, "the end of the session", typing()[5:], []string{on, off})
		time.Sleep(10 * time.Second)
		want(t, "nothing after it", len(typing()), 7)
		want(t, "the typist", bob.signals(room, protocol.SignalTyping), []string(nil))
		want(t, "whose", alice.got(room)[0].User, "bob")
	})
}

func TestSignalsAreNotOwed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, newStore(), delivery.Options{}).start()
		room := n.create(protocol.Group, "alice", "bob")
		slow := newSink("a", "alice")
		slow.bound, slow.read = 100, func() (time.Duration, bool) { return time.Second, true }
		n.enterWith(slow, delivery.Entry{All: true})
		n.send(room, 1)
		settle()
		n.hub.Typing(room, "bob", "", true) // no room for it
		n.send(room, 1)                     // nor for this, which is owed
		settle()
		time.Sleep(5 * time.Second)
		story := slow.story(room)
		want(t, "the events come later, the signal does not", story[:2], []any{2, 3})
	})
}
