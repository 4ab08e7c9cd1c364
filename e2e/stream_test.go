package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestStreamResume cuts event streams at random bytes while a room is written to, and comes back to any node with the last id: what comes is exactly what was
// missed, and then what happens, or one reset (promises 4 and 5).
func TestStreamResume(t *testing.T) {
	t.Parallel()
	resumes, replay := 200, uint64(300)
	if long() {
		resumes = 5_000
	}
	for _, c := range clusters() {
		t.Run(c.name, func(t *testing.T) {
			nodes := c.start(t, "--limits-replay="+fmt.Sprint(replay))
			readers := []string{"reader0", "reader1"}
			h := heat(t, nodes, replay, readers...)
			var wg sync.WaitGroup
			for _, reader := range readers {
				r := &streamReader{hotRoom: h, token: nodes[0].token(reader)}
				wg.Go(func() {
					for range resumes / len(readers) {
						if err := r.run(nodes[rand.IntN(len(nodes))], rand.Int64N(40_000)); err != nil {
							t.Errorf("%s: %v (it had seq %d)", reader, err, r.has)
							return
						}
					}
					t.Logf("%s: %d events, %d of them replayed, %d resets", reader, r.events, r.replayed, r.resets)
					if r.replayed == 0 {
						t.Error("nothing was replayed: this tested nothing")
					}
				})
			}
			wg.Wait()
		})
	}
}

// streamReader is a client of event streams that goes away and comes back.
type streamReader struct {
	*hotRoom
	token string
	last  string // the id of the last message
	has   uint64 // the seq that it stands for; 0: it is not known

	known                    uint64 // the head was not below this when the stream was asked for
	events, replayed, resets int
}

// run reads so many bytes of a stream.
func (r *streamReader) run(s *server, cut int64) error {
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	r.known = r.sent.Load()
	request := "GET /v1/events?device=d HTTP/1.1\r\nHost: " + s.addr + "\r\nAuthorization: Bearer " + r.token + "\r\n"
	if r.last != "" {
		request += "Last-Event-ID: " + r.last + "\r\n"
	}
	if _, err := io.WriteString(conn, request+"\r\n"); err != nil {
		return err
	}
	limited := &io.LimitedReader{R: conn, N: cut}
	in := bufio.NewReader(limited)
	head := textproto.NewReader(in)
	status, err := head.ReadLine()
	if limited.N == 0 && in.Buffered() == 0 {
		return nil // cut within the first line
	}
	if err == nil && status != "HTTP/1.1 200 OK" {
		return errors.New("answered " + status)
	}
	if err == nil {
		_, err = head.ReadMIMEHeader()
	}
	if err == nil {
		err = readEvents(in, r.take)
	}
	if errors.Is(err, io.EOF) || limited.N == 0 && in.Buffered() == 0 {
		return nil
	}
	return err
}

func (r *streamReader) take(id string, line []byte) error {
	var f frame
	if err := json.Unmarshal(line, &f); err != nil {
		return fmt.Errorf("not a frame: %q", line)
	}
	switch {
	case f.Event == "closing": // by the stream before, which the server has read after this one
		return io.EOF
	case f.Event == "reset" && f.Room == r.id:
		head := uint64(f.data()["head"].(float64))
		if r.has != 0 && head <= r.has+r.replay {
			return fmt.Errorf("a reset to %d", head)
		}
		r.has = head
		r.resets++
	case f.Seq != 0:
		if r.has != 0 && f.Seq != r.has+1 {
			return fmt.Errorf("seq %d", f.Seq)
		}
		r.has = f.Seq
		r.events++
		if f.Seq <= r.known {
			r.replayed++
		}
	}
	if id != "" {
		r.last = id
	} else if f.Seq != 0 {
		return fmt.Errorf("seq %d has no id", f.Seq)
	}
	return nil
}

