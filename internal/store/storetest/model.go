package storetest

import (
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/protocol"
)

// testModel carries out random calls in a room that keeps its events for a day, and in a model of it that fits on two pages; every few calls and in the end both
// must show the same.
func testModel(f *fixture) {
	users := []string{"ann", "bob", "cid", "dan"}
	f.must(f.store.Ensure(f.Context(), users...))
	rapid.Check(f.t, func(t *rapid.T) {
		f := f.under(t)
		m := &model{f: f, users: users, members: map[string]*modelMember{}}
		f.clock.advance(time.Second) // so that the room comes to the top of the inbox
		m.room = keeping(f, 1, "ann", "bob")
		m.log(protocol.RoomCreated)
		m.join("ann", "bob")
		t.Repeat(map[string]func(*rapid.T){
			"send":   m.send,
			"edit":   m.edit,
			"delete": m.delete,
			"react":  m.react,
			"add":    m.add,
			"remove": m.remove,
			"read":   m.read,
			"repeat": m.repeat,
			"age":    m.age,
			"": func(*rapid.T) {
				if len(m.names)%5 == 0 {
					m.check()
				}
			},
		})
		m.check()
	})
}

// model is a room as the protocol tells of it.
type model struct {
	f        *fixture
	room     string
	users    []string
	names    []protocol.Name // the log
	numbers  []uint64        // the running number at each event
	times    []time.Time     // when each event was made
	pruned   protocol.Seq    // up to which events are gone
	members  map[string]*modelMember
	messages []*modelMessage
}

type modelMember struct {
	now             bool
	read, delivered protocol.Seq
	sent            uint64
}

type modelMessage struct {
	seq, rev  protocol.Seq
	n         uint64
	user      string
	text      string
	thread    protocol.Seq
	replies   uint64
	deleted   bool
	told      []string // members whom it names
	reactions []modelReaction

	params *protocol.MessageSendParams
	answer protocol.MessageSendResult
}

type modelReaction struct{ emoji, user string }

// log notes an event and returns its seq.
func (m *model) log(name protocol.Name) protocol.Seq {
	n := uint64(len(m.messages))
	if name == protocol.MessageCreated {
		n++
	}
	m.names, m.numbers, m.times = append(m.names, name), append(m.numbers, n), append(m.times, m.f.clock.now())
	return protocol.Seq(len(m.names))
}

func (m *model) join(users ...string) {
	seq := protocol.Seq(len(m.names))
	for _, user := range users {
		if m.members[user] == nil {
			m.members[user] = &modelMember{}
		}
		*m.members[user] = modelMember{now: true, read: seq, delivered: seq, sent: m.members[user].sent}
	}
}

// pick draws one of those for which ok holds, or gives up the action.
func pick[T any](t *rapid.T, what string, from []T, ok func(T) bool) T {
	from = slices.DeleteFunc(slices.Clone(from), func(v T) bool { return !ok(v) })
	if len(from) == 0 {
		t.Skip("nobody")
	}
	return rapid.SampledFrom(from).Draw(t, what)
}

func (m *model) isMember(user string) bool { return m.members[user] != nil && m.members[user].now }

func (m *model) present(msg *modelMessage) bool { return m.kept(msg) && !msg.deleted }

func (m *model) kept(msg *modelMessage) bool { return msg.seq > m.pruned }

func (m *model) send(t *rapid.T) {
	user := pick(t, "sender", m.users, m.isMember)
	p := &protocol.MessageSendParams{Room: m.room, ClientID: m.f.clientID(), Text: rapid.StringN(1, 8, -1).Filter(noNUL).Draw(t, "text")}
	p.Mentions = rapid.SliceOfDistinct(rapid.SampledFrom(m.users), rapid.ID).Draw(t, "mentions")
	msg := &modelMessage{n: uint64(len(m.messages)) + 1, user: user, text: p.Text}
	for _, named := range p.Mentions {
		if m.isMember(named) && named != user {
			msg.told = append(msg.told, named)
		}
	}
	if rapid.Bool().Draw(t, "a reply") {
		to := pick(t, "to", m.messages, m.present)
		if p.ReplyTo, msg.thread = to.seq, to.seq; to.thread != 0 {
			msg.thread = to.thread
		}
	}
	got := call[protocol.MessageSendResult](m.f, user, protocol.MessageSend, p)
	msg.seq = m.log(protocol.MessageCreated)
	msg.rev = msg.seq
	if root := m.at(msg.thread); root != nil {
		root.replies++
		root.rev = msg.seq
	}
	msg.params, msg.answer = p, got
	msg.answer.Duplicate = true
	m.messages = append(m.messages, msg)
	m.members[user].sent = msg.n
	m.f.equal("seq and number", [2]uint64{got.Seq, got.N}, [2]uint64{msg.seq, msg.n})
}

