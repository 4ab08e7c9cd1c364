package chat

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-im/parley/protocol"
)

// create makes a room and returns its id.
func create(t *testing.T, s *Service, by string, p protocol.RoomCreateParams) string {
	t.Helper()
	result, err := s.CreateRoom(t.Context(), user(by), &p)
	if err != nil {
		t.Fatalf("room.create: %v", err)
	}
	return result.Room.ID
}

// do is Do where a refusal ends the test.
func do[R any](t *testing.T, s *Service, actor Actor, method string, params any) R {
	t.Helper()
	answer, err := s.Do(t.Context(), actor, method, params)
	if err != nil {
		t.Fatalf("%s: %v", method, err)
	}
	return answer.(R)
}

func send(t *testing.T, s *Service, by, room, id, text string, mentions ...string) protocol.Seq {
	t.Helper()
	p := &protocol.MessageSendParams{Room: room, ClientID: id, Text: text, Mentions: mentions}
	return do[protocol.MessageSendResult](t, s, user(by), protocol.MessageSend, p).Seq
}

func wantError(t *testing.T, err *protocol.Error, code protocol.Code, field string) {
	t.Helper()
	if err == nil || err.Code != code || err.Field != field {
		t.Errorf("got %v, want %s (%s)", err, code, field)
	}
}

// §4.2: one room per pair, also when both create at once; a deleted one is followed by another.
func TestCreateDirect(t *testing.T) {
	s, f, _ := newService(t)
	p := func(other string) *protocol.RoomCreateParams {
		return &protocol.RoomCreateParams{Kind: protocol.Direct, Members: []string{other}}
	}
	var both sync.WaitGroup
	results := make([]protocol.RoomCreateResult, 2)
	for i, pair := range [][2]string{{"ann", "ben"}, {"ben", "ann"}} {
		both.Go(func() {
			var err *protocol.Error
			if results[i], err = s.CreateRoom(context.Background(), user(pair[0]), p(pair[1])); err != nil {
				t.Errorf("room.create: %v", err)
			}
		})
	}
	both.Wait()
	id := results[0].Room.ID
	if results[1].Room.ID != id || results[0].Duplicate == results[1].Duplicate {
		t.Fatalf("both at once: %+v", results)
	}
	if room := f.rooms[id].Room; room.Pair != "ann|ben" || room.Members != 2 || f.rooms[id].Owners != 2 {
		t.Errorf("the pair's room: %+v, %d owners", room, f.rooms[id].Owners)
	}
	seen := map[string]bool{}
	for range 6 {
		if id = create(t, s, "ann", *p("ben")); seen[id] {
			t.Fatalf("the id %s came again", id)
		}
		seen[id] = true
		do[protocol.SeqResult](t, s, user("ben"), protocol.RoomDelete, &protocol.RoomEventParams{Room: id})
	}

	_, err := s.CreateRoom(t.Context(), user("ann"), p("ann"))
	wantError(t, err, protocol.BadRequest, "members")
	_, err = s.CreateRoom(t.Context(), user("ann"), p("nobody"))
	wantError(t, err, protocol.NotFound, "members")
	_, err = s.CreateRoom(t.Context(), server, p("ann"))
	wantError(t, err, protocol.BadRequest, "Parley-User")
}

// The pair's room may be deleted between being found and being asked for.
func TestCreateDirectRace(t *testing.T) {
	s, f, _ := newService(t)
	p := &protocol.RoomCreateParams{Kind: protocol.Direct, Members: []string{"ben"}}
	first := create(t, s, "ann", *p)
	deletions := 1
	f.viewed = func(room string) {
		if f.rooms[room].Room != nil && !f.rooms[room].Room.Deleted && deletions > 0 {
			deletions--
			do[protocol.SeqResult](t, s, user("ben"), protocol.RoomDelete, &protocol.RoomEventParams{Room: room})
		}
	}
	if result, err := s.CreateRoom(t.Context(), user("ann"), p); err != nil || result.Duplicate || result.Room.ID == first {
		t.Errorf("%+v, %v", result, err)
	}
}