// TestStreamManyRooms is away from many rooms: more than hello's resume may name, with comings and goings meanwhile.
func TestStreamManyRooms(t *testing.T) {
	t.Parallel()
	for _, c := range clusters() {
		t.Run(c.name, func(t *testing.T) {
			nodes := c.start(t)
			b := nodes[0].backend()
			rooms := b.rooms(1_100, "bob", "alice")
			bob := nodes[0].connect("bob", nil)
			want := map[string][]string{}
			tell := func(rooms []string, key string) {
				t.Helper()
				for _, room := range rooms {
					want[room] = append(want[room], fmt.Sprint(bob.send(room, key, key)))
				}
			}

			first := nodes[0].stream("alice", "", nil)
			old := first.lastID()
			tell(rooms, "while it is there")
			first.expectAll(rooms, want)
			id := first.lastID()
			first.cut()

			tell(rooms[:400], "while it is away")
			gone, joined := rooms[0], b.newRoom("group", "bob", "alice")
			bob.call("member.remove", object{"room": gone, "user": "alice"})
			clear(want)
			for _, room := range rooms[1:400] {
				want[room] = []string{"3"}
			}
			want[gone] = []string{"gone"}
			second := nodes[len(nodes)-1].stream("alice", id, nil)
			tell(append(rooms[300:600:600], joined), "afterwards")
			second.expectAll(append(slices.Clone(rooms), joined), want)
			again := second.lastID()
			second.cut()

			tell(rooms[500:], "at last")
			clear(want)
			for _, room := range rooms[500:600] {
				want[room] = []string{"4"}
			}
			for _, room := range rooms[600:] {
				want[room] = []string{"3"}
			}
			nodes[0].stream("alice", "", object{"last_event_id": again}).expectAll(append(slices.Clone(rooms), joined), want)

			clear(want)
			for _, room := range append(slices.Clone(rooms[1:]), joined) {
				want[room] = []string{"reset"}
			}
			for what, id := range map[string]string{
				"which is two checkpoints old": old, "which is none": "12", "which is changed": change(again), "of bob": "", "which is too long": strings.Repeat("a", 5000),
			} {
				if what == "of bob" {
					s := nodes[0].stream("bob", "", object{"device": "another"})
					id = s.lastID()
					s.cut()
				}
				t.Run("an id "+what, func(t *testing.T) {
					l := nodes[0].stream("alice", id, nil)
					l.expectAll(rooms[1:], want)
					l.cut()
				})
			}
		})
	}
}

// change is an id with another letter in the middle.
func change(id string) string {
	b := []byte(id)
	if b[len(b)/2]++; b[len(b)/2] == 'z'+1 || b[len(b)/2] == 'Z'+1 || b[len(b)/2] == '9'+1 {
		b[len(b)/2] = 'b'
	}
	return string(b)
}

// rooms makes rooms of users, several at once.
func (b *backend) rooms(n int, users ...string) []string {
	b.t.Helper()
	for _, user := range users {
		b.call("user.update", object{"user": user})
	}
	owner := b.user(users[0])
	rooms := make([]string, n)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := i; j < n; j += 8 {
				made, err := owner.try("room.create", object{"kind": "group", "name": fmt.Sprint(j), "members": users[1:]})
				if err != nil {
					b.t.Errorf("a room: %v", err)
					return
				}
				rooms[j] = made["room"].(object)["id"].(string)
			}
		})
	}
	wg.Wait()
	return rooms
}

// expectAll waits until as much has come about the rooms as is wanted of each, and wants no more, and that in its order.
func (l *listener) expectAll(rooms []string, want map[string][]string) {
	l.t.Helper()
	total := 0
	for _, list := range want {
		total += len(list)
	}
	count := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		n := 0
		for _, f := range l.pushes {
			if f.Room != "" {
				n++
			}
		}
		return n
	}
	for end := time.Now().Add(patience); count() < total && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
	}
	bad := 0
	got := l.toldByRoom()
	for _, room := range rooms {
		list := got[room]
		for i, what := range list {
			list[i], _, _ = strings.Cut(what, " ")
		}
		if !slices.Equal(list, want[room]) && bad < 5 {
			bad++
			l.t.Errorf("of %s came %v, not %v", room, list, want[room])
		}
	}
	if more := slices.Collect(maps.Keys(got)); bad == 0 && count() != total {
		l.t.Errorf("%d pushes came for %d rooms, and %d were wanted", count(), len(more), total)
	}
}

// toldByRoom is told for all rooms.
func (l *listener) toldByRoom() map[string][]string {
	l.mu.Lock()
	rooms := map[string][]string{}
	for _, f := range l.pushes {
		if f.Room != "" {
			rooms[f.Room] = nil
		}
	}
	l.mu.Unlock()
	for room := range rooms {
		rooms[room] = l.told(room)
	}
	return rooms
}

