package terminal

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/parley-im/parley/client"
	"github.com/parley-im/parley/protocol"
)

var update = flag.Bool("update", false, "write the golden screens, and the one in docs/terminal.md, anew")

// garden is a conversation with most of what there is to draw.
func garden() *Model {
	w := &world{}
	w.add("alice", protocol.RoomCreated, protocol.RoomCreatedData{})
	w.say("bob", "Shall we meet in the garden?")
	w.say("bob", "Half past nine, by the old 梨 tree 🌳 — bring the good secateurs and, if there is any left, a thermos of that coffee.")
	w.add("alice", protocol.ReactionAdded, protocol.ReactionData{Target: 2, Emoji: "👍"})
	text := "Yes!"
	w.add("alice", protocol.MessageCreated, protocol.MessageCreatedData{ClientID: "y", Text: &text, ReplyTo: 2})
	w.say("carol", "I wrote nonsense")
	w.add("carol", protocol.MessageDeleted, protocol.MessageDeletedData{Target: 6})
	text2 := "On my way"
	w.say("carol", "On my wey")
	w.add("carol", protocol.MessageEdited, protocol.MessageEditedData{Target: 8, Text: &text2})
	w.say("alice", "Coming")
	m := chatting(w)
	room := m.rooms["r_1"]
	room.info.Topic = "pruning, mostly"
	for _, c := range []protocol.Cursors{{User: "bob", Delivered: 10, Read: 5}, {User: "carol", Delivered: 10, Read: 10}} {
		room.moved(c)
	}
	m.presence = map[string]protocol.Status{"bob": protocol.StatusOnline, "carol": protocol.StatusAway}
	kitchen := protocol.Room{ID: "r_2", Kind: protocol.Channel, Name: "kitchen", Settings: protocol.DefaultSettings()}
	direct := protocol.Room{ID: "r_3", Kind: protocol.Direct, Settings: protocol.DefaultSettings()}
	m.Update(Inbox{Rooms: []protocol.InboxEntry{{Room: kitchen, Head: 9, Me: protocol.Me{Unread: 12, Mentions: 2}}, {Room: direct, Head: 3, Me: protocol.Me{Unread: 1}}}})
	m.rooms["r_3"].peer = "bob"
	return m
}

// screens are the states whose pictures are kept.
func screens() map[string]func() *Model {
	return map[string]func() *Model{
		"conversation": func() *Model {
			m := garden()
			m.Update(Signalled{client.Signal{Room: "r_1", User: "bob", Data: protocol.TypingData{Active: true, ExpiresMS: 5000}}})
			press(m, "See you there")
			return m
		},
		"offline": func() *Model {
			m := garden()
			m.Update(Connection{client.State{Phase: client.Waiting, Reason: client.ReasonLost, Retry: time.Second}})
			press(m, "written without a connection", "enter")
			press(m, "and another", "alt+enter")
			press(m, "in two lines", "enter")
			return m
		},
		"unread": func() *Model {
			m := garden()
			r := m.rooms["r_1"]
			r.newFrom = 5
			return m
		},
		"refused": func() *Model {
			m := garden()
			sent := only[Send](press(m, "too much", "enter"))[0]
			m.Update(Settled{Message: client.Queued{Message: sent.Message}, Err: errors.New("slow down")})
			return m
		},
		"selected": func() *Model {
			m := garden()
			press(m, "", "alt+up", "alt+up", "alt+up", "alt+up")
			return m
		},
		"help": func() *Model {
			m := garden()
			press(m, "/help", "enter")
			return m
		},
		"empty": newModel,
		"live": func() *Model {
			m := garden()
			m.rooms["r_1"].info.Kind = protocol.Live
			m.Update(Signalled{client.Signal{Room: "r_1", Data: protocol.AudienceData{Watching: 1234}}})
			m.Update(Signalled{client.Signal{Room: "r_1", Data: protocol.SkippedData{From: 11, To: 40}}})
			text := "still here"
			m.Update(Logged{protocol.Event{
				Room: "r_1", Seq: 41, Name: protocol.MessageCreated, User: "bob", At: protocol.At(beginning().Add(time.Hour)),
				Data: data(protocol.MessageCreatedData{Text: &text}),
			}})
			return m
		},
	}
}

