package terminal

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/parley-im/parley/client"
	"github.com/parley-im/parley/protocol"
)

// beginning is when the tests' logs begin.
func beginning() time.Time { return time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC) }

// world is a server with one room, "r_1", of alice and bob: its log, and what its messages are like after each event.
type world struct {
	log    []protocol.Event
	states [][]protocol.Message // after each event
}

func data(v any) protocol.Raw {
	b, err := json.Marshal(v, protocol.Encoding())
	if err != nil {
		panic(err)
	}
	return b
}

// add appends an event to the log. The state is made by rules written apart from those of the timeline: what is so is copied, and changed in place.
func (w *world) add(user string, name protocol.Name, d any) protocol.Event {
	seq := protocol.Seq(len(w.log) + 1)
	e := protocol.Event{Room: "r_1", Seq: seq, Name: name, At: protocol.At(beginning().Add(time.Duration(seq) * time.Minute)), User: user, Data: data(d)}
	w.log = append(w.log, e)
	var state []protocol.Message
	if len(w.states) > 0 {
		state = slices.Clone(w.states[len(w.states)-1])
	}
	switch d := d.(type) {
	case protocol.MessageCreatedData:
		state = append(state, protocol.Message{
			Room: "r_1", Seq: seq, Rev: seq, N: d.N, User: &user, ClientID: d.ClientID, Text: d.Text, ReplyTo: d.ReplyTo, Mentions: d.Mentions, At: e.At,
		})
	case protocol.MessageEditedData:
		m := &state[indexOf(state, d.Target)]
		m.Rev, m.Text, m.EditedAt = seq, d.Text, e.At
	case protocol.MessageDeletedData:
		m := &state[indexOf(state, d.Target)]
		m.Rev, m.Text, m.DeletedAt, m.Reactions = seq, nil, e.At, nil
	case protocol.ReactionData:
		m := &state[indexOf(state, d.Target)]
		m.Rev = seq
		m.Reactions = slices.Clone(m.Reactions)
		i := slices.IndexFunc(m.Reactions, func(r protocol.Reaction) bool { return r.Emoji == d.Emoji })
		if i < 0 {
			m.Reactions, i = append(m.Reactions, protocol.Reaction{Emoji: d.Emoji}), len(m.Reactions)
		}
		m.Reactions[i].Count++
		m.Reactions[i].Mine = m.Reactions[i].Mine || user == "alice"
	}
	w.states = append(w.states, state)
	return e
}

func indexOf(state []protocol.Message, seq protocol.Seq) int {
	return slices.IndexFunc(state, func(m protocol.Message) bool { return m.Seq == seq })
}

func (w *world) say(user, text string) protocol.Event {
	return w.add(user, protocol.MessageCreated, protocol.MessageCreatedData{ClientID: fmt.Sprint("c", len(w.log)), N: uint64(len(w.log)), Text: &text})
}

func (w *world) head() protocol.Seq { return protocol.Seq(len(w.log)) }

// page answers a call as of a head.
func (w *world) page(p protocol.MessageListParams, head protocol.Seq) protocol.MessageListResult {
	r := protocol.MessageListResult{Head: head}
	for _, m := range w.states[head-1] {
		if p.Before == nil || m.Seq < *p.Before {
			r.Messages = append(r.Messages, m)
		}
	}
	if over := len(r.Messages) - p.Limit; over > 0 {
		r.Messages, r.More = r.Messages[over:], true
	}
	return r
}

func newModel() *Model {
	ids := 0
	return NewModel(Start{User: "alice", Zone: time.UTC, Now: beginning().Add(time.Hour), NewID: func() string {
		ids++
		return fmt.Sprint("own", ids)
	}})
}

func (w *world) room() protocol.Room {
	return protocol.Room{ID: "r_1", Kind: protocol.Group, Name: "garden", Settings: protocol.DefaultSettings(), CreatedAt: protocol.At(beginning()), Head: w.head()}
}

func inbox(w *world) Inbox {
	return Inbox{Rooms: []protocol.InboxEntry{{Room: w.room(), Head: w.head(), Me: protocol.Me{Role: protocol.RoleOwner, Notify: protocol.NotifyAll}}}}
}

