package gateway_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-im/parley/internal/gateway"
	"github.com/parley-im/parley/protocol"
)

// greeted is what a session is told while it is opened.
const greeted = `{"event":"hello"}`

// over opens a session for a request, as the api does.
func (n *node) over(transport gateway.Transport, r *http.Request) (*gateway.HTTPSide, *peer, *protocol.Error) {
	frames := 0
	var p *peer
	h, err := n.Open(r, gateway.Opening{
		Transport: transport,
		Label: func(frame []byte) string {
			if frames++; strings.Contains(string(frame), "typing") {
				return ""
			}
			return fmt.Sprint("n", frames)
		},
		Enter: func(opened gateway.Peer) *protocol.Error {
			p = opened.(*peer)
			if r.URL.Query().Has("refused") {
				return protocol.Errorf(protocol.Unauthenticated, "", "as it was told")
			}
			p.s.Authenticated()
			p.s.Reply([]byte(greeted))
			return nil
		},
	})
	return h, p, err
}

// listen opens an event stream, whose headers have been read.
func (n *node) listen() (*client, *peer) {
	n.t.Helper()
	opened := make(chan *peer, 1)
	n.stream = func(w http.ResponseWriter, r *http.Request) {
		h, p, err := n.over(gateway.EventStream, r)
		if err != nil {
			n.t.Error(err)
			return
		}
		if n.begin != nil {
			n.begin(p)
		}
		h.Stream(w)
		opened <- p
	}
	c := dial(n.t, n.addr)
	if n.roots != nil {
		c.secure(n.roots)
	}
	c.send([]byte("GET /events HTTP/1.1\r\nHost: " + n.addr + "\r\n\r\n"))
	n.t.Helper()
	if head := c.until("\r\n\r\n"); !strings.HasPrefix(head, "HTTP/1.1 200 OK\r\n") || !strings.Contains(head, "Content-Type: text/event-stream\r\n") ||
		!strings.Contains(head, "Connection: close\r\n") || strings.Contains(head, "Transfer-Encoding") {
		n.t.Fatalf("the answer begins with %q", head)
	}
	c.wantEvents("id: n1\ndata: " + greeted + "\n\n")
	return c, <-opened
}

// until reads until some text has come.
func (c *client) until(end string) string {
	c.t.Helper()
	var got []byte
	for !strings.HasSuffix(string(got), end) {
		b, err := c.in.ReadByte()
		if err != nil {
			c.t.Fatalf("%v after %q", err, got)
		}
		got = append(got, b)
	}
	return string(got)
}

// wantEvents reads as much, and wants it to be so.
func (c *client) wantEvents(want string) {
	c.t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c.in, got); err != nil || string(got) != want {
		c.t.Fatalf("came %q, %v; want %q", got, err, want)
	}
}

// wantLastEvent wants the closing frame, and the end of the stream.
func (c *client) wantLastEvent(code protocol.CloseCode) {
	c.t.Helper()
	c.until(fmt.Sprintf(`{"event":"closing","data":{"code":%d,`, code))
	if rest, err := io.ReadAll(c.in); err != nil || strings.Count(string(rest), "\n\n") != 1 || !strings.HasSuffix(string(rest), "\n\n") {
		c.t.Errorf("behind closing comes %q, %v", rest, err)
	}
}

func TestEventStream(t *testing.T) {
	for name, start := range starts {
		t.Run(name, func(t *testing.T) {
			n := start(t, gateway.Options{})
			c, p := n.listen()
			if !p.s.Offer([]byte(`{"event":"a"}` + "\n" + `{"event":"typing"}` + "\n" + `{"event":"b"}`)) {
				t.Fatal("refused")
			}
			c.wantEvents("id: n2\ndata: {\"event\":\"a\"}\n\ndata: {\"event\":\"typing\"}\n\nid: n4\ndata: {\"event\":\"b\"}\n\n")
			if got := n.Stats().Sessions; got != [...]int{0, 1, 0} {
				t.Errorf("sessions by transport: %v", got)
			}
			c.send([]byte("this is not heard\r\n"))
			p.s.Close(protocol.CloseReplaced, 0)
			c.wantLastEvent(protocol.CloseReplaced)
			wait(t, "Closed", p.closed)
		})
	}
}

// A client of an event stream that goes, at any moment, is noticed.
func TestEventStreamIsLeft(t *testing.T) {
	n := start(t, gateway.Options{})
	c, p := n.listen()
	c.conn.Close()
	wait(t, "Closed", p.closed)
}