// §4: the client_id of room.create has a namespace of its own, per user.
func TestCreateAgain(t *testing.T) {
	s, f, _ := newService(t)
	p := &protocol.RoomCreateParams{Kind: protocol.Group, Name: "tea", Members: []string{"ben", "ann", "ben"}, ClientID: "c"}
	first, err := s.CreateRoom(t.Context(), user("ann"), p)
	if err != nil || first.Duplicate || f.rooms[first.Room.ID].Room.Members != 2 || f.rooms[first.Room.ID].Members["ann"].Role != protocol.RoleOwner {
		t.Fatalf("%+v, %v", first, err)
	}
	again, err := s.CreateRoom(t.Context(), user("ann"), p)
	if err != nil || !again.Duplicate || again.Room.ID != first.Room.ID {
		t.Errorf("again: %+v, %v", again, err)
	}
	_, err = s.CreateRoom(t.Context(), user("ann"), &protocol.RoomCreateParams{Kind: protocol.Group, Name: "coffee", ClientID: "c"})
	wantError(t, err, protocol.Conflict, "client_id")
	if id := create(t, s, "ben", protocol.RoomCreateParams{Kind: protocol.Group, ClientID: "c"}); id == first.Room.ID {
		t.Error("two users' client_ids made one room")
	}
	if seq := send(t, s, "ann", first.Room.ID, "c", "hello"); seq != 2 {
		t.Errorf("a message with the client_id of the room.create: seq %d", seq)
	}
	do[protocol.SeqResult](t, s, user("ann"), protocol.MemberUpdate, &protocol.MemberUpdateParams{Room: first.Room.ID, User: "ben", Role: protocol.RoleOwner})
	if _, err := s.LeaveRoom(t.Context(), user("ann"), &protocol.RoomEventParams{Room: first.Room.ID}); err != nil {
		t.Fatal(err)
	}
	if _, err = s.CreateRoom(t.Context(), user("ann"), p); err == nil || *err != *protocol.RoomNotFound() {
		t.Errorf("a repeat showed a room that its creator no longer sees: %v", err)
	}
}

// §3: a back end makes exist whom it names, and its rooms have no owner.
func TestBackendNames(t *testing.T) {
	s, f, _ := newService(t)
	result, err := s.CreateRoom(t.Context(), server, &protocol.RoomCreateParams{Kind: protocol.Group, Members: []string{"new-one"}})
	if err != nil || result.Room.CreatedBy != nil || f.rooms[result.Room.ID].Owners != 0 {
		t.Fatalf("%+v, %v", result, err)
	}
	do[protocol.SeqResult](t, s, server, protocol.MemberBan, &protocol.MemberBanParams{Room: result.Room.ID, User: "new-two"})
	for _, id := range []string{"new-one", "new-two"} {
		if _, known := f.users[id]; !known {
			t.Errorf("%s does not exist", id)
		}
	}
	_, err = s.Do(t.Context(), Actor{User: "new-one", Backend: true}, protocol.MemberAdd, &protocol.MemberAddParams{Room: result.Room.ID, Users: []string{"new-three"}})
	wantError(t, err, protocol.NotFound, "users") // with Parley-User the call is that user's
	f.fault = errors.New("down")
	_, err = s.Do(t.Context(), server, protocol.MemberAdd, &protocol.MemberAddParams{Room: result.Room.ID, Users: []string{"new-three"}})
	wantError(t, err, protocol.Internal, "")
}

func TestGetRoom(t *testing.T) {
	s, _, _ := newService(t)
	id := create(t, s, "ann", protocol.RoomCreateParams{Kind: protocol.Channel, Members: []string{"ben"}})
	send(t, s, "ann", id, "1", "hi", "ben")
	send(t, s, "ann", id, "2", "hi")
	result, err := s.GetRoom(t.Context(), user("ben"), &protocol.RoomParams{Room: id})
	if err != nil || result.MembersCount != 2 || result.Head != 3 || result.Room.Messages != 2 {
		t.Fatalf("%+v, %v", result, err)
	}
	want := &protocol.Me{Role: protocol.RoleMember, Read: 1, Delivered: 1, Unread: 2, Mentions: 1, Notify: protocol.NotifyAll}
	if diff := cmp.Diff(want, result.Me); diff != "" {
		t.Errorf("me (-want +got):\n%s", diff)
	}
	joined, err := s.JoinRoom(t.Context(), user("ben"), &protocol.RoomEventParams{Room: id})
	if diff := cmp.Diff(*want, joined.Me); err != nil || diff != "" || !joined.Duplicate || joined.Seq != 1 {
		t.Errorf("joining what one has joined: %+v, %v, me (-want +got):\n%s", joined, err, diff)
	}
	if result, err = s.GetRoom(t.Context(), user("out"), &protocol.RoomParams{Room: id}); err != nil || result.Me != nil {
		t.Errorf("by one who is no member: %+v, %v", result, err)
	}
	live := create(t, s, "ann", protocol.RoomCreateParams{Kind: protocol.Live})
	send(t, s, "out", live, "1", "hi", "ann")
	if result, err = s.GetRoom(t.Context(), user("ann"), &protocol.RoomParams{Room: live}); err != nil || result.Room.Messages != 1 || result.Me.Unread != 0 || result.Me.Mentions != 0 {
		t.Errorf("a live room has no unread: %+v, %v", result, err)
	}
	_, err = s.GetRoom(t.Context(), user("out"), &protocol.RoomParams{Room: "r_none"})
	wantError(t, err, protocol.NotFound, "room")
}

