package chat

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-im/parley/protocol"
)

// fakeSearch answers with messages that it counts down, newest first, and remembers what it was asked.
type fakeSearch struct {
	recent []Place
	others bool
	text   string
	last   int // the number of the oldest message
	asked  []SearchQuery
	page   func(ctx context.Context, page *SearchPage) error // the last word on a page; may be nil
}

func (f *fakeSearch) Recent(_ context.Context, _ string, limit int) ([]Place, bool, error) {
	if limit != searchRooms {
		return nil, false, fmt.Errorf("the %d most recent rooms", limit)
	}
	return f.recent, f.others, nil
}

func (f *fakeSearch) FindMessages(ctx context.Context, _ string, q SearchQuery) (*SearchPage, error) {
	f.asked = append(f.asked, q)
	next := 1
	if q.Page != "" {
		if _, err := fmt.Sscan(q.Page, &next); err != nil {
			return nil, err
		}
	}
	page := &SearchPage{}
	for ; next <= f.last && len(page.Found) < q.Limit; next++ {
		text := f.text
		page.Found = append(page.Found, Found{Room: q.Rooms[0].Room, Message: &Message{Seq: protocol.Seq(next), Content: Content{Text: &text}}})
	}
	if next <= f.last {
		page.Next = fmt.Sprint(next)
	}
	if f.page != nil {
		if err := f.page(ctx, page); err != nil {
			return nil, err
		}
	}
	return page, nil
}

func newSearch(t *testing.T) (*Service, *fakeSearch) {
	t.Helper()
	s, _, _ := newService(t)
	f := &fakeSearch{recent: []Place{{Room: "r_one", From: 1}, {Room: "r_two", From: 7}}, text: "word", last: 120}
	s.ports.Search = f
	return s, f
}

func TestSearchMessages(t *testing.T) {
	s, f := newSearch(t)
	var seqs []protocol.Seq
	p := &protocol.MessageSearchParams{Query: " some words "}
	for {
		result, err := s.SearchMessages(t.Context(), user("ann"), p)
		if err != nil || result.Partial {
			t.Fatalf("%+v, %v", result, err)
		}
		for _, m := range result.Messages {
			seqs = append(seqs, m.Seq)
			if m.Room != "r_one" || *m.Text != "word" {
				t.Errorf("a message: %+v", m)
			}
		}
		if p.Page = result.Page; p.Page == "" {
			break
		}
	}
	if len(seqs) != 120 || seqs[0] != 1 || seqs[119] != 120 {
		t.Errorf("found %v", seqs)
	}
	want := []SearchQuery{
		{Query: " some words ", Rooms: f.recent, Limit: 50},
		{Query: " some words ", Rooms: f.recent, Limit: 50, Page: "51"},
		{Query: " some words ", Rooms: f.recent, Limit: 50, Page: "101"},
	}
	if diff := cmp.Diff(want, f.asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}

	for name, page := range map[string]string{"nonsense": "nonsense", "of another list": sealed(t, s, "browse", "51")} {
		_, err := s.SearchMessages(t.Context(), user("ann"), &protocol.MessageSearchParams{Query: "words", Page: page})
		if wantError(t, err, protocol.BadRequest, "page"); err == nil {
			t.Errorf("a page that is %s", name)
		}
	}
	f.others = true
	if result, err := s.SearchMessages(t.Context(), user("ann"), &protocol.MessageSearchParams{Query: "words"}); err != nil || !result.Partial {
		t.Errorf("with more rooms than are searched: %+v, %v", result, err)
	}
	f.last = 0
	if result, err := s.SearchMessages(t.Context(), user("ann"), &protocol.MessageSearchParams{}); err != nil || result.Messages == nil || len(result.Messages) != 0 {
		t.Errorf("nothing: %+v, %v", result, err)
	}
}

