package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// client is one session over a WebSocket, driven frame by frame.
type client struct {
	t    testing.TB
	conn *websocket.Conn
	user string

	cutOff func() // in place of conn's end; nil: it is over a WebSocket

	mu      sync.Mutex
	nextID  int
	waiting map[int]chan frame
	pushes  []frame
	more    chan struct{} // closed and replaced when something came
	err     error         // why reading ended
	hello   object
}

// frame is one frame of the server.
type frame struct {
	ID     int             `json:"id"`
	Result object          `json:"result"`
	Error  *wireError      `json:"error"`
	Event  string          `json:"event"`
	Room   string          `json:"room"`
	Seq    uint64          `json:"seq"`
	User   *string         `json:"user"`
	Data   json.RawMessage `json:"data"`

	came time.Time // when it was read
	raw  []byte    // as it came
}

func (f frame) data() object {
	var o object
	_ = json.Unmarshal(f.Data, &o) // a frame without data has none
	return o
}

const patience = 20 * time.Second

// connect opens a session; more are further params of hello.
func (s *server) connect(user string, more object) *client {
	s.t.Helper()
	c, err := s.dial(user, s.token(user), more)
	if err != nil {
		s.t.Fatalf("connect %s: %v", user, err)
	}
	return c
}

// dial opens a session with a token.
func (s *server) dial(user, token string, more object) (*client, error) {
	c, err := s.open()
	if err != nil {
		return nil, err
	}
	c.user = user
	params := object{"token": token, "device": user + "-device", "client": "e2e"}
	for k, v := range more {
		params[k] = v
	}
	if c.hello, err = c.try("hello", params); err != nil {
		c.cut()
		return nil, err
	}
	return c, nil
}

// open opens a WebSocket without a hello. Frames are answered as a client must: heartbeats with heartbeats.
func (s *server) open() (*client, error) {
	return s.openAt("ws://"+s.addr, &websocket.DialOptions{})
}

// openAt is open at an address of the server, with options of the library.
func (s *server) openAt(url string, options *websocket.DialOptions) (*client, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	options.Subprotocols = []string{"parley.v1"}
	conn, resp, err := websocket.Dial(ctx, url+"/v1/ws", options)
	if err != nil {
		return nil, err
	}
	if resp.Body != nil {
		resp.Body.Close()
	}
	conn.SetReadLimit(16 << 20)
	c := &client{t: s.t, conn: conn, waiting: map[int]chan frame{}, more: make(chan struct{})}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.read()
	}()
	s.t.Cleanup(func() {
		c.cut()
		<-ended
	})
	return c, nil
}

// cut drops the connection without a word.
func (c *client) cut() {
	if c.cutOff != nil {
		c.cutOff()
	} else {
		_ = c.conn.CloseNow()
	}
}

func (c *client) read() {
	for {
		kind, message, err := c.conn.Read(context.Background())
		if err == nil && kind != websocket.MessageText {
			err = errors.New("a binary message")
		}
		if err != nil {
			c.mu.Lock()
			c.err = err
			for _, w := range c.waiting {
				close(w)
			}
			c.waiting = nil
			close(c.more)
			c.more = nil
			c.mu.Unlock()
			return
		}
		for line := range bytes.Lines(message) {
			c.take(line)
		}
	}
}

func (c *client) take(line []byte) {
	var f frame
	if err := json.Unmarshal(line, &f); err != nil {
		c.t.Errorf("not a frame: %q", line)
		return
	}
	f.came, f.raw = time.Now(), bytes.Clone(line)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case f.ID != 0:
		if w := c.waiting[f.ID]; w != nil {
			delete(c.waiting, f.ID)
			w <- f
		}
	case f.Event != "":
		c.pushes = append(c.pushes, f)
		close(c.more)
		c.more = make(chan struct{})
	default:
		go func() { _ = c.conn.Write(context.Background(), websocket.MessageText, []byte("{}")) }()
	}
}

