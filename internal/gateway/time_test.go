package gateway_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/parley-im/parley/internal/gateway"
	"github.com/parley-im/parley/protocol"
)

const heartbeat = 25 * time.Second

// A client that answers every heartbeat stays; each quiet time brings one, and the server answers none.
func TestHeartbeat(t *testing.T) {
	n := startStill(t, gateway.Options{})
	c, p := n.connect()
	for range 5 {
		p.s.Done() // whoever wrote what we have read has counted it after this
		sent := n.Stats().BytesOut
		n.clock.advance(heartbeat - time.Second)
		if n.Stats().BytesOut != sent {
			t.Fatalf("too early: %q", c.next().payload)
		}
		n.clock.advance(1200 * time.Millisecond)
		c.wantText("{}")
		c.text("{}")
		if extra := c.ping("answered?"); len(extra) > 0 {
			t.Fatalf("the server answered a heartbeat: %q", extra)
		}
	}
}

// Who is sent something all the time, and says nothing, is asked for a sign of life all the same, once.
func TestHeartbeatWhenNothingIsHeard(t *testing.T) {
	n := startStill(t, gateway.Options{})
	c, p := n.connect()
	event := gateway.Wire([]byte(`{"event":"typing"}`))
	beats := 0
	for range 30 {
		n.clock.advance(time.Second)
		p.s.Push(event)
		text := c.nextText()
		if text == "{}" {
			beats++
			text = c.nextText()
		}
		if text != `{"event":"typing"}` {
			t.Fatal(text)
		}
	}
	if beats != 1 {
		t.Errorf("%d heartbeats in 30 s of one-sided talk, want 1", beats)
	}
}

func TestSilenceEndsASession(t *testing.T) {
	n := startStill(t, gateway.Options{})
	c, p := n.connect()
	n.clock.advance(2*heartbeat - time.Second)
	c.wantText("{}")
	if p.s.Done() {
		t.Fatal("closed before two heartbeats")
	}
	n.clock.advance(2 * time.Second)
	c.wantClosing(protocol.CloseTimeout)
	wait(t, "Closed", p.closed)
}

// Any byte is a sign of life, be it of a ping or of half a frame.
func TestAnyByteIsHeard(t *testing.T) {
	n := startStill(t, gateway.Options{})
	c, p := n.connect()
	for range 4 {
		n.clock.advance(2*heartbeat - time.Second)
		c.wantText("{}")
		c.ping("alive")
	}
	if p.s.Done() {
		t.Error("closed")
	}
}

func TestHelloTimeout(t *testing.T) {
	n := startStill(t, gateway.Options{})
	c, _ := n.greet()
	c.ping("not a hello")
	n.clock.advance(9900 * time.Millisecond)
	if extra := c.ping("still there"); len(extra) > 0 {
		t.Fatalf("too early: %q", extra)
	}
	n.clock.advance(400 * time.Millisecond)
	c.wantClosing(protocol.CloseTimeout)
}

// A hello that the server takes its time for has come in time.
func TestSlowHello(t *testing.T) {
	n := startStill(t, gateway.Options{})
	c := n.dial(t)
	c.text(`{"id":1,"method":"wait"}` + "\n" + `{"id":2,"method":"hello"}`)
	<-n.waiting
	n.clock.advance(15 * time.Second)
	n.proceed <- struct{}{}
	c.wantText(`{"id":1,"result":{}}`)
	c.wantText(`{"id":2,"result":{}}`)
	n.clock.advance(15 * time.Second)
	c.ping("still here")
}

// Before hello there is no heartbeat: the reply to hello is the first frame of the server.
func TestNoHeartbeatBeforeHello(t *testing.T) {
	n := startStill(t, gateway.Options{Heartbeat: 4 * time.Second})
	c, p := n.greet()
	p.s.Alarm(n.clock.now.Add(5*time.Second), func() {}) // has the session looked at
	n.clock.advance(7 * time.Second)
	if got := c.ping("x"); len(got) > 0 {
		t.Fatalf("got %q", got)
	}
}

