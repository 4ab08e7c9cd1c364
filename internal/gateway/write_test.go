package gateway_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/parley-im/parley/internal/gateway"
	"github.com/parley-im/parley/protocol"
)

// numbered is a message that can be told from every other, of about size bytes.
func numbered(i, size int) string {
	return fmt.Sprintf(`{"event":"typing","data":{"i":%d,"fill":"%s"}}`, i, strings.Repeat(string(rune('a'+i%26)), size))
}

// fill offers numbered messages until one is refused, and returns how many were taken. Everything stays within the bound.
func fill(t *testing.T, n *node, p *peer, size, queueBytes int) int {
	t.Helper()
	for i := 0; ; i++ {
		if !p.s.Offer(gateway.Wire([]byte(numbered(i, size)))) {
			return i
		}
		if waiting := n.Stats().QueueBytes; waiting > int64(queueBytes+size+100) {
			t.Fatalf("%d bytes are queued", waiting)
		}
	}
}

// A client that does not read costs a bounded queue. It is refused more, told when there is room, and gets every byte in order.
func TestSlowReader(t *testing.T) {
	const queueBytes, size = 256 << 10, 20 << 10
	n := start(t, gateway.Options{})
	c, p := n.connect()
	taken := fill(t, n, p, size, queueBytes)
	if p.s.Offer(gateway.Wire([]byte("{}"))) {
		t.Error("a small one was taken after a large one was refused")
	}
	p.s.Push(gateway.Wire([]byte(numbered(taken, size)))) // goes in behind the rest
	if got := n.Stats(); got.RefusedOffers != 2 || got.QueueBytes <= queueBytes {
		t.Errorf("%+v", got)
	}
	select {
	case <-p.drained:
		t.Fatal("Drained, and nothing has moved")
	default:
	}
	for i := range taken + 1 {
		c.wantText(numbered(i, size))
	}
	wait(t, "Drained", p.drained)
	if !p.s.Offer(gateway.Wire([]byte(numbered(0, size)))) {
		t.Error("refused after Drained")
	}
	c.wantText(numbered(0, size))
	c.ping("still here")
}

// Refused, drained, refused, drained: none is lost.
func TestDrainedComesEachTime(t *testing.T) {
	n := start(t, gateway.Options{QueueBytes: 16 << 10})
	c, p := n.connect()
	for range 5 {
		taken := fill(t, n, p, 20<<10, 16<<10)
		for i := range taken {
			c.wantText(numbered(i, 20<<10))
		}
		wait(t, "Drained", p.drained)
	}
}

// Drained waits for the call that the peer is in: it is called by one goroutine at a time.
func TestDrainedWaitsForCalls(t *testing.T) {
	n := start(t, gateway.Options{})
	c, p := n.connect()
	c.text(`{"id":2,"method":"wait"}`)
	<-n.waiting
	taken := fill(t, n, p, 20<<10, 256<<10)
	for i := range taken {
		c.wantText(numbered(i, 20<<10))
	}
	n.proceed <- struct{}{}
	wait(t, "Drained", p.drained)
	c.wantText(`{"id":2,"result":{}}`)
}

// Once the peer knows that the session has ended, it hears of no room.
func TestNoDrainedAfterClosed(t *testing.T) {
	for range 5 {
		n := start(t, gateway.Options{QueueBytes: 1})
		c, p := n.connect()
		c.text(`{"id":2,"method":"wait"}`)
		<-n.waiting
		taken := fill(t, n, p, 1<<20, 1<<20)
		for i := range taken {
			c.wantText(numbered(i, 1<<20))
		}
		p.s.Close(protocol.CloseReplaced, 0)
		n.proceed <- struct{}{}
		c.wantClosing(protocol.CloseReplaced)
		wait(t, "Closed", p.closed)
	}
}

