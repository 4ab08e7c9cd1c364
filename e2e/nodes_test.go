package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/parley-im/parley/internal/doctor"
	"github.com/parley-im/parley/internal/testkit"
)

// known are two nodes that pass on to each other what is about their sessions.
func known(t *testing.T, flags ...string) (one, two *server) {
	t.Helper()
	nodes := startTwo(t, testkit.StartNATS(t).URL, append(flags, "--cluster-listen=127.0.0.1:0")...)
	return nodes[0], nodes[1]
}

// metric is the value of a metric without labels, which there must be.
func (s *server) metric(name string) float64 {
	s.t.Helper()
	value, ok := s.metrics()[name]
	if !ok {
		s.t.Fatalf("there is no metric %s", name)
	}
	return value
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
	waitFor(t, "a poll is passed on", polls(1))
	leave()
	waiting.Wait()
	waitFor(t, "the poll is given up", polls(0))

	answers := make(chan polled, 1)
	waiting.Go(func() {
		p, err := two.poll(token, object{"session": first.Session, "ack": first.Cursor, "timeout_ms": 60_000})
		if err != nil {
			t.Errorf("a poll through a node that drains: %v", err)
		}
		answers <- p
	})
	waitFor(t, "a poll is passed on again", polls(1))
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
	waitFor(t, "it goes on", func() bool { code, _ := try(); return code == "<nil>" })
	one.kill()
	// The call that finds the connection broken may have been carried out: it is unavailable, and the next one is told.
	waitFor(t, "the node is known to be gone", func() bool { code, _ := try(); return code == "not_found" })
}

// A node that is set to something else than one that runs does not start, and says what to do; with `warn` it does. What a killed node has left is no reason.
func TestNodesMustAgree(t *testing.T) {
	t.Parallel()
	broker := testkit.StartNATS(t).URL
	one := start(t, "--store", testkit.StartPostgres(t).Database(t), "--broker", broker, "--cluster-listen=127.0.0.1:0", "--node=one")
	other := func(flags ...string) *server {
		return &server{t: t, binary: "parley", dir: one.dir, flags: slices.Concat(one.flags, []string{"--node=two"}, flags), addr: "127.0.0.1:0", log: &tail{}}
	}
	for _, wrong := range []struct {
		flags []string
		says  []string
	}{
		{[]string{"--limits-burst=51", "--heartbeat=20s"}, []string{"limits.burst is 51 here and 50 on node one (127.0.0.1:", "heartbeat is 20s here and 25s", "cluster.differences: warn"}},
		{[]string{"--data", t.TempDir()}, []string{"secret is another one than on node one", "give both the same secret_file"}},
		{[]string{"--broker="}, []string{"broker is empty here and nats://"}},
	} {
		s := other(wrong.flags...)
		err := s.run()
		if err == nil {
			s.kill()
			t.Errorf("a node with %v has started", wrong.flags)
			continue
		}
		for _, want := range wrong.says {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("a node with %v: %v\nwhich does not say %q", wrong.flags, err, want)
			}
		}
	}
	for _, right := range [][]string{{"--limits-burst=51", "--cluster-differences=warn"}, {"--limits-connections=100", "--drain=1s"}} {
		s := other(right...)
		if err := s.run(); err != nil {
			t.Fatalf("a node with %v: %v", right, err)
		}
		s.kill()
	}
	s := other()
	if err := s.run(); err != nil {
		t.Fatal(err)
	}
	one.kill()
	s.kill()
	one.flags = append(one.flags, "--limits-burst=51") // both were killed a moment ago, and count as live
	one.restart()
}

// A node of the version before runs together with one of this, which takes over its store while it runs: what one of them stores, both push.
func TestVersionsRunTogether(t *testing.T) {
	old := buildPrevious(t)
	flags := slices.Concat(unlimited, []string{"--store", testkit.StartPostgres(t).Database(t), "--broker", testkit.StartNATS(t).URL})
	before := startIn(t, old, t.TempDir(), flags...)
	room := before.backend().newRoom("group", "alice", "bob")
	alice := before.connect("alice", nil)
	now := startIn(t, "parley", before.dir, append(flags, "--cluster-listen=127.0.0.1:0")...)
	bob := now.connect("bob", nil)
	for i := range 20 {
		seq := []*client{alice, bob}[i%2].send(room, fmt.Sprint("said ", i), "hello")
		alice.expect("what was said", event(room, seq))
		bob.expect("what was said", event(room, seq))
	}
	before.stop()
	before.binary = "parley"
	before.restart()
	alice = before.connect("alice", nil)
	seq := bob.send(room, "upgraded", "hello")
	alice.expect("what was said after the upgrade", event(room, seq))
}

