package chat

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-im/parley/protocol"
)

// §5: room.created holds the room and its first members, and is seq 1.
func TestRoomCreated(t *testing.T) {
	w := newWorld(t, protocol.Group, as("ann", protocol.RoleOwner), as("ben", protocol.RoleMember))
	e := w.log[0]
	want := `{"room":{"id":"r_room","kind":"group","name":"","topic":"","avatar":"","data":null,"settings":` +
		`{"history":"all","post":"members","slow_mode_s":0,"receipts":true,"sample_per_s":0,"retention_days":0},` +
		`"created_at":"2023-11-14T22:13:20.000Z","created_by":"ann","first":1,"head":1,"messages":0},` +
		`"members":[{"user":"ann","role":"owner"},{"user":"ben","role":"member"}]}`
	if got := string(e.Data); got != want {
		t.Errorf("data:\n got %s\nwant %s", got, want)
	}
	if e.Seq != 1 || e.Name != protocol.RoomCreated || !cmp.Equal(e.Joined, []string{"ann", "ben"}) || w.state.Owners != 1 || w.state.Room.Members != 2 {
		t.Errorf("event %+v, %d owners of %d members", e, w.state.Owners, w.state.Room.Members)
	}
	for _, row := range w.state.Members {
		if row.Read != 1 || row.Delivered != 1 || row.JoinedSeq != 1 || row.JoinedAt != start || row.State != IsMember {
			t.Errorf("row: %+v", row)
		}
	}
}

func TestRoomCreateNamesUnknown(t *testing.T) {
	p := &protocol.RoomCreateParams{Kind: protocol.Group, Members: []string{"ben", "nobody"}}
	members := []protocol.MemberRole{as("ann", protocol.RoleOwner), as("ben", protocol.RoleMember), as("nobody", protocol.RoleMember)}
	a := newRoomAppend(user("ann"), p, theRoom, "", members)
	s := &State{Users: map[string]bool{"ben": true}}
	if _, err := s.Decide(a, start, rateFunc(nil)); err == nil || err.Code != protocol.NotFound || err.Field != "members" {
		t.Errorf("by a user: %v", err)
	}
	a.Actor = server
	if _, err := s.Decide(a, start, rateFunc(nil)); err != nil {
		t.Errorf("by a back end, who makes exist whom it names: %v", err)
	}
}

// §4.2: an update merges, null restores a default, and the event tells what changed.
func TestRoomUpdate(t *testing.T) {
	w := busyRoom(t, protocol.Group)
	update := func(p protocol.RoomUpdateParams) *Effects {
		t.Helper()
		p.Room = theRoom
		return w.must(user("ann"), protocol.RoomUpdate, &p)
	}
	e := update(protocol.RoomUpdateParams{
		Name: protocol.Some("tea"), Data: protocol.Some(protocol.Raw(`{"a": 1}`)),
		Settings: protocol.Some(protocol.SettingsPatch{SlowModeS: protocol.Some(int64(5)), Receipts: protocol.Some(false)}),
	})
	want := `{"name":"tea","data":{"a":1},"settings":{"history":"all","post":"members","slow_mode_s":5,"receipts":false,"sample_per_s":0,"retention_days":0}}`
	if got := string(e.Event.Data); got != want {
		t.Errorf("data:\n got %s\nwant %s", got, want)
	}
	result := e.Answer.(protocol.RoomUpdateResult)
	if result.Seq != 2 || result.Room.Name != "tea" || result.Room.Head != 2 || result.Duplicate {
		t.Errorf("result: %+v", result)
	}
	same := update(protocol.RoomUpdateParams{Name: protocol.Some("tea"), Settings: protocol.Some(protocol.SettingsPatch{})})
	if r := same.Answer.(protocol.RoomUpdateResult); same.Event != nil || !r.Duplicate || r.Seq != 2 {
		t.Errorf("no change: %+v", r)
	}
	e = update(protocol.RoomUpdateParams{
		Name: protocol.Opt[string]{Set: true, Null: true}, Data: protocol.Opt[protocol.Raw]{Set: true, Null: true},
		Settings: protocol.Some(protocol.SettingsPatch{Receipts: protocol.Opt[bool]{Set: true, Null: true}}),
	})
	want = `{"name":"","data":null,"settings":{"history":"all","post":"members","slow_mode_s":5,"receipts":true,"sample_per_s":0,"retention_days":0}}`
	if got := string(e.Event.Data); got != want {
		t.Errorf("data:\n got %s\nwant %s", got, want)
	}
	update(protocol.RoomUpdateParams{Settings: protocol.Opt[protocol.SettingsPatch]{Set: true, Null: true}})
	if w.state.Room.Settings != protocol.DefaultSettings() {
		t.Errorf("settings: null left %+v", w.state.Room.Settings)
	}
}

