package e2e

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// spans takes what servers send to a collector, by trace.
type spans struct {
	url string

	mu     sync.Mutex
	traces map[string][]*otlp.Span
}

func startCollector(t *testing.T) *spans {
	t.Helper()
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "100") // of the servers: in milliseconds
	c := &spans{traces: map[string][]*otlp.Span{}}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var sent collector.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &sent)
		}
		if err != nil {
			t.Errorf("the collector gets what it cannot read: %v", err)
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, resource := range sent.ResourceSpans {
			for _, scope := range resource.ScopeSpans {
				for _, span := range scope.Spans {
					id := hex.EncodeToString(span.TraceId)
					c.traces[id] = append(c.traces[id], span)
				}
			}
		}
	}))
	t.Cleanup(s.Close)
	c.url = s.URL + "/v1/traces"
	return c
}

// of waits until a trace has the parts, and returns its spans.
func (c *spans) of(t *testing.T, trace string, parts map[string]int) []*otlp.Span {
	t.Helper()
	var have []string
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		c.mu.Lock()
		got := slices.Clone(c.traces[trace])
		c.mu.Unlock()
		have = nil
		missing := false
		for _, s := range got {
			have = append(have, s.Name)
		}
		for name, n := range parts {
			missing = missing || len(slices.DeleteFunc(slices.Clone(have), func(s string) bool { return s != name })) != n
		}
		if !missing {
			return got
		}
	}
	t.Fatalf("the trace has %v, want %v", have, parts)
	return nil
}

// One message, from the call to the last session on another node, is one connected trace; a message whose sender says that it is not sampled is in none.
func TestTraceOfAMessage(t *testing.T) {
	for _, c := range clusters() {
		t.Run(c.name, func(t *testing.T) {
			collector := startCollector(t)
			servers := c.start(t, "--trace-endpoint", collector.url, "--trace-sample", "0")
			first, last := servers[0], servers[len(servers)-1]
			b := first.backend()
			room := b.newRoom("group", "alice", "bob")
			alice, bob := first.connect("alice", nil), last.connect("bob", nil)
			send := func(id, traceparent string) {
				t.Helper()
				headers := map[string]string{"Authorization": "Bearer " + b.key, "Parley-User": "alice", "Traceparent": traceparent}
				_, result, err := post(b.url, "message.send", headers, object{"room": room, "client_id": id, "text": "hello"})
				if err != nil {
					t.Fatal(err)
				}
				for _, c := range []*client{alice, bob} {
					c.expect("the message", event(room, uint64(result["seq"].(float64))))
				}
			}
			const yes, no, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "4bf92f3577b34da6a3ce929d0e0e4737", "00f067aa0ba902b7"
			send("no", "00-"+no+"-"+parent+"-00")
			send("yes", "00-"+yes+"-"+parent+"-01")

			want := map[string]int{"message.send": 1, "append": 1, "transaction": 1, "fan-out": len(servers), "offers": len(servers)}
			if len(servers) == 1 {
				want["relay"] = 1 // of several nodes another one may do it
			}
			all := collector.of(t, yes, want)
			known := map[string]bool{parent: true}
			for _, s := range all {
				known[hex.EncodeToString(s.SpanId)] = true
			}
			for _, s := range all {
				if !known[hex.EncodeToString(s.ParentSpanId)] {
					t.Errorf("%s has a parent that is in no trace", s.Name)
				}
				for _, a := range s.Attributes {
					if a.Value.GetStringValue() == "hello" {
						t.Errorf("%s has the text of the message", s.Name)
					}
				}
			}
			collector.mu.Lock()
			defer collector.mu.Unlock()
			if len(collector.traces) != 1 {
				t.Errorf("there are %d traces, want one", len(collector.traces))
			}
		})
	}
}

// Where a message is: committed, found by search, with whom and with whom not.
func TestWhereAMessageIs(t *testing.T) {
	for _, c := range clusters() {
		t.Run(c.name, func(t *testing.T) {
			servers := c.start(t)
			first, last := servers[0], servers[len(servers)-1]
			room := first.backend().newRoom("group", "alice", "bob", "carol")
			alice, bob := first.connect("alice", nil), last.connect("bob", nil)
			seq := alice.send(room, "m", "a secret that operators do not see")
			bob.expect("the message", event(room, seq))
			bob.call("receipt.read", object{"room": room, "seq": seq})
			args := []string{"trace", room, fmt.Sprint(seq), "--admin", "http://" + first.admin}
			var got object
			for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
				got = nil // what is left out of the next answer must not stay
				if err := json.Unmarshal([]byte(command(t, append(args, "--json")...)), &got); err != nil {
					t.Fatal(err)
				}
				if got["relayed"] == true && got["fanned_out"] == true {
					break
				}
			}
			want := object{"room": room, "kind": "group", "event": "message.created", "user": "alice", "relayed": true, "followed": true, "fanned_out": true, "members": 3.0, "delivered": 1.0, "read": 1.0}
			for name, value := range want {
				if got[name] != value {
					t.Errorf("%s is %v, want %v", name, got[name], value)
				}
			}
			states := map[string]string{}
			for _, m := range got["listed"].([]any) {
				states[m.(object)["user"].(string)] = "offline"
				for _, s := range m.(object)["sessions"].([]any) {
					states[m.(object)["user"].(string)] = s.(object)["state"].(string)
				}
			}
			bobs := "offered"
			if first != last {
				bobs = "elsewhere"
			}
			if fmt.Sprint(states) != fmt.Sprint(map[string]string{"alice": "offered", "bob": bobs, "carol": "offline"}) {
				t.Errorf("the sessions are %v", states)
			}
			text := command(t, args...)
			for _, piece := range []string{"message.created by alice", "delivered to 1, read by 1", "alice-device", "offline"} {
				if !strings.Contains(text, piece) {
					t.Errorf("%q is not in:\n%s", piece, text)
				}
			}
			if strings.Contains(text, "secret") {
				t.Errorf("the text of the message is in:\n%s", text)
			}
		})
	}
}