// TestStreamAfterKill kills the server without a word, and comes back to the one that is started in its place.
func TestStreamAfterKill(t *testing.T) {
	t.Parallel()
	s := start(t, unlimited...)
	b := s.backend()
	few, many := b.newRoom("group", "bob", "alice"), b.rooms(100, "bob", "alice", "carol")
	channel := b.newRoom("channel", "bob")
	alice := s.stream("alice", "", nil)
	carol := s.stream("carol", "", object{"rooms": "none"})
	for _, l := range []*listener{alice, carol} {
		l.call("room.subscribe", object{"room": channel})
	}
	say := func(room, key string) uint64 {
		t.Helper()
		return uint64(b.user("bob").call("message.send", object{"room": room, "client_id": key, "text": key})["seq"].(float64))
	}
	say(few, "before")
	before := say(channel, "before")
	for _, l := range []*listener{alice, carol} {
		l.expect("the message", event(channel, before))
	}
	alice.expect("the message", event(few, 2))
	s.kill()
	s.restart()
	b.url = "http://" + s.addr
	for _, room := range []string{few, many[0], channel} {
		say(room, "after")
	}
	alice, carol = s.stream("alice", alice.lastID(), nil), s.stream("carol", carol.lastID(), object{"rooms": "none"})
	for _, room := range []string{few, many[0], channel} {
		say(room, "later")
	}
	alice.expectAll([]string{few, many[0], channel}, map[string][]string{few: {"3", "4"}, many[0]: {"2", "3"}, channel: {"3", "4"}})
	carol.expectAll([]string{channel}, map[string][]string{channel: {"3", "4"}})
}

// TestStreamRefused is refused before anything is sent, in JSON.
func TestStreamRefused(t *testing.T) {
	t.Parallel()
	s := start(t, "--origins", "https://app.example.com")
	token := s.token("alice")
	for _, tt := range []struct {
		name        string
		token       string
		query       object
		status      int
		code, field string
	}{
		{"no token", "", object{"device": "d"}, 401, "unauthenticated", ""},
		{"a bad token", "abc", object{"device": "d"}, 401, "unauthenticated", ""},
		{"an API key", s.key("k"), object{"device": "d"}, 401, "unauthenticated", ""},
		{"a bad ticket", token, object{"device": "d", "ticket": "t_none"}, 401, "unauthenticated", ""},
		{"no device", token, object{}, 400, "bad_request", "device"},
		{"other rooms", token, object{"device": "d", "rooms": "some"}, 400, "bad_request", "rooms"},
		{"a long client", token, object{"device": "d", "client": strings.Repeat("c", 300)}, 413, "too_large", "client"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resp, err := s.askStream(t.Context(), tt.token, "", tt.query)
			wantError(t, resp, err, tt.status, tt.code, tt.field)
		})
	}
	request := func(method, path string, headers ...string) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.addr+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	wantError(t, request("POST", "/v1/events?device=d", "Authorization", "Bearer "+token), nil, 405, "bad_request", "")
	wantError(t, request("GET", "/v1/events?device=d", "Authorization", "Bearer "+token, "Origin", "https://evil.example.com"), nil, 403, "forbidden", "")
	wantError(t, request("OPTIONS", "/v1/poll", "Origin", "https://evil.example.com", "Access-Control-Request-Method", "POST"), nil, 403, "forbidden", "")

	for _, path := range []string{"/v1/poll", "/v1/message.send", "/v1/events"} {
		resp := request("OPTIONS", path, "Origin", "https://app.example.com", "Access-Control-Request-Method", "POST")
		resp.Body.Close()
		h := resp.Header
		if resp.StatusCode != 204 || h.Get("Access-Control-Allow-Origin") != "https://app.example.com" || !strings.Contains(h.Get("Access-Control-Allow-Headers"), "Authorization") {
			t.Errorf("the preflight of %s: %s %v", path, resp.Status, h)
		}
	}
	for method, path := range map[string]string{"POST": "/v1/room.list", "GET": "/v1/events?device=d"} {
		resp := request(method, path, "Origin", "https://app.example.com", "Authorization", "Bearer "+token)
		resp.Body.Close()
		h := resp.Header
		if resp.StatusCode != 200 || h.Get("Access-Control-Allow-Origin") != "https://app.example.com" || h.Get("Access-Control-Expose-Headers") != "Retry-After" {
			t.Errorf("%s by a page that may: %s %v", path, resp.Status, h)
		}
	}
}

