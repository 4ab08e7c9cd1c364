package e2e

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/relay"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/testkit"
	"github.com/parley-im/parley/protocol"
)

// agedRoom is a room that keeps its events for a day, made by a node whose clock was three days behind: events 1 to 6 are too old, 7 and 8 are not. The store
// is closed when it returns.
func agedRoom(t *testing.T, o store.Options) (room string) {
	t.Helper()
	late := 72 * time.Hour
	o.Now = func() time.Time { return time.Now().Add(-late) }
	s, err := store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	core := chat.NewService(chat.Ports{Log: s, Snapshots: s, Inbox: s, Search: s, Desk: s, Users: s, Names: s},
		chat.Options{Epoch: s.Epoch, Key: s.Key("pages"), Now: o.Now})
	if err := s.Ensure(t.Context(), "ann", "ben"); err != nil {
		t.Fatal(err)
	}
	keep := protocol.SettingsPatch{RetentionDays: protocol.Some[int64](1)}
	made, refused := core.CreateRoom(t.Context(), chat.Actor{User: "ann"}, &protocol.RoomCreateParams{Kind: protocol.Group, Members: []string{"ben"}, Settings: &keep})
	if refused != nil {
		t.Fatal(refused)
	}
	for i := 2; i <= 8; i++ {
		if i == 7 {
			late = time.Hour
		}
		p := &protocol.MessageSendParams{Room: made.Room.ID, ClientID: fmt.Sprint("c", i), Text: fmt.Sprint("word of ", i)}
		if _, err := core.Do(t.Context(), chat.Actor{User: "ann"}, protocol.MessageSend, p); err != nil {
			t.Fatal(err)
		}
	}
	// What the relay has not applied would not be pruned before the sweep after the first.
	r := relay.New(relay.Options{Source: s, Node: "past"})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ctx)
	}()
	for n := 1; n > 0; time.Sleep(10 * time.Millisecond) {
		if _, n, err = s.Unapplied(t.Context(), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	<-done
	return made.Room.ID
}

// soon waits until it is so; the bound is far above what is to be expected.
func soon(what string, is func() bool) error {
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if is() {
			return nil
		}
	}
	return errors.New(what)
}

func TestRetention(t *testing.T) {
	engines := map[string]func(t *testing.T) (url string){
		"SQLite":     func(*testing.T) string { return "" },
		"PostgreSQL": func(t *testing.T) string { return testkit.StartPostgres(t).Database(t) },
	}
	for name, database := range engines {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			url := database(t)
			room := agedRoom(t, store.Options{URL: url, Data: dir})
			flags := unlimited
			if url != "" {
				flags = append([]string{"--store", url}, flags...)
			}
			s := startIn(t, "parley", dir, flags...)
			if err := retained(s, room); err != nil {
				t.Fatal(err)
			}
			if err := remembered(s, room); err != nil {
				t.Fatal(err)
			}
			s.kill()
			s.restart()
			if err := remembered(s, room); err != nil {
				t.Errorf("after a kill: %v", err)
			}
		})
	}
}

// The negative control: a sweep that forgets the ids of what it prunes must be found out by the same test.
func TestRetentionFindsForgottenIDs(t *testing.T) {
	if err := build("parley-bugs", "bugs"); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	room := agedRoom(t, store.Options{Data: dir})
	s := startIn(t, "parley-bugs", dir, unlimited...)
	if err := retained(s, room); err != nil {
		t.Fatal(err)
	}
	err := remembered(s, room)
	if err == nil {
		t.Fatal("a sweep that forgets was not found out")
	}
	t.Logf("found out: %v", err)
}

