package chat

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/parley-im/parley/protocol"
)

func TestListMessages(t *testing.T) {
	s, _, _ := newService(t)
	id := create(t, s, "ann", protocol.RoomCreateParams{Kind: protocol.Channel})
	for i := range 5 {
		send(t, s, "ann", id, strconv.Itoa(i), "hi")
	}
	result, err := s.ListMessages(t.Context(), user("out"), &protocol.MessageListParams{Room: id, Limit: 3})
	if err != nil || len(result.Messages) != 3 || !result.More || result.Head != 6 || result.Messages[0].Seq != 4 {
		t.Errorf("%+v, %v", result, err)
	}
	zero := protocol.Seq(0)
	result, err = s.ListMessages(t.Context(), user("out"), &protocol.MessageListParams{Room: id, Before: &zero})
	if err != nil || len(result.Messages) != 0 || result.More || result.Messages == nil {
		t.Errorf("before 0: %+v, %v", result, err)
	}

	since := protocol.Some(protocol.SettingsPatch{History: protocol.Some(protocol.HistorySinceJoin)})
	do[protocol.RoomUpdateResult](t, s, user("ann"), protocol.RoomUpdate, &protocol.RoomUpdateParams{Room: id, Settings: since})
	_, err = s.ListMessages(t.Context(), user("out"), &protocol.MessageListParams{Room: id})
	wantError(t, err, protocol.Forbidden, "")
	if _, err := s.JoinRoom(t.Context(), user("out"), &protocol.RoomEventParams{Room: id}); err != nil {
		t.Fatal(err)
	}
	seq := send(t, s, "ann", id, "after", "hi")
	if result, err = s.ListMessages(t.Context(), user("out"), &protocol.MessageListParams{Room: id}); err != nil || len(result.Messages) != 1 || result.Messages[0].Seq != seq {
		t.Errorf("since join: %+v, %v", result, err)
	}
	old := protocol.Seq(3)
	_, err = s.ListMessages(t.Context(), user("out"), &protocol.MessageListParams{Room: id, Around: &old})
	wantError(t, err, protocol.NotFound, "around")
	_, err = s.ListMessages(t.Context(), user("out"), &protocol.MessageListParams{Room: id, Thread: old})
	wantError(t, err, protocol.NotFound, "thread")

	events, err := s.ListEvents(t.Context(), user("out"), &protocol.EventListParams{Room: id})
	if err != nil || len(events.Events) != 2 || events.Head != seq || !strings.HasPrefix(string(events.Events[0]), `{"event":"member.joined","room":`) {
		t.Errorf("events since join: %s, %v", events.Events, err)
	}
	place, err := s.Place(t.Context(), user("out"), id)
	if want := (Place{Room: id, Kind: protocol.Channel, Head: seq, JoinedSeq: seq - 1, First: 1, From: seq - 1}); err != nil || place != want {
		t.Errorf("place: %+v, %v", place, err)
	}
}

// §2.1: a frame of the server is at most 4 MiB; lists stop early, and say so.
func TestListsStopEarly(t *testing.T) {
	s, _, _ := newService(t)
	id := create(t, s, "ann", protocol.RoomCreateParams{Kind: protocol.Group})
	attachment := protocol.Raw(`[{"a":"` + strings.Repeat("x", 40<<10) + `"}]`)
	const sent = 150
	for i := range sent {
		do[protocol.MessageSendResult](t, s, user("ann"), protocol.MessageSend, &protocol.MessageSendParams{
			Room: id, ClientID: strconv.Itoa(i), Text: strings.Repeat("\u0001", 1<<10), Attachments: attachment,
		})
	}
	zero, middle, past := protocol.Seq(0), protocol.Seq(75), protocol.Seq(sent+50)
	for name, p := range map[string]*protocol.MessageListParams{
		"newest": {}, "after": {After: &zero}, "around": {Around: &middle}, "around the end": {Around: &past},
	} {
		p.Room, p.Limit = id, 200
		result, err := s.ListMessages(t.Context(), user("ann"), p)
		if err != nil || !result.More || len(result.Messages) < 60 {
			t.Fatalf("%s: %d messages, more %v, %v", name, len(result.Messages), result.More, err)
		}
		if size := len(protocol.AppendResult(nil, protocol.MaxCallID, result)); size > protocol.MaxServerFrame {
			t.Errorf("%s: a frame of %d bytes", name, size)
		}
		first, last := result.Messages[0].Seq, result.Messages[len(result.Messages)-1].Seq
		wrong := map[string]bool{
			"newest": last != sent+1, "after": first != 2, "around": first > middle-20 || last < middle+20, "around the end": last != sent+1,
		}
		if wrong[name] {
			t.Errorf("%s: kept %d to %d", name, first, last)
		}
	}
	after := protocol.Seq(0)
	for pages := 0; after < sent+1; pages++ {
		result, err := s.ListEvents(t.Context(), user("ann"), &protocol.EventListParams{Room: id, After: after, Limit: 1000})
		if err != nil || len(result.Events) == 0 || pages > 3 {
			t.Fatalf("page %d: %d events, %v", pages, len(result.Events), err)
		}
		if size := len(protocol.AppendResult(nil, protocol.MaxCallID, result)); size > protocol.MaxServerFrame {
			t.Errorf("a frame of %d bytes", size)
		}
		after += protocol.Seq(len(result.Events))
	}
	if after != sent+1 {
		t.Errorf("read up to %d, want %d", after, sent+1)
	}
}