func noNUL(s string) bool { return !slices.Contains([]rune(s), 0) }

func (m *model) at(seq protocol.Seq) *modelMessage {
	for _, msg := range m.messages {
		if msg.seq == seq {
			return msg
		}
	}
	return nil
}

// did notes what a call about a message came to.
func (m *model) did(msg *modelMessage, name protocol.Name, seq protocol.Seq) {
	msg.rev = m.log(name)
	m.f.equal(string(name), seq, msg.rev)
}

// repeat sends a message again, whatever has become of it.
func (m *model) repeat(t *rapid.T) {
	msg := pick(t, "message", m.messages, func(msg *modelMessage) bool { return m.isMember(msg.user) })
	m.f.equal("repeated", call[protocol.MessageSendResult](m.f, msg.user, protocol.MessageSend, msg.params), msg.answer)
}

// age lets time pass, and the sweep come.
func (m *model) age(t *rapid.T) {
	m.f.clock.advance(time.Duration(rapid.IntRange(1, 20).Draw(t, "hours")) * time.Hour)
	m.f.apply(m.f.store)
	prune(m.f, m.f.store, m.room)
	for int(m.pruned) < len(m.times) && m.f.clock.now().Sub(m.times[m.pruned]) > day {
		m.pruned++
	}
}

func (m *model) edit(t *rapid.T) {
	msg := pick(t, "message", m.messages, func(msg *modelMessage) bool { return m.present(msg) && m.isMember(msg.user) })
	text := msg.text + "+"
	seq := m.f.edit(m.room, msg.user, msg.seq, text)
	msg.text = text
	m.did(msg, protocol.MessageEdited, seq)
}

func (m *model) delete(t *rapid.T) {
	msg := pick(t, "message", m.messages, m.present)
	seq := m.f.delete(m.room, "ann", msg.seq) // ann owns the room
	msg.deleted, msg.text, msg.told, msg.reactions = true, "", nil, nil
	m.did(msg, protocol.MessageDeleted, seq)
}

func (m *model) react(t *rapid.T) {
	msg := pick(t, "message", m.messages, m.present)
	r := modelReaction{rapid.SampledFrom([]string{"a", "b", "🙂"}).Draw(t, "emoji"), pick(t, "user", m.users, m.isMember)}
	if slices.Contains(msg.reactions, r) {
		seq := m.f.react(protocol.ReactionRemove, m.room, r.user, msg.seq, r.emoji)
		msg.reactions = slices.DeleteFunc(msg.reactions, func(other modelReaction) bool { return other == r })
		m.did(msg, protocol.ReactionRemoved, seq)
		return
	}
	seq := m.f.react(protocol.ReactionAdd, m.room, r.user, msg.seq, r.emoji)
	msg.reactions = append(msg.reactions, r)
	m.did(msg, protocol.ReactionAdded, seq)
}

func (m *model) add(t *rapid.T) {
	user := pick(t, "user", m.users, func(u string) bool { return !m.isMember(u) })
	seq := m.f.add(m.room, "ann", user)
	m.f.equal("joined", seq, m.log(protocol.MemberJoined))
	m.join(user)
}

func (m *model) remove(t *rapid.T) {
	user := pick(t, "user", m.users, func(u string) bool { return u != "ann" && m.isMember(u) })
	seq := m.f.member(protocol.MemberRemove, m.room, "ann", user)
	m.f.equal("left", seq, m.log(protocol.MemberLeft))
	m.members[user].now = false
}

func (m *model) read(t *rapid.T) {
	user := pick(t, "reader", m.users, m.isMember)
	seq := rapid.Uint64Range(1, uint64(len(m.names))+2).Draw(t, "seq")
	me := m.members[user]
	if seq = min(seq, uint64(len(m.names))); seq > me.read {
		me.read = max(seq, m.pruned)
	}
	me.delivered = max(me.delivered, me.read)
	m.f.equal("cursors", m.f.read(m.room, user, seq), protocol.ReceiptReadResult{Read: me.read, Delivered: me.delivered, Unread: m.unread(user)})
}

