package chat

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/parley-im/parley/protocol"
)

// busyRoom is a group of an owner, a moderator and two members.
func busyRoom(t rapid.TB, kind protocol.Kind) *world {
	return newWorld(t, kind, as("ann", protocol.RoleOwner), as("ben", protocol.RoleModerator), as("cem", protocol.RoleMember), as("dan", protocol.RoleMember))
}

// §3, order of checks: visibility, client_id, rights, rate. Each fault hides those after it.
func TestOrderOfChecks(t *testing.T) {
	w := busyRoom(t, protocol.Group)
	first := w.text("first")
	w.must(user("cem"), protocol.MessageSend, first)
	w.rates = func(protocol.Time, Actor, string) *protocol.Error {
		return &protocol.Error{Code: protocol.RateLimited, Scope: protocol.ScopeUser}
	}
	other := &protocol.MessageSendParams{Room: theRoom, ClientID: first.ClientID, Text: "another"}

	w.refused(protocol.RateLimited, "", user("cem"), protocol.MessageSend, w.text("second"))
	w.member("cem").MutedUntil = start + 1
	w.refused(protocol.Forbidden, "", user("cem"), protocol.MessageSend, w.text("second"))
	w.refused(protocol.Conflict, "client_id", user("cem"), protocol.MessageSend, other)
	if e := w.must(user("cem"), protocol.MessageSend, first); e.Event != nil {
		t.Error("a repeat under mute and rate made an event")
	}
	w.must(user("ann"), protocol.MemberBan, &protocol.MemberBanParams{Room: theRoom, User: "cem"})
	for _, params := range []*protocol.MessageSendParams{first, other, w.text("second")} {
		if err := w.refused(protocol.NotFound, "room", user("cem"), protocol.MessageSend, params); *err != *protocol.RoomNotFound() {
			t.Errorf("got %v, want the one answer for every room that is not seen", err)
		}
	}
}

