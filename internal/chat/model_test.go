package chat

import (
	"maps"
	"slices"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/parley-im/parley/protocol"
)

// fold is what a reader makes of a log alone. The state that Apply keeps must agree with it after any sequence of calls.
type fold struct {
	Members   map[string]protocol.Role
	Banned    map[string]bool
	Replies   map[protocol.Seq]uint64
	Reactions map[ReactionKey]protocol.Seq
	Content   map[protocol.Seq]Content // of messages that are not deleted
	Rev       map[protocol.Seq]protocol.Seq
	Own       map[string]protocol.Seq // the last message of each user
	Created   []protocol.Seq
	Deleted   bool
}

func foldLog(t rapid.TB, log []*Event) *fold {
	f := &fold{
		Members: map[string]protocol.Role{}, Banned: map[string]bool{}, Replies: map[protocol.Seq]uint64{},
		Reactions: map[ReactionKey]protocol.Seq{}, Content: map[protocol.Seq]Content{}, Rev: map[protocol.Seq]protocol.Seq{}, Own: map[string]protocol.Seq{},
	}
	for i, e := range log {
		if e.Seq != protocol.Seq(i)+1 {
			t.Fatalf("event %d has seq %d", i, e.Seq)
		}
		if f.Deleted {
			t.Fatalf("event %d comes after room.deleted", e.Seq)
		}
		f.add(t, e)
		if e.N != uint64(len(f.Created)) {
			t.Fatalf("event %d has n = %d, and there are %d messages", e.Seq, e.N, len(f.Created))
		}
	}
	return f
}

func (f *fold) add(t rapid.TB, e *Event) {
	switch e.Name {
	case protocol.RoomCreated:
		for _, m := range data[protocol.RoomCreatedData](t, e).Members {
			f.Members[m.User] = m.Role
		}
	case protocol.RoomDeleted:
		f.Deleted = true
	case protocol.MemberJoined:
		for _, user := range data[protocol.MemberJoinedData](t, e).Users {
			if _, is := f.Members[user]; is || f.Banned[user] {
				t.Fatalf("%s joined, being a member (%v) or banned", user, is)
			}
			f.Members[user] = protocol.RoleMember
		}
	case protocol.MemberLeft:
		left := data[protocol.MemberLeftData](t, e)
		for _, user := range left.Users {
			if _, is := f.Members[user]; !is && left.Reason != protocol.ReasonBanned {
				t.Fatalf("%s left, being no member", user)
			}
			delete(f.Members, user)
			f.Banned[user] = left.Reason == protocol.ReasonBanned
		}
	case protocol.MemberUnbanned:
		f.Banned[data[protocol.MemberUnbannedData](t, e).User] = false
	case protocol.MemberUpdated:
		if d := data[protocol.MemberUpdatedData](t, e); d.Role != "" {
			f.Members[d.User] = d.Role
		}
	default:
		f.addMessage(t, e)
	}
}

func (f *fold) addMessage(t rapid.TB, e *Event) {
	switch e.Name {
	case protocol.MessageCreated:
		d := data[protocol.MessageCreatedData](t, e)
		f.Created = append(f.Created, e.Seq)
		f.Content[e.Seq], f.Rev[e.Seq], f.Own[e.User] = Content{d.Text, d.Data, d.Attachments}, e.Seq, e.Seq
		if d.Thread != 0 {
			f.Replies[d.Thread]++
			f.Rev[d.Thread] = e.Seq
		}
	case protocol.MessageEdited:
		d := data[protocol.MessageEditedData](t, e)
		f.Content[d.Target], f.Rev[d.Target] = Content{d.Text, d.Data, d.Attachments}, e.Seq
	case protocol.MessageDeleted:
		d := data[protocol.MessageDeletedData](t, e)
		delete(f.Content, d.Target)
		f.Rev[d.Target] = e.Seq
	case protocol.ReactionAdded:
		d := data[protocol.ReactionData](t, e)
		f.Reactions[ReactionKey{d.Target, e.User, d.Emoji}], f.Rev[d.Target] = e.Seq, e.Seq
	case protocol.ReactionRemoved:
		d := data[protocol.ReactionData](t, e)
		delete(f.Reactions, ReactionKey{d.Target, e.User, d.Emoji})
		f.Rev[d.Target] = e.Seq
	}
}

func data[T any](t rapid.TB, e *Event) T {
	var d T
	if err := json.Unmarshal(e.Data, &d); err != nil {
		t.Fatalf("data of event %d, %s: %v", e.Seq, e.Data, err)
	}
	return d
}

