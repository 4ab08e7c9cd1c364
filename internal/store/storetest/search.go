package storetest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/protocol"
)

// search carries out a search that must succeed.
func (f *fixture) search(user string, p protocol.MessageSearchParams) protocol.MessageSearchResult {
	f.Helper()
	result, err := f.core.SearchMessages(f.Context(), chat.Actor{User: user}, &p)
	if err != nil {
		f.Fatalf("search %+v by %s: %v", p, user, err)
	}
	return result
}

// finds are the texts of what a search finds, on one page that is the last.
func (f *fixture) finds(user, room, query string) []string {
	f.Helper()
	result := f.search(user, protocol.MessageSearchParams{Query: query, Room: room})
	if result.Page != "" || result.Partial {
		f.Fatalf("the search for %q ended early, with %d messages", query, len(result.Messages))
	}
	return found(result)
}

func found(r protocol.MessageSearchResult) []string {
	out := make([]string, len(r.Messages))
	for i, m := range r.Messages {
		out[i] = *m.Text
	}
	return out
}

func testQueries(f *fixture) {
	room := f.room(protocol.Group, "ann")
	const (
		fox    = "The quick brown fox, twice."
		dog    = "A lazy dog. A brown one; quick to bark?"
		pi     = "pi is 3.14159 (about)"
		mail   = "Write to ann@example.org – it's foo_bar/baz-42"
		repeat = "so so good"
	)
	for _, text := range []string{fox, dog, pi, mail, repeat} {
		f.send(room, "ann", text)
		f.clock.advance(time.Second)
	}
	f.apply(f.store)
	for _, tt := range []struct {
		query string
		want  []string
	}{
		{"brown", []string{dog, fox}},
		{"BROWN Quick", []string{dog, fox}},
		{"quick brown fox", []string{fox}},
		{`"quick brown"`, []string{fox}},
		{`"brown quick"`, nil},
		{`"brown one quick"`, []string{dog}}, // punctuation is no word
		{`fox "quick brown"`, []string{fox}},
		{`dog "quick brown"`, nil},
		{"“quick brown”", []string{fox}},
		{`"quick brown`, []string{fox}},
		{"bro*", []string{dog, fox}},
		{"bro", nil},
		{"b*", []string{mail, dog, fox}},
		{"z*", nil},
		{"f* t*", []string{mail, fox}},
		{"q* twice", []string{fox}},
		{`"quick bro*"`, nil}, // within a phrase there are words alone
		{"quick-bro*", []string{fox}},
		{"bro*lazy", []string{dog}},
		{"bro *", nil},
		{"3.14159", []string{pi}},
		{"14159.3", nil},
		{"3.14*", []string{pi}},
		{"example.org", []string{mail}},
		{"org example", []string{mail}},
		{"org.example", nil},
		{"foo_bar", []string{mail}},
		{"bar.foo", nil},
		{"it's", []string{mail}},
		{"(about)", []string{pi}},
		{"so", []string{repeat}},
		{`"so so"`, []string{repeat}},
		{`"so so so"`, nil},
		{"a", []string{dog}},
		{"", nil},
		{"  ", nil},
		{`"`, nil},
		{`""`, nil},
		{"*", nil},
		{"!? – …", nil},
		{"NOT brown", nil}, // there are no operators
		{"one OR dog", nil},
		{"brown AND", nil},
		{roomWord(room), nil}, // what the index keeps beside words cannot be asked for
		{"words:brown", nil},
		{"fox " + strings.Repeat("the ", 400) + "nowhere", []string{fox}}, // past the bound
	} {
		f.equal(tt.query, f.finds("ann", "", tt.query), tt.want)
		f.equal(tt.query+" in the room", f.finds("ann", room, tt.query), tt.want)
	}
}

func roomWord(room string) string { return "_" + room }

