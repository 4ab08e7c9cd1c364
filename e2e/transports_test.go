package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// listener is a session that gets pushes and makes its calls over HTTP: an event stream, or polls.
type listener struct {
	*client
	server *server
	token  string
	last   string // the id of the last message; client.mu guards it
	beats  int    // heartbeats that came; client.mu guards it
}

// newListener makes one whose frames are read by read, until it returns.
func (s *server) newListener(user, token string, read func(context.Context, *listener) error) *listener {
	ctx, cancel := context.WithCancel(context.Background())
	l := &listener{client: &client{t: s.t, user: user, waiting: map[int]chan frame{}, more: make(chan struct{})}, server: s, token: token}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		err := read(ctx, l)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.err = err
		close(l.more)
		l.more = nil
	}()
	l.cutOff = func() {
		cancel()
		<-ended
	}
	s.t.Cleanup(l.cutOff)
	return l
}

// begun waits for the hello of a session.
func (l *listener) begun() *listener {
	l.t.Helper()
	f := l.expect("hello", func(f frame) bool { return f.Event == "hello" })
	l.hello = f.data()
	return l
}

// try makes a call with the session.
func (l *listener) try(method string, params any) (object, error) {
	headers := map[string]string{"Authorization": "Bearer " + l.token, "Parley-Session": l.hello["session"].(string)}
	_, result, err := post("http://"+l.server.addr, method, headers, params)
	return result, err
}

func (l *listener) call(method string, params any) object {
	l.t.Helper()
	result, err := l.try(method, params)
	if err != nil {
		l.t.Fatalf("%s as %s: %v", method, l.user, err)
	}
	return result
}

// lastID is the id of the last message that came.
func (l *listener) lastID() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// askStream asks for an event stream. The query has more than the device.
func (s *server) askStream(ctx context.Context, token, lastID string, query object) (*http.Response, error) {
	q := url.Values{}
	for name, value := range query {
		q.Set(name, fmt.Sprint(value))
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.addr+"/v1/events?"+q.Encode(), nil)
	if err != nil {
		return nil, err
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if lastID != "" {
		r.Header.Set("Last-Event-ID", lastID)
	}
	return http.DefaultClient.Do(r)
}

// stream opens an event stream of a device of the user's.
func (s *server) stream(user, lastID string, more object) *listener {
	s.t.Helper()
	return s.streamWith(user, s.token(user), lastID, more)
}

func (s *server) streamWith(user, token, lastID string, more object) *listener {
	s.t.Helper()
	query := object{"device": user + "-device", "client": "e2e"}
	for name, value := range more {
		query[name] = value
	}
	l := s.newListener(user, token, func(ctx context.Context, l *listener) error {
		resp, err := s.askStream(ctx, token, lastID, query)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			body, _ := io.ReadAll(resp.Body)
			return fmt.Errorf("%s: %s", resp.Status, body)
		}
		if kind := resp.Header.Get("Content-Type"); kind != "text/event-stream" {
			return errors.New("the stream is " + kind)
		}
		return readEvents(resp.Body, func(id string, line []byte) error {
			if line == nil {
				l.mu.Lock()
				l.beats++
				l.mu.Unlock()
				return nil
			}
			l.mu.Lock()
			if id != "" {
				l.last = id
			}
			l.mu.Unlock()
			l.take(line)
			return nil
		})
	})
	return l.begun()
}

// readEvents reads the messages of an event stream until it ends; a comment has no line.
func readEvents(from io.Reader, message func(id string, line []byte) error) error {
	in := bufio.NewReaderSize(from, 32<<10)
	var id string
	var data []byte
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return err
		}
		line = bytes.TrimSuffix(line, []byte{'\n'})
		switch name, value, _ := bytes.Cut(line, []byte(": ")); {
		case len(line) == 0 && data != nil:
			if err := message(id, data); err != nil {
				return err
			}
			id, data = "", nil
		case len(line) == 0:
		case string(line) == ":":
			if err := message("", nil); err != nil {
				return err
			}
		case string(name) == "id":
			if id = string(value); len(id) > 4096 {
				return fmt.Errorf("an id of %d bytes", len(id))
			}
		case string(name) == "data" && data == nil:
			data = bytes.Clone(value)
		default:
			return fmt.Errorf("a line that is none of ours: %q", line)
		}
	}
}

// polled is what a poll is answered.
type polled struct {
	Session string            `json:"session"`
	Cursor  string            `json:"cursor"`
	Frames  []json.RawMessage `json:"frames"`
}

// poll makes one poll.
func (s *server) poll(token string, params object) (p polled, err error) {
	_, result, err := post("http://"+s.addr, "poll", map[string]string{"Authorization": "Bearer " + token}, params)
	if err != nil {
		return p, err
	}
	again, err := json.Marshal(result)
	if err != nil {
		return p, err
	}
	return p, json.Unmarshal(again, &p)
}