// anything lets something happen to the room's messages.
func (w *world) anything(t *rapid.T) {
	state := w.states[len(w.states)-1]
	users := rapid.SampledFrom([]string{"alice", "bob"})
	alive := slices.DeleteFunc(slices.Clone(state), func(m protocol.Message) bool { return m.DeletedAt != 0 })
	kind := rapid.IntRange(0, 5).Draw(t, "kind")
	if len(alive) == 0 || kind < 3 {
		w.say(users.Draw(t, "user"), "text")
		return
	}
	target := rapid.SampledFrom(alive).Draw(t, "target")
	switch text := fmt.Sprint("edit ", len(w.log)); kind {
	case 3:
		w.add(*target.User, protocol.MessageEdited, protocol.MessageEditedData{Target: target.Seq, Text: &text})
	case 4:
		w.add(*target.User, protocol.MessageDeleted, protocol.MessageDeletedData{Target: target.Seq})
	default:
		w.add(users.Draw(t, "user"), protocol.ReactionAdded, protocol.ReactionData{Target: target.Seq, Emoji: rapid.SampledFrom([]string{"👍", "❤"}).Draw(t, "emoji")})
	}
}

// Pages and events in any order that a server may bring them make the messages of the log: none missing, none twice, each as it stands.
func TestTimelineIsTheLog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{}
		w.add("alice", protocol.RoomCreated, protocol.RoomCreatedData{})
		for range rapid.IntRange(0, 80).Draw(t, "before") {
			w.anything(t)
		}
		m := newModel()
		pushed := w.head() // what the stream has brought
		type asked struct {
			Call
			at protocol.Seq // the stream, when it was asked: a page is not older
		}
		var calls []asked
		take := func(do []Effect) {
			for _, effect := range do {
				if c, ok := effect.(Call); ok && c.Method == protocol.MessageList {
					calls = append(calls, asked{c, pushed})
				}
			}
		}
		newest := protocol.Seq(0) // the head of the newest page
		push := func() {
			pushed++
			take(m.Update(Logged{w.log[pushed-1]}))
		}
		answer := func() {
			c := calls[0]
			calls = calls[1:]
			if rapid.IntRange(0, 9).Draw(t, "fails") == 0 {
				take(m.Update(Answer{Call: c.Call, Err: errors.New("lost")}))
				return
			}
			p := c.Params.(protocol.MessageListParams)
			head := rapid.Uint64Range(c.at, w.head()).Draw(t, "as of")
			newest = max(newest, head)
			take(m.Update(Answer{Call: c.Call, Result: w.page(p, head)}))
		}
		take(m.Update(Connection{client.State{Phase: client.Live, Hello: &protocol.HelloResult{}}}))
		take(m.Update(inbox(w)))
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0, 1:
				w.anything(t)
			case 2, 3:
				if pushed < w.head() {
					push()
				}
			case 4:
				if len(calls) > 0 {
					answer()
				}
			default:
				take(m.Update(Key{Name: "pgup"}))
			}
			check(t, w, m.rooms["r_1"], pushed, newest)
		}
		for len(calls) > 0 || pushed < w.head() || !m.rooms["r_1"].timeline.loaded {
			if pushed < w.head() {
				push()
			}
			if len(calls) > 0 {
				answer()
			}
			take(m.Update(Tick{beginning()}))
			check(t, w, m.rooms["r_1"], pushed, newest)
		}
	})
}

func check(t *rapid.T, w *world, r *room, pushed, newest protocol.Seq) {
	t.Helper()
	line := &r.timeline
	if !line.loaded {
		return
	}
	if line.high < pushed {
		t.Fatalf("the stream is at %d, the timeline at %d", pushed, line.high)
	}
	all := w.states[line.high-1]
	if len(line.messages) == 0 {
		if len(all) > 0 && line.complete {
			t.Fatalf("the timeline is empty and %d messages are there", len(all))
		}
		return
	}
	from := indexOf(all, line.messages[0].Seq)
	if line.complete && from != 0 {
		t.Fatalf("the timeline says it is complete and begins with message %d of the room", from+1)
	}
	for i, m := range line.messages {
		if want := all[from:]; len(want) != len(line.messages) || want[i].Seq != m.Seq {
			t.Fatalf("the timeline has a hole: %d messages from %d on, not %d", len(line.messages), line.messages[0].Seq, len(want))
		}
	}
	if newest > pushed {
		return // a part is newer than the others; what they lack is on its way
	}
	for i, m := range line.messages {
		if diff := cmp.Diff(all[from+i], m); diff != "" {
			t.Fatalf("message %d is not as it stands at %d:\n%s", m.Seq, line.high, diff)
		}
	}
}

