package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// frames are the frames of an answer.
func (p polled) frames(t *testing.T) (list []frame) {
	t.Helper()
	for _, line := range p.Frames {
		var f frame
		if err := json.Unmarshal(line, &f); err != nil {
			t.Fatalf("not a frame: %s", line)
		}
		list = append(list, f)
	}
	return list
}

// seqs are the seqs of the events in an answer, as text.
func (p polled) seqs(t *testing.T) string {
	t.Helper()
	var list []uint64
	for _, f := range p.frames(t) {
		if f.Seq != 0 {
			list = append(list, f.Seq)
		}
	}
	return fmt.Sprint(list)
}

// TestPoll polls by hand (§2.6).
func TestPoll(t *testing.T) {
	t.Parallel()
	s := start(t, unlimited...)
	b := s.backend()
	room := b.newRoom("group", "bob", "alice")
	token, bob := s.token("alice"), s.connect("bob", nil)
	poll := func(params object) polled {
		t.Helper()
		p, err := s.poll(token, params)
		if err != nil {
			t.Fatalf("poll %v: %v", params, err)
		}
		return p
	}
	first := poll(object{"device": "d", "client": "by hand"})
	if f := first.frames(t); len(f) != 1 || f[0].Event != "hello" || f[0].data()["session"] != first.Session || f[0].data()["user"] != "alice" {
		t.Fatalf("the first poll is answered with %v", f)
	}
	id := first.Session
	wants := func(what string, p polled, seqs string) {
		t.Helper()
		if got := p.seqs(t); got != seqs || p.Session != id {
			t.Errorf("%s: came %s, not %s", what, got, seqs)
		}
	}
	again := func(ack string, timeout int) polled {
		t.Helper()
		return poll(object{"session": id, "ack": ack, "timeout_ms": timeout})
	}

	if f := again("", 0).frames(t); len(f) != 1 || f[0].Event != "hello" {
		t.Errorf("what was not acknowledged: %v", f)
	}
	bob.send(room, "2", "a word")
	bob.send(room, "3", "a word")
	var p polled
	for p = again(first.Cursor, 20_000); p.seqs(t) == "[2]"; p = again(first.Cursor, 100) {
	}
	wants("what was sent", p, "[2 3]")
	for _, ack := range []string{first.Cursor, "", "another", "99"} {
		wants("with the ack "+ack, again(ack, 0), "[2 3]")
	}
	bob.send(room, "4", "a word")
	for p = again("", 0); p.seqs(t) == "[2 3]"; p = again("", 0) {
	}
	wants("with what has come", p, "[2 3 4]")
	wants("with an ack of all", again(p.Cursor, 0), "[]")
	wants("and an old ack", again(first.Cursor, 0), "[]")

	headers := map[string]string{"Authorization": "Bearer " + token, "Parley-Session": id}
	if _, _, err := post("http://"+s.addr, "presence.subscribe", headers, object{"users": []string{"bob"}}); err != nil {
		t.Errorf("a call of the session: %v", err)
	}
	list := b.user("alice").call("session.list", object{})["sessions"].([]any)
	if len(list) != 1 || list[0].(object)["session"] != id || list[0].(object)["client"] != "by hand" {
		t.Errorf("the sessions are %v", list)
	}
}

// TestPollRevoked revokes sessions while no poll waits: the next one brings `closing`, and nothing else that a token gets which was revoked.
func TestPollRevoked(t *testing.T) {
	t.Parallel()
	s := start(t, unlimited...)
	b := s.backend()
	room := b.newRoom("group", "bob", "alice", "carol")
	other := s.token("bob")
	for user, revoke := range map[string]object{"alice": {"user": "alice", "device": "d"}, "carol": {"user": "carol", "all": true}} { // one device, and all
		token := s.token(user)
		first, err := s.poll(token, object{"device": "d"})
		if err != nil {
			t.Fatal(err)
		}
		s.connect("bob", nil).send(room, user, "nobody reads it any more")
		if p, err := s.poll(token, object{"session": first.Session, "ack": first.Cursor}); err != nil || len(p.Frames) == 0 {
			t.Fatalf("came %s, %v", p.Frames, err)
		}
		b.call("session.revoke", revoke)

		refused := func(what, token string, params object, code string) {
			t.Helper()
			if p, err := s.poll(token, params); err == nil || !strings.Contains(err.Error(), code) {
				t.Errorf("%s %s: came %s, %v", user, what, p.Frames, err)
			}
		}
		refused("opens another session", token, object{"device": "d"}, "unauthenticated")
		refused("of another user", other, object{"session": first.Session}, "not_found")
		if user == "carol" {
			refused("asks for nonsense", token, object{"session": first.Session, "timeout_ms": -1}, "unauthenticated")
			refused("guesses", token, object{"session": "another"}, "unauthenticated")
		}
		p, err := s.poll(token, object{"session": first.Session, "ack": first.Cursor})
		if err != nil {
			t.Fatalf("%s: %v", user, err)
		}
		if f := p.frames(t); len(f) != 1 || f[0].Event != "closing" || f[0].data()["code"] != 4403.0 {
			t.Errorf("%s: came %v, not closing alone", user, f)
		}
		refused("goes on", token, object{"session": first.Session, "ack": p.Cursor}, "unauthenticated")
	}
}

