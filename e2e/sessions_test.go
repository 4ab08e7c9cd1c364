package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// wantClosed waits for the end of a session, with its `closing` before it.
func (c *client) wantClosed(code int) {
	c.t.Helper()
	got, err := c.closed()
	if err != nil || int(got) != code {
		c.t.Errorf("%s: closed with %d, %v; %d was expected", c.user, got, err, code)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.pushes) == 0 {
		c.t.Errorf("%s: closed without `closing`", c.user)
		return
	}
	if last := c.pushes[len(c.pushes)-1]; last.Event != "closing" || last.data()["code"] != float64(code) {
		c.t.Errorf("%s: the last frame before the close %d is %s %s", c.user, code, last.Event, last.Data)
	}
}

// alive reports whether the session still answers.
func (c *client) alive() bool {
	_, err := c.try("user.get", object{"users": []string{c.user}})
	return err == nil
}

// TestNewerSession has a device come back while its older session still stands: the older one ends, and gets nothing more (4409).
func TestNewerSession(t *testing.T) {
	t.Parallel()
	for _, c := range clusters() {
		t.Run(c.name, func(t *testing.T) {
			nodes := c.start(t)
			b := nodes[0].backend()
			room := b.newRoom("group", "alice", "bob")
			bob := nodes[0].connect("bob", nil)
			older := nodes[0].connect("alice", object{"device": "phone"})
			tablet := nodes[0].connect("alice", object{"device": "tablet"})
			for i := range 4 {
				newer := nodes[(i+1)%len(nodes)].connect("alice", object{"device": "phone"})
				older.wantClosed(4409)
				seq := bob.send(room, fmt.Sprint(i), "to the newer one")
				newer.expect("the message", event(room, seq))
				if slices.Contains(older.events(room), seq) {
					t.Error("the older session got a message that was sent after its end")
				}
				older = newer
			}
			if !tablet.alive() || !bob.alive() {
				t.Error("a session of another device or user was closed as well")
			}
			sessions := tablet.call("session.list", object{})["sessions"].([]any)
			if len(sessions) != 2 {
				t.Errorf("two devices have the sessions %v", sessions)
			}
		})
	}
}

// sessionsOf are the devices of a list of sessions, and which of them is the current one.
func sessionsOf(list object) (devices []string, current string) {
	for _, entry := range list["sessions"].([]any) {
		s := entry.(object)
		devices = append(devices, s["device"].(string))
		if s["current"] == true {
			current += s["device"].(string)
		}
	}
	slices.Sort(devices)
	return devices, current
}

// TestSessionRevoke lists sessions and revokes them, one, a device and all: they end with 4403, and the tokens that they stand on are worth nothing.
func TestSessionRevoke(t *testing.T) {
	t.Parallel()
	for _, c := range clusters() {
		t.Run(c.name, func(t *testing.T) {
			nodes := c.start(t)
			s, other := nodes[0], nodes[len(nodes)-1]
			b := s.backend()
			token := s.tokenFrom("alice", time.Now())
			dial := func(s *server, device, token string) *client {
				t.Helper()
				session, err := s.dial("alice", token, object{"device": device})
				if err != nil {
					t.Fatal(err)
				}
				return session
			}
			laptop, phone, tablet := dial(s, "laptop", token), dial(other, "phone", token), dial(other, "tablet", token)
			bob := s.connect("bob", nil)
			if devices, current := sessionsOf(laptop.call("session.list", object{})); current != "laptop" || !slices.Equal(devices, []string{"laptop", "phone", "tablet"}) {
				t.Errorf("the sessions are %v, and the current one %s", devices, current)
			}
			if devices, current := sessionsOf(b.call("session.list", object{"user": "alice"})); current != "" || len(devices) != 3 {
				t.Errorf("to a back end the sessions are %v, and the current one %s", devices, current)
			}
			refused(t, "forbidden", "user")(bob.try("session.list", object{"user": "alice"}))
			refused(t, "forbidden", "user")(bob.try("session.revoke", object{"all": true, "user": "alice"}))
			refused(t, "not_found", "session")(bob.try("session.revoke", object{"session": laptop.hello["session"]}))
			refused(t, "bad_request", "session")(laptop.try("session.revoke", object{}))

			laptop.call("session.revoke", object{"session": phone.hello["session"]})
			phone.wantClosed(4403)
			deny := func(s *server, device, token string) {
				t.Helper()
				_, err := s.dial("alice", token, object{"device": device})
				refused(t, "unauthenticated", "")(nil, err)
			}
			deny(s, "phone", token)
			deny(other, "phone", token)
			deny(s, "phone", s.sign(object{"sub": "alice", "exp": time.Now().Add(time.Hour).Unix()})) // without iat
			later := s.tokenFrom("alice", time.Now().Add(30*time.Second))                             // of a sign-in after the revoke
			phone = dial(s, "phone", later)

			laptop.call("session.revoke", object{"device": "tablet"})
			tablet.wantClosed(4403)
			deny(s, "tablet", token)
			if !laptop.alive() || !phone.alive() {
				t.Error("a session was closed that was not revoked")
			}
			dial(other, "watch", token)

			b.call("session.revoke", object{"all": true, "user": "alice"})
			laptop.wantClosed(4403)
			for _, device := range []string{"laptop", "phone", "tablet", "a new one"} {
				deny(s, device, token)
			}
			deny(other, "laptop", token)
			for _, node := range nodes {
				node.wantRefused(token)
			}
			if _, body := (&caller{token: later}).ask(t, s, "room.list", object{}); verdict(body) != "ok" {
				t.Errorf("a call with a token from after the revoke is answered with %s", body)
			}
			if !bob.alive() {
				t.Error("another user's session was closed")
			}
			for _, node := range nodes {
				node.kill()
				node.restart()
				deny(node, "laptop", token)
			}
		})
	}
}