// passed is the number up to which a member has read.
func (m *model) passed(user string) uint64 {
	me := m.members[user]
	return max(m.numbers[me.read-1], me.sent)
}

func (m *model) unread(user string) uint64 { return uint64(len(m.messages)) - m.passed(user) }

func (m *model) mentions(user string) uint64 {
	count := uint64(0)
	for _, msg := range m.messages {
		if m.kept(msg) && msg.n > m.passed(user) && slices.Contains(msg.told, user) {
			count++
		}
	}
	return count
}

// shown is a message as a user sees it.
type shown struct {
	Seq, Rev, Thread protocol.Seq
	N, Replies       uint64
	User, Text       string
	Deleted          bool
	Reactions        []protocol.Reaction
}

func (m *model) show(msg *modelMessage, user string) shown {
	s := shown{msg.seq, msg.rev, msg.thread, msg.n, msg.replies, msg.user, msg.text, msg.deleted, nil}
	for _, r := range msg.reactions {
		i := slices.IndexFunc(s.Reactions, func(sum protocol.Reaction) bool { return sum.Emoji == r.emoji })
		if i < 0 {
			i = len(s.Reactions)
			s.Reactions = append(s.Reactions, protocol.Reaction{Emoji: r.emoji})
		}
		s.Reactions[i].Count++
		s.Reactions[i].Mine = s.Reactions[i].Mine || r.user == user
	}
	return s
}

// check holds the store against the model.
func (m *model) check() {
	f := m.f
	user := m.users[len(m.names)%len(m.users)] // each in turn
	if !m.isMember(user) {
		user = "ann"
	}
	var want []shown
	for _, msg := range m.messages {
		if m.kept(msg) {
			want = append(want, m.show(msg, user))
		}
	}
	var members []string
	for _, u := range m.users {
		if m.isMember(u) {
			members = append(members, u)
		}
	}
	f.view(m.room, user, func(sc *chat.Scene, snap chat.Snapshot) {
		f.equal("head", [2]uint64{sc.Head.Seq, sc.Head.N}, [2]uint64{uint64(len(m.names)), uint64(len(m.messages))})
		f.equal("number of members", sc.Room.Members, uint64(len(members)))
		messages, _, err := snap.Messages(f.Context(), chat.MessageQuery{From: 1, Limit: 1000})
		f.must(err)
		var got []shown
		for i, msg := range messages {
			got = append(got, shown{
				msg.Seq, msg.Rev, msg.Thread, msg.N, msg.Replies, msg.User, texts(messages[i : i+1])[0], msg.DeletedAt != 0, msg.Reactions,
			})
		}
		f.equal("messages for "+user, got, want)
		rows, err := snap.Members(f.Context(), "", 100)
		f.must(err)
		var ids []string
		for _, row := range rows {
			ids = append(ids, row.User)
			me := m.members[row.User]
			f.equal("cursors of "+row.User, [2]protocol.Seq{row.Read, row.Delivered}, [2]protocol.Seq{me.read, me.delivered})
			f.equal("unread of "+row.User, row.Unread(sc.Head.N), m.unread(row.User))
		}
		f.equal("members", ids, members)
		events, err := snap.Events(f.Context(), 0, 0, 10_000)
		f.must(err)
		var names []protocol.Name
		for _, e := range events {
			names = append(names, e.Name)
		}
		f.equal("log", names, m.names[m.pruned:])
		f.equal("first", sc.Room.First, m.pruned+1)
	})
	m.checkInbox(user, want)
}

// checkInbox holds the user's entry against the model; a room so new is on the first page.
func (m *model) checkInbox(user string, messages []shown) {
	f := m.f
	page, err := f.store.List(f.Context(), user, chat.InboxQuery{Limit: 50})
	f.must(err)
	i := slices.IndexFunc(page.Entries, func(e chat.InboxEntry) bool { return e.Scene.Room.ID == m.room })
	if i < 0 {
		f.Fatalf("the room is not in the inbox of %s", user)
	}
	e := page.Entries[i]
	f.equal("mentions of "+user, e.Mentions, m.mentions(user))
	if len(messages) == 0 {
		f.equal("no last message", e.Last, (*chat.Message)(nil))
		return
	}
	last := messages[len(messages)-1]
	f.equal("last message", fmt.Sprint(e.Last.Seq, e.Last.Rev, e.Last.Reactions), fmt.Sprint(last.Seq, last.Rev, last.Reactions))
}
