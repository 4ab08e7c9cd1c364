package cluster

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// registry is the nodes of a cluster in memory.
type registry struct {
	now func() time.Time

	mu    sync.Mutex
	nodes map[string]Node
	reads int
	away  error
}

func newRegistry() *registry { return &registry{now: time.Now, nodes: map[string]Node{}} }

func (r *registry) AnnounceNode(_ context.Context, n *Node) (time.Duration, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	announced := *n
	announced.BeatAt = r.now()
	r.nodes[n.ID] = announced
	return 0, r.away
}

func (r *registry) LiveNodes(context.Context) ([]Node, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reads++
	var live []Node
	for _, id := range slices.Sorted(maps.Keys(r.nodes)) {
		if n := r.nodes[id]; r.now().Sub(n.BeatAt) <= 45*time.Second {
			live = append(live, n)
		}
	}
	return live, r.away
}

func (r *registry) WithdrawNode(_ context.Context, id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.nodes, id)
	return nil
}

func (r *registry) set(n Node) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.nodes[n.ID] = n
}

func (r *registry) ids() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(slices.Sorted(maps.Keys(r.nodes)), " ")
}

func identity(t *testing.T, seed byte) *Identity {
	t.Helper()
	i, err := NewIdentity(bytes.Repeat([]byte{seed}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// serve has a node's inner side served, and tells the others of it.
func serve(t *testing.T, r *registry, id string, by *Identity, handler http.Handler) Node {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := Node{ID: id, Address: l.Addr().String(), Level: Level, BeatAt: r.now()}
	c := New(Options{Self: n, Identity: by, Registry: r, Now: r.now, Log: slog.New(slog.DiscardHandler)})
	mux := http.NewServeMux()
	mux.Handle("/v1/", c.Handler(handler))
	mux.HandleFunc("GET "+StatusPath, func(w http.ResponseWriter, _ *http.Request) {
		_ = json.MarshalWrite(w, &Status{Node: id})
	})
	server := &http.Server{Handler: mux, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(c.Listen(l)) // until it is closed
	}()
	t.Cleanup(func() {
		server.Close()
		<-served
	})
	r.set(n)
	return n
}

func newNode(t *testing.T, r *registry, id string, by *Identity) *Cluster {
	t.Helper()
	c := New(Options{Self: Node{ID: id, Level: Level}, Identity: by, Registry: r, Now: r.now, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(c.transport.CloseIdleConnections)
	return c
}

// passed is what became of a request about a session of another node.
func passed(c *Cluster, ctx context.Context, on, body string, wait time.Duration, headers ...string) (*httptest.ResponseRecorder, bool, error) {
	w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/some.method?ticket=1", nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	found, err := c.Forward(w, r, "random."+Tag(on), []byte(body), wait)
	return w, found, err
}

func TestForward(t *testing.T) {
	r, key := newRegistry(), identity(t, 1)
	serve(t, r, "other", key, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusTooManyRequests)
		for _, name := range []string{"Authorization", "Parley-User", "Parley-Session", "Traceparent", "Cookie", "X-Forwarded-For"} {
			io.WriteString(w, q.Header.Get(name)+"|")
		}
		io.WriteString(w, q.URL.String()+"|"+q.Proto+"|"+string(body))
	}))
	c := newNode(t, r, "this", key)
	w, found, err := passed(c, t.Context(), "other", `{"a":1}`, 0, "Authorization", "Bearer t", "Parley-User", "u", "Parley-Session", "s", "Traceparent", "p",
		"Cookie", "c", "X-Forwarded-For", "1.2.3.4")
	if want := "Bearer t|u|s|p|||/v1/some.method|HTTP/2.0|" + `{"a":1}`; !found || err != nil || w.Body.String() != want || w.Code != 429 || w.Header().Get("Retry-After") != "7" {
		t.Errorf("%v %v: %d %s, want %s", found, err, w.Code, w.Body, want)
	}
	for _, elsewhere := range []struct {
		session string
		want    bool
	}{{"x." + Tag("other"), true}, {"x." + Tag("this"), false}, {"x", false}, {"", false}, {"x.", false}, {"x.unknown", true}} {
		if c.Elsewhere(elsewhere.session) != elsewhere.want {
			t.Errorf("%q is elsewhere: %v", elsewhere.session, !elsewhere.want)
		}
	}
	before := r.reads
	for range 100 {
		if _, found, err := passed(c, t.Context(), "unknown", "", 0); found || err != nil {
			t.Errorf("a node that is not there: %v %v", found, err)
		}
	}
	if r.reads > before+1 {
		t.Errorf("for nodes that are not there the store was asked %d times", r.reads-before)
	}
	if s := c.Stats(); s.Forwarded != 1 || s.Gone != 100 || s.Calls != 0 || s.Polls != 0 || s.Nodes != 2 {
		t.Errorf("counted: %+v", s)
	}
}

// Who does not have the store's key gets nothing from a node, and a node gives nothing to who does not.
func TestStrangers(t *testing.T) {
	r, asked := newRegistry(), false
	n := serve(t, r, "other", identity(t, 1), http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	stranger := newNode(t, r, "this", identity(t, 2))
	if _, _, err := passed(stranger, t.Context(), "other", "secret", 0, "Authorization", "Bearer secret"); err == nil || asked {
		t.Errorf("a node with another key: %v, asked %v", err, asked)
	}
	if _, err := Ask(t.Context(), identity(t, 2), n); !errors.Is(err, errStranger) {
		t.Errorf("asked with another key: %v", err)
	}
	if s, err := Ask(t.Context(), identity(t, 1), n); err != nil || s.Node != "other" {
		t.Errorf("asked with the key: %v %v", s, err)
	}
	// A client without a certificate of its own, which does not care whom it speaks with.
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	if _, err := client.Get("https://" + n.Address + StatusPath); err == nil {
		t.Error("a client without a key was answered")
	}
	// What takes the address of a node, and takes every client, does not get credentials.
	heard := make(chan string, 1)
	thief := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) { heard <- q.Header.Get("Authorization") }))
	thief.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	defer thief.Close()
	r.set(Node{ID: "taken", Address: thief.Listener.Addr().String(), BeatAt: time.Now()})
	node := newNode(t, r, "this", identity(t, 1))
	if _, _, err := passed(node, t.Context(), "taken", "", 0, "Authorization", "Bearer secret"); !errors.Is(err, errStranger) {
		t.Errorf("what has taken a node's address: %v", err)
	}
	if len(heard) > 0 {
		t.Errorf("it got %s", <-heard)
	}
}

