package e2e

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
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