// A call that has come, and waits for the peer, does not begin once the session is closing.
func TestNoCallAfterClose(t *testing.T) {
	n := start(t, gateway.Options{})
	n.hold = make(chan struct{})
	c, p := n.connect()
	for i := range fill(t, n, p, 20<<10, 256<<10) {
		c.wantText(numbered(i, 20<<10))
	}
	wait(t, "Drained", p.drained)
	frames := n.Stats().FramesIn
	c.text(call("late"))
	for n.Stats().FramesIn == frames {
		runtime.Gosched()
	}
	p.s.Close(protocol.CloseReplaced, 0)
	close(n.hold)
	c.wantClosing(protocol.CloseReplaced)
	wait(t, "Closed", p.closed)
	c.conn.Close()
	for n.Count() > 0 {
		runtime.Gosched()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.calls != 3 { // hello, Drained, Closed
		t.Errorf("the peer was called %d times", p.calls)
	}
}

// An idle queue takes one message of any size.
func TestIdleQueueTakesOne(t *testing.T) {
	n := start(t, gateway.Options{QueueBytes: 1})
	c, p := n.connect()
	large := numbered(1, 12<<20)
	if !p.s.Offer(gateway.Wire([]byte(large))) {
		t.Error("refused")
	}
	if p.s.Offer(gateway.Wire([]byte("{}"))) {
		t.Error("a second was taken")
	}
	c.wantText(large)
}

// What must not be lost is queued beyond the bound, but not without one.
func TestPushIsBounded(t *testing.T) {
	const size = 1 << 20
	n := startStill(t, gateway.Options{})
	c, p := n.connect()
	pushed := 0
	for ; !p.s.Done(); pushed++ {
		p.s.Push(gateway.Wire([]byte(numbered(pushed, size))))
		if waiting := n.Stats().QueueBytes; waiting > 256<<10+8<<20+1000 {
			t.Fatalf("%d bytes are queued", waiting)
		}
	}
	for i := range pushed - 1 { // the last was too much
		c.wantText(numbered(i, size))
	}
	if got := c.wantClosing(protocol.CloseOverloaded); got.RetryAfterMS == 0 {
		t.Error("no retry_after_ms")
	}
	wait(t, "Closed", p.closed)
}

// Who does not read the replies is not read either; when it reads, all replies come in order.
func TestRepliesHoldBackReading(t *testing.T) {
	const calls, size = 300, 60 << 10
	n := start(t, gateway.Options{})
	c, _ := n.connect()
	go func() {
		for i := range calls {
			c.text(fmt.Sprintf(`{"id":%d,"method":"echo","params":{"text":"%s"}}`, i+1, strings.Repeat("z", size)))
		}
	}()
	for n.Stats().QueueBytes <= 128<<10 { // held back, or nearly
		runtime.Gosched()
	}
	for i := range calls {
		if got := c.nextText(); !strings.HasPrefix(got, fmt.Sprintf(`{"id":%d,`, i+1)) || len(got) < size {
			t.Fatalf("reply %d: %.60s", i+1, got)
		}
		if waiting := n.Stats().QueueBytes; waiting > 256<<10+size+1000 {
			t.Fatalf("%d bytes are queued", waiting)
		}
	}
}

// While a session is held back, taking bytes is a sign of life, and taking none for two heartbeats is the lack of one.
func TestHeldBackIsNotSilent(t *testing.T) {
	n := startStill(t, gateway.Options{})
	c, p := n.connect()
	c.text(strings.Repeat(`{"id":2,"method":"much"}`+"\n", 300)) // 18 MB of replies
	refilled := func() {
		for n.Stats().QueueBytes <= 128<<10 {
			runtime.Gosched()
		}
	}
	for range 6 {
		refilled()
		n.clock.advance(heartbeat)
		if p.s.Done() {
			t.Fatal("closed, although it takes its replies")
		}
		for written := n.Stats().BytesOut; n.Stats().BytesOut == written; {
			c.next()
		}
	}
	for i := 0; !p.s.Done(); i++ { // what is on its way may be taken a little longer
		if i == 20 {
			t.Fatal("not closed, although it takes nothing")
		}
		refilled()
		n.clock.advance(heartbeat)
	}
	n.clock.advance(6 * time.Second) // nor does it take the close frame
	wait(t, "Closed", p.closed)
}

// A client that reads slowly, but reads, may have much waiting for it.
func TestSlowButReading(t *testing.T) {
	const size, messages = 1 << 20, 40
	n := startStill(t, gateway.Options{QueueBytes: messages * size})
	c, p := n.connect()
	for i := range messages {
		p.s.Push(gateway.Wire([]byte(numbered(i, size))))
	}
	next := func() {
		if got := c.nextText(); got != "{}" && len(got) < size {
			t.Fatal(got)
		}
	}
	for range 5 {
		n.clock.advance(heartbeat)
		for written := n.Stats().BytesOut; n.Stats().BytesOut == written; {
			next()
		}
		heard := n.Stats().BytesIn
		for c.text("{}"); n.Stats().BytesIn == heard; {
			runtime.Gosched()
		}
		c.settle()
		if p.s.Done() || n.Stats().QueueBytes == 0 {
			t.Fatalf("done: %t, %d bytes are queued", p.s.Done(), n.Stats().QueueBytes)
		}
	}
}

// A client that has closed its side for writing still gets what was on its way.
func TestCloseWaitsForTheQueue(t *testing.T) {
	const size = 20 << 10
	n := start(t, gateway.Options{})
	c, p := n.connect()
	taken := fill(t, n, p, size, 256<<10)
	c.send(closeFrame(1000, ""))
	if err := c.conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	wait(t, "Closed", p.closed)
	for !p.s.ReadEnded() {
		runtime.Gosched()
	}
	for i := range taken {
		c.wantText(numbered(i, size))
	}
	c.wantClose(1000)
}

// Nothing follows the close frame, and closing again changes nothing.
func TestNothingAfterClose(t *testing.T) {
	n := start(t, gateway.Options{})
	c, p := n.connect()
	p.s.Close(protocol.CloseRevoked, 3*time.Second)
	p.s.Close(protocol.CloseNormal, 0)
	p.s.Push(gateway.Wire([]byte("{}")))
	p.s.Reply([]byte("{}"))
	p.s.Authenticated()
	if p.s.Offer(gateway.Wire([]byte("{}"))) {
		t.Error("an offer was taken after Close")
	}
	if got := c.wantClosing(protocol.CloseRevoked); got.RetryAfterMS != 3000 {
		t.Errorf("%+v", got)
	}
	c.text(call("too late"))
	wait(t, "Closed", p.closed)
	n.Each(func(s *gateway.Session) { t.Error("Each sees a session that is closing") })
	if got := n.Stats().Closes; got[protocol.CloseRevoked] != 1 || len(got) != 1 {
		t.Errorf("closes: %v", got)
	}
}

// A handler may close its session before anything else, and from within a call.
func TestCloseFromTheInside(t *testing.T) {
	n := start(t, gateway.Options{})
	c, p := n.connect()
	c.text(`{"id":2,"method":"wait"}` + "\n" + `{"id":3,"method":"hello"}`)
	<-n.waiting
	p.s.Reply([]byte(`{"id":2,"error":{}}`))
	p.s.Close(protocol.CloseUnauthenticated, 0)
	n.proceed <- struct{}{}
	c.wantText(`{"id":2,"error":{}}`)
	c.wantClosing(protocol.CloseUnauthenticated)
	wait(t, "Closed", p.closed)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.calls != 3 { // hello, wait, Closed
		t.Errorf("the peer was called %d times", p.calls)
	}
}

func TestPingFlood(t *testing.T) {
	for _, op := range []byte{opPing, opPong} {
		n := startStill(t, gateway.Options{})
		c, p := n.connect()
		c.send(repeat(masked(0x80|op, nil), 100))
		for i := 0; op == opPing && i < 100; i++ {
			c.next()
		}
		c.text(call("well"))
		c.wantText(string(answer("well").payload))
		if p.s.Done() {
			t.Fatal("closed for 100")
		}
		n.clock.advance(time.Second)
		c.send(repeat(masked(0x80|op, nil), 11))
		for i := 0; op == opPing && i < 10; i++ {
			c.next()
		}
		c.wantClosing(protocol.CloseRateLimited)
	}
}

// A connection has five seconds' worth of calls at once, and then its rate. Heartbeats cost nothing.
func TestCallRate(t *testing.T) {
	const perSecond = 10
	n := startStill(t, gateway.Options{CallsPerSecond: perSecond})
	c, _ := n.connect() // one call
	n.clock.advance(time.Second)
	batch := func(calls int) (served int) {
		c.text(strings.Repeat("{}\n"+call("a")+"\n", calls) + `{"method":"echo"}`)
		for range calls {
			var reply struct {
				Error *protocol.Error `json:"error"`
			}
			if err := json.Unmarshal([]byte(c.nextText()), &reply); err != nil {
				t.Fatal(err)
			}
			switch e := reply.Error; {
			case e == nil:
				served++
			case e.Code != protocol.RateLimited || e.Scope != protocol.ScopeConnection || e.RetryAfterMS < 1 || e.RetryAfterMS > 1000:
				t.Fatalf("%+v", e)
			}
		}
		return served
	}
	for i, want := range []int{5 * perSecond, 0, perSecond, 2 * perSecond} {
		n.clock.advance([]time.Duration{0, 0, time.Second, 2 * time.Second}[i])
		if got := batch(60); got != want {
			t.Errorf("batch %d: %d calls were served, want %d", i, got, want)
		}
	}
}

// Ten times the rate for ten seconds is too much, also of frames that are free one by one.
func TestCallFlood(t *testing.T) {
	for name, message := range map[string]string{"calls": call("a"), "heartbeats": "{}", "empty": ""} {
		t.Run(name, func(t *testing.T) {
			n := startStill(t, gateway.Options{CallsPerSecond: 1})
			c, p := n.connect()
			c.send(repeat(masked(0x80|opText, []byte(message)), 99))
			before := c.ping("all in")
			if p.s.Done() {
				t.Fatalf("closed too early: %q", before)
			}
			c.text(message)
			c.wantClosing(protocol.CloseRateLimited)
		})
	}
}

// Without a limit there is none.
func TestNoCallLimit(t *testing.T) {
	n := startStill(t, gateway.Options{})
	c, _ := n.connect()
	for range 30 {
		c.text(strings.Repeat(call("a")+"\n", 100))
		for range 100 {
			c.wantText(string(answer("a").payload))
		}
	}
}

// Many write to the same sessions, some of which are closed or cut meanwhile: bytes never mix, what was taken comes once and in order, and nothing comes
// after the close frame.
func TestConcurrentWriters(t *testing.T) {
	for name, start := range starts {
		t.Run(name, func(t *testing.T) { writeConcurrently(t, start(t, gateway.Options{QueueBytes: 32 << 10})) })
	}
}

func writeConcurrently(t *testing.T, n *node) {
	const sessions, writers, messages = 12, 4, 200
	var all sync.WaitGroup
	for i := range sessions {
		c, p := n.connect()
		var taken [writers]atomic.Int64 // how far each writer has got
		var writing sync.WaitGroup
		for w := range writers {
			random := rand.New(rand.NewPCG(uint64(i), uint64(w)))
			writing.Go(func() {
				for m := 0; m < messages && !p.s.Done(); {
					wire := gateway.Wire(fmt.Appendf(nil, `{"event":"w%d","seq":%d,"data":"%s"}`, w, m+1, strings.Repeat("x", random.IntN(9000))))
					if w%2 == 0 {
						p.s.Push(wire)
					} else if !p.s.Offer(wire) {
						runtime.Gosched()
						continue
					}
					m++
					taken[w].Store(int64(m))
				}
			})
		}
		closeAt := int64(messages * (i%4 + 1) / 4)
		all.Go(func() {
			writing.Wait()
			p.s.Close(protocol.CloseReplaced, 0)
		})
		all.Go(func() {
			var seen [writers]int64
			for {
				f, err := c.read()
				if err != nil {
					t.Errorf("session %d: %v", i, err)
					return
				}
				if f.op == opClose {
					c.wantEnd()
					break
				}
				var push struct {
					Event string `json:"event"`
					Seq   int64  `json:"seq"`
				}
				if err := json.Unmarshal(f.payload, &push); err != nil {
					t.Errorf("session %d: %v in %.100q", i, err, f.payload)
					return
				}
				var w int
				if _, err := fmt.Sscanf(push.Event, "w%d", &w); err != nil {
					continue // closing
				}
				if seen[w]++; push.Seq != seen[w] {
					t.Errorf("session %d: message %d of writer %d, want %d", i, push.Seq, w, seen[w])
					return
				}
				if w == 0 && seen[w] == closeAt {
					switch i % 3 {
					case 0:
						c.conn.Close()
						return
					case 1:
						p.s.Close(protocol.CloseReplaced, 0)
					}
				}
			}
			for w := range writers {
				if i%3 == 2 && seen[w] != taken[w].Load() {
					t.Errorf("session %d: %d messages of writer %d came, %d were taken", i, seen[w], w, taken[w].Load())
				}
			}
		})
	}
	all.Wait()
}

// plain leaves a listener as it is.
func plain(l net.Listener) net.Listener { return l }

// BenchmarkOffer is one delivery of a small message to a session that reads: the price of the fan-out's last step.
func BenchmarkOffer(b *testing.B) {
	n := launch(b, gateway.Options{}, plain, nil)
	c, p := n.connect()
	_ = c.conn.SetDeadline(time.Time{})
	go func() { _, _ = io.Copy(io.Discard, c.conn) }()
	wire := gateway.Wire([]byte(numbered(1, 200)))
	b.ReportAllocs()
	for b.Loop() {
		for !p.s.Offer(wire) {
			runtime.Gosched()
		}
	}
}

// BenchmarkCall is one call and its reply, one after the other.
func BenchmarkCall(b *testing.B) {
	n := launch(b, gateway.Options{}, plain, nil)
	c, _ := n.connect()
	_ = c.conn.SetDeadline(time.Time{})
	request := masked(0x80|opText, []byte(call("a")))
	b.ReportAllocs()
	for b.Loop() {
		c.send(request)
		c.next()
	}
}