// retained holds what a room shows and streams against its retention.
func retained(s *server, room string) error {
	ann := s.connect("ann", nil)
	var first any
	err := soon("the room was not pruned", func() bool {
		first = ann.call("room.get", object{"room": room})["room"].(object)["first"]
		return first == 7.0
	})
	if err != nil {
		return fmt.Errorf("%w: first is %v", err, first)
	}
	var wrong []error
	want := func(what string, got, want any) {
		if fmt.Sprint(got) != fmt.Sprint(want) {
			wrong = append(wrong, fmt.Errorf("%s: got %v, want %v", what, got, want))
		}
	}
	entry := ann.call("room.list", object{})["rooms"].([]any)[0].(object)
	want("room.list", entry["room"].(object)["first"], 7)
	want("messages", entry["room"].(object)["messages"], 7)
	list := ann.call("message.list", object{"room": room, "after": 0})
	want("message.list", len(list["messages"].([]any)), 2)
	want("event.list", len(ann.call("event.list", object{"room": room, "after": 0})["events"].([]any)), 2)
	want("message.search", len(ann.call("message.search", object{"query": "word"})["messages"].([]any)), 2)
	for method, field := range map[string]string{"message.delete": "seq", "message.list": "around"} {
		_, err := ann.try(method, object{"room": room, field: 3})
		if refused := asWireError(err); refused == nil || refused.Code != "not_found" || refused.Field != field {
			want(method, err, "not_found "+field)
		}
	}
	for after, told := range map[uint64]string{3: "reset", 5: "reset", 6: "7 8", 7: "8", 0: "7 8"} {
		c := s.connect("ann", object{"device": fmt.Sprint("from", after), "resume": object{"epoch": ann.hello["epoch"], "rooms": object{room: after}}})
		if err := soon("resuming from a position", func() bool { return strings.Join(c.streamOf(room), " ") == told }); err != nil {
			want(fmt.Sprint("resumed after ", after), c.streamOf(room), told)
		}
		c.cut()
	}
	ann.cut()
	return errors.Join(wrong...)
}

// streamOf is what a session was pushed of a room: the seqs of events, and the names of signals about its stream.
func (c *client) streamOf(room string) (list []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.pushes {
		switch {
		case f.Room != room:
		case f.Seq != 0:
			list = append(list, fmt.Sprint(f.Seq))
		case f.Event == "reset":
			list = append(list, f.Event)
		}
	}
	return list
}

// remembered repeats calls whose events are gone.
func remembered(s *server, room string) error {
	ann := s.connect("ann", object{"device": "outbox"})
	defer ann.cut()
	for seq := 2; seq <= 8; seq++ {
		p := object{"room": room, "client_id": fmt.Sprint("c", seq), "text": fmt.Sprint("word of ", seq)}
		result, err := ann.try("message.send", p)
		if err != nil {
			return err
		}
		if result["seq"] != float64(seq) || result["n"] != float64(seq-1) || result["duplicate"] != true {
			return fmt.Errorf("repeated, %d was answered with %v", seq, result)
		}
		p["text"] = "something else"
		if _, err := ann.try("message.send", p); asWireError(err) == nil || asWireError(err).Code != "conflict" {
			return fmt.Errorf("with other content: %w", err)
		}
	}
	return nil
}

// The index is damaged while the server runs, and while it does not; each time it is built anew.
func TestSearchRebuild(t *testing.T) {
	s := start(t, unlimited...)
	room := s.backend().newRoom("group", "ann")
	ann := s.connect("ann", nil)
	for i := range 300 {
		ann.send(room, fmt.Sprint(i), fmt.Sprintf("message word%d", i))
	}
	find := func() (n int) {
		for _, query := range []string{"message", "word299"} {
			if result, err := ann.try("message.search", object{"query": query, "limit": 200}); err == nil { // a damaged index is a fault of the server
				n += len(result["messages"].([]any))
			}
		}
		return n
	}
	whole := func() bool { return find() == 201 }
	if err := soon("the index was not made", whole); err != nil {
		t.Fatal(err)
	}
	wreck := func() {
		t.Helper()
		db, err := sql.Open("sqlite", "file:"+filepath.Join(s.dir, "parley.db")+"?_pragma=busy_timeout(10000)")
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.Exec(`DELETE FROM search_data WHERE id > 10`); err != nil {
			t.Fatal(err)
		}
	}
	wreck()
	if whole() {
		t.Fatal("the index is not damaged")
	}
	command(t, "search", "rebuild", "--data", s.dir)
	if err := soon("built anew under the server", whole); err != nil {
		t.Errorf("%v: %d are found", err, find())
	}
	ann.cut()
	s.stop()
	wreck()
	command(t, "search", "rebuild", "--data", s.dir)
	s.restart()
	ann = s.connect("ann", nil)
	if n := find(); n != 201 {
		t.Errorf("built anew without a server: %d are found", n)
	}
}