// What the socket does not take waits, up to the bound; then the session is told when there is room again. Nothing of it is lost or changed.
func TestEventStreamLags(t *testing.T) {
	for name, start := range starts {
		t.Run(name, func(t *testing.T) {
			n := start(t, gateway.Options{})
			c, p := n.listen()
			frame := `{"event":"` + strings.Repeat("x", 8000) + `"}`
			sent := 0
			for p.s.Offer([]byte(frame)) {
				sent++
			}
			for i := range sent {
				c.wantEvents(fmt.Sprintf("id: n%d\ndata: %s\n\n", i+2, frame))
			}
			wait(t, "Drained", p.drained)
			if !p.s.Offer([]byte(frame)) {
				t.Error("refused, and there is room")
			}
		})
	}
}

// What is refused before there is a connection is asked for again, also where the socket then takes all that waits at once.
func TestEventStreamIsFullBeforeItBegins(t *testing.T) {
	for name, start := range starts {
		t.Run(name, func(t *testing.T) {
			n := start(t, gateway.Options{QueueBytes: 4 << 10})
			frame := []byte(`{"event":"` + strings.Repeat("x", 1000) + `"}`)
			n.begin = func(p *peer) {
				for p.s.Offer(frame) {
				}
			}
			_, p := n.listen()
			wait(t, "Drained", p.drained)
			if !p.s.Offer(frame) {
				t.Error("refused, and there is room")
			}
		})
	}
}

func TestEventStreamTime(t *testing.T) {
	n := startStill(t, gateway.Options{})
	c, p := n.listen()
	for range 5 { // it says nothing, and nothing is expected
		n.clock.advance(heartbeat + 200*time.Millisecond)
		c.wantEvents(":\n\n")
	}
	for p.s.Offer([]byte(`{"event":"` + strings.Repeat("x", 8000) + `"}`)) {
	}
	n.clock.advance(2*heartbeat + time.Second) // it takes nothing
	wait(t, "Closed", p.closed)
	n.clock.advance(6 * time.Second)
}

// What is refused while it is opened leaves nothing.
func TestOpenRefused(t *testing.T) {
	n := start(t, gateway.Options{MaxUnauthenticated: 1})
	for range 3 {
		h, p, err := n.over(gateway.EventStream, httptest.NewRequest(http.MethodGet, "/events?refused", nil))
		if err == nil || err.Code != protocol.Unauthenticated || h != nil {
			t.Fatalf("%v, %v", h, err)
		}
		wait(t, "Closed", p.closed)
		for n.Count() > 0 {
			runtime.Gosched()
		}
	}
	n.Stop()
	if _, _, err := n.over(gateway.LongPoll, httptest.NewRequest(http.MethodGet, "/", nil)); err == nil || err.Code != protocol.Unavailable {
		t.Errorf("when the node ends: %v", err)
	}
}

// mailbox opens a session of polls whose hello has been taken.
func (n *node) mailbox() (*gateway.HTTPSide, *peer) {
	n.t.Helper()
	h, p, err := n.over(gateway.LongPoll, httptest.NewRequest(http.MethodPost, "/", nil))
	if err != nil {
		n.t.Fatal(err)
	}
	cursor, frames, ok := h.Poll(n.t.Context(), "", 0)
	if !ok || len(frames) != 1 || string(frames[0]) != greeted {
		n.t.Fatalf("%s, %v", frames, ok)
	}
	if _, frames, ok = h.Poll(n.t.Context(), cursor, 0); !ok || len(frames) > 0 {
		n.t.Fatalf("%s, %v", frames, ok)
	}
	return h, p
}

func TestPollTime(t *testing.T) {
	n := startStill(t, gateway.Options{})
	h, p := n.mailbox()
	n.clock.advance(59 * time.Second)
	if found, peer, ok := n.Polled(h.ID()); !ok || found != h || peer != gateway.Peer(p) {
		t.Fatal("it has ended early")
	}
	if _, frames, ok := h.Poll(t.Context(), "", 0); !ok || len(frames) > 0 {
		t.Fatalf("%s, %v", frames, ok)
	}
	p.s.Push([]byte(`{"event":"a"}`))
	n.clock.advance(61 * time.Second)
	wait(t, "Closed", p.closed)
	wantNoPolls(t, n, h)
}

// wantNoPolls waits until nobody knows the session.
func wantNoPolls(t *testing.T, n *node, h *gateway.HTTPSide) {
	t.Helper()
	for end := time.Now().Add(patience); ; runtime.Gosched() {
		if _, _, ok := n.Polled(h.ID()); !ok {
			break
		}
		if time.Now().After(end) {
			t.Fatal("it is still there")
		}
	}
	if _, frames, ok := h.Poll(t.Context(), "", time.Hour); ok {
		t.Errorf("a poll is answered: %s", frames)
	}
}