// wantError looks at an answer that is an error.
func wantError(t *testing.T, resp *http.Response, err error, status int, code, field string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var body struct{ Error *wireError }
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil || body.Error == nil {
		t.Fatalf("%s, and no error: %v", resp.Status, err)
	}
	if resp.StatusCode != status || body.Error.Code != code || body.Error.Field != field {
		t.Errorf("%d %+v; %d %s %s was expected", resp.StatusCode, body.Error, status, code, field)
	}
	if got := resp.Header.Get("Access-Control-Allow-Origin"); got != "" {
		t.Errorf("a page of %s may read it", got)
	}
}

// wantClosing waits for the end of a session, with its `closing` before it.
func (l *listener) wantClosing(code int) frame {
	l.t.Helper()
	f := l.expect("closing", func(f frame) bool { return f.Event == "closing" })
	if got := f.data()["code"]; got != float64(code) {
		l.t.Errorf("closing with %v, not %d", got, code)
	}
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		l.mu.Lock()
		ended, last := l.more == nil, l.pushes[len(l.pushes)-1]
		l.mu.Unlock()
		if ended && last.Event != "closing" {
			l.t.Errorf("behind closing comes %s", last.raw)
		}
		if ended {
			return f
		}
		if time.Now().After(end) {
			l.t.Fatal("the session does not end")
		}
	}
}

// TestHTTPSessionsEnd ends sessions of event streams and polls for every reason there is.
func TestHTTPSessionsEnd(t *testing.T) {
	t.Parallel()
	s := start(t, "--heartbeat=1s", "--drain=1s")
	b := s.backend()
	room := b.newRoom("group", "alice", "bob")
	open := map[string]func(user string) *listener{
		"event stream": func(user string) *listener { return s.stream(user, "", nil) },
		"polls":        func(user string) *listener { return s.polls(user, nil) },
	}
	for name, connect := range open {
		t.Run(name, func(t *testing.T) {
			first := connect("alice")
			socket := s.connect("alice", nil) // the same device
			first.wantClosing(4409)
			second := connect("alice")
			socket.wantClosed(4409)
			third := connect("alice")
			second.wantClosing(4409)
			third.call("session.revoke", object{"device": "alice-device"})
			third.wantClosing(4403)

			token := s.token("carol", "--ttl", "2s")
			var short *listener
			if name == "polls" {
				p, err := s.poll(token, object{"device": "d"})
				if err != nil {
					t.Fatal(err)
				}
				fresh := s.token("carol")
				short = s.newListener("carol", fresh, func(ctx context.Context, l *listener) error {
					for ctx.Err() == nil {
						if p, err = s.poll(fresh, object{"session": p.Session, "ack": p.Cursor}); err != nil {
							return err
						}
						for _, line := range p.Frames {
							l.take(line)
						}
					}
					return ctx.Err()
				})
			} else {
				short = s.streamWith("carol", token, "", nil)
			}
			short.expect("the notice", func(f frame) bool { return f.Event == "token.expiring" })
			short.wantClosing(4401)
		})
	}

	ticket := b.user("bob").call("session.ticket", object{})["ticket"]
	bob := s.streamWith("bob", "", "", object{"ticket": ticket, "device": "page"})
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		bob.mu.Lock()
		beats := bob.beats
		bob.mu.Unlock()
		if beats > 1 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("no heartbeat comes")
		}
	}
	resp, err := s.askStream(t.Context(), "", "", object{"ticket": ticket, "device": "page"})
	wantError(t, resp, err, 401, "unauthenticated", "")
	seq := uint64(b.user("alice").call("message.send", object{"room": room, "client_id": "1", "text": "still here"})["seq"].(float64))
	bob.expect("the message", event(room, seq))

	carol := s.polls("carol", nil)
	go s.stop()
	for _, l := range []*listener{bob, carol} {
		l.expect("reconnect", func(f frame) bool { return f.Event == "reconnect" })
		l.wantClosing(1012)
	}
	var out bytes.Buffer
	fmt.Fprint(&out, s.log)
	if strings.Contains(out.String(), fmt.Sprint(ticket)) {
		t.Error("a ticket is in the log")
	}
}
