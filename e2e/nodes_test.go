package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// known are two nodes that pass on to each other what is about their sessions.
func known(t *testing.T, flags ...string) (one, two *server) {
	t.Helper()
	nodes := startTwo(t, startNATS(t).url, append(flags, "--cluster-listen=127.0.0.1:0")...)
	return nodes[0], nodes[1]
}

// metric is the value of a metric without labels.
func (s *server) metric(name string) float64 {
	s.t.Helper()
	response, err := http.Get("http://" + s.admin + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		if rest, ok := bytes.CutPrefix(line, []byte(name+" ")); ok {
			value, err := strconv.ParseFloat(string(bytes.TrimSpace(rest)), 64)
			if err != nil {
				s.t.Fatal(err)
			}
			return value
		}
	}
	s.t.Fatalf("there is no metric %s", name)
	return 0
}

// until waits until something is so.
func (s *server) until(what string, is func() bool) {
	s.t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("not so: %s", what)
		}
	}
}

// at is the session with its calls, or its polls, coming to another node.
func (l *listener) at(s *server) *listener {
	return &listener{client: l.client, server: s, token: l.token}
}

// What is about a session may come to any node, whatever the session is carried over: a call, a poll, of its own user and of nobody else (§2.4, §2.6).
func TestSessionsAreReachedThroughEveryNode(t *testing.T) {
	t.Parallel()
	one, two := known(t)
	b := one.backend()
	room, channel := b.newRoom("group", "alice", "bob"), b.newRoom("channel", "bob")
	bob := one.connect("bob", nil)

	socket := one.connect("alice", object{"device": "socket"})
	overSocket := &listener{client: socket, server: two, token: one.token("alice")}
	sessions := map[string]*listener{
		"WebSocket": overSocket, "event stream": one.stream("alice", "", object{"device": "stream"}).at(two),
		"polls": one.polls("alice", object{"device": "polls"}).at(two),
	}
	for name, l := range sessions {
		if head := l.call("room.subscribe", object{"room": channel})["head"]; head == nil {
			t.Errorf("%s: room.subscribe answers no head", name)
		}
		if users := l.call("presence.subscribe", object{"users": []string{"bob"}})["users"].([]any); users[0].(object)["status"] != "online" {
			t.Errorf("%s: Bob is %v", name, users)
		}
		l.call("session.refresh", object{"token": two.token("alice", "--ttl", "2h")})
		seq := l.call("message.send", object{"room": room, "client_id": "by " + name[:4], "text": "hello"})["seq"]
		if list := l.call("session.list", object{})["sessions"].([]any); len(list) != 3 {
			t.Errorf("%s: %d sessions", name, len(list))
		}
		bob.send(channel, name[:4], "in the channel")
		l.expect("what is said in the channel", func(f frame) bool { return f.Room == channel && f.data()["client_id"] == name[:4] })
		l.expect("its own message", event(room, uint64(seq.(float64))))
		l.call("room.unsubscribe", object{"room": channel})
	}
	if n := two.metric("parley_cluster_forwarded_total"); n < 18 {
		t.Errorf("the other node has passed on %v calls", n)
	}
	refuseOthers(t, two, sessions["polls"].hello["session"].(string))
}

// refuseOthers has what is not theirs asked by others, and by nobody: the answers do not tell that the session is there.
func refuseOthers(t *testing.T, node *server, session string) {
	t.Helper()
	url, mallory := "http://"+node.addr, map[string]string{"Authorization": "Bearer " + node.token("mallory"), "Parley-Session": session}
	tag := session[strings.IndexByte(session, '.'):]
	was := func(what string, status int, err error, wantStatus int, wantCode string) {
		t.Helper()
		var refused *wireError
		if !errors.As(err, &refused) || status != wantStatus || refused.Code != wantCode {
			t.Errorf("%s: %d %v, want %d %s", what, status, err, wantStatus, wantCode)
		}
	}
	status, _, theirs := post(url, "room.subscribe", mallory, object{"room": "r_x"})
	was("another user's session", status, theirs, 404, "not_found")
	for _, never := range []string{"AAAAAAAAAAAAAAAAAAAAAA" + tag, "AAAAAAAAAAAAAAAAAAAAAA.AAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAA", ".", tag, session + ".", strings.Repeat("x", 4000) + tag} {
		mallory["Parley-Session"] = never
		status, _, err := post(url, "room.subscribe", mallory, object{"room": "r_x"})
		was("a session "+never[:1]+"…"+tag, status, err, 404, "not_found")
		if fmt.Sprint(err) != fmt.Sprint(theirs) {
			t.Errorf("a session that never was: %v; one of another user: %v", err, theirs)
		}
		status, _, err = post(url, "poll", mallory, object{"session": never})
		was("a poll of it", status, err, 404, "not_found")
	}
	status, _, err := post(url, "poll", mallory, object{"session": session})
	was("a poll of another user's", status, err, 404, "not_found")
	status, _, err = post(url, "poll", nil, object{"session": session})
	was("a poll of nobody", status, err, 401, "unauthenticated")
	status, _, err = post(url, "room.subscribe", map[string]string{"Authorization": "Bearer x", "Parley-Session": session}, object{"room": "r_x"})
	was("a call of nobody", status, err, 401, "unauthenticated")
}