// While a poll waits, the session lasts; its end answers the poll, and is there for another one, until it is acknowledged or 5 s have passed.
func TestPollClosing(t *testing.T) {
	for name, acknowledged := range map[string]bool{"acknowledged": true, "left": false} {
		t.Run(name, func(t *testing.T) {
			n := startStill(t, gateway.Options{})
			h, p := n.mailbox()
			type answer struct {
				cursor string
				frames []protocol.Raw
				ok     bool
			}
			answers := make(chan answer)
			go func() {
				cursor, frames, ok := h.Poll(context.Background(), "", time.Hour)
				answers <- answer{cursor, frames, ok}
			}()
			p.s.Close(protocol.CloseReplaced, 0)
			first := <-answers
			if !first.ok || len(first.frames) != 1 || !strings.Contains(string(first.frames[0]), `"closing"`) {
				t.Fatalf("%s, %v", first.frames, first.ok)
			}
			wait(t, "Closed", p.closed)
			if _, frames, ok := h.Poll(t.Context(), "", time.Hour); !ok || len(frames) != 1 {
				t.Errorf("once more: %s, %v", frames, ok)
			}
			if acknowledged {
				if _, frames, ok := h.Poll(t.Context(), first.cursor, time.Hour); ok {
					t.Errorf("behind closing comes %s", frames)
				}
			} else {
				n.clock.advance(6 * time.Second)
			}
			wantNoPolls(t, n, h)
		})
	}
}

// What is not acknowledged counts as waiting.
func TestPollLags(t *testing.T) {
	n := start(t, gateway.Options{})
	h, p := n.mailbox()
	frame := []byte(`{"event":"` + strings.Repeat("x", 8000) + `"}`)
	sent := 0
	for p.s.Offer(frame) {
		sent++
	}
	if waiting := n.Stats().QueueBytes; waiting > 300<<10 || waiting < 200<<10 {
		t.Errorf("%d bytes wait", waiting)
	}
	cursor, came := "1000000", 0
	for came < sent {
		var frames []protocol.Raw
		var ok bool
		if cursor, frames, ok = h.Poll(t.Context(), cursor, time.Hour); !ok || len(frames) == 0 || len(frames) > 8 {
			t.Fatalf("%d frames at once, %v", len(frames), ok)
		}
		came += len(frames)
	}
	if _, frames, _ := h.Poll(t.Context(), cursor, 0); len(frames) > 0 || came != sent {
		t.Errorf("%d frames came of %d, and %d more", came, sent, len(frames))
	}
	wait(t, "Drained", p.drained)
}

// A session that is looked up just when there is room is told all the same.
func TestPolledLosesNoDrained(t *testing.T) {
	n := start(t, gateway.Options{})
	h, p := n.mailbox()
	var told atomic.Bool
	var lookups sync.WaitGroup
	for range 2 {
		lookups.Go(func() {
			for !told.Load() {
				n.Polled(h.ID())
			}
		})
	}
	defer lookups.Wait()
	defer told.Store(true)
	for range 1000 {
		p.s.Nudge()
		wait(t, "Drained", p.drained)
	}
}

// A drain lets polls and streams go like all sessions, whether anybody polls or not.
func TestDrainOverHTTP(t *testing.T) {
	n := startStill(t, gateway.Options{})
	polled, p := n.mailbox()
	left, q := n.mailbox()
	c, r := n.listen()
	drained := make(chan error, 1)
	go func() { drained <- n.Drain(context.Background(), 3*time.Second) }()
	c.until(`"reconnect"`)
	cursor, reconnect := "", false
	for !reconnect {
		var frames []protocol.Raw
		cursor, frames, _ = polled.Poll(t.Context(), cursor, time.Hour)
		reconnect = len(frames) > 0 && strings.Contains(string(frames[0]), `"reconnect"`)
	}
	n.clock.advance(4 * time.Second)
	c.wantLastEvent(protocol.CloseRestart)
	c.conn.Close()
	if _, frames, ok := polled.Poll(t.Context(), cursor, time.Hour); !ok || !strings.Contains(string(frames[0]), `"closing"`) {
		t.Errorf("%s, %v", frames, ok)
	}
	for _, one := range []*peer{p, q, r} {
		wait(t, "Closed", one.closed)
	}
	n.clock.advance(6 * time.Second)
	if err := <-drained; err != nil {
		t.Error(err)
	}
	wantNoPolls(t, n, left)
}
