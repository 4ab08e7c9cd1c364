package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	junkFrames     = 10_000
	halfHandshakes = 200
	silentPeers    = 50
	floodRSS       = 48 << 20 // what the server may have grown by, when all of it is over
)

// TestFloods throws everything at one server at once that is not what it is for: frames that are none, handshakes that do not end, peers that say nothing or
// too little. Each gets its end in time, somebody who behaves is served all the while, and afterwards the server is as it was.
func TestFloods(t *testing.T) {
	t.Parallel()
	s := start(t)
	room := s.backend().newRoom("group", "alice", "bob")
	alice, bob := s.connect("alice", nil), s.connect("bob", nil)
	token := s.token("mallory")
	before, rss := s.metrics(), s.rss()

	var wg sync.WaitGroup
	for _, flood := range []func(t *testing.T, s *server, token string){
		floodOfJunk, floodOfCalls, floodOfHeartbeats, floodOfGarbage, halfHandshake, neverHello, neverEnding, dribble, slowHeaders,
	} {
		wg.Go(func() { flood(t, s, token) })
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	served := 0
	for waiting := true; waiting; served++ {
		select {
		case <-done:
			waiting = false
		case <-time.After(250 * time.Millisecond): // no faster than one may in one room
			bob.expect("a message in the middle of it", event(room, alice.send(room, fmt.Sprint(served), "still there?")))
		}
	}
	after := s.settled(before)
	grown := s.rss() - rss
	t.Logf("%d messages were sent meanwhile; goroutines %v → %v, files %v → %v, memory %+.1f MiB", served,
		before["go_goroutines"], after["go_goroutines"], before["process_open_fds"], after["process_open_fds"], float64(grown)/(1<<20))
	if grown > floodRSS {
		t.Errorf("the server has grown by %d MiB", grown>>20)
	}
}

// metrics are the server's metrics that have no labels.
func (s *server) metrics() map[string]float64 {
	s.t.Helper()
	resp, err := http.Get("http://" + s.admin + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	values := map[string]float64{}
	for line := range bytes.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(string(line)), " ")
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			values[name] = v
		}
	}
	return values
}

// settled waits until goroutines and files are back near where they were.
func (s *server) settled(before map[string]float64) map[string]float64 {
	s.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		now, near := s.metrics(), true
		for _, name := range []string{"go_goroutines", "process_open_fds"} {
			near = near && now[name] > 0 && now[name] <= before[name]+10
		}
		if near {
			return now
		}
		if time.Now().After(deadline) {
			s.t.Errorf("the server does not settle: goroutines %v → %v, files %v → %v", before["go_goroutines"], now["go_goroutines"],
				before["process_open_fds"], now["process_open_fds"])
			return now
		}
		time.Sleep(50 * time.Millisecond) // until it is asked again
	}
}

// quiet is a connection for a goroutine, whose errors do not end the test.
func quiet(s *server) (*rawConn, error) {
	c, err := s.tryRawDial(0)
	if err == nil {
		c.put([]byte(handshake(s.addr)))
		err = c.upgraded()
	}
	return c, err
}

// greet opens a session for mallory on a device.
func greet(t *testing.T, s *server, token, device string) *rawConn {
	c, err := quiet(s)
	if err != nil {
		t.Error(err)
		return nil
	}
	c.text(helloFrame(token, device, nil))
	if f, err := c.frame(); err != nil || f.Error != nil {
		t.Errorf("hello: %+v, %v", f, err)
		return nil
	}
	return c
}

// floodOfJunk sends frames that are none, each on a connection of its own, as each is the end of one.
func floodOfJunk(t *testing.T, s *server, _ string) {
	junk := []string{"nonsense", "[]", "{", `{"id":"x"}`, `{"id":1,"id":1}`, "\x00", strings.Repeat("[", 1000)}
	for i := range junkFrames / 10 {
		c, err := quiet(s)
		if err != nil {
			t.Error(err)
			return
		}
		c.text(junk[i%len(junk)])
		if _, closing, code := c.ending(); closing != 4400 || code != 4400 {
			t.Errorf("%q: closing %d, code %d", junk[i%len(junk)], closing, code)
			return
		}
		c.Close()
	}
}

// floodOfCalls sends calls that are wrong: all are answered, most of them with the limit of the connection, and none comes through.
func floodOfCalls(t *testing.T, s *server, token string) {
	c := greet(t, s, token, "calls")
	if c == nil {
		return
	}
	defer c.Close()
	go func() {
		for i := range junkFrames {
			c.text(fmt.Sprintf(`{"id":%d,"method":"nonsense%d","params":{"a":[%d]}}`, i+1, i, i))
		}
	}()
	limited := 0
	for answered := 0; answered < junkFrames; {
		op, payload, err := c.message()
		if err != nil || op != opText {
			t.Errorf("after %d answers of %d: a frame of kind %d: %q, %v", answered, junkFrames, op, payload, err)
			return
		}
		for line := range bytes.Lines(payload) {
			answered++
			if bytes.Contains(line, []byte(`"rate_limited"`)) {
				limited++
			} else if !bytes.Contains(line, []byte(`"bad_request"`)) {
				t.Errorf("nonsense is answered with %s", line)
				return
			}
		}
	}
	if limited == 0 {
		t.Errorf("%d calls at once were all within the limit", junkFrames)
	}
}