// begin sends a call and returns where its reply will be.
func (c *client) begin(method string, params any) (<-chan frame, error) {
	c.mu.Lock()
	c.nextID++
	id := c.nextID
	reply := make(chan frame, 1)
	if c.waiting == nil {
		c.mu.Unlock()
		return nil, c.err
	}
	c.waiting[id] = reply
	c.mu.Unlock()
	call, err := json.Marshal(object{"id": id, "method": method, "params": params})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return reply, c.conn.Write(ctx, websocket.MessageText, call)
}

// errCut means that the connection ended before the reply: what became of the call is unknown.
var errCut = errors.New("the connection was cut")

func (c *client) try(method string, params any) (object, error) {
	reply, err := c.begin(method, params)
	if err != nil {
		return nil, errors.Join(errCut, err)
	}
	return await(reply)
}

func await(reply <-chan frame) (object, error) {
	select {
	case f, ok := <-reply:
		switch {
		case !ok:
			return nil, errCut
		case f.Error != nil:
			return nil, f.Error
		}
		return f.Result, nil
	case <-time.After(patience):
		return nil, errors.New("no reply")
	}
}

func (c *client) call(method string, params any) object {
	c.t.Helper()
	result, err := c.try(method, params)
	if err != nil {
		c.t.Fatalf("%s as %s: %v", method, c.user, err)
	}
	return result
}

// send sends a text and returns its seq.
func (c *client) send(room, clientID, text string) uint64 {
	c.t.Helper()
	return uint64(c.call("message.send", object{"room": room, "client_id": clientID, "text": text})["seq"].(float64))
}

// wait returns the first push from the index at on that want accepts, and its index.
func (c *client) wait(from int, want func(frame) bool) (frame, int, error) {
	timeout := time.After(patience)
	for {
		c.mu.Lock()
		for i := from; i < len(c.pushes); i++ {
			if want(c.pushes[i]) {
				f := c.pushes[i]
				c.mu.Unlock()
				return f, i, nil
			}
		}
		more, err := c.more, c.err
		from = len(c.pushes)
		c.mu.Unlock()
		if more == nil {
			return frame{}, 0, fmt.Errorf("the connection ended: %w", err)
		}
		select {
		case <-more:
		case <-timeout:
			return frame{}, 0, errors.New("it did not come")
		}
	}
}

// expect waits for a push, from the beginning of the session.
func (c *client) expect(what string, want func(frame) bool) frame {
	c.t.Helper()
	f, _, err := c.wait(0, want)
	if err != nil {
		c.t.Fatalf("%s for %s: %v; came: %s", what, c.user, err, c.summary())
	}
	return f
}

// event is a test for an event of a room at a seq.
func event(room string, seq uint64) func(frame) bool {
	return func(f frame) bool { return f.Room == room && f.Seq == seq }
}

// signal is a test for a signal of a room.
func signal(name, room string) func(frame) bool {
	return func(f frame) bool { return f.Event == name && f.Room == room && f.Seq == 0 }
}

// events are the seqs of the room's events so far, in the order of arrival.
func (c *client) events(room string) []uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	var seqs []uint64
	for _, f := range c.pushes {
		if f.Room == room && f.Seq != 0 {
			seqs = append(seqs, f.Seq)
		}
	}
	return seqs
}

func (c *client) summary() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b bytes.Buffer
	for _, f := range c.pushes[max(0, len(c.pushes)-20):] {
		fmt.Fprintf(&b, " %s/%d", f.Event, f.Seq)
	}
	return b.String()
}

// closed waits for the end of the connection and returns the close code.
func (c *client) closed() (websocket.StatusCode, error) {
	timeout := time.After(patience)
	for {
		c.mu.Lock()
		more, err := c.more, c.err
		c.mu.Unlock()
		if more == nil {
			if code := websocket.CloseStatus(err); code != -1 {
				return code, nil
			}
			if errors.Is(err, net.ErrClosed) {
				return 0, nil
			}
			return 0, err
		}
		select {
		case <-more:
		case <-timeout:
			return 0, errors.New("the connection was not closed")
		}
	}
}