// What a list counts of an entry is never less than what the entry takes.
func TestSizesAreUpperBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, long := rapid.String(), protocol.Seq(1<<63)
		words := text.Draw(t, "text")
		m := protocol.Message{
			Room: "r_" + strings.Repeat("x", 30), Seq: long, Rev: long, N: long, ReplyTo: long, Thread: long, Replies: long, ClientID: strings.Repeat(`"`, 64),
			Text: &words, Data: protocol.Raw(`{"a":1}`), Attachments: protocol.Raw(`[{}]`), At: start, EditedAt: start, DeletedAt: start,
			Mentions: []string{strings.Repeat("u", protocol.MaxUserBytes)}, Reactions: []protocol.Reaction{{Emoji: text.Draw(t, "emoji"), Count: long}},
		}
		author := strings.Repeat("u", protocol.MaxUserBytes)
		m.User = &author
		room := protocol.Room{
			ID: m.Room, Kind: protocol.Channel, Name: text.Draw(t, "name"), Topic: text.Draw(t, "topic"), Avatar: text.Draw(t, "avatar"), CreatedBy: &author,
			Settings:  protocol.Settings{History: protocol.HistorySinceJoin, Post: protocol.PostModerators, SlowModeS: 1 << 60, SamplePerS: 1 << 60, RetentionDays: 1 << 60},
			CreatedAt: start, First: long, Head: long, Messages: long,
		}
		entry := protocol.InboxEntry{Room: room, Head: long, LastMessage: &m, Me: protocol.Me{
			Role: protocol.RoleModerator, Read: long, Delivered: long, Unread: long, Mentions: long, MutedUntil: start, Notify: protocol.NotifyMentions,
		}}
		for name, c := range map[string]struct {
			value any
			size  int
		}{"message": {m, messageSize(&m)}, "room": {room, roomSize(&room)}, "entry": {entry, entrySize(&entry)}} {
			if real := len(protocol.AppendResult(nil, 1, c.value)) - len(`{"id":1,"result":}`) + len(","); real > c.size {
				t.Fatalf("%s takes %d bytes, counted as %d", name, real, c.size)
			}
		}
	})
}

// inboxOf pages through n rooms as a store does; the key of a page is the index it goes on at.
func inboxOf(n, dataBytes int, asked *[]InboxQuery) func(string, InboxQuery) (*InboxPage, error) {
	return func(user string, q InboxQuery) (*InboxPage, error) {
		*asked = append(*asked, q)
		if q.Since == "gone" {
			return nil, fmt.Errorf("too old: %w", ErrPosition)
		}
		first, _ := strconv.Atoi(q.Page)
		page := &InboxPage{Position: Position(fmt.Sprintf("now %d", len(*asked)))}
		for i := first; i < min(n, first+q.Limit); i++ {
			room := &Room{ID: fmt.Sprintf("r_%d", i), Kind: protocol.Group, Data: protocol.Raw(`"` + strings.Repeat("x", dataBytes) + `"`)}
			page.Entries = append(page.Entries, InboxEntry{Scene: Scene{Room: room, Head: Head{Seq: 7, N: 3}, Me: newMember(room.ID, user)}, Mentions: 1})
		}
		if last := first + len(page.Entries); last < n {
			page.Next = strconv.Itoa(last)
		}
		return page, nil
	}
}