// agree holds the state against the fold.
func (w *world) agree() {
	w.t.Helper()
	f := foldLog(w.t, w.log)
	members, banned, ownerRows := map[string]protocol.Role{}, map[string]bool{}, 0
	for id, m := range w.state.Members {
		if m.current() {
			members[id] = m.Role
			ownerRows += owners(m)
			w.agreeUnread(f, m)
		}
		banned[id] = m.State == IsBanned
	}
	maps.DeleteFunc(banned, func(_ string, is bool) bool { return !is })
	maps.DeleteFunc(f.Banned, func(_ string, is bool) bool { return !is })
	replies, rev, content := map[protocol.Seq]uint64{}, map[protocol.Seq]protocol.Seq{}, map[protocol.Seq]Content{}
	for seq, m := range w.state.Messages {
		rev[seq] = m.Rev
		if m.Replies > 0 {
			replies[seq] = m.Replies
		}
		if m.DeletedAt == 0 {
			content[seq] = m.Content
		} else if m.Content.Text != nil {
			w.t.Fatalf("message %d is deleted and has its text", seq)
		}
	}
	reacted := maps.Clone(w.state.Reacted)
	if reacted == nil {
		reacted = map[ReactionKey]protocol.Seq{}
	}
	got := &fold{Members: members, Banned: banned, Replies: replies, Reactions: reacted, Content: content, Rev: rev, Own: f.Own, Created: f.Created, Deleted: w.state.Room.Deleted}
	if diff := cmp.Diff(f, got); diff != "" {
		w.t.Fatalf("the state is not what its log says (-log +state):\n%s", diff)
	}
	if w.state.Room.Members != uint64(len(members)) || w.state.Owners != ownerRows {
		w.t.Fatalf("counts %d members and %d owners; rows: %d and %d", w.state.Room.Members, w.state.Owners, len(members), ownerRows)
	}
}

// agreeUnread counts by hand: messages after the read cursor and after one's own last message.
func (w *world) agreeUnread(f *fold, m *Member) {
	w.t.Helper()
	unread := uint64(0)
	for _, seq := range f.Created {
		if seq > m.Read && seq > f.Own[m.User] {
			unread++
		}
	}
	if got := m.Unread(w.state.Head.N); got != unread {
		w.t.Fatalf("%s: unread = %d, want %d", m.User, got, unread)
	}
	if m.Read < m.JoinedSeq || m.Delivered < m.Read || m.Read > w.state.Head.Seq {
		w.t.Fatalf("cursors: %+v", m)
	}
}

// The random caller.
func anyActor() *rapid.Generator[Actor] {
	return rapid.Custom(func(t *rapid.T) Actor {
		id := rapid.SampledFrom([]string{"ann", "ben", "cem", "dan", "eve", ""}).Draw(t, "user")
		if id == "" {
			return server
		}
		roles := []protocol.TokenRole{protocol.TokenUser, protocol.TokenUser, protocol.TokenUser, protocol.TokenModerator, protocol.TokenAdmin}
		return withRole(id, rapid.SampledFrom(roles).Draw(t, "token"))
	})
}

// anyCall draws a method with its params.
func (w *world) anyCall(t *rapid.T) (string, any) {
	who := rapid.SampledFrom([]string{"ann", "ben", "cem", "dan", "eve", "fay"})
	seq := rapid.Uint64Range(1, w.state.Head.Seq+1)
	id := rapid.SampledFrom([]string{"", "a", "b", "c", "d", "e", "f", "g"}).Draw(t, "client_id")
	text := rapid.SampledFrom([]string{"x", "y"})
	emoji := rapid.SampledFrom([]string{"+", "-"})
	methods := []string{
		protocol.MessageSend, protocol.MessageSend, protocol.MessageSend, protocol.MessageEdit, protocol.MessageDelete, protocol.ReactionAdd, protocol.ReactionRemove,
		protocol.MemberAdd, protocol.MemberRemove, protocol.MemberBan, protocol.MemberUnban, protocol.MemberUpdate, protocol.RoomJoin, protocol.RoomLeave, protocol.RoomUpdate,
	}
	method := rapid.SampledFrom(methods).Draw(t, "method")
	switch method {
	case protocol.MessageSend:
		p := w.text(text.Draw(t, "text"))
		if id != "" {
			p.ClientID = id
		}
		if rapid.Bool().Draw(t, "reply") {
			p.ReplyTo = seq.Draw(t, "reply_to")
		}
		return method, p
	case protocol.MessageEdit:
		return method, &protocol.MessageEditParams{Room: theRoom, Seq: seq.Draw(t, "seq"), Text: protocol.Some(text.Draw(t, "text")), ClientID: id}
	case protocol.MessageDelete:
		return method, &protocol.MessageParams{Room: theRoom, Seq: seq.Draw(t, "seq"), ClientID: id}
	case protocol.ReactionAdd, protocol.ReactionRemove:
		return method, &protocol.ReactionParams{Room: theRoom, Seq: seq.Draw(t, "seq"), Emoji: emoji.Draw(t, "emoji"), ClientID: id}
	case protocol.MemberAdd:
		return method, &protocol.MemberAddParams{Room: theRoom, Users: rapid.SliceOfN(who, 1, 3).Draw(t, "users"), ClientID: id}
	case protocol.MemberRemove, protocol.MemberUnban:
		return method, &protocol.MemberParams{Room: theRoom, User: who.Draw(t, "user"), ClientID: id}
	case protocol.MemberBan:
		return method, &protocol.MemberBanParams{Room: theRoom, User: who.Draw(t, "user"), ClientID: id}
	case protocol.MemberUpdate:
		roles := []protocol.Role{"", protocol.RoleMember, protocol.RoleModerator, protocol.RoleAdmin, protocol.RoleOwner}
		return method, &protocol.MemberUpdateParams{Room: theRoom, User: who.Draw(t, "user"), Role: rapid.SampledFrom(roles).Draw(t, "role"), ClientID: id}
	case protocol.RoomUpdate:
		history := rapid.SampledFrom([]protocol.History{protocol.HistoryAll, protocol.HistorySinceJoin}).Draw(t, "history")
		return method, &protocol.RoomUpdateParams{
			Room: theRoom, Settings: protocol.Some(protocol.SettingsPatch{History: protocol.Some(history)}), ClientID: id,
		}
	}
	return method, &protocol.RoomEventParams{Room: theRoom, ClientID: id}
}