// picture is a screen without its colours.
func picture(s Screen) string {
	lines := strings.Split(ansi.Strip(s.Text), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n") + "\n"
}

func TestScreens(t *testing.T) {
	for name, state := range screens() {
		for _, size := range []Resize{{80, 24}, {120, 40}, {40, 16}} {
			m := state()
			m.Update(size)
			got := picture(m.View())
			path := filepath.Join("testdata", fmt.Sprintf("%s-%dx%d.txt", name, size.Width, size.Height))
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("%s (go test -update writes it anew):\n%s", path, diff)
			}
		}
	}
}

func TestTheDocumentationShowsTheScreen(t *testing.T) {
	const doc, begin, end = "../../docs/terminal.md", "<!-- screen -->\n```\n", "```\n<!-- /screen -->"
	m := screens()["conversation"]()
	m.Update(Resize{80, 24})
	got := picture(m.View())
	content, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(content), begin)
	shown, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the screen", doc)
	}
	if *update && shown != got {
		if err := os.WriteFile(doc, []byte(before+begin+got+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if shown != got {
		t.Errorf("%s shows another screen than there is (go test -update writes it):\n%s", doc, cmp.Diff(shown, got))
	}
}

// A screen is as large as the terminal and holds nothing harmful, whatever people write and however narrow it is.
func TestEveryScreenFits(t *testing.T) {
	texts := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{
		"漢字漢字漢字漢字漢字漢字漢字", "👩‍👩‍👧‍👦👩‍👩‍👧‍👦👩‍👩‍👧‍👦", "é́́́́", "a\n\n\nb", strings.Repeat("x", 300), "مرحبا بالعالم", "🇨🇭🇨🇭🇨🇭", "\x1b[2J\u202e",
	}))
	rapid.Check(t, func(t *rapid.T) {
		w := &world{}
		w.add("alice", protocol.RoomCreated, protocol.RoomCreatedData{})
		for range rapid.IntRange(0, 8).Draw(t, "messages") {
			w.say(rapid.SampledFrom([]string{"alice", "bob"}).Draw(t, "user"), texts.Draw(t, "text"))
		}
		m := chatting(w)
		m.rooms["r_1"].info.Name, m.rooms["r_1"].info.Topic = texts.Draw(t, "name"), texts.Draw(t, "topic")
		m.Update(Resize{rapid.IntRange(1, 130).Draw(t, "width"), rapid.IntRange(1, 50).Draw(t, "height")})
		m.Update(Paste{texts.Draw(t, "draft")})
		for range rapid.IntRange(0, 6).Draw(t, "keys") {
			m.Update(Key{Name: rapid.SampledFrom([]string{"pgup", "pgdown", "alt+up", "alt+down", "left", "up", "ctrl+l", "f1", "backspace", "ctrl+w"}).Draw(t, "key")})
		}
		s := m.View()
		lines := strings.Split(s.Text, "\n")
		if len(lines) > m.height {
			t.Fatalf("%d lines on a terminal of %d", len(lines), m.height)
		}
		for _, l := range lines {
			if wide := ansi.StringWidth(l); wide > m.width {
				t.Fatalf("a line of %d cells on a terminal of %d: %q", wide, m.width, l)
			}
			if r, bad := unsafeIn(ansi.Strip(l), false); bad {
				t.Fatalf("%U is on the screen: %q", r, l)
			}
		}
		if s.CursorX < 0 || s.CursorX >= m.width || s.CursorY < 0 || s.CursorY >= m.height {
			t.Fatalf("the cursor is at %d, %d of %d × %d", s.CursorX, s.CursorY, m.width, m.height)
		}
	})
}