// press types a text and a key.
func press(m *Model, text string, names ...string) (do []Effect) {
	for _, r := range text {
		do = append(do, m.Update(Key{Name: string(r), Text: string(r)})...)
	}
	for _, name := range names {
		do = append(do, m.Update(Key{Name: name})...)
	}
	return do
}

func only[T any](effects []Effect) (found []T) {
	for _, e := range effects {
		if v, ok := e.(T); ok {
			found = append(found, v)
		}
	}
	return found
}

// chatting is a model with the room open, loaded and live.
func chatting(w *world) *Model {
	m := newModel()
	m.Update(Connection{client.State{Phase: client.Live, Hello: &protocol.HelloResult{}}})
	for _, e := range m.Update(inbox(w)) {
		if c, ok := e.(Call); ok {
			switch p := c.Params.(type) {
			case protocol.MessageListParams:
				m.Update(Answer{Call: c, Result: w.page(p, w.head())})
			case protocol.PageParams:
				m.Update(Answer{Call: c, Result: protocol.ReceiptListResult{Head: w.head(), Members: []protocol.Cursors{{User: "alice"}, {User: "bob"}}}})
			}
		}
	}
	return m
}

func TestAnOwnMessageGoesFromWaitingToRead(t *testing.T) {
	w := &world{}
	w.add("alice", protocol.RoomCreated, protocol.RoomCreatedData{})
	m := chatting(w)
	sent := only[Send](press(m, "hello @bob", "enter"))
	if len(sent) != 1 || sent[0].Message.Text != "hello @bob" || !slices.Equal(sent[0].Message.Mentions, []string{"bob"}) {
		t.Fatalf("sent %+v", sent)
	}
	shows := func(want tick) {
		t.Helper()
		if text := m.View().Text; !strings.Contains(text, "hello @bob "+want.sign()+" ") || strings.Count(text, "hello @bob") != 1 {
			t.Fatalf("%s is not shown once:\n%s", want.sign(), text)
		}
	}
	shows(tickPending)
	text := sent[0].Message.Text
	e := w.add("alice", protocol.MessageCreated, protocol.MessageCreatedData{ClientID: sent[0].Message.ClientID, N: 1, Text: &text})
	m.Update(Settled{Message: client.Queued{Message: sent[0].Message}, Result: protocol.MessageSendResult{Seq: e.Seq}})
	shows(tickSent)
	m.Update(Logged{e})
	shows(tickSent)
	receipt := func(c protocol.Cursors) {
		m.Update(Signalled{client.Signal{Name: protocol.SignalReceipt, Room: "r_1", Data: protocol.ReceiptData{Members: []protocol.Cursors{c}}}})
	}
	receipt(protocol.Cursors{User: "bob", Delivered: e.Seq})
	shows(tickDelivered)
	receipt(protocol.Cursors{User: "bob", Delivered: e.Seq, Read: e.Seq})
	shows(tickRead)
	receipt(protocol.Cursors{User: "bob", Delivered: 1, Read: 1})
	shows(tickRead)
}

func TestARefusedMessageCanBeSentAgain(t *testing.T) {
	w := &world{}
	w.add("alice", protocol.RoomCreated, protocol.RoomCreatedData{})
	m := chatting(w)
	first := only[Send](press(m, "hi", "enter"))[0]
	m.Update(Settled{Message: client.Queued{Message: first.Message}, Err: protocol.Errorf(protocol.Forbidden, "", "You are muted.")})
	if text := m.View().Text; !strings.Contains(text, "hi ✗") || !strings.Contains(text, "You are muted.") {
		t.Fatalf("the refusal is not shown:\n%s", text)
	}
	again := only[Send](press(m, "", "ctrl+r"))
	if len(again) != 1 || again[0].Message.ClientID != first.Message.ClientID {
		t.Fatalf("sent again: %+v", again)
	}
}