// A message must be complete 10 s after its first byte, however diligently its bytes trickle in.
func TestByteDribble(t *testing.T) {
	text, _ := callOf(100)
	for name, message := range map[string][]byte{
		"one frame": masked(0x80|opText, []byte(text)),
		"fragments": fragments(text, 50),
		"ping":      masked(0x80|opPing, []byte(text)),
	} {
		t.Run(name, func(t *testing.T) {
			n := startStill(t, gateway.Options{})
			c, p := n.connect()
			heard := n.Stats().BytesIn
			for i := 0; !p.s.Done(); i++ {
				if i > 25 {
					t.Fatalf("not closed after %d bytes", i)
				}
				c.send(message[i : i+1])
				heard++
				for n.Stats().BytesIn < heard { // the byte has arrived
					runtime.Gosched()
				}
				n.clock.advance(500 * time.Millisecond)
			}
			c.wantClosing(protocol.CloseTimeout)
		})
	}
}

// The clock of a message starts with each message: who sends them in pieces all day is well.
func TestMessagesInPieces(t *testing.T) {
	n := startStill(t, gateway.Options{})
	c, _ := n.connect()
	frame := masked(0x80|opText, []byte(call("a")))
	half := len(frame) / 2
	c.send(frame[:half])
	for range 10 {
		n.clock.advance(6 * time.Second)
		c.send(join(frame[half:], frame[:half]))
		if got := c.next(); string(got.payload) != string(answer("a").payload) {
			t.Fatalf("got %q", got.payload)
		}
	}
}

// While a call is being carried out we do not listen, and so the client's silence is no silence.
func TestSlowCallIsNotSilence(t *testing.T) {
	n := startStill(t, gateway.Options{})
	c, p := n.connect()
	c.text(`{"id":2,"method":"wait"}`)
	<-n.waiting
	n.clock.advance(5 * heartbeat)
	n.proceed <- struct{}{}
	for c.nextText() == "{}" {
	}
	n.clock.advance(heartbeat)
	if p.s.Done() {
		t.Error("closed for the time that the server took")
	}
}

// A process that was stopped for an hour has heard nobody for an hour; that alone closes nothing.
func TestTimeLeap(t *testing.T) {
	n := startStill(t, gateway.Options{})
	c, p := n.connect()
	n.clock.now = n.clock.now.Add(time.Hour)
	n.clock.advance(time.Second)
	c.ping("still here")
	if p.s.Done() {
		t.Error("closed")
	}
}

func TestAlarm(t *testing.T) {
	n := startStill(t, gateway.Options{})
	c, p := n.connect()
	rang := make(chan string, 10)
	ring := func(name string) func() { return func() { rang <- name } }
	alive := func(d time.Duration) {
		for ; d > 0; d -= heartbeat {
			n.clock.advance(min(d, heartbeat))
			c.ping("alive")
		}
	}
	p.s.Alarm(n.clock.now.Add(time.Hour), ring("replaced"))
	p.s.Alarm(n.clock.now.Add(10*time.Minute), ring("first"))
	alive(10*time.Minute - time.Second)
	if len(rang) > 0 {
		t.Fatalf("%s too early", <-rang)
	}
	alive(1200 * time.Millisecond)
	if got := <-rang; got != "first" {
		t.Errorf("%s rang", got)
	}
	p.s.Alarm(n.clock.now.Add(-time.Minute), ring("past"))
	alive(200 * time.Millisecond)
	if got := <-rang; got != "past" {
		t.Errorf("%s rang", got)
	}
	p.s.Alarm(n.clock.now.Add(time.Minute), ring("taken back"))
	p.s.Alarm(time.Time{}, nil)
	alive(2 * time.Minute)
	p.s.Alarm(n.clock.now.Add(2*time.Second), ring("of an ended session"))
	p.s.Close(protocol.CloseNormal, 0)
	p.s.Alarm(n.clock.now.Add(2*time.Second), ring("set after the end"))
	n.clock.advance(4 * time.Second)
	wait(t, "Closed", p.closed)
	if len(rang) > 0 {
		t.Errorf("%s rang", <-rang)
	}
}