// Any sequence of calls keeps the state what its log says, changes nothing in deciding, answers repeats with the first result, and does not let the last
// owner leave.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]protocol.Kind{protocol.Group, protocol.Channel, protocol.Live}).Draw(t, "kind")
		w := newWorld(t, kind, as("ann", protocol.RoleOwner), as("ben", protocol.RoleMember), as("cem", protocol.RoleMember))
		type accepted struct {
			append *Append
			seq    protocol.Seq
		}
		var known []accepted
		t.Repeat(map[string]func(*rapid.T){
			"call": func(t *rapid.T) {
				actor := anyActor().Draw(t, "actor")
				method, params := w.anyCall(t)
				a := NewAppend(actor, method, params)
				before := copyState(w.state)
				if e, err := w.state.Decide(a, w.now, w.rates); err == nil && e.Answer == nil {
					t.Fatal("accepted without an answer")
				}
				if diff := cmp.Diff(before, w.state); diff != "" {
					t.Fatalf("Decide changed the state:\n%s", diff)
				}
				e, err := w.append(a)
				if err != nil || e.Event == nil {
					return
				}
				if e.Event.ClientID != "" {
					known = append(known, accepted{a, e.Event.Seq})
				}
				if method == protocol.RoomLeave && before.Owners > 0 && w.state.Owners == 0 {
					t.Fatal("the last owner left")
				}
			},
			"repeat": func(t *rapid.T) {
				if len(known) == 0 {
					t.Skip("nothing to repeat")
				}
				k := rapid.SampledFrom(known).Draw(t, "accepted")
				e, err := w.append(k.append)
				if !visible(w.state.Room, w.state.Members[k.append.Actor.User], k.append.Actor) {
					if err == nil || *err != *protocol.RoomNotFound() {
						t.Fatalf("a repeat by one who no longer sees the room: %v", err)
					}
					return
				}
				if err != nil || e.Event != nil || answeredSeq(t, e.Answer) != k.seq {
					t.Fatalf("a repeat of event %d: %+v, %v", k.seq, e, err)
				}
			},
			"read": func(t *rapid.T) {
				m := w.state.Members[rapid.SampledFrom(slices.Sorted(maps.Keys(w.state.Members))).Draw(t, "reader")]
				seq := rapid.Uint64Range(1, w.state.Head.Seq).Draw(t, "seq")
				if m.current() && seq > m.Read {
					m.Read, m.ReadN, m.Delivered = seq, w.log[seq-1].N, max(m.Delivered, seq)
				}
			},
			"": func(t *rapid.T) { w.agree() },
		})
	})
}

// answeredSeq is the seq of a duplicate's answer.
func answeredSeq(t rapid.TB, answer any) protocol.Seq {
	switch a := answer.(type) {
	case protocol.SeqResult:
		return a.Seq
	case protocol.MessageSendResult:
		return a.Seq
	case protocol.MemberAddResult:
		return a.Seq
	case protocol.RoomJoinResult:
		return a.Seq
	case protocol.RoomUpdateResult:
		return a.Seq
	}
	t.Fatalf("an answer without a seq: %+v", answer)
	return 0
}