// §4.2: room.deleted is the last event; afterwards the room does not exist, for anyone.
func TestRoomDeleted(t *testing.T) {
	w := busyRoom(t, protocol.Channel)
	p := &protocol.RoomEventParams{Room: theRoom, ClientID: "d"}
	if e := w.must(user("ann"), protocol.RoomDelete, p); string(e.Event.Data) != `{}` || e.Answer != (protocol.SeqResult{Seq: 2}) {
		t.Errorf("deleted: %s, %+v", e.Event.Data, e.Answer)
	}
	for _, actor := range []Actor{user("ann"), user("out"), withRole("ann", protocol.TokenAdmin), server} {
		w.refused(protocol.NotFound, "room", actor, protocol.RoomDelete, p)
		w.refused(protocol.NotFound, "room", actor, protocol.RoomUpdate, &protocol.RoomUpdateParams{Room: theRoom, Name: protocol.Some("x")})
	}
	if w.state.Head.Seq != 2 {
		t.Errorf("head is %d after the last event", w.state.Head.Seq)
	}
}

// The zero Actor, and what is no method of the log, are refused whatever the room.
func TestDefaultDeny(t *testing.T) {
	for _, kind := range []protocol.Kind{protocol.Group, protocol.Channel, protocol.Live} {
		w := busyRoom(t, kind)
		w.refused(protocol.NotFound, "room", Actor{}, protocol.MessageSend, w.text("x"))
		w.refused(protocol.NotFound, "room", Actor{Role: protocol.TokenAdmin}, protocol.RoomDelete, &protocol.RoomEventParams{Room: theRoom})
		w.refused(protocol.BadRequest, "method", user("ann"), protocol.RoomGet, &protocol.RoomEventParams{Room: theRoom})
	}
	empty := &State{}
	if _, err := empty.Decide(NewAppend(user("ann"), protocol.RoomCreate, &protocol.RoomCreateParams{}), start, nil); err == nil {
		t.Error("a room was made of nothing")
	}
}

// Who may read what in each kind: reading needs more than seeing.
func TestAccess(t *testing.T) {
	ok := protocol.Code("")
	for _, c := range []struct {
		kind                              protocol.Kind
		history                           protocol.History
		who                               string
		visible, readable, people, cursor protocol.Code
	}{
		{protocol.Group, protocol.HistoryAll, "cem", ok, ok, ok, ok},
		{protocol.Group, protocol.HistoryAll, "out", protocol.NotFound, protocol.NotFound, protocol.NotFound, protocol.NotFound},
		{protocol.Group, protocol.HistoryAll, "", ok, ok, ok, ok},
		{protocol.Channel, protocol.HistoryAll, "cem", ok, ok, ok, ok},
		{protocol.Channel, protocol.HistoryAll, "out", ok, ok, protocol.Forbidden, protocol.Forbidden},
		{protocol.Channel, protocol.HistorySinceJoin, "out", ok, protocol.Forbidden, protocol.Forbidden, protocol.Forbidden},
		{protocol.Channel, protocol.HistorySinceJoin, "cem", ok, ok, ok, ok},
		{protocol.Channel, protocol.HistoryAll, "banned", protocol.NotFound, protocol.NotFound, protocol.NotFound, protocol.NotFound},
		{protocol.Live, protocol.HistoryAll, "cem", ok, ok, ok, protocol.BadRequest},
		{protocol.Live, protocol.HistorySinceJoin, "out", ok, ok, protocol.Forbidden, protocol.BadRequest},
		{protocol.Live, protocol.HistoryAll, "banned", protocol.NotFound, protocol.NotFound, protocol.NotFound, protocol.NotFound},
	} {
		w := busyRoom(t, c.kind)
		w.must(user("ann"), protocol.MemberBan, &protocol.MemberBanParams{Room: theRoom, User: "banned"})
		w.settings(protocol.SettingsPatch{History: protocol.Some(c.history)})
		actor := user(c.who)
		if c.who == "" {
			actor = server
		}
		// The admin of a token sees no more than anybody else.
		for _, role := range []protocol.TokenRole{protocol.TokenUser, protocol.TokenAdmin} {
			actor.Role = role
			sc := &Scene{Room: w.state.Room, Head: w.state.Head, Me: w.member(c.who)}
			got := [...]*protocol.Error{sc.Visible(actor), sc.Readable(actor), sc.People(actor), sc.Receipts(actor)}
			for i, want := range [...]protocol.Code{c.visible, c.readable, c.people, c.cursor} {
				if got[i] == nil && want != ok || got[i] != nil && got[i].Code != want {
					t.Errorf("%s %s, %q as %s, check %d: got %v, want %q", c.kind, c.history, c.who, role, i, got[i], want)
				}
			}
		}
	}
}

func TestMoveCheck(t *testing.T) {
	w := busyRoom(t, protocol.Channel)
	for who, want := range map[string]protocol.Code{"cem": "", "out": protocol.Forbidden} {
		m := &Move{Actor: user(who), Field: "cursors"}
		if err := m.Check(w.state.Room, w.member(who)); err == nil && want != "" || err != nil && (err.Code != want || err.Field != "cursors") {
			t.Errorf("%s: %v", who, err)
		}
	}
	m := &Move{Actor: user("cem"), Field: "cursors"}
	if err := m.Check(nil, nil); err == nil || err.Code != protocol.NotFound || err.Field != "cursors" || err.Message != protocol.RoomNotFound().Message {
		t.Errorf("no such room: %v", err)
	}
}