// §4.2: the token stands for the moment before the first page and is the same on every page; a page knows the whole question.
func TestListRooms(t *testing.T) {
	s, f, _ := newService(t)
	var asked []InboxQuery
	f.inbox = inboxOf(5, 0, &asked)
	yes := true
	p := &protocol.RoomListParams{Limit: 2, Kinds: []protocol.Kind{protocol.Group}, Archived: &yes}
	first, err := s.ListRooms(t.Context(), user("ann"), p)
	if err != nil || len(first.Rooms) != 2 || first.Removed == nil || first.Rooms[0].Me.Unread != 3 || first.Rooms[0].Me.Mentions != 1 || first.Rooms[0].Head != 7 {
		t.Fatalf("%+v, %v", first, err)
	}
	var seen int
	for page := first; ; {
		seen += len(page.Rooms)
		if page.Token != first.Token {
			t.Error("the token changed with the page")
		}
		if page.Page == "" {
			break
		}
		if page, err = s.ListRooms(t.Context(), user("ann"), &protocol.RoomListParams{Limit: 2, Page: page.Page}); err != nil {
			t.Fatal(err)
		}
	}
	last := asked[len(asked)-1]
	if seen != 5 || !cmp.Equal(last.Kinds, p.Kinds) || last.Archived == nil || !*last.Archived {
		t.Errorf("%d rooms; the last page asked for %+v", seen, last)
	}

	if _, err := s.ListRooms(t.Context(), user("ann"), &protocol.RoomListParams{Since: first.Token}); err != nil {
		t.Fatal(err)
	}
	if since := asked[len(asked)-1].Since; since != "now 1" {
		t.Errorf("the token stands for %q, want the moment of the first page", since)
	}
}

func TestListRoomsTokens(t *testing.T) {
	s, f, _ := newService(t)
	var asked []InboxQuery
	f.inbox = inboxOf(5, 0, &asked)
	list := func(p protocol.RoomListParams) *protocol.Error {
		_, err := s.ListRooms(t.Context(), user("ann"), &p)
		return err
	}
	first, err := s.ListRooms(t.Context(), user("ann"), &protocol.RoomListParams{Limit: 2})
	if err != nil {
		t.Fatal(err)
	}
	sealed := func(m moment) string {
		token, err := s.seals.seal("inbox", m)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	forged := []byte(first.Token)
	forged[len(forged)/2] ^= 1
	for name, token := range map[string]string{
		"nonsense": "x", "a page": first.Page, "forged": string(forged), "of a store that forgot": sealed(moment{"e1", start, "gone"}), "of another epoch": sealed(moment{"e0", start, "now 1"}),
	} {
		if err := list(protocol.RoomListParams{Since: token}); err == nil || err.Code != protocol.BadRequest || err.Field != "since" {
			t.Errorf("since %s: %v", name, err)
		}
	}
	wantError(t, list(protocol.RoomListParams{Page: first.Token}), protocol.BadRequest, "page")
	f.now += protocol.Time((90 * 24 * time.Hour).Milliseconds())
	if err := list(protocol.RoomListParams{Since: first.Token}); err != nil {
		t.Errorf("after 90 days: %v", err)
	}
	f.now++
	wantError(t, list(protocol.RoomListParams{Since: first.Token}), protocol.BadRequest, "since")
	s.epoch = func() string { return "e2" }
	wantError(t, list(protocol.RoomListParams{Page: first.Page}), protocol.BadRequest, "page")
}

// Entries of 16 KiB: 500 of them are more than a frame.
func TestPagesStopEarly(t *testing.T) {
	s, f, _ := newService(t)
	var asked []InboxQuery
	f.inbox = inboxOf(600, 16<<10, &asked)
	f.browse = func(after string, limit int) ([]*Scene, string) {
		page, _ := inboxOf(600, 16<<10, &asked)("ann", InboxQuery{Page: after, Limit: limit})
		var rooms []*Scene
		for i := range page.Entries {
			rooms = append(rooms, &page.Entries[i].Scene)
		}
		return rooms, page.Next
	}
	seen, page := 0, ""
	for {
		result, err := s.ListRooms(t.Context(), user("ann"), &protocol.RoomListParams{Limit: 500, Page: page})
		if err != nil || len(result.Rooms) == 0 || len(protocol.AppendResult(nil, 1, result)) > protocol.MaxServerFrame {
			t.Fatalf("%d rooms, %v", len(result.Rooms), err)
		}
		seen += len(result.Rooms)
		if page = result.Page; page == "" {
			break
		}
	}
	browsed, page := 0, ""
	for {
		result, err := s.Browse(t.Context(), user("ann"), &protocol.RoomBrowseParams{Limit: 500, Page: page})
		if err != nil || len(result.Rooms) == 0 || len(protocol.AppendResult(nil, 1, result)) > protocol.MaxServerFrame {
			t.Fatalf("%d rooms, %v", len(result.Rooms), err)
		}
		browsed += len(result.Rooms)
		if page = result.Page; page == "" {
			break
		}
	}
	if seen != 600 || browsed != 600 {
		t.Errorf("listed %d and browsed %d rooms of 600", seen, browsed)
	}
	ofAnother, err := s.seals.seal("members", "ann")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range []string{"x", ofAnother} {
		_, err := s.Browse(t.Context(), user("ann"), &protocol.RoomBrowseParams{Page: page})
		wantError(t, err, protocol.BadRequest, "page")
	}
}