// floodOfHeartbeats goes on until the session is closed for it: heartbeats cost nothing, but not without end.
func floodOfHeartbeats(t *testing.T, s *server, token string) {
	c := greet(t, s, token, "heartbeats")
	if c == nil {
		return
	}
	defer c.Close()
	go func() {
		message := []byte(strings.Repeat("{}\n", 100))
		for range 10_000 {
			if _, err := c.Write(masked(fin|opText, message)); err != nil {
				return
			}
		}
	}()
	if _, closing, code := c.ending(); closing != 4429 || code != 4429 {
		t.Errorf("a million heartbeats end with closing %d, code %d", closing, code)
	}
}

// floodOfGarbage sends random bytes to whoever listens.
func floodOfGarbage(t *testing.T, s *server, _ string) {
	for i := range 200 {
		c, err := s.tryRawDial(0)
		if err != nil {
			t.Error(err)
			return
		}
		garbage := make([]byte, 1+rand.IntN(3000))
		for j := range garbage {
			garbage[j] = byte(rand.Uint32())
		}
		if i%2 == 0 { // within a WebSocket
			c.put([]byte(handshake(s.addr)))
		}
		c.put(garbage)
		_ = c.Conn.(interface{ CloseWrite() error }).CloseWrite() // the server may have gone first
		if _, err := io.Copy(io.Discard, c.in); err != nil && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the server does not end a connection with garbage: %v", err)
			return
		}
		c.Close()
	}
}

// halfHandshake leaves handshakes unfinished: the server does not wait for them.
func halfHandshake(t *testing.T, s *server, _ string) {
	whole := handshake(s.addr)
	conns := make([]*rawConn, 0, halfHandshakes)
	for i := range halfHandshakes {
		c, err := s.tryRawDial(0)
		if err != nil {
			t.Error(err)
			return
		}
		c.put([]byte(whole[:i%len(whole)]))
		conns = append(conns, c)
	}
	for _, c := range conns {
		if answer, err := io.ReadAll(c.in); err != nil && !errors.Is(err, syscall.ECONNRESET) || bytes.Contains(answer, []byte(" 101 ")) {
			t.Errorf("half a handshake is answered with %q, %v", answer, err)
		}
		c.Close()
	}
}

// neverHello opens sessions and says nothing: 10 s later they are closed.
func neverHello(t *testing.T, s *server, _ string) {
	conns := make([]*rawConn, 0, silentPeers)
	for range silentPeers {
		c, err := quiet(s)
		if err != nil {
			t.Error(err)
			return
		}
		conns = append(conns, c)
	}
	for _, c := range conns {
		if frames, closing, code := c.ending(); closing != 4408 || code != 4408 || len(frames) != 1 {
			t.Errorf("without a hello: closing %d, code %d, after %v", closing, code, frames)
		}
		c.Close()
	}
}

// neverEnding begins messages, within a frame and between frames: 10 s later the sessions are closed.
func neverEnding(t *testing.T, s *server, token string) {
	var conns []*rawConn
	for i, part := range [][]byte{
		append(maskedHeader(fin|opText, 1000), `{"id":2,`...), masked(opText, []byte(`{"id":2,`)), {fin | opText}, append(masked(opText, nil), masked(0, nil)...),
	} {
		c := greet(t, s, token, fmt.Sprint("never ending", i))
		if c == nil {
			return
		}
		c.put(part)
		conns = append(conns, c)
	}
	for _, c := range conns {
		if _, closing, code := c.ending(); closing != 4408 || code != 4408 {
			t.Errorf("a message without an end: closing %d, code %d", closing, code)
		}
		c.Close()
	}
}

// dribble says hello byte by byte, and a call: both are answered.
func dribble(t *testing.T, s *server, token string) {
	c, err := s.tryRawDial(0)
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	said := handshake(s.addr) + string(masked(fin|opText, []byte(helloFrame(token, "dribble", nil)))) + string(masked(fin|opText, []byte(`{"id":2,"method":"room.list"}`)))
	for i := range said {
		c.put([]byte(said[i : i+1]))
	}
	if err := c.upgraded(); err != nil {
		t.Error(err)
		return
	}
	for id := 1; id <= 2; id++ {
		if f, err := c.frame(); f.ID != id || f.Error != nil || err != nil {
			t.Errorf("said byte by byte, call %d is answered with %+v, %v", id, f, err)
			return
		}
	}
}

// slowHeaders sends header after header of a request: the server hangs up.
func slowHeaders(t *testing.T, s *server, _ string) {
	c, err := s.tryRawDial(0)
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	c.put([]byte("POST /v1/room.list HTTP/1.1\r\n"))
	began := time.Now()
	for i := 0; time.Since(began) < patience; i++ {
		if _, err := fmt.Fprintf(c, "X-%d: y\r\n", i); err != nil {
			return
		}
		time.Sleep(100 * time.Millisecond) // slowly is how
	}
	t.Error("a request whose headers do not end is listened to for ever")
}