func sealed(t *testing.T, s *Service, use string, value any) string {
	t.Helper()
	page, err := s.seals.seal(use, value)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

func TestSearchOneRoom(t *testing.T) {
	s, f := newSearch(t)
	since := protocol.SettingsPatch{History: protocol.Some(protocol.HistorySinceJoin)}
	id := create(t, s, "ann", protocol.RoomCreateParams{Kind: protocol.Channel, Settings: &since})
	p := &protocol.MessageSearchParams{Query: "words", Room: id, Limit: 1000}
	_, err := s.SearchMessages(t.Context(), user("out"), p)
	wantError(t, err, protocol.Forbidden, "")
	if _, err := s.JoinRoom(t.Context(), user("out"), &protocol.RoomEventParams{Room: id}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.SearchMessages(t.Context(), user("out"), p); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]SearchQuery{{Query: "words", Rooms: []Place{{Room: id, From: 2}}, Limit: 200}}, f.asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	private := create(t, s, "ann", protocol.RoomCreateParams{Kind: protocol.Group})
	for _, room := range []string{private, "r_none"} {
		_, err := s.SearchMessages(t.Context(), user("out"), &protocol.MessageSearchParams{Query: "words", Room: room})
		wantError(t, err, protocol.NotFound, "room")
	}
	if len(f.asked) != 1 {
		t.Errorf("a search that was refused was carried out: %v", f.asked)
	}
}

func TestSearchLooksAtTheBeginningOfAQuery(t *testing.T) {
	s, f := newSearch(t)
	for _, query := range []string{strings.Repeat("x", 1024), strings.Repeat("x", 1025), strings.Repeat("東", 400), strings.Repeat("\x80", 2000)} {
		if _, err := s.SearchMessages(t.Context(), user("ann"), &protocol.MessageSearchParams{Query: query}); err != nil {
			t.Fatal(err)
		}
		got := f.asked[len(f.asked)-1].Query
		if !strings.HasPrefix(query, got) || len(got) > 1024 || utf8.ValidString(query) && len(got) < min(len(query), 1021) {
			t.Errorf("of %d bytes %d were asked for", len(query), len(got))
		}
		if utf8.ValidString(query) && !utf8.ValidString(got) {
			t.Errorf("a letter was cut: %q", got[len(got)-4:])
		}
	}
}

func TestSearchStopsEarly(t *testing.T) {
	s, f := newSearch(t)
	f.text = strings.Repeat("\u0001", 8<<10) // six times as long in JSON
	var found int
	p := &protocol.MessageSearchParams{Query: "words", Limit: 200}
	for pages := 0; ; pages++ {
		result, err := s.SearchMessages(t.Context(), user("ann"), p)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range result.Messages {
			if found++; m.Seq != protocol.Seq(found) {
				t.Fatalf("message %d where %d should be", m.Seq, found)
			}
		}
		if size := len(protocol.AppendResult(nil, protocol.MaxCallID, result)); size > protocol.MaxServerFrame {
			t.Errorf("a frame of %d bytes", size)
		}
		if p.Page = result.Page; p.Page == "" {
			if pages == 0 || found != f.last {
				t.Errorf("%d messages on %d pages", found, pages+1)
			}
			return
		}
	}
}

func TestSearchEndsInTime(t *testing.T) {
	s, f := newSearch(t)
	f.page = func(ctx context.Context, page *SearchPage) error {
		deadline, ok := ctx.Deadline()
		if !ok || time.Until(deadline) > searchTime {
			t.Errorf("the search may take until %v", deadline)
		}
		page.Partial = true
		return nil
	}
	if result, err := s.SearchMessages(t.Context(), user("ann"), &protocol.MessageSearchParams{Query: "words"}); err != nil || !result.Partial || result.Page == "" {
		t.Errorf("%+v, %v", result, err)
	}
	f.page = func(context.Context, *SearchPage) error { return errors.New("a secret of the store") }
	_, err := s.SearchMessages(t.Context(), user("ann"), &protocol.MessageSearchParams{Query: "words"})
	wantError(t, err, protocol.Internal, "")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.SearchMessages(gone, user("ann"), &protocol.MessageSearchParams{Query: "words"})
	wantError(t, err, protocol.Unavailable, "")
}