// §4.2: a direct room is only hidden, until its next event.
func TestLeaveDirect(t *testing.T) {
	s, f, _ := newService(t)
	id := create(t, s, "ann", protocol.RoomCreateParams{Kind: protocol.Direct, Members: []string{"ben"}})
	p := &protocol.RoomEventParams{Room: id}
	for _, want := range []protocol.SeqResult{{Seq: 1}, {Seq: 1, Duplicate: true}} {
		if got, err := s.LeaveRoom(t.Context(), user("ann"), p); err != nil || got != want {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
	if len(f.logs[id]) != 1 || !f.rooms[id].Members["ann"].Hidden(f.rooms[id].Head.Seq) || len(f.hidden) != 1 {
		t.Error("hiding made an event, or did not hide once")
	}
	send(t, s, "ben", id, "1", "hi")
	if f.rooms[id].Members["ann"].Hidden(f.rooms[id].Head.Seq) {
		t.Error("still hidden after an event")
	}
	_, err := s.LeaveRoom(t.Context(), user("out"), p)
	wantError(t, err, protocol.NotFound, "room")
}

func TestListMembers(t *testing.T) {
	s, _, _ := newService(t)
	id := create(t, s, "ann", protocol.RoomCreateParams{Kind: protocol.Channel, Members: []string{"ben", "cem", "dan"}})
	var seen []string
	p := &protocol.PageParams{Room: id, Limit: 3}
	for pages := 1; ; pages++ {
		result, err := s.ListMembers(t.Context(), user("ben"), p)
		if err != nil || result.Head != 1 || pages > 2 {
			t.Fatalf("page %d: %+v, %v", pages, result, err)
		}
		for _, m := range result.Members {
			seen = append(seen, m.User)
		}
		if p.Page = result.Page; p.Page == "" {
			break
		}
	}
	if diff := cmp.Diff([]string{"ann", "ben", "cem", "dan"}, seen); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, page := range []string{"!", "AAAA", "bm90IG91cnMtYW5kLWxvbmctZW5vdWdoLXRvLXJlYWQ"} {
		_, err := s.ListMembers(t.Context(), user("ben"), &protocol.PageParams{Room: id, Page: page})
		wantError(t, err, protocol.BadRequest, "page")
	}
	_, err := s.ListMembers(t.Context(), user("out"), &protocol.PageParams{Room: id})
	wantError(t, err, protocol.Forbidden, "")
}

// §4.4: cursors, and who sees whose.
func TestReceipts(t *testing.T) {
	s, _, _ := newService(t)
	id := create(t, s, "ann", protocol.RoomCreateParams{Kind: protocol.Group, Members: []string{"ben"}})
	live := create(t, s, "ann", protocol.RoomCreateParams{Kind: protocol.Live})
	send(t, s, "ann", id, "1", "hi")
	send(t, s, "ann", id, "2", "hi")
	got := do[protocol.ReceiptReadResult](t, s, user("ben"), protocol.ReceiptRead, &protocol.ReceiptReadParams{Room: id, Seq: 2})
	if want := (protocol.ReceiptReadResult{Read: 2, Delivered: 2, Unread: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	do[protocol.Empty](t, s, user("ben"), protocol.ReceiptDelivered, &protocol.ReceiptDeliveredParams{Cursors: map[string]protocol.Seq{id: 99}})
	do[protocol.Empty](t, s, user("ben"), protocol.ReceiptDelivered, &protocol.ReceiptDeliveredParams{Cursors: map[string]protocol.Seq{}})
	_, err := s.Do(t.Context(), user("ben"), protocol.ReceiptDelivered, &protocol.ReceiptDeliveredParams{Cursors: map[string]protocol.Seq{id: 1, "r_none": 1}})
	wantError(t, err, protocol.NotFound, "cursors")

	list, err := s.ListReceipts(t.Context(), user("ann"), &protocol.PageParams{Room: id})
	if diff := cmp.Diff([]protocol.Cursors{{User: "ann", Delivered: 1, Read: 1}, {User: "ben", Delivered: 3, Read: 2}}, list.Members); err != nil || diff != "" || list.Head != 3 {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	off := protocol.Some(protocol.SettingsPatch{Receipts: protocol.Some(false)})
	do[protocol.RoomUpdateResult](t, s, user("ann"), protocol.RoomUpdate, &protocol.RoomUpdateParams{Room: id, Settings: off})
	list, err = s.ListReceipts(t.Context(), user("ben"), &protocol.PageParams{Room: id})
	if diff := cmp.Diff([]protocol.Cursors{{User: "ben", Delivered: 3, Read: 2}}, list.Members); err != nil || diff != "" {
		t.Errorf("with receipts off: %v (-want +got):\n%s", err, diff)
	}
	_, err = s.ListReceipts(t.Context(), user("ann"), &protocol.PageParams{Room: live})
	wantError(t, err, protocol.BadRequest, "room")
	if told, err := s.Typing(t.Context(), user("ben"), id); err != nil || !told {
		t.Errorf("typing: %v, %v", told, err)
	}
	_, err = s.Typing(t.Context(), user("out"), id)
	wantError(t, err, protocol.NotFound, "room")
}

func TestMemberSettings(t *testing.T) {
	s, f, _ := newService(t)
	id := create(t, s, "ann", protocol.RoomCreateParams{Kind: protocol.Channel})
	yes := true
	if err := s.SetMember(t.Context(), user("ann"), &protocol.MemberSettingsParams{Room: id, Notify: protocol.NotifyNone, Pinned: &yes}); err != nil {
		t.Fatal(err)
	}
	if m := f.rooms[id].Members["ann"]; m.Notify != protocol.NotifyNone || !m.Pinned || m.Archived {
		t.Errorf("row: %+v", m)
	}
	wantError(t, s.SetMember(t.Context(), user("out"), &protocol.MemberSettingsParams{Room: id}), protocol.Forbidden, "")
}

func TestUsers(t *testing.T) {
	s, f, _ := newService(t)
	p := &protocol.UserUpdateParams{Name: protocol.Some("Ann"), Data: protocol.Some(protocol.Raw(`{ "a": 1 }`))}
	if got, err := s.UpdateUser(t.Context(), user("ann"), p); err != nil || got.User.Name != "Ann" || string(got.User.Data) != `{"a":1}` {
		t.Errorf("%+v, %v", got, err)
	}
	p = &protocol.UserUpdateParams{User: "ben", Name: protocol.Opt[string]{Set: true, Null: true}}
	_, err := s.UpdateUser(t.Context(), user("ann"), p)
	wantError(t, err, protocol.Forbidden, "user")
	if got, err := s.UpdateUser(t.Context(), server, p); err != nil || got.User.ID != "ben" {
		t.Errorf("%+v, %v", got, err)
	}
	_, err = s.UpdateUser(t.Context(), server, &protocol.UserUpdateParams{})
	wantError(t, err, protocol.BadRequest, "user")
	if got, err := s.GetUsers(t.Context(), &protocol.UserGetParams{Users: []string{"nobody"}}); err != nil || got.Users == nil || len(got.Users) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := s.SearchUsers(t.Context(), &protocol.UserSearchParams{Query: "an"}); err != nil || len(got.Users) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	f.fault = errors.New("a secret of the store")
	_, err = s.GetUsers(t.Context(), &protocol.UserGetParams{Users: []string{"ann"}})
	wantError(t, err, protocol.Internal, "")
}

// An error of the store is logged and not told; one of the protocol is told; a call that ends before its answer is `unavailable`.
func TestFaults(t *testing.T) {
	s, f, logged := newService(t)
	get := func(ctx context.Context) *protocol.Error {
		_, err := s.GetRoom(ctx, user("ann"), &protocol.RoomParams{Room: "r_x"})
		return err
	}
	f.fault = errors.New("disk on fire")
	err := get(t.Context())
	if wantError(t, err, protocol.Internal, ""); strings.Contains(err.Message, "fire") || !strings.Contains(logged.String(), "disk on fire") {
		t.Errorf("told %q, logged %q", err.Message, logged)
	}
	f.fault = fmt.Errorf("try again: %w", protocol.Errorf(protocol.Unavailable, "", "busy"))
	wantError(t, get(t.Context()), protocol.Unavailable, "")
	ended, end := context.WithCancel(t.Context())
	end()
	f.fault = errors.New("gave up")
	wantError(t, get(ended), protocol.Unavailable, "")
	f.stuck = true
	_, err = s.Do(ended, user("ann"), protocol.RoomDelete, &protocol.RoomEventParams{Room: "r_x"})
	if wantError(t, err, protocol.Unavailable, ""); err.RetryAfterMS == 0 {
		t.Error("without retry_after_ms")
	}
}