// polls opens a session that is polled all the time.
func (s *server) polls(user string, more object) *listener {
	s.t.Helper()
	token := s.token(user)
	params := object{"device": user + "-device", "client": "e2e"}
	for name, value := range more {
		params[name] = value
	}
	l := s.newListener(user, token, func(ctx context.Context, l *listener) error {
		for ctx.Err() == nil {
			p, err := s.poll(token, params)
			if err != nil {
				return err
			}
			for _, line := range p.Frames {
				l.take(line)
			}
			params = object{"session": p.Session, "ack": p.Cursor, "timeout_ms": 1000}
		}
		return ctx.Err()
	})
	return l.begun()
}

// session is one over any transport.
type session interface {
	call(method string, params any) object
	expect(what string, want func(frame) bool) frame
	frames(room string) []string
}

// frames are what has come about a room, as it came but for what differs by session or time alone.
func (c *client) frames(room string) (lines []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.pushes {
		if f.Room == room && f.Event != "receipt" {
			var o object
			if json.Unmarshal(f.raw, &o) == nil {
				again, _ := json.Marshal(o)
				lines = append(lines, string(again))
			}
		}
	}
	return lines
}

// TestTransports has one session over each transport go through the same, and compares what they got.
func TestTransports(t *testing.T) {
	t.Parallel()
	for _, c := range clusters() {
		t.Run(c.name, func(t *testing.T) {
			nodes := c.start(t)
			b := nodes[0].backend()
			for _, user := range []string{"alice", "bob", "carol"} {
				b.call("user.update", object{"user": user})
			}
			old := b.newRoom("group", "alice", "bob")
			channel := b.newRoom("channel", "alice")
			alice := nodes[0].connect("alice", nil)
			node := nodes[len(nodes)-1]
			sessions := map[string]session{
				"WebSocket":    node.connect("bob", object{"device": "one"}),
				"event stream": node.stream("bob", "", object{"device": "two"}),
				"polls":        node.polls("bob", object{"device": "three"}),
			}
			everybody := func(what string, want func(frame) bool) {
				t.Helper()
				for _, s := range sessions {
					s.expect(what, want)
				}
			}
			var seq uint64
			for i := range 20 {
				seq = alice.send(old, fmt.Sprint("m", i), "word "+strings.Repeat("after word ", i*30))
			}
			everybody("the messages", event(old, seq))
			alice.call("typing.start", object{"room": old})
			everybody("typing", signal("typing", old))
			alice.call("message.edit", object{"room": old, "seq": seq, "text": "another word\r\n  "})
			alice.call("reaction.add", object{"room": old, "seq": seq, "emoji": "🎉"})
			alice.call("message.delete", object{"room": old, "seq": seq - 1})

			made := alice.call("room.create", object{"kind": "group", "name": "made", "members": []string{"bob"}})["room"].(object)["id"].(string)
			everybody("the room", signal("room.added", made))
			alice.call("member.remove", object{"room": made, "user": "bob"})
			everybody("the removal", signal("room.removed", made))
			alice.send(made, "unseen", "bob does not see this")
			alice.call("member.add", object{"room": made, "users": []string{"bob"}})
			seq = alice.send(made, "seen", "bob sees this")
			everybody("the message", event(made, seq))
			alice.call("room.delete", object{"room": made})
			everybody("the end of the room", func(f frame) bool {
				return f.Room == made && f.Event == "room.removed" && f.data()["reason"] == "deleted"
			})

			head := alice.send(channel, "first", "before")
			for _, s := range sessions {
				if got := s.call("room.subscribe", object{"room": channel, "after": 0})["head"]; got != float64(head) {
					t.Errorf("subscribed at %v, and the head is %d", got, head)
				}
			}
			seq = alice.send(channel, "second", "after")
			everybody("what is live", event(channel, seq))
			for _, s := range sessions {
				s.call("room.unsubscribe", object{"room": channel})
			}
			alice.send(channel, "third", "nobody hears")
			last := alice.send(old, "last", "the last word")
			everybody("the last word", event(old, last))

			for _, room := range []string{old, made, channel} {
				want := strings.Join(sessions["WebSocket"].frames(room), "\n")
				for name, s := range sessions {
					if got := strings.Join(s.frames(room), "\n"); got != want {
						t.Errorf("over %s came\n%s\nand over a WebSocket\n%s", name, got, want)
					}
				}
			}
			list := b.user("bob").call("session.list", object{})["sessions"].([]any)
			if len(list) != len(sessions) {
				t.Errorf("of %d sessions these are listed: %v", len(sessions), list)
			}
		})
	}
}