func testFolding(f *fixture) {
	room := f.room(protocol.Group, "ann")
	same := [][]string{
		{"Crème Brûlée", "creme brulee", "CRÈME BRÛLÉE", "cre\u0300me bru\u0302le\u0301e"},
		{"Straße", "STRASSE", "strasse"},
		{"İstanbul", "istanbul", "ISTANBUL"},
		{"Ἀθήνα", "αθηνα", "ΑΘΗΝΑ"},
		{"ΟΔΥΣΣΕΥΣ", "οδυσσευς"},
		{"Việt Nam", "viet nam"},
		{"ﬁne ｆｕｌｌ", "fine full"},
		{"ёлка", "елка"},
		{"ᎠᎡ", "ꭰꭱ"},
		{"مُحَمَّد", "محمد"},
		{"한국어", "\u1112\u1161\u11ab\u1100\u116e\u11a8\u110b\u1165"},
	}
	for _, texts := range same {
		f.send(room, "ann", texts[0])
	}
	const tokyo, thai, hindi, kana = "私は東京に住んでいます", "ผมรักประเทศไทย", "किताब कुताब", "ガラス"
	for _, text := range []string{tokyo, thai, hindi, kana} {
		f.send(room, "ann", text)
	}
	f.apply(f.store)
	for _, texts := range same {
		for _, query := range texts {
			f.equal(query, f.finds("ann", room, query), texts[:1])
		}
	}
	for query, want := range map[string][]string{
		"東京":     {tokyo}, // a script without blanks is found by any run of its letters
		"京東":     nil,
		"東 住":    {tokyo},
		"ประเทศ": {thai},
		"कित*":   {hindi}, // vowel signs are no accents
		"कत*":    nil,
		"गलास":   nil,
		"ガラス":    {kana},
		"ｶﾞﾗｽ":   {kana},
		"カラス":    nil,
	} {
		f.equal(query, f.finds("ann", room, query), want)
	}
}

func testAnyQuery(f *fixture) {
	room := f.room(protocol.Group, "ann")
	f.send(room, "ann", "hello world")
	f.apply(f.store)
	alphabet := []rune(`"*'\_:^()&|!<>-+ ` + "\t\n\x01é東aAhelowrd0\u0301\u200b👍\ufffd")
	texts := rapid.OneOf(rapid.String(), rapid.StringOf(rapid.SampledFrom(alphabet)))
	rapid.Check(f.t, func(t *rapid.T) {
		f := f.under(t)
		query := texts.Draw(t, "query")
		f.search("ann", protocol.MessageSearchParams{Query: query, Room: rapid.SampledFrom([]string{"", room}).Draw(t, "room")})
		// What was written is found by what was written.
		text := texts.Filter(noNUL).Filter(func(s string) bool { return s != "" && len(s) < 1000 }).Draw(t, "text")
		f.send(room, "ann", text+" haystack")
		f.apply(f.store)
		quoted := strings.ReplaceAll(text, `"`, " ")
		result := f.search("ann", protocol.MessageSearchParams{Query: `"` + quoted + ` haystack"`, Room: room})
		f.equal("found first", found(result)[:1], []string{text + " haystack"})
	})
}

func testSearchStands(f *fixture) {
	room := f.room(protocol.Group, "ann", "bob")
	edited, deleted := f.send(room, "ann", "first words").Seq, f.send(room, "ann", "secret words").Seq
	data := call[protocol.MessageSendResult](f, "ann", protocol.MessageSend,
		&protocol.MessageSendParams{Room: room, ClientID: f.clientID(), Data: protocol.Raw(`{"words":"words"}`)}).Seq
	f.react(protocol.ReactionAdd, room, "bob", edited, "👍")
	f.reply(room, "bob", "an answer", edited)
	f.equal("before the relay has run", f.finds("bob", room, "words"), []string(nil))
	f.apply(f.store)
	f.equal("only texts", f.finds("bob", room, "words"), []string{"secret words", "first words"})

	result := f.search("bob", protocol.MessageSearchParams{Query: "first", Room: room})
	list, err := f.core.ListMessages(f.Context(), chat.Actor{User: "bob"}, &protocol.MessageListParams{Room: room})
	if err != nil {
		f.Fatal(err)
	}
	f.equal("a message", result.Messages, list.Messages[:1])
	f.equal("reactions", result.Messages[0].Reactions, []protocol.Reaction{{Emoji: "👍", Count: 1, Mine: true}})

	f.delete(room, "ann", deleted)
	f.edit(room, "ann", edited, "other things")
	f.equal("deleted and edited, at once", f.finds("bob", room, "words"), []string(nil))
	f.apply(f.store)
	f.equal("and later", f.finds("bob", room, "words"), []string(nil))
	f.equal("what became of it", f.finds("bob", room, "thing*"), []string{"other things"})

	f.edit(room, "ann", data, "words after all")
	call[protocol.SeqResult](f, "ann", protocol.MessageEdit,
		&protocol.MessageEditParams{Room: room, Seq: edited, Text: protocol.Some(""), Data: protocol.Some(protocol.Raw(`1`))})
	f.apply(f.store)
	f.equal("a text that came later", f.finds("bob", room, "words"), []string{"words after all"})
	f.equal("a text that was taken away", f.finds("bob", room, "things"), []string(nil))
	f.edit(room, "ann", data, "once more")
	f.edit(room, "ann", data, "and again words")
	f.delete(room, "ann", f.send(room, "ann", "short lived words").Seq)
	f.apply(f.store)
	f.equal("many changes at once", f.finds("bob", room, "words"), []string{"and again words"})
}