// examined is what the doctor finds in the cluster of a server, and whether it is well.
func (s *server) examined() (findings []doctor.Finding, well bool) {
	s.t.Helper()
	args := []string{"doctor", "--cluster", "--json", "--data", s.dir}
	for i, flag := range s.flags {
		if flag == "--store" || flag == "--shards" {
			args = append(args, flag, s.flags[i+1])
		}
	}
	cmd := exec.Command(filepath.Join(binaries, "parley"), args...)
	cmd.Env = environment()
	out, err := cmd.Output()
	if json.Unmarshal(out, &findings) != nil {
		s.t.Fatalf("the doctor says %q, %v", out, err)
	}
	return findings, err == nil
}

// has fails the test unless the doctor has found something so.
func has(t *testing.T, findings []doctor.Finding, what string, verdict doctor.Verdict, words string) {
	t.Helper()
	if !slices.ContainsFunc(findings, func(f doctor.Finding) bool {
		return f.What == what && f.Verdict == verdict && strings.Contains(f.Found, words)
	}) {
		t.Errorf("not found: %s %s %q, in\n%+v", verdict, what, words, findings)
	}
}

// The doctor says of a cluster what each of its nodes sees of the others, and what is wrong.
func TestDoctorOfACluster(t *testing.T) {
	t.Parallel()
	redis := testkit.StartRedis(t)
	broker := testkit.StartNATS(t)
	one := start(t, "--store", testkit.StartPostgres(t).Database(t), "--broker", broker.URL, "--state", redis.URL, "--cluster-listen=127.0.0.1:0", "--node=one")
	two := startIn(t, "parley", one.dir, append(slices.Clone(one.flags), "--node=two")...)
	var findings []doctor.Finding
	waitFor(t, "the cluster is whole", func() bool {
		var well bool
		findings, well = one.examined()
		return well && !slices.ContainsFunc(findings, func(f doctor.Finding) bool { return f.Verdict == doctor.Warn && f.What != "store" })
	})
	has(t, findings, "node one", doctor.Good, "devel, up ")
	has(t, findings, "node two", doctor.Good, "the store answers it in")
	has(t, findings, "versions", doctor.Good, "devel")
	has(t, findings, "settings", doctor.Good, "that must be the same are")
	has(t, findings, "clock", doctor.Good, "within")
	has(t, findings, "broker", doctor.Good, "each of 2 nodes hears itself and every other one")
	has(t, findings, "state", doctor.Good, "answers all of 2 nodes")

	two.kill()
	findings, well := one.examined()
	has(t, findings, "node two", doctor.Fail, "refused; it last beat ")
	has(t, findings, "node one", doctor.Good, "answers in")
	if well {
		t.Error("a cluster with a node that is gone is well")
	}

	two.flags = append(two.flags, "--cluster-differences=warn", "--limits-burst=7", "--broker="+testkit.StartNATS(t).URL)
	two.restart()
	redis.Kill()
	waitFor(t, "what is wrong is found", func() bool {
		findings, _ = one.examined()
		return slices.ContainsFunc(findings, func(f doctor.Finding) bool {
			return strings.Contains(f.Found, "node two has heard nothing of node one")
		})
	})
	has(t, findings, "settings", doctor.Fail, "limits.burst is 50 on node one and 7 on node two")
	has(t, findings, "state", doctor.Fail, "does not answer node one")
	broker.Kill()
	waitFor(t, "the broker is missed", func() bool {
		findings, _ = one.examined()
		return slices.ContainsFunc(findings, func(f doctor.Finding) bool { return f.Found == "what node one sends does not come back to it" })
	})
}