// §1, promise 2: a repeat answers with the first result, whatever has become of the message since.
func TestRepeatedSend(t *testing.T) {
	w := busyRoom(t, protocol.Channel)
	p := w.text("once")
	e := w.must(user("cem"), protocol.MessageSend, p)
	want := e.Answer.(protocol.MessageSendResult)
	if want.Duplicate || want.Seq != 2 || want.N != 1 || want.At != start || want.Room != theRoom {
		t.Fatalf("first result: %+v", want)
	}
	want.Duplicate = true
	repeat := func(when string) {
		t.Helper()
		again := w.must(user("cem"), protocol.MessageSend, p)
		if diff := cmp.Diff(any(want), again.Answer); diff != "" || again.Event != nil {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	w.now += 5000
	repeat("later")
	w.must(user("cem"), protocol.MessageDelete, &protocol.MessageParams{Room: theRoom, Seq: e.Event.Seq})
	repeat("when deleted")
	w.must(user("cem"), protocol.RoomLeave, &protocol.RoomEventParams{Room: theRoom})
	repeat("by one who has left a channel")

	// Another user's client_id is another's, and content is compared as JSON.
	if e := w.must(user("dan"), protocol.MessageSend, p); e.Event == nil {
		t.Error("the client_id of one user answered another")
	}
	sent := &protocol.MessageSendParams{Room: theRoom, ClientID: "json", Data: protocol.Raw(`{"a":1,"b":2}`)}
	w.must(user("dan"), protocol.MessageSend, sent)
	if e := w.must(user("dan"), protocol.MessageSend, &protocol.MessageSendParams{Room: theRoom, ClientID: "json", Data: protocol.Raw(`{"b": 2, "a": 1.0}`)}); e.Event != nil {
		t.Error("the same JSON in another spelling made an event")
	}
	// One namespace over all methods.
	w.refused(protocol.Conflict, "client_id", user("dan"), protocol.MessageDelete, &protocol.MessageParams{Room: theRoom, Seq: 2, ClientID: "json"})
}

// §4.3: the data of events is what was sent, white space apart.
func TestMessageData(t *testing.T) {
	w := busyRoom(t, protocol.Group)
	e := w.must(user("cem"), protocol.MessageSend, &protocol.MessageSendParams{
		Room: theRoom, ClientID: "x", Text: "a<b>\u2028", Data: protocol.Raw(`{ "k" : "\u00e9\/" , "n": 1.50 }`), Attachments: protocol.Raw(`[ {"u":1} ]`),
		Mentions: []string{"dan", "zoe", "dan", "cem"},
	})
	want := `{"client_id":"x","n":1,"text":"a<b>` + "\u2028" + `","data":{"k":"\u00e9\/","n":1.50},"attachments":[{"u":1}],"mentions":["dan","zoe","cem"]}`
	if got := string(e.Event.Data); got != want {
		t.Errorf("data:\n got %s\nwant %s", got, want)
	}
	if diff := cmp.Diff([]string{"dan"}, e.Mentioned); diff != "" {
		t.Errorf("members mentioned, the sender apart (-want +got):\n%s", diff)
	}
	wantHead := Head{Seq: 2, N: 1, Last: 2, At: start}
	if e.Head != wantHead || e.Event.N != 1 {
		t.Errorf("head %+v, n %d", e.Head, e.Event.N)
	}
	if row := w.member("cem"); row.SentN != 1 || row.SentAt != start || row.Read != 1 || row.Delivered != 1 {
		t.Errorf("sending moves no cursor: %+v", row)
	}
}

// §4.3: a reply to a reply belongs to the same root, which counts it and changes by it.
func TestThreads(t *testing.T) {
	w := busyRoom(t, protocol.Group)
	root := w.said(user("ann"), "root")
	reply := func(to protocol.Seq) *Effects {
		p := w.text("reply")
		p.ReplyTo = to
		return w.must(user("ben"), protocol.MessageSend, p)
	}
	first := reply(root)
	second := reply(first.Event.Seq)
	if first.Event.Thread != root || second.Event.Thread != root || second.Created.ReplyTo != first.Event.Seq {
		t.Errorf("threads: %d and %d of %d", first.Event.Thread, second.Event.Thread, root)
	}
	if got := w.state.Messages[root]; got.Replies != 2 || got.Rev != second.Event.Seq {
		t.Errorf("root: %d replies, rev %d", got.Replies, got.Rev)
	}
	// A deleted reply still counts, and its thread goes on.
	w.must(user("ben"), protocol.MessageDelete, &protocol.MessageParams{Room: theRoom, Seq: first.Event.Seq})
	w.must(user("ann"), protocol.MessageDelete, &protocol.MessageParams{Room: theRoom, Seq: root})
	third := reply(second.Event.Seq)
	if got := w.state.Messages[root]; got.Replies != 3 || got.Rev != third.Event.Seq || got.DeletedAt == 0 {
		t.Errorf("deleted root: %+v", got)
	}
	for _, to := range []protocol.Seq{1, root, first.Event.Seq, 999} {
		p := w.text("reply")
		p.ReplyTo = to
		w.refused(protocol.NotFound, "reply_to", user("ben"), protocol.MessageSend, p)
	}
	// A root that is no longer kept is no hindrance.
	delete(w.state.Messages, root)
	if e := reply(second.Event.Seq); e.Message != nil || e.Event.Thread != root {
		t.Errorf("reply below a root that is gone: %+v", e.Message)
	}
}

// §4.3: absent = unchanged, null = removed; the event holds the whole content.
func TestEdit(t *testing.T) {
	w := busyRoom(t, protocol.Group)
	seq := w.must(user("cem"), protocol.MessageSend, &protocol.MessageSendParams{Room: theRoom, ClientID: "m", Text: "one", Data: protocol.Raw(`{"a":1}`)}).Event.Seq
	null := protocol.Opt[string]{Set: true, Null: true}
	edit := func(p protocol.MessageEditParams) *Effects {
		t.Helper()
		p.Room, p.Seq = theRoom, seq
		return w.must(user("cem"), protocol.MessageEdit, &p)
	}
	w.now++
	if e := edit(protocol.MessageEditParams{Text: protocol.Some("two")}); string(e.Event.Data) != `{"target":2,"text":"two","data":{"a":1}}` || e.Event.Target != seq {
		t.Errorf("edit: %s", e.Event.Data)
	}
	if m := w.state.Messages[seq]; m.Rev != 3 || m.EditedAt != w.now || m.At != start {
		t.Errorf("edited: %+v", m)
	}
	if e := edit(protocol.MessageEditParams{Text: null}); string(e.Event.Data) != `{"target":2,"data":{"a":1}}` {
		t.Errorf("edit: %s", e.Event.Data)
	}
	for name, same := range map[string]protocol.MessageEditParams{
		"absent stays removed": {Text: protocol.Some("")}, "white space": {Data: protocol.Some(protocol.Raw(`{ "a" : 1 }`))}, "no list": {Attachments: protocol.Some(protocol.Raw(`[ ]`))},
	} {
		if e := edit(same); e.Event != nil || e.Answer != (protocol.SeqResult{Seq: w.state.Head.Seq, Duplicate: true}) {
			t.Errorf("%s: made an event or answered %+v", name, e.Answer)
		}
	}
	w.refused(protocol.BadRequest, "text", user("cem"), protocol.MessageEdit,
		&protocol.MessageEditParams{Room: theRoom, Seq: seq, Data: protocol.Opt[protocol.Raw]{Set: true, Null: true}})
	for _, missing := range []protocol.Seq{1, 3, 99} {
		w.refused(protocol.NotFound, "seq", user("cem"), protocol.MessageEdit, &protocol.MessageEditParams{Room: theRoom, Seq: missing, Text: protocol.Some("x")})
	}
}

// §4.3: deletion is real.
func TestDeletion(t *testing.T) {
	w := busyRoom(t, protocol.Group)
	root := w.said(user("ann"), "root")
	p := w.text("secret")
	p.ReplyTo, p.Mentions = root, []string{"dan"}
	seq := w.must(user("cem"), protocol.MessageSend, p).Event.Seq
	e := w.must(user("ben"), protocol.MessageDelete, &protocol.MessageParams{Room: theRoom, Seq: seq})
	if e.Redact != seq || e.Event.Target != seq || string(e.Event.Data) != `{"target":3}` {
		t.Errorf("deletion: %+v, data %s", e, e.Event.Data)
	}
	m := w.state.Messages[seq]
	if got := string(RedactedCreated(m)); got != `{"client_id":"`+p.ClientID+`","n":2,"reply_to":2,"thread":2,"deleted":true}` {
		t.Errorf("message.created after the deletion: %s", got)
	}
	if got := string(RedactedEdited(seq)); got != `{"target":3,"deleted":true}` {
		t.Errorf("message.edited after the deletion: %s", got)
	}
	m.Reactions = []protocol.Reaction{{Emoji: "+", Count: 1}}
	o := MessageObject(m, theRoom)
	if o.Text != nil || len(o.Mentions) != 0 || len(o.Reactions) != 0 || o.DeletedAt == 0 || o.Rev != e.Event.Seq || o.ReplyTo != root {
		t.Errorf("the message after its deletion: %+v", o)
	}

	again := w.must(user("ben"), protocol.MessageDelete, &protocol.MessageParams{Room: theRoom, Seq: seq})
	if again.Event != nil || again.Answer != (protocol.SeqResult{Seq: e.Event.Seq, Duplicate: true}) {
		t.Errorf("deleting again: %+v", again.Answer)
	}
	w.refused(protocol.NotFound, "seq", user("cem"), protocol.MessageEdit, &protocol.MessageEditParams{Room: theRoom, Seq: seq, Text: protocol.Some("x")})
	w.refused(protocol.NotFound, "seq", user("cem"), protocol.ReactionAdd, &protocol.ReactionParams{Room: theRoom, Seq: seq, Emoji: "+"})
	w.refused(protocol.NotFound, "seq", user("cem"), protocol.ReactionRemove, &protocol.ReactionParams{Room: theRoom, Seq: seq, Emoji: "+"})
	w.refused(protocol.NotFound, "seq", user("ben"), protocol.MessageDelete, &protocol.MessageParams{Room: theRoom, Seq: 1})
}

func TestReactions(t *testing.T) {
	w := busyRoom(t, protocol.Group)
	seq := w.said(user("ann"), "hello")
	plus := &protocol.ReactionParams{Room: theRoom, Seq: seq, Emoji: "+"}
	if e := w.must(user("cem"), protocol.ReactionRemove, plus); e.Event != nil {
		t.Error("a reaction that was never set was removed")
	}
	added := w.must(user("cem"), protocol.ReactionAdd, plus)
	if string(added.Event.Data) != `{"target":2,"emoji":"+"}` || added.Event.Target != seq || w.state.Messages[seq].Rev != added.Event.Seq {
		t.Errorf("added: %s, rev %d", added.Event.Data, w.state.Messages[seq].Rev)
	}
	w.must(user("dan"), protocol.ReactionAdd, plus)
	if e := w.must(user("cem"), protocol.ReactionAdd, plus); e.Answer != (protocol.SeqResult{Seq: added.Event.Seq, Duplicate: true}) {
		t.Errorf("set again: %+v, want the event that set it", e.Answer)
	}
	w.must(user("cem"), protocol.ReactionRemove, plus)
	if _, set := w.state.Reacted[ReactionKey{seq, "cem", "+"}]; set || len(w.state.Reacted) != 1 {
		t.Errorf("reactions left: %v", w.state.Reacted)
	}
	if w.state.Head.N != 1 {
		t.Errorf("reactions counted as messages: n = %d", w.state.Head.N)
	}
}

// A mute blocks writing until it ends, and no longer; what was said may still be taken back.
func TestMute(t *testing.T) {
	w := busyRoom(t, protocol.Channel)
	seq := w.said(user("cem"), "before")
	until := w.now + 60_000
	e := w.must(user("ben"), protocol.MemberUpdate, &protocol.MemberUpdateParams{Room: theRoom, User: "cem", MutedUntil: protocol.Some(until)})
	if got := string(e.Event.Data); got != `{"user":"cem","muted_until":"2023-11-14T22:14:20.000Z"}` {
		t.Errorf("data: %s", got)
	}
	writes := func() map[string]any {
		return map[string]any{
			protocol.MessageSend:    w.text("during"),
			protocol.MessageEdit:    &protocol.MessageEditParams{Room: theRoom, Seq: seq, Text: protocol.Some("x")},
			protocol.ReactionAdd:    &protocol.ReactionParams{Room: theRoom, Seq: seq, Emoji: "+"},
			protocol.ReactionRemove: &protocol.ReactionParams{Room: theRoom, Seq: seq, Emoji: "+"},
		}
	}
	blocked := func() {
		t.Helper()
		for method, params := range writes() {
			w.refused(protocol.Forbidden, "", user("cem"), method, params)
		}
	}
	blocked()
	w.must(user("cem"), protocol.RoomLeave, &protocol.RoomEventParams{Room: theRoom})
	w.must(user("cem"), protocol.RoomJoin, &protocol.RoomEventParams{Room: theRoom})
	blocked() // going and coming back does not end it
	w.now = until
	for method, params := range writes() {
		w.must(user("cem"), method, params)
	}
	w.now = until - 1
	blocked()
	e = w.must(user("ben"), protocol.MemberUpdate, &protocol.MemberUpdateParams{Room: theRoom, User: "cem", MutedUntil: protocol.Opt[protocol.Time]{Set: true, Null: true}})
	if got := string(e.Event.Data); got != `{"user":"cem","muted_until":null}` {
		t.Errorf("data: %s", got)
	}
	w.said(user("cem"), "after")
	w.must(user("ben"), protocol.MemberUpdate, &protocol.MemberUpdateParams{Room: theRoom, User: "cem", MutedUntil: protocol.Some(until)})
	w.must(user("cem"), protocol.MessageDelete, &protocol.MessageParams{Room: theRoom, Seq: seq})
}

// §4.2, §5: slow mode is the last check but the rates, and moderators and back ends are not under it.
func TestSlowMode(t *testing.T) {
	for _, kind := range []protocol.Kind{protocol.Group, protocol.Live} {
		w := busyRoom(t, kind)
		w.settings(protocol.SettingsPatch{SlowModeS: protocol.Some(int64(10))})
		slow := user("cem")
		if kind == protocol.Live {
			slow = user("out") // watches without a row
		}
		w.said(slow, "one")
		w.now += 3000
		taken := false
		w.rates = func(protocol.Time, Actor, string) *protocol.Error { taken = true; return nil }
		err := w.refused(protocol.RateLimited, "", slow, protocol.MessageSend, w.text("two"))
		if err.Scope != protocol.ScopeSlowMode || err.RetryAfterMS != 7000 || taken {
			t.Errorf("%s: %+v; rate taken: %v", kind, err, taken)
		}
		w.said(Actor{User: slow.User, Role: protocol.TokenUser, Backend: true}, "for a back end")
		w.said(user("ben"), "by a moderator")
		w.said(user("ben"), "by a moderator")
		w.now += 10_000
		w.said(slow, "three")
		if row := w.member("out"); row != nil && (row.State != NotMember || row.LeftSeq != 0 || w.state.Room.Members != 4) {
			t.Errorf("sending made a member: %+v", row)
		}
	}
	w := busyRoom(t, protocol.Live)
	if e := w.must(user("out"), protocol.MessageSend, w.text("fast")); e.Members != nil {
		t.Error("a watcher's message wrote a row without slow mode")
	}
}

// §4.2: with since_join, what was before one's latest member.joined does not exist.
func TestSinceJoin(t *testing.T) {
	w := busyRoom(t, protocol.Channel)
	w.settings(protocol.SettingsPatch{History: protocol.Some(protocol.HistorySinceJoin)})
	before := w.said(user("ann"), "before")
	own := w.said(user("cem"), "own")
	w.must(user("cem"), protocol.RoomLeave, &protocol.RoomEventParams{Room: theRoom})
	joined := w.must(user("cem"), protocol.RoomJoin, &protocol.RoomEventParams{Room: theRoom}).Event.Seq
	after := w.said(user("ann"), "after")

	reply := func(to protocol.Seq) *protocol.MessageSendParams {
		p := w.text("reply")
		p.ReplyTo = to
		return p
	}
	w.refused(protocol.NotFound, "reply_to", user("cem"), protocol.MessageSend, reply(before))
	w.refused(protocol.NotFound, "seq", user("cem"), protocol.MessageEdit, &protocol.MessageEditParams{Room: theRoom, Seq: own, Text: protocol.Some("x")})
	w.refused(protocol.NotFound, "seq", user("cem"), protocol.MessageDelete, &protocol.MessageParams{Room: theRoom, Seq: own})
	w.refused(protocol.NotFound, "seq", user("cem"), protocol.ReactionAdd, &protocol.ReactionParams{Room: theRoom, Seq: before, Emoji: "+"})
	w.must(user("cem"), protocol.MessageSend, reply(after))
	scene := &Scene{Room: w.state.Room, Head: w.state.Head, Me: w.member("cem")}
	if scene.From() != joined {
		t.Errorf("visible from %d, joined at %d", scene.From(), joined)
	}
}