func testSearchAccess(f *fixture) {
	sinceJoin := &protocol.SettingsPatch{History: protocol.Some(protocol.HistorySinceJoin)}
	group, direct := f.room(protocol.Group, "ann", "bob"), f.room(protocol.Direct, "ann", "bob")
	foreign, removed, deleted := f.room(protocol.Group, "ann"), f.room(protocol.Group, "ann", "bob"), f.room(protocol.Group, "ann", "bob")
	later := f.roomWith(protocol.RoomCreateParams{Kind: protocol.Group, Settings: sinceJoin}, "ann")
	open, closed := f.room(protocol.Channel, "ann"), f.roomWith(protocol.RoomCreateParams{Kind: protocol.Channel, Settings: sinceJoin}, "ann")
	live, banned := f.room(protocol.Live, "ann"), f.room(protocol.Channel, "ann")
	rooms := map[string]string{
		"group": group, "direct": direct, "foreign": foreign, "removed": removed, "deleted": deleted, "later": later,
		"open": open, "closed": closed, "live": live, "banned": banned,
	}
	for name, room := range rooms {
		f.send(room, "ann", "word in "+name)
	}
	f.add(later, "ann", "bob")
	f.send(later, "ann", "word in later, with bob")
	f.member(protocol.MemberRemove, removed, "ann", "bob")
	f.member(protocol.MemberBan, banned, "ann", "bob")
	call[protocol.SeqResult](f, "ann", protocol.RoomDelete, &protocol.RoomEventParams{Room: deleted})
	f.must(f.store.Hide(f.Context(), direct, "bob")) // hidden is not left
	f.apply(f.store)

	f.equal("everywhere", sorted(f.finds("bob", "", "word")), []string{"word in direct", "word in group", "word in later, with bob"})
	for name, want := range map[string][]string{
		"group": {"word in group"}, "direct": {"word in direct"}, "later": {"word in later, with bob"}, "open": {"word in open"}, "live": {"word in live"},
	} {
		f.equal(name, f.finds("bob", rooms[name], "word"), want)
	}
	for name, want := range map[string]protocol.Code{
		"foreign": protocol.NotFound, "removed": protocol.NotFound, "deleted": protocol.NotFound, "banned": protocol.NotFound, "closed": protocol.Forbidden,
	} {
		_, err := f.core.SearchMessages(f.Context(), chat.Actor{User: "bob"}, &protocol.MessageSearchParams{Query: "word", Room: rooms[name]})
		if err == nil || err.Code != want {
			f.Errorf("%s: got %v, want %s", name, err, want)
		}
	}
	f.equal("with all of the room's history", f.finds("ann", later, "word"), []string{"word in later, with bob", "word in later"})
}

