package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	sdk "github.com/parley-im/parley/client"
	"github.com/parley-im/parley/internal/testkit"
	"github.com/parley-im/parley/protocol"
)

// balanced are two nodes behind a load balancer.
type balanced struct {
	t *testing.T
	*testkit.Balancer
	nodes []*server
	calls *http.Client // over HTTP/2
	alice string       // her token
}

// clientsAddr is where clients behind a balancer come from: another address than the balancer's own.
const clientsAddr = "127.0.0.2"

func (b *balanced) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(clientsAddr)}}).DialContext(ctx, network, addr)
}

func (b *balanced) trust() *tls.Config {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(b.Certificate)
	return &tls.Config{RootCAs: roots}
}

// balancing is a kind of balancer, configured as the project ships it, with what the nodes are told about it.
type balancing struct {
	name  string
	start func(t *testing.T, nodes [2]testkit.Node) *testkit.Balancer
	flag  string
	more  []string // and these
}

var (
	behindHAProxy = balancing{"HAProxy", func(t *testing.T, nodes [2]testkit.Node) *testkit.Balancer {
		return testkit.StartHAProxy(t, "../deploy/haproxy/haproxy.cfg", nodes[:]...)
	}, "--proxies-protocol", nil}
	// HAProxy that does not know where sessions are, before nodes that do.
	behindPlainHAProxy = balancing{"HAProxy without stickiness", func(t *testing.T, nodes [2]testkit.Node) *testkit.Balancer {
		return testkit.StartHAProxy(t, "../deploy/haproxy/nodes.cfg", nodes[:]...)
	}, "--proxies-protocol", []string{"--cluster-listen=127.0.0.1:0"}}
	behindNginx = balancing{"nginx", func(t *testing.T, nodes [2]testkit.Node) *testkit.Balancer {
		return testkit.StartNginx(t, "../deploy/nginx/nginx.conf", nodes)
	}, "--proxies-header=X-Forwarded-For", nil}
)

// eachBalancer runs a test behind each balancer.
func eachBalancer(t *testing.T, test func(b *balanced)) {
	for _, kind := range []balancing{behindHAProxy, behindPlainHAProxy, behindNginx} {
		t.Run(kind.name, func(t *testing.T) { test(balance(t, kind)) })
	}
}

// balance starts two nodes and a balancer before them, and returns when it passes on calls.
func balance(t *testing.T, kind balancing) *balanced {
	t.Helper()
	b := &balanced{t: t, nodes: startTwo(t, testkit.StartNATS(t).URL, slices.Concat(kind.more, []string{
		kind.flag, "--proxies-trusted=127.0.0.1", "--heartbeat=1s", "--drain=4s", "--log-level=debug",
	})...)}
	b.alice = b.nodes[0].token("alice")
	at := func(s *server) testkit.Node { return testkit.Node{Addr: s.addr, Admin: s.admin} }
	b.Balancer = kind.start(t, [2]testkit.Node{at(b.nodes[0]), at(b.nodes[1])})
	transport := &http.Transport{TLSClientConfig: b.trust(), DialContext: b.dial, ForceAttemptHTTP2: true}
	b.calls = &http.Client{Transport: transport}
	t.Cleanup(transport.CloseIdleConnections)
	b.until("the balancer has found the nodes", func() bool {
		r, err := b.calls.Get("https://" + b.Addr + "/")
		if err == nil {
			r.Body.Close()
		}
		return err == nil && r.StatusCode == http.StatusOK
	})
	return b
}

func (b *balanced) until(what string, is func() bool) {
	b.t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("not so: %s", what)
		}
	}
}