// What cannot be traced is said plainly.
func TestWhereNoMessageIs(t *testing.T) {
	s := start(t)
	room := s.backend().newRoom("group", "alice")
	for name, tt := range map[string]struct{ room, seq, want string }{
		"no room":        {"r_none", "1", `There is no room "r_none"`},
		"above the head": {room, "99", "The log of this room ends with 1"},
		"no seq":         {room, "0", "Say which event"},
	} {
		t.Run(name, func(t *testing.T) {
			resp, err := http.Get("http://" + s.admin + "/trace?room=" + tt.room + "&seq=" + tt.seq)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, _ := io.ReadAll(resp.Body)
			if resp.StatusCode == http.StatusOK || !strings.Contains(string(body), tt.want) {
				t.Errorf("%d %s", resp.StatusCode, body)
			}
		})
	}
}

// Everything on the operators' index is there.
func TestOperatorsIndex(t *testing.T) {
	s := start(t)
	get := func(path string) (int, string) {
		t.Helper()
		resp, err := http.Get("http://" + s.admin + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	_, index := get("/")
	links := regexp.MustCompile(`href="([^"]+)"`).FindAllStringSubmatch(index, -1)
	if len(links) < 9 {
		t.Fatalf("the index has %d links:\n%s", len(links), index)
	}
	links = append(links, []string{"", "/debug/pprof/heap"}, []string{"", "/debug/pprof/goroutine"}, []string{"", "/debug/pprof/allocs"})
	for _, link := range links {
		path := regexp.MustCompile(`seconds=\d+`).ReplaceAllString(html.UnescapeString(link[1]), "seconds=1")
		want := http.StatusOK
		if strings.HasPrefix(path, "/trace?") {
			want = http.StatusBadRequest // it stands for any
		}
		if status, _ := get(path); status != want {
			t.Errorf("%s answers %d", path, status)
		}
	}
	if status, _ := get("/nothing"); status != http.StatusNotFound {
		t.Errorf("what is not there answers %d", status)
	}
}

// At the most talkative level, through everything that can go right and wrong, no content and no secret is logged.
func TestLogHoldsNoContentAndNoSecrets(t *testing.T) {
	s := start(t, "--log-level", "debug", "--dev")
	const canary = "xanary" // in everything that must not be logged
	b := s.backend()
	token, key := s.token("alice", "--name", canary+"-name"), b.key
	room := b.newRoom("group", "alice", "bob")
	alice, err := s.dial("alice", token, nil)
	if err != nil {
		t.Fatal(err)
	}
	bob := s.connect("bob", object{"client": "e2e"})
	text := func(i int) string { return fmt.Sprintf("%s text %d", canary, i) }
	var seq uint64
	for i := range 20 {
		seq = alice.send(room, fmt.Sprint(i), text(i))
	}
	bob.expect("the last message", event(room, seq))
	calls := map[string]object{
		"message.edit":    {"room": room, "seq": seq, "text": text(100)},
		"message.search":  {"query": canary, "room": room},
		"message.send":    {"room": room, "client_id": canary + "!\n", "text": canary},
		"reaction.add":    {"room": room, "seq": seq, "emoji": canary},
		"room.update":     {"room": room, "name": canary + "-room", "topic": canary, "data": object{canary: canary}},
		"user.update":     {"name": canary, "data": object{canary: 1}},
		"member.settings": {"room": canary},
		canary + ".call":  {canary: canary},
		"session.refresh": {"token": token + canary},
	}
	for method, params := range calls {
		_, _ = alice.try(method, params) // some are refused
		_, _, _ = post(b.url, method, map[string]string{"Authorization": "Bearer " + key, "Parley-User": "alice"}, params)
		_, _, _ = post(b.url, method, map[string]string{"Authorization": "Bearer " + key + canary}, params)
		_, _, _ = post(b.url, method, map[string]string{"Authorization": "Bearer " + token + canary}, params)
	}
	if _, err := s.dial("alice", token+canary, nil); err == nil {
		t.Error("a token with more behind it is good")
	}
	broken := s.raw()
	broken.hello(s.token("carol"), "carol-device")
	broken.text(`{"id":"` + canary + `","method":"message.send"`)
	broken.ending()
	bob.cut()
	s.stop()

	log := s.log.String()
	for line := range strings.Lines(log) {
		if !json.Valid([]byte(line)) {
			t.Errorf("not a line of JSON: %q", line)
		}
	}
	for _, secret := range []string{canary, token, strings.Split(token, ".")[2], key, strings.TrimPrefix(key, "pk_")} {
		if at := strings.Index(log, secret); at >= 0 {
			t.Errorf("the log has %q: …%s", secret, log[max(0, at-300):min(len(log), at+100)])
		}
	}
	for _, line := range []string{`"msg":"session opened"`, `"msg":"session ended"`, `"msg":"a credential was refused"`, `"code":4400`, `"msg":"draining"`, `"msg":"listening"`} {
		if !strings.Contains(log, line) {
			t.Errorf("the log has no %s", line)
		}
	}
}