// A node that has moved is found, and one whose address is another's, or nobody's, has gone.
func TestForwardToANodeThatMoved(t *testing.T) {
	r, key := newRegistry(), identity(t, 1)
	now := time.Now()
	r.now = func() time.Time { return now }
	answers := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "moved") })
	c := newNode(t, r, "this", key)
	other := serve(t, r, "another", key, answers)
	r.set(Node{ID: "moving", Address: other.Address, BeatAt: now})
	if _, found, err := passed(c, t.Context(), "moving", "", 0); found || err != nil {
		t.Errorf("a node whose address is another's: %v %v", found, err)
	}
	serve(t, r, "moving", key, answers)
	now = now.Add(2 * lookAgain)
	if w, found, err := passed(c, t.Context(), "moving", "", 0); !found || err != nil || w.Body.String() != "moved" {
		t.Errorf("a node that has moved: %v %v %s", found, err, w.Body)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	r.set(Node{ID: "moving", Address: free.Addr().String(), BeatAt: now})
	now = now.Add(2 * lookAgain)
	if err := c.refresh(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if _, found, err := passed(c, t.Context(), "moving", "", 0); found || err != nil {
		t.Errorf("a node that nobody is at the address of: %v %v", found, err)
	}
	r.away = errors.New("the store is away")
	if _, _, err := passed(c, t.Context(), "unknown", "", 0); err == nil {
		now = now.Add(2 * lookAgain)
		if _, _, err = passed(c, t.Context(), "unknown", "", 0); err == nil {
			t.Error("without the store nobody knows which nodes there are")
		}
	}
}

// What waits on another node ends there when its client goes away, and soon when this node drains; and there is a bound to it.
func TestForwardedPollsEnd(t *testing.T) {
	r, key := newRegistry(), identity(t, 1)
	began, ended := make(chan struct{}), make(chan struct{})
	serve(t, r, "other", key, http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
		began <- struct{}{}
		<-q.Context().Done()
		ended <- struct{}{}
	}))
	c := newNode(t, r, "this", key)
	ctx, leave := context.WithCancel(t.Context())
	answered := make(chan error)
	poll := func(ctx context.Context) {
		_, _, err := passed(c, ctx, "other", "", time.Minute)
		answered <- err
	}
	go poll(ctx)
	<-began
	leave()
	<-ended
	if err := <-answered; !errors.Is(err, context.Canceled) {
		t.Errorf("a poll whose client has gone: %v", err)
	}
	go poll(t.Context())
	<-began
	c.polls.Store(maxPolls)
	if _, _, err := passed(c, t.Context(), "other", "", time.Minute); !errors.Is(err, errTooMany) {
		t.Errorf("one poll too many: %v", err)
	}
	c.Drain()
	<-ended
	if err := <-answered; !errors.Is(err, context.Canceled) {
		t.Errorf("a poll through a node that drains: %v", err)
	}
	if s := c.Stats(); s.Refused != 1 || s.Failed != 0 {
		t.Errorf("counted: %+v", s)
	}
}