// TestPollTwice has a second poll end the first, which waits, at once.
func TestPollTwice(t *testing.T) {
	t.Parallel()
	s := start(t)
	token := s.token("alice")
	first, err := s.poll(token, object{"device": "d"})
	if err != nil {
		t.Fatal(err)
	}
	waiting := make(chan polled, 1)
	go func() {
		p, err := s.poll(token, object{"session": first.Session, "ack": first.Cursor, "timeout_ms": 60_000})
		if err != nil {
			t.Errorf("a poll that waits: %v", err)
		}
		waiting <- p
	}()
	for end := time.Now().Add(patience); ; { // the first may come after the second
		if _, err := s.poll(token, object{"session": first.Session, "ack": first.Cursor, "timeout_ms": 0}); err != nil {
			t.Fatal(err)
		}
		select {
		case p := <-waiting:
			if len(p.Frames) > 0 {
				t.Errorf("there was nothing, and came %s", p.Frames)
			}
			return
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(end) {
			t.Fatal("it goes on waiting")
		}
	}
}

// TestPollMuch gets more than fits an answer, and more than a session may wait for: nothing is lost.
func TestPollMuch(t *testing.T) {
	t.Parallel()
	s := start(t, unlimited...)
	room := s.backend().newRoom("group", "bob", "alice")
	token, bob := s.token("alice"), s.connect("bob", nil)
	first, err := s.poll(token, object{"device": "d"})
	if err != nil {
		t.Fatal(err)
	}
	last := uint64(0)
	for i := range 150 {
		last = bob.send(room, fmt.Sprint(i), strings.Repeat("x", 8000))
	}
	next, ack := uint64(2), first.Cursor
	for next <= last {
		p, err := s.poll(token, object{"session": first.Session, "ack": ack, "timeout_ms": 20_000})
		if err != nil {
			t.Fatal(err)
		}
		size := 0
		for _, line := range p.Frames {
			size += len(line)
		}
		if size > 64<<10 {
			t.Fatalf("an answer with %d bytes of %d frames", size, len(p.Frames))
		}
		for _, f := range p.frames(t) {
			switch {
			case f.Event == "receipt":
			case f.Seq != next:
				t.Fatalf("%s %d comes, and not %d", f.Event, f.Seq, next)
			default:
				next++
			}
		}
		ack = p.Cursor
	}
}

// TestPollRefused is what bad polls are answered.
func TestPollRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	token, other := s.token("alice"), s.token("bob")
	p, err := s.poll(token, object{"device": "d"})
	if err != nil {
		t.Fatal(err)
	}
	stream := s.stream("alice", "", object{"device": "another"}).hello["session"]
	for _, tt := range []struct {
		name        string
		token       string
		params      any
		code, field string
	}{
		{"no token", "", object{"device": "d"}, "unauthenticated", ""},
		{"an API key", s.key("k"), object{"device": "d"}, "unauthenticated", ""},
		{"no device", token, object{}, "bad_request", "device"},
		{"a timeout below 0", token, object{"device": "d", "timeout_ms": -1}, "bad_request", "timeout_ms"},
		{"a timeout over a minute", token, object{"session": p.Session, "timeout_ms": 60_001}, "bad_request", "timeout_ms"},
		{"a timeout that is none", token, object{"session": p.Session, "timeout_ms": "1"}, "bad_request", "timeout_ms"},
		{"positions that are none", token, object{"device": "d", "resume": object{"rooms": object{"r_a": -1}}}, "bad_request", "resume"},
		{"no object", token, []int{1}, "bad_request", "params"},
		{"a session that never was", token, object{"session": "none"}, "not_found", "session"},
		{"another user's session", other, object{"session": p.Session}, "not_found", "session"},
		{"a session that is an event stream", token, object{"session": stream}, "not_found", "session"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := post("http://"+s.addr, "poll", map[string]string{"Authorization": "Bearer " + tt.token}, tt.params)
			refused(t, tt.code, tt.field)(nil, err)
		})
	}
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+s.addr+"/v1/poll", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	wantError(t, resp, err, 405, "bad_request", "")
}

// TestPollResumes goes on from positions, as over a WebSocket.
func TestPollResumes(t *testing.T) {
	t.Parallel()
	for _, c := range clusters() {
		t.Run(c.name, func(t *testing.T) {
			nodes := c.start(t)
			b := nodes[0].backend()
			room := b.newRoom("group", "bob", "alice")
			bob := nodes[0].connect("bob", nil)
			alice := nodes[0].polls("alice", nil)
			seq := bob.send(room, "1", "a word")
			alice.expect("the message", event(room, seq))
			alice.cut()
			bob.send(room, "2", "a word")
			again := nodes[len(nodes)-1].polls("alice", object{"resume": object{"epoch": alice.hello["epoch"], "rooms": object{room: seq}}})
			bob.send(room, "3", "a word")
			again.expectAll([]string{room}, map[string][]string{room: {"3", "4"}})
		})
	}
}