// about is Alice, who calls over HTTP/2, about a session if one is named.
func (b *balanced) about(session string) *sdk.HTTP {
	b.t.Helper()
	h, err := sdk.NewHTTP(sdk.HTTPOptions{
		URL: "https://" + b.Addr, Session: session, Client: b.calls, Token: func(context.Context) (string, error) { return b.alice, nil },
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return h
}

// post posts a body as Alice.
func (b *balanced) post(path, body string) (*http.Response, object) {
	b.t.Helper()
	r, err := http.NewRequest(http.MethodPost, "https://"+b.Addr+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+b.alice)
	response, err := b.calls.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	var answer object
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		b.t.Fatalf("%s: the answer %s is no JSON: %v", path, response.Status, err)
	}
	return response, answer
}

// Behind the balancers everything that clients use works over TLS, and the nodes know where the clients are.
func TestBehindBalancers(t *testing.T) {
	eachBalancer(t, func(b *balanced) {
		socket := b.webSocket()
		b.callsOverHTTP2()
		b.eventStream() // which takes more than two heartbeats
		b.polls()
		if !socket.alive() {
			b.t.Error("a quiet session was cut")
		}
		old := b.trust()
		old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
		if conn, err := tls.Dial("tcp", b.Addr, old); err == nil {
			conn.Close()
			b.t.Error("TLS 1.1 is spoken")
		}
	})
}

func (b *balanced) webSocket() *client {
	b.t.Helper()
	transport := &http.Transport{TLSClientConfig: b.trust(), DialContext: b.dial, DisableKeepAlives: true}
	c, err := b.nodes[0].openAt("wss://"+b.Addr, &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
	if err != nil {
		b.t.Fatal(err)
	}
	c.user = "alice"
	c.call("hello", object{"token": b.nodes[0].token("alice"), "device": "socket"})
	b.until("a node logs a session of "+clientsAddr, func() bool {
		return slices.ContainsFunc(b.nodes, func(s *server) bool { return strings.Contains(s.log.String(), `"remote":"`+clientsAddr) })
	})
	return c
}

func (b *balanced) callsOverHTTP2() {
	b.t.Helper()
	response, answer := b.post("/v1/user.get", `{"users":["alice"]}`)
	if response.ProtoMajor != 2 || response.StatusCode != http.StatusOK {
		b.t.Errorf("a call over %s: %s %v", response.Proto, response.Status, answer)
	}
	response, answer = b.post("/v1/user.get", `{"users":["`+strings.Repeat("a", 70<<10)+`"]}`)
	if refusal, _ := answer["error"].(object); response.StatusCode != http.StatusRequestEntityTooLarge || refusal["code"] != "too_large" {
		b.t.Errorf("a body that is too large: %s %v", response.Status, answer)
	}
}

// eventStream opens a stream with a ticket, follows a room by calls about it, and hears what is said there, and heartbeats.
func (b *balanced) eventStream() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	alice := b.about("")
	ticket, err := alice.Sessions.Ticket(ctx)
	if err != nil {
		b.t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+b.Addr+"/v1/events?device=stream&rooms=none&ticket="+ticket.Ticket, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	response, err := b.calls.Do(request)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	next := func(prefix string) string {
		b.t.Helper()
		for lines.Scan() {
			if rest, ok := strings.CutPrefix(lines.Text(), prefix); ok {
				return rest
			}
		}
		b.t.Fatalf("%s: the event stream ended before a line %q: %v", response.Status, prefix, lines.Err())
		return ""
	}
	var hello struct{ Data protocol.HelloResult }
	if err := json.Unmarshal([]byte(next("data: ")), &hello); err != nil || response.ProtoMajor != 2 {
		b.t.Fatalf("the beginning of an event stream over %s: %v", response.Proto, err)
	}
	with := b.about(hello.Data.Session)
	for i := range 6 { // one node of two knows the session
		made, err := alice.Rooms.Create(ctx, protocol.RoomCreateParams{Kind: protocol.Group, Name: "r"})
		if err != nil {
			b.t.Fatal(err)
		}
		if _, err := with.Rooms.Subscribe(ctx, made.Room.ID); err != nil {
			b.t.Fatalf("call %d about the session of an event stream: %v", i, err)
		}
		text := fmt.Sprint("said ", i)
		if _, err := alice.Messages.Send(ctx, protocol.MessageSendParams{Room: made.Room.ID, ClientID: text, Text: text}); err != nil {
			b.t.Fatal(err)
		}
		for !strings.Contains(next("data: "), text) {
		}
	}
	next(":")
	next(":")
	cancel()
	b.until("the balancer has logged the event stream", func() bool { return strings.Contains(b.Log(), "/v1/events") })
	if strings.Contains(b.Log(), ticket.Ticket) {
		b.t.Error("the balancer logs tickets")
	}
}

// polling is a session of polls.
type polling struct {
	session, cursor any
	frames          []string // the events and signals that came
}

func (b *balanced) openPolls(device string) *polling {
	b.t.Helper()
	response, first := b.post("/v1/poll", `{"device":"`+device+`"}`)
	if response.StatusCode != http.StatusOK {
		b.t.Fatalf("the first poll of %s: %s %v", device, response.Status, first)
	}
	return &polling{session: first["session"], cursor: first["cursor"]}
}

// poll is one poll, and whether the session was there.
func (b *balanced) poll(p *polling) bool {
	b.t.Helper()
	body, err := json.Marshal(object{"session": p.session, "ack": p.cursor, "timeout_ms": 20})
	if err != nil {
		b.t.Fatal(err)
	}
	response, answer := b.post("/v1/poll", string(body))
	if response.StatusCode != http.StatusOK {
		b.t.Logf("a poll of %v: %s %v", p.session, response.Status, answer)
		return false
	}
	p.cursor = answer["cursor"]
	for _, f := range answer["frames"].([]any) {
		p.frames = append(p.frames, f.(object)["event"].(string))
	}
	return true
}

// polls polls sessions many times: each poll has to reach its session's node.
func (b *balanced) polls() {
	b.t.Helper()
	for i := range 2 {
		p := b.openPolls(fmt.Sprint("polls", i))
		for range 6 {
			if !b.poll(p) {
				b.t.Fatal("a poll did not find its session")
			}
		}
	}
}

// Sessions of polls stay with a node that drains until they have been told, where the balancer knows which node they are on, or the nodes do.
func TestPollsWhileANodeDrainsBehindHAProxy(t *testing.T) {
	for _, kind := range []balancing{behindHAProxy, behindPlainHAProxy} {
		t.Run(kind.name, func(t *testing.T) { balance(t, kind).pollWhileANodeDrains(t) })
	}
}

func (b *balanced) pollWhileANodeDrains(t *testing.T) {
	var all []*polling
	for i := range 6 {
		all = append(all, b.openPolls(fmt.Sprint("polls", i)))
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		b.nodes[0].stop()
	}()
	closed := map[*polling]bool{}
	for over := false; !over; {
		select {
		case <-drained:
			over = true
		default:
		}
		for _, p := range all {
			switch {
			case closed[p]:
			case !b.poll(p):
				t.Errorf("a session was lost after %v", p.frames)
				closed[p] = true
			case slices.Contains(p.frames, "closing"):
				closed[p] = slices.Contains(p.frames, "reconnect")
			}
		}
	}
	if len(closed) == 0 || len(closed) == len(all) {
		t.Errorf("%d of %d sessions were on the node that drained", len(closed), len(all))
	}
}

// talker is a user of a room with the Go SDK, and what was heard.
type talker struct {
	*sdk.Client

	mu     sync.Mutex
	state  sdk.State
	told   bool // `reconnect` came
	lost   error
	seqs   []protocol.Seq
	broken error
}

func (b *balanced) listen(user string) *talker {
	b.t.Helper()
	l, token := &talker{}, b.nodes[0].token(user)
	noted := func(note func()) {
		l.mu.Lock()
		defer l.mu.Unlock()
		note()
	}
	var err error
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	l.Client, err = sdk.Connect(ctx, sdk.Options{
		URL: "https://" + b.Addr, Token: func(context.Context) (string, error) { return token, nil },
		Conn: sdk.ConnOptions{TLS: b.trust(), Dial: b.dial}, Logger: slog.New(slog.DiscardHandler),
		Handler: sdk.Handler{
			Event: func(e protocol.Event) { noted(func() { l.seqs = append(l.seqs, e.Seq) }) },
			Reset: func(room string, head protocol.Seq) {
				noted(func() { l.broken = fmt.Errorf("a reset of %s at %d", room, head) })
			},
			Violation: func(err error) { noted(func() { l.broken = err }) },
			Signal: func(s sdk.Signal) {
				noted(func() { l.told = l.told || s.Name == protocol.SignalReconnect })
			},
			State: func(s sdk.State) {
				noted(func() {
					if l.state = s; s.Phase == sdk.Waiting && s.Reason != sdk.ReasonDrain {
						l.lost = fmt.Errorf("%v %d: %w", s.Reason, s.Code, errors.Join(s.Err))
					}
				})
			},
		},
	})
	if err != nil {
		b.t.Fatalf("%s: %v\n%s", user, err, b.Log())
	}
	b.t.Cleanup(l.Close)
	return l
}

// node is the node that the talker has its session on, "" for none.
func (l *talker) node() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state.Phase != sdk.Live {
		return ""
	}
	return l.state.Hello.Node
}

// newNode waits until a new session gets to a node that is none of those given.
func (b *balanced) newNode(known ...string) string {
	b.t.Helper()
	var node string
	b.until("new sessions get to the node that has come back", func() bool {
		probe := b.listen("probe")
		defer probe.Close()
		node = probe.State().Hello.Node
		return !slices.Contains(known, node)
	})
	return node
}

// Whatever becomes of a node behind a balancer, its clients go on at another within seconds, with nothing lost and nothing twice; and once it is back it is
// used again.
func TestNodesComeAndGoBehindBalancers(t *testing.T) {
	eachBalancer(t, func(b *balanced) {
		users := []string{"alice", "bob", "carol", "alice2", "bob2", "carol2"}
		var all []*talker
		for _, user := range users {
			all = append(all, b.listen(user))
		}
		hush := b.talk(all, users)
		before := nodesOf(all)
		if len(before) != 2 {
			b.t.Fatalf("six clients are on the nodes %v: leastconn gives each some", before)
		}

		b.nodes[0].kill()
		killed := time.Now()
		b.until("all are on one node", func() bool { return len(nodesOf(all)) == 1 })
		took := time.Since(killed)
		b.t.Logf("the clients of the killed node were back after %v", took.Round(time.Millisecond))
		if took > 10*time.Second {
			b.t.Error("which is too long")
		}
		stayed := nodesOf(all)[0]
		if !slices.Contains(before, stayed) {
			b.t.Fatalf("the node %q was not there before: %v", stayed, before)
		}
		b.nodes[0].restart()
		returned := b.newNode(stayed)

		for _, l := range all {
			l.mu.Lock()
			l.told, l.lost = false, nil
			l.mu.Unlock()
		}
		b.nodes[1].stop()
		b.until("all have gone to the node that came back", func() bool { return slices.Equal(nodesOf(all), []string{returned}) })
		for i, l := range all {
			l.mu.Lock()
			if !l.told || l.lost != nil {
				b.t.Errorf("%s, whose node was drained: told %v, lost %v", users[i], l.told, l.lost)
			}
			l.mu.Unlock()
		}
		b.nodes[1].restart()
		b.newNode(returned)

		head := hush()
		b.t.Logf("%d messages were sent", head)
		for i, l := range all {
			b.until(users[i]+" has everything", func() bool {
				l.mu.Lock()
				defer l.mu.Unlock()
				return len(l.seqs) > 0 && l.seqs[len(l.seqs)-1] >= head
			})
			l.mu.Lock()
			for j, seq := range l.seqs {
				if seq != l.seqs[0]+protocol.Seq(j) {
					l.broken = errors.Join(l.broken, fmt.Errorf("after %d came %d", l.seqs[j-1], seq))
				}
			}
			if l.broken != nil || l.Violations() > 0 {
				b.t.Errorf("%s: %v", users[i], l.broken)
			}
			l.mu.Unlock()
		}
	})
}

// talk makes a room of the listeners, in which all of them talk until hush is called, which returns the last message.
func (b *balanced) talk(all []*talker, users []string) (hush func() protocol.Seq) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	made, err := all[0].Rooms.Create(ctx, protocol.RoomCreateParams{Kind: protocol.Group, Name: "r", Members: users[1:]})
	if err != nil {
		b.t.Fatal(err)
	}
	var talkers sync.WaitGroup
	enough := make(chan struct{})
	last := make([]protocol.Seq, len(all))
	for i, l := range all {
		talkers.Go(func() {
			for pace := time.NewTicker(50 * time.Millisecond); ; <-pace.C {
				select {
				case <-enough:
					pace.Stop()
					return
				default:
				}
				sent, err := l.Send(ctx, protocol.MessageSendParams{Room: made.Room.ID, Text: "still here"})
				if err != nil {
					b.t.Errorf("%s could not send: %v", users[i], err)
					return
				}
				last[i] = sent.Seq
			}
		})
	}
	quiet := sync.OnceFunc(func() {
		close(enough)
		talkers.Wait()
		cancel()
	})
	b.t.Cleanup(quiet)
	return func() protocol.Seq {
		quiet()
		return slices.Max(last)
	}
}

// nodesOf are the nodes that listeners have their sessions on, "" among them when one has none.
func nodesOf(all []*talker) (nodes []string) {
	for _, l := range all {
		nodes = append(nodes, l.node())
	}
	slices.Sort(nodes)
	return slices.Compact(nodes)
}