// A poll that waits is given up on its session's node when its client goes away, and by the node between when that drains: then it has an empty answer, and
// nothing is lost. Event ids resume on any node.
func TestPollsThroughANodeThatGoesAway(t *testing.T) {
	t.Parallel()
	one, two := known(t)
	b, token := one.backend(), one.token("alice")
	room := b.newRoom("group", "bob", "alice")
	bob := one.connect("bob", nil)
	stream := two.stream("alice", "", object{"device": "stream"})
	first, err := one.poll(token, object{"device": "polls"})
	if err != nil {
		t.Fatal(err)
	}

	ctx, leave := context.WithCancel(t.Context())
	body := fmt.Sprintf(`{"session":%q,"ack":%q,"timeout_ms":60000}`, first.Session, first.Cursor)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+two.addr+"/v1/poll", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	var waiting sync.WaitGroup
	waiting.Go(func() {
		if response, err := http.DefaultClient.Do(r); err == nil {
			response.Body.Close()
			t.Errorf("a poll whose client has gone is answered %s", response.Status)
		}
	})
	polls := func(n float64) func() bool { return func() bool { return two.metric("parley_cluster_polls") == n } }
	two.until("a poll is passed on", polls(1))
	leave()
	waiting.Wait()
	two.until("the poll is given up", polls(0))

	answers := make(chan polled, 1)
	waiting.Go(func() {
		p, err := two.poll(token, object{"session": first.Session, "ack": first.Cursor, "timeout_ms": 60_000})
		if err != nil {
			t.Errorf("a poll through a node that drains: %v", err)
		}
		answers <- p
	})
	two.until("a poll is passed on again", polls(1))
	has := stream.lastID()
	two.stop()
	waiting.Wait()
	if p := <-answers; p.Session != first.Session || p.Cursor != first.Cursor || len(p.Frames) != 0 {
		t.Errorf("a poll through a node that drains is answered %+v", p)
	}
	bob.send(room, "2", "while the node is away")
	p, err := one.poll(token, object{"session": first.Session, "ack": first.Cursor, "timeout_ms": 20_000})
	if err != nil || p.seqs(t) != "[2]" {
		t.Errorf("the next poll: %v %s", err, p.seqs(t))
	}
	again := one.stream("alice", has, object{"device": "stream"})
	again.expect("what was missed", event(room, 2))
	if got := fmt.Sprint(again.events(room)); got != "[2]" {
		t.Errorf("the stream goes on with %s", got)
	}
}

// A session's node that is gone is found out at once, and one that hangs within seconds; it is used again when it goes on.
func TestANodeThatIsGone(t *testing.T) {
	t.Parallel()
	one, two := known(t)
	alice := one.polls("alice", nil).at(two)
	if _, err := alice.try("presence.subscribe", object{"users": []string{"bob"}}); err != nil {
		t.Fatal(err)
	}
	try := func() (code string, took time.Duration) {
		began := time.Now()
		_, err := alice.try("presence.subscribe", object{"users": []string{"bob"}})
		var refused *wireError
		errors.As(err, &refused)
		if refused == nil {
			return fmt.Sprint(err), time.Since(began)
		}
		return refused.Code, time.Since(began)
	}
	one.signalOnly(syscall.SIGSTOP)
	code, took := try()
	t.Logf("a node that hangs: %s after %v", code, took)
	if code != "unavailable" {
		t.Errorf("what is about a session of a node that hangs is answered %s", code)
	}
	one.signalOnly(syscall.SIGCONT)
	one.until("it goes on", func() bool { code, _ := try(); return code == "<nil>" })
	one.kill()
	code, took = try()
	t.Logf("a node that is gone: %s after %v", code, took)
	if code != "not_found" {
		t.Errorf("what is about a session of a node that is gone is answered %s", code)
	}
}