// wantRefused waits until a token is worth nothing: nodes hear of a revoke on another within a second, on a machine with nothing else to do.
func (s *server) wantRefused(token string) {
	s.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		_, body := (&caller{token: token}).ask(s.t, s, "room.list", object{})
		if verdict(body) == "unauthenticated" {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("a call with a revoked token is answered with %s", body)
		}
	}
}

// TestTokenEnds lets tokens run out under live sessions: they are told, and closed with 4401 unless they bring a new one in time.
func TestTokenEnds(t *testing.T) {
	t.Parallel()
	s := start(t, unlimited...)
	short := s.token("alice", "--ttl", "3s")
	began := time.Now()
	dial := func(device string) *client {
		c, err := s.dial("alice", short, object{"device": device})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	ends, goesOn, tries := dial("ends"), dial("goes on"), dial("tries")
	for _, c := range []*client{ends, goesOn, tries} {
		f := c.expect("token.expiring", func(f frame) bool { return f.Event == "token.expiring" })
		if f.data()["expires_at"] != c.hello["token_expires_at"] {
			t.Errorf("token.expiring says %s, and hello %v", f.Data, c.hello["token_expires_at"])
		}
	}
	if early := time.Since(began); early > 2*time.Second {
		t.Logf("the machine is slow: token.expiring took %v", early)
	}
	result := goesOn.call("session.refresh", object{"token": s.token("alice")})
	if expires, err := time.Parse(time.RFC3339, result["token_expires_at"].(string)); err != nil || time.Until(expires) < 50*time.Minute {
		t.Errorf("after the refresh the token expires at %v, %v", result["token_expires_at"], err)
	}
	refused(t, "forbidden", "token")(tries.try("session.refresh", object{"token": s.token("bob")}))
	refused(t, "unauthenticated", "")(tries.try("session.refresh", object{"token": "nonsense"}))
	refused(t, "bad_request", "token")(tries.try("session.refresh", object{}))
	ends.wantClosed(4401) // when its 3 s are over
	tries.wantClosed(4401)
	if lived := time.Since(began); lived < 2*time.Second {
		t.Errorf("a token of 3 s was good for %v", lived)
	}
	if !goesOn.alive() {
		t.Error("a session with a fresh token was closed with the old one's end")
	}
	_, err := s.dial("alice", short, nil)
	refused(t, "unauthenticated", "")(nil, err)
}

// TestHeartbeats counts the signs of life of both sides, with heartbeats of half a second (§2.2).
func TestHeartbeats(t *testing.T) {
	t.Parallel()
	const beat = 500 * time.Millisecond
	s := start(t, append([]string{"--heartbeat=500ms"}, unlimited...)...)
	token := s.token("alice")

	mute := s.raw()
	if ms := mute.hello(token, "mute")["heartbeat_ms"]; ms != 500.0 {
		t.Errorf("hello says %v", ms)
	}
	began := time.Now()
	frames, closing, code := mute.ending()
	if lived := time.Since(began); closing != 4408 || code != 4408 || lived < 2*beat-100*time.Millisecond {
		t.Errorf("a silent session ends after %v with closing %d, code %d", lived, closing, code)
	}
	if len(frames) != 2 || frames[0].Event != "" || frames[0].ID != 0 {
		t.Errorf("a silent session got %+v; one heartbeat and closing were expected", frames)
	}

	// The heartbeats of the server pace what follows: nothing here waits by itself.
	polite := s.raw()
	polite.hello(token, "polite")
	for range 5 {
		if f, err := polite.frame(); err != nil || f.Event != "" || f.ID != 0 {
			t.Fatalf("a quiet session got %+v, %v", f, err)
		}
		polite.text("{}")
	}
	talker := s.raw()
	talker.hello(token, "talker")
	for range 3 {
		for range 20 {
			talker.text("{}") // none of them is answered
		}
		if f, err := talker.frame(); err != nil || f.Event != "" || f.ID != 0 {
			t.Fatalf("a session that sends heartbeats got %+v, %v", f, err)
		}
	}
	talker.text("{}")
	talker.text(`{"id":2,"method":"room.list"}`)
	for beats := 0; ; beats++ {
		f, err := talker.frame()
		if err != nil || beats > 2 {
			t.Fatalf("%d heartbeats in answer to one, and then %+v, %v", beats, f, err)
		}
		if f.ID == 2 {
			break
		}
	}
}

// TestManySessions opens as many sessions as a user may have, and one more.
func TestManySessions(t *testing.T) {
	t.Parallel()
	s := start(t, unlimited...)
	token := s.token("alice")
	var first *client
	for i := range 50 {
		c, err := s.dial("alice", token, object{"device": fmt.Sprint("device", i)})
		if err != nil {
			t.Fatalf("session %d: %v", i+1, err)
		}
		if first == nil {
			first = c
		}
	}
	c, err := s.open()
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.try("hello", object{"token": token, "device": "one more"})
	if e := asWireError(err); e == nil || e.Code != "rate_limited" || e.Scope != "user" || e.RetryAfterMS <= 0 {
		t.Errorf("session 51: %v", err)
	}
	c.wantClosed(4429)
	if _, err := s.dial("alice", token, object{"device": "device7"}); err != nil {
		t.Errorf("a device that comes back takes the place of its older session: %v", err)
	}
	first.call("session.revoke", object{"session": first.hello["session"]})
	if _, err := s.dial("alice", token, object{"device": "one more"}); err != nil {
		t.Errorf("when one has ended there is room for one: %v", err)
	}
}

// TestDrain stops a server while it is used: everybody is told, goes on working until their turn, and gets every answer (§2.3).
func TestDrain(t *testing.T) {
	t.Parallel()
	const sessions = 8
	s := start(t, append([]string{"--drain=2s"}, unlimited...)...)
	b := s.backend()
	users := make([]string, sessions)
	for i := range users {
		users[i] = fmt.Sprint("user", i)
	}
	room := b.newRoom("group", users...)
	var clients []*client
	for _, u := range users {
		clients = append(clients, s.connect(u, nil))
	}
	waiting := s.raw() // a handshake without a hello has its turn at once
	answered := make(chan int, sessions)
	for i, c := range clients {
		go func() { answered <- untilCut(t, c, room, i) }()
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.stop()
	}()
	last := clients[0]
	var longest float64
	for _, c := range clients {
		f := c.expect("reconnect", func(f frame) bool { return f.Event == "reconnect" })
		if delay := f.data()["delay_ms"].(float64); delay > longest {
			last, longest = c, delay
		}
	}
	if longest < 1000 || longest > 2000 {
		t.Errorf("the last turn is after %v ms, and the drain takes 2 s", longest)
	}
	drained(t, s, b, last, room)
	waiting.wantEnd(t, 1012)
	waiting.Close()
	for _, c := range clients {
		c.wantClosed(1012)
	}
	sum := 0
	for range clients {
		sum += <-answered
	}
	<-stopped
	if s.cmd.ProcessState.ExitCode() != 0 {
		t.Errorf("the server ended with %v", s.cmd.ProcessState)
	}
	s.restart()
	head := int(b.user("user0").call("room.get", object{"room": room})["head"].(float64))
	t.Logf("%d messages were answered while the node was drained", sum)
	if kept := head - 2; sum != kept { // apart from room.created and what came beside the socket
		t.Errorf("%d messages were answered, and %d are in the log: what is accepted is answered before the close", sum, kept)
	}
}

// untilCut sends messages, four at a time, until the session ends, and returns how many were answered. None may be answered with an error.
func untilCut(t *testing.T, c *client, room string, who int) (answered int) {
	for i := 0; ; i++ {
		var replies []<-chan frame
		cut := false
		for j := range 4 {
			reply, err := c.begin("message.send", object{"room": room, "client_id": fmt.Sprint(who, ".", i, ".", j), "text": "on the way"})
			if err == nil {
				replies = append(replies, reply)
			}
		}
		for _, reply := range replies {
			switch _, err := await(reply); {
			case err == nil:
				answered++
			case errors.Is(err, errCut):
				cut = true
			default:
				t.Errorf("a call on a node being drained: %v", err)
			}
		}
		if cut || len(replies) == 0 {
			return answered
		}
	}
}

// drained looks at a node that is being drained: nothing new is let in, and whoever is in still is.
func drained(t *testing.T, s *server, b *backend, in *client, room string) {
	t.Helper()
	_, err := s.open()
	if err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("a new session on a node being drained: %v; 503 was expected", err)
	}
	headers := map[string]string{"Authorization": "Bearer " + b.key, "Parley-User": in.user}
	status, _, err := post("http://"+s.addr, "room.list", headers, object{})
	if e := asWireError(err); status != http.StatusServiceUnavailable || e == nil || e.Code != "unavailable" || e.RetryAfterMS <= 0 {
		t.Errorf("a call to a node being drained: %d, %v; 503 was expected", status, err)
	}
	headers["Parley-Session"] = in.hello["session"].(string)
	if _, _, err := post("http://"+s.addr, "message.send", headers, object{"room": room, "client_id": "beside", "text": "beside the socket"}); err != nil {
		t.Errorf("a call of a session whose turn has not come: %v", err)
	}
	if !in.alive() {
		t.Error("a session whose turn has not come does not work")
	}
}