// An alarm may do to its session what it likes.
func TestAlarmCloses(t *testing.T) {
	n := startStill(t, gateway.Options{})
	c, p := n.connect()
	p.s.Alarm(n.clock.now.Add(time.Second), func() { p.s.Close(protocol.CloseUnauthenticated, 0) })
	n.clock.advance(2 * time.Second)
	c.wantClosing(protocol.CloseUnauthenticated)
}

// The client has 5 s to take its last frames and to close its side.
func TestCloseIsBounded(t *testing.T) {
	n := startStill(t, gateway.Options{})
	c, p := n.connect()
	p.s.Close(protocol.CloseReplaced, 0)
	wait(t, "Closed", p.closed) // long before the connection is gone
	n.clock.advance(4900 * time.Millisecond)
	if n.Count() != 1 {
		t.Fatal("gone too early")
	}
	n.clock.advance(400 * time.Millisecond)
	for n.Count() > 0 { // the parked goroutine is being woken
		runtime.Gosched()
	}
	c.wantClosing(protocol.CloseReplaced)
}

// Drain: everyone is told at once, works until its turn, and is closed in turn.
func TestDrain(t *testing.T) {
	const sessions = 10
	n := startStill(t, gateway.Options{})
	var clients []*client
	for range sessions {
		c, _ := n.connect()
		clients = append(clients, c)
	}
	silent := n.dial(t) // has not said hello
	drained := make(chan error)
	go func() { drained <- n.Drain(t.Context(), 20*time.Second) }()

	turns := map[*client]time.Duration{}
	latest := time.Duration(0)
	for _, c := range clients {
		var signal struct {
			Event protocol.Name          `json:"event"`
			Data  protocol.ReconnectData `json:"data"`
		}
		if err := json.Unmarshal([]byte(c.nextText()), &signal); err != nil || signal.Event != protocol.SignalReconnect {
			t.Fatalf("%+v, %v", signal, err)
		}
		turns[c] = time.Duration(signal.Data.DelayMS) * time.Millisecond
		latest = max(latest, turns[c])
	}
	if latest < 15*time.Second || latest > 20*time.Second {
		t.Errorf("the last turn is after %s", latest)
	}
	if got := n.status(); got != 503 {
		t.Errorf("a new session: %d", got)
	}
	elapsed := time.Duration(0)
	closed := map[*client]bool{}
	for ; elapsed <= latest+time.Second; elapsed += time.Second {
		n.clock.advance(time.Second)
		for _, c := range clients {
			switch turn := turns[c]; {
			case closed[c]:
			case turn+500*time.Millisecond <= elapsed+time.Second:
				c.wantClosing(protocol.CloseRestart)
				c.conn.Close()
				closed[c] = true
			case turn > elapsed+time.Second:
				c.ping("works until its turn")
			}
		}
		if elapsed == 0 {
			silent.wantClosing(protocol.CloseRestart)
			silent.conn.Close()
		}
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

// The call that a session is in when its turn comes is answered before the close.
func TestDrainWaitsForCalls(t *testing.T) {
	n := startStill(t, gateway.Options{})
	c, _ := n.connect()
	c.text(`{"id":2,"method":"wait"}` + "\n" + call("too late"))
	<-n.waiting
	drained := make(chan error)
	go func() { drained <- n.Drain(t.Context(), 0) }()
	c.wantText(`{"event":"reconnect","data":{"delay_ms":0}}`)
	n.clock.advance(time.Second)
	for range 1000 { // time for a close that does not wait
		runtime.Gosched()
	}
	n.proceed <- struct{}{}
	c.wantText(`{"id":2,"result":{}}`)
	next := c.nextText()
	if next == string(answer("too late").payload) { // its turn came only after this call
		next = c.nextText()
	}
	if !strings.Contains(next, `"closing"`) {
		t.Errorf("got %s", next)
	}
	c.wantClose(protocol.CloseRestart)
	c.conn.Close()
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

// So are those that have returned without an answer yet.
func TestDrainWaitsForAnswers(t *testing.T) {
	n := startStill(t, gateway.Options{})
	c, _ := n.connect()
	c.text(`{"id":2,"method":"later"}` + "\n" + `{"id":3,"method":"later"}`)
	c.ping("begun")
	drained := make(chan error)
	go func() { drained <- n.Drain(t.Context(), 0) }()
	c.wantText(`{"event":"reconnect","data":{"delay_ms":0}}`)
	n.clock.advance(time.Second)
	for range 1000 { // time for a close that does not wait
		runtime.Gosched()
	}
	n.proceed <- struct{}{}
	n.proceed <- struct{}{}
	for range 2 {
		if got := c.nextText(); !strings.HasSuffix(got, `,"result":{}}`) {
			t.Errorf("got %s", got)
		}
	}
	c.wantClosing(protocol.CloseRestart)
	c.conn.Close()
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

// A handshake that was under way when the drain began is not forgotten.
func TestDrainDuringHandshake(t *testing.T) {
	h := slowOpener{entered: make(chan struct{}), proceed: make(chan struct{})}
	g := gateway.New(gateway.Options{}, h)
	server := httptest.NewServer(g)
	defer g.Stop()
	defer server.Close()
	addr := server.Listener.Addr().String()
	c := dial(t, addr)
	c.send([]byte(handshake(addr)))
	c.upgraded()
	<-h.entered
	drained := make(chan error)
	go func() { drained <- g.Drain(t.Context(), time.Hour) }()
	for g.Stats().Refused == 0 {
		another := dial(t, addr)
		another.send([]byte(handshake(addr)))
		if resp, err := http.ReadResponse(another.in, nil); err != nil || resp.StatusCode == http.StatusSwitchingProtocols {
			go func() { <-h.entered }() // it came before the drain
		}
	}
	close(h.proceed)
	c.wantClosing(protocol.CloseRestart)
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

// slowOpener is a Handler that takes its time.
type slowOpener struct{ entered, proceed chan struct{} }

func (h slowOpener) Opened(s *gateway.Session) gateway.Peer {
	h.entered <- struct{}{}
	<-h.proceed
	return greeter{s}
}

// When the time for draining is over, who remains is cut.
func TestDrainIsBounded(t *testing.T) {
	n := startStill(t, gateway.Options{})
	c, p := n.connect()
	ctx, cancel := context.WithCancel(t.Context())
	drained := make(chan error)
	go func() { drained <- n.Drain(ctx, time.Hour) }()
	c.nextText()
	cancel()
	if err := <-drained; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	c.wantClosing(protocol.CloseRestart)
	wait(t, "Closed", p.closed)
}

// Stop cuts everyone, waits for the calls, and may come again.
func TestStop(t *testing.T) {
	n := start(t, gateway.Options{})
	c, _ := n.connect()
	busy, p := n.connect()
	busy.text(`{"id":2,"method":"wait"}`)
	<-n.waiting
	stopped := make(chan struct{})
	go func() { n.Stop(); close(stopped) }()
	c.wantClosing(protocol.CloseRestart)
	busy.wantClosing(protocol.CloseRestart)
	select {
	case <-stopped:
		t.Error("Stop did not wait for a call")
	case <-p.closed:
		t.Error("Closed came during a call")
	case n.proceed <- struct{}{}:
	}
	wait(t, "Stop", stopped)
	n.Stop()
}