func testSearchPages(f *fixture) {
	var rooms []string
	for range 3 {
		rooms = append(rooms, f.room(protocol.Group, "ann", "bob"))
	}
	var want []string
	for i := range 40 {
		text := fmt.Sprintf("word %d", i)
		f.send(rooms[i%3], "ann", text)
		f.send(rooms[i%2], "ann", "no match")
		if i%3 == 0 { // some share a millisecond
			f.clock.advance(time.Millisecond)
		}
		want = append(want, text)
	}
	f.apply(f.store)
	all := f.finds("bob", "", "word")
	f.equal("all", sorted(all), sorted(want))
	f.equal("the newest", sorted(all[:3]), []string{"word 37", "word 38", "word 39"})

	var got []string
	p := protocol.MessageSearchParams{Query: "word", Limit: 3}
	for pages := 1; ; pages++ {
		result := f.search("bob", p)
		got = append(got, found(result)...)
		if result.Page == "" {
			f.equal("pages", pages, 14)
			break
		}
		p.Page = result.Page
		f.clock.advance(time.Millisecond)
		f.send(rooms[0], "ann", "word that came later")
		if pages == 5 { // what the next page begins behind goes
			last := result.Messages[len(result.Messages)-1]
			f.delete(last.Room, "ann", last.Seq)
		}
		f.apply(f.store)
	}
	f.equal("by pages", got, all)

	for _, page := range []string{"nonsense", f.search("bob", protocol.MessageSearchParams{Query: "word", Limit: 1}).Page + "x"} {
		_, err := f.core.SearchMessages(f.Context(), chat.Actor{User: "bob"}, &protocol.MessageSearchParams{Query: "word", Page: page})
		if err == nil || err.Code != protocol.BadRequest || err.Field != "page" {
			f.Errorf("page %q: %v", page, err)
		}
	}
	for _, page := range []string{"nonsense", "WyJhIl0", "WyJhIiwiYiIsImMiLCJkIl0"} {
		if _, err := f.store.FindMessages(f.Context(), "bob", chat.SearchQuery{Query: "word", Page: page, Limit: 1}); err == nil {
			f.Errorf("the store takes %q for a page", page)
		}
	}
}

func testSearchRecent(f *fixture) {
	var rooms []string
	for range 5 {
		rooms = append(rooms, f.room(protocol.Group, "ann", "bob"))
		f.clock.advance(time.Second)
	}
	f.send(rooms[1], "ann", "news")
	call[protocol.SeqResult](f, "bob", protocol.RoomLeave, &protocol.RoomEventParams{Room: rooms[3]})
	for _, tt := range []struct {
		limit int
		want  []string
		more  bool
	}{
		{2, []string{rooms[1], rooms[4]}, true},
		{4, []string{rooms[1], rooms[4], rooms[2], rooms[0]}, false},
	} {
		places, more, err := f.store.Recent(f.Context(), "bob", tt.limit)
		f.must(err)
		f.equal("more", more, tt.more)
		got := make([]string, len(places))
		for i, p := range places {
			got[i] = p.Room
		}
		f.equal("rooms", got, tt.want)
	}
}

func testSearchDeadline(f *fixture) {
	room := f.room(protocol.Group, "ann")
	f.send(room, "ann", "word")
	f.apply(f.store)
	q := chat.SearchQuery{Query: "word", Rooms: []chat.Place{{Room: room, From: 1}}, Limit: 10}
	late, cancel := context.WithDeadline(f.Context(), time.Unix(1, 0))
	defer cancel()
	page, err := f.store.FindMessages(late, "ann", q)
	f.must(err)
	f.equal("no time at all", page, &chat.SearchPage{Partial: true})
	gone, cancel := context.WithCancel(f.Context())
	cancel()
	if _, err := f.store.FindMessages(gone, "ann", q); err == nil {
		f.Errorf("a search that nobody waits for did not fail")
	}
	page, err = f.store.FindMessages(f.Context(), "ann", q)
	f.must(err)
	f.equal("later", []any{len(page.Found), page.Partial}, []any{1, false})
}

// apply has everything applied that a store's logs hold.
func (f *fixture) apply(s Store) {
	f.Helper()
	for behind := f.behind(s); len(behind) > 0; behind = f.behind(s) {
		_, err := s.Apply(f.Context(), whole(behind))
		f.must(err)
	}
}