func TestARoomIsReadOnlyWhereItIsSeen(t *testing.T) {
	w := &world{}
	w.add("alice", protocol.RoomCreated, protocol.RoomCreatedData{})
	m := chatting(w)
	m.Update(Focus{false})
	if read := only[Read](m.Update(Logged{w.say("bob", "psst")})); len(read) > 0 || m.rooms["r_1"].unread != 1 {
		t.Fatalf("read behind the person's back: %v, %d unread", read, m.rooms["r_1"].unread)
	}
	if read := only[Read](m.Update(Focus{true})); !slices.Equal(read, []Read{{"r_1", 2}}) || m.rooms["r_1"].unread != 0 {
		t.Fatalf("in front again: %v, %d unread", read, m.rooms["r_1"].unread)
	}
	if read := only[Read](m.Update(Logged{w.say("bob", "and this")})); !slices.Equal(read, []Read{{"r_1", 3}}) {
		t.Fatalf("in front: %v", read)
	}
	press(m, "/help", "enter")
	if read := only[Read](m.Update(Logged{w.say("bob", "hidden")})); len(read) > 0 {
		t.Fatalf("read under an overlay: %v", read)
	}
}

// A direct room that was left comes back with its next event, which does not say what room it is.
func TestAHiddenRoomComesBack(t *testing.T) {
	w := &world{}
	w.add("alice", protocol.RoomCreated, protocol.RoomCreatedData{})
	m := chatting(w)
	event := w.say("bob", "are you there?")
	event.Room = "r_9"
	asked := only[Call](m.Update(Logged{event}))
	if len(asked) != 1 || asked[0].Method != protocol.RoomGet {
		t.Fatalf("asked %+v", asked)
	}
	info := protocol.Room{ID: "r_9", Kind: protocol.Direct, Settings: protocol.DefaultSettings()}
	named := only[Call](m.Update(Answer{Call: asked[0], Result: protocol.RoomGetResult{Room: info, Me: &protocol.Me{Unread: 1}, Head: event.Seq}}))
	if len(named) != 1 || named[0].Method != protocol.MemberList {
		t.Fatalf("then asked %+v", named)
	}
	m.Update(Answer{Call: named[0], Result: protocol.MemberListResult{Members: []protocol.Member{{User: "alice"}, {User: "bob"}}}})
	if r := m.rooms["r_9"]; r.title() != "bob" || r.unread != 1 || !strings.Contains(m.View().Text, "bob") {
		t.Errorf("%s with %d unread", r.title(), r.unread)
	}
}

// Until another room is there, what is written is not sent to the one that is left.
func TestNothingIsSentOnTheWayToAnotherRoom(t *testing.T) {
	w := &world{}
	w.add("alice", protocol.RoomCreated, protocol.RoomCreatedData{})
	m := chatting(w)
	asked := only[Call](press(m, "/new direct bob", "enter"))
	if sent := only[Send](press(m, "only for bob", "enter")); len(asked) != 1 || len(sent) != 0 {
		t.Fatalf("asked %+v, sent %+v", asked, sent)
	}
	info := protocol.Room{ID: "r_9", Kind: protocol.Direct, Settings: protocol.DefaultSettings()}
	m.Update(Answer{Call: asked[0], Result: protocol.RoomCreateResult{Room: info}})
	sent := only[Send](press(m, "for bob", "enter"))
	if len(sent) != 1 || sent[0].Message.Room != "r_9" {
		t.Fatalf("sent %+v", sent)
	}
}

func TestDraftsStayWithTheirRooms(t *testing.T) {
	w := &world{}
	w.add("alice", protocol.RoomCreated, protocol.RoomCreatedData{})
	m := chatting(w)
	other := w.room()
	other.ID, other.Name = "r_2", "kitchen"
	m.Update(Inbox{Rooms: []protocol.InboxEntry{{Room: other, Head: 1}}})
	press(m, "for the garden")
	saved := only[SaveDrafts](press(m, "", "ctrl+n"))
	if len(saved) != 1 || saved[0].Drafts["r_1"] != "for the garden" || m.open != "r_2" || m.editor.text() != "" {
		t.Fatalf("saved %v, open %s with %q", saved, m.open, m.editor.text())
	}
	press(m, "", "ctrl+p")
	if m.open != "r_1" || m.editor.text() != "for the garden" {
		t.Fatalf("open %s with %q", m.open, m.editor.text())
	}
}

func TestCommandsSayHowTheyAreWritten(t *testing.T) {
	m := newModel()
	for _, c := range allCommands() {
		m.notice = ""
		do := press(m, "/"+c.name, "enter")
		if len(do) == 0 && m.notice == "" && m.overlay == nil {
			t.Errorf("/%s without anything did and said nothing", c.name)
		}
		m.overlay = nil
	}
	press(m, "/nonsense", "enter")
	if !strings.Contains(m.View().Text, "no command /nonsense") {
		t.Errorf("an unknown command:\n%s", m.View().Text)
	}
}
