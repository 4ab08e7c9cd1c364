package client_test

import (
	"bytes"
	"context"
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
	"github.com/go-json-experiment/json"

	"github.com/parley-im/parley/client"
	"github.com/parley-im/parley/protocol"
)

// fake is a server that speaks the protocol over pipes, whole enough for what the SDK relies on: logs, resuming, client_ids, receipts, drains. Its
// WebSocket is another implementation than the SDK's. Tests reach into it: they refuse calls, cut connections, lose answers and break promises.
type fake struct {
	t      *testing.T
	pipes  chan net.Conn
	closed chan struct{}
	server *http.Server

	mu       sync.Mutex
	epoch    string
	rooms    map[string]*fakeRoom
	sessions []*fakeSession
	calls    []protocol.Call // every call carried out or refused, hello included
	greeted  []protocol.HelloParams
	dials    int
	beats    int                                                       // heartbeats heard from clients
	down     bool                                                      // connections are refused
	draining bool                                                      // new sessions are refused
	accept   func(token string) *protocol.Error                        // nil: every token is good
	answer   func(s *fakeSession, c protocol.Call) (handled bool)      // nil: as it should be
	beat     time.Duration                                             // heartbeat_ms
	replay   int                                                       // limits.replay
	before   func(s *fakeSession, c protocol.Call) (e *protocol.Error) // refuses
}

type fakeRoom struct {
	id      string
	members []string
	log     []protocol.Event
	sent    map[string]protocol.Seq // by user and client_id
}

type fakeSession struct {
	f      *fake
	user   string
	device string
	conn   *websocket.Conn
	raw    net.Conn
	live   map[string]bool // rooms followed

	mu      sync.Mutex
	wake    sync.Cond
	out     [][]byte
	over    bool
	goodbye protocol.CloseCode
	silent  bool // nothing is written any more, as over a broken network
}

func newFake(t *testing.T) *fake {
	f := &fake{
		t: t, pipes: make(chan net.Conn), closed: make(chan struct{}),
		epoch: "epoch-1", rooms: make(map[string]*fakeRoom), beat: 25 * time.Second, replay: 1000,
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/ws", f.serve)
	f.server = &http.Server{Handler: mux, ConnContext: func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, rawConn{}, c)
	}}
	go f.server.Serve(f)
	t.Cleanup(f.close)
	return f
}

type rawConn struct{}

// Accept, Close and Addr make the fake a listener; dial is the other end.
func (f *fake) Accept() (net.Conn, error) {
	select {
	case c := <-f.pipes:
		return c, nil
	case <-f.closed:
		return nil, net.ErrClosed
	}
}

func (f *fake) Close() error   { return nil }
func (f *fake) Addr() net.Addr { return &net.UnixAddr{Name: "fake"} }

func (f *fake) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	f.mu.Lock()
	f.dials++
	down := f.down
	f.mu.Unlock()
	if down {
		return nil, errors.New("connection refused")
	}
	ours, theirs := net.Pipe()
	select {
	case f.pipes <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-f.closed:
		return nil, errors.New("connection refused")
	}
}

func (f *fake) close() {
	close(f.closed)
	f.cut()
	f.server.Close()
}

// options are those of a client of the fake.
func (f *fake) options(user string) client.Options {
	return client.Options{
		URL: "http://fake", Token: func(context.Context) (string, error) { return "token-of-" + user, nil }, Device: "device-of-" + user,
		Conn: client.ConnOptions{Dial: f.dial}, Logger: slog.New(slog.DiscardHandler),
	}
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	draining := f.draining
	f.mu.Unlock()
	if draining {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
		w.Write([]byte(`{"error":{"code":"unavailable","message":"draining","retry_after_ms":700}}`))
		return
	}
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{protocol.Version}})
	if err != nil {
		return
	}
	conn.SetReadLimit(1 << 20)
	s := &fakeSession{f: f, conn: conn, raw: r.Context().Value(rawConn{}).(net.Conn), live: make(map[string]bool)}
	s.wake.L = &s.mu
	var writing sync.WaitGroup
	writing.Go(s.write)
	s.read()
	s.end(0)
	writing.Wait()
	conn.CloseNow()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sessions = slices.DeleteFunc(f.sessions, func(o *fakeSession) bool { return o == s })
}

func (s *fakeSession) read() {
	for {
		_, message, err := s.conn.Read(context.Background())
		if err != nil {
			return
		}
		for line := range protocol.Lines(message) {
			c, err := protocol.ParseCall(line, 0)
			if err != nil {
				s.f.t.Errorf("the client sent %q: %v", line, err)
				return
			}
			if c.Heartbeat() {
				s.f.mu.Lock()
				s.f.beats++
				s.f.mu.Unlock()
				continue
			}
			c.Params = bytes.Clone(c.Params)
			s.f.carryOut(s, c)
		}
	}
}

// write sends what is waiting, joined, and a heartbeat after a silence.
func (s *fakeSession) write() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		for len(s.out) == 0 && !s.over {
			beat := time.AfterFunc(s.f.beat, func() { s.push([]byte("{}")) })
			s.wake.Wait()
			beat.Stop()
		}
		if len(s.out) == 0 {
			if s.goodbye != 0 {
				code := s.goodbye
				s.mu.Unlock()
				s.conn.Close(websocket.StatusCode(code), "goodbye")
				s.mu.Lock()
			}
			return
		}
		message, silent := bytes.Join(s.out, []byte("\n")), s.silent
		s.out = nil
		if silent {
			continue
		}
		s.mu.Unlock()
		err := s.conn.Write(context.Background(), websocket.MessageText, message)
		s.mu.Lock()
		if err != nil {
			s.over = true
			return
		}
	}
}

func (s *fakeSession) push(frame []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		s.out = append(s.out, frame)
		s.wake.Signal()
	}
}

// end closes the session, with a code or, for 0, without a word.
func (s *fakeSession) end(code protocol.CloseCode) {
	s.mu.Lock()
	s.over, s.goodbye = true, code
	if code == 0 {
		s.out = nil
	}
	s.wake.Signal()
	s.mu.Unlock()
	if code == 0 {
		s.raw.Close()
	}
}

// cut breaks off every connection.
func (f *fake) cut() {
	for _, s := range f.open() {
		s.end(0)
	}
}

func (f *fake) open() []*fakeSession {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.sessions)
}

// hellos are all that were said.
func (f *fake) hellos() []protocol.HelloParams {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.greeted)
}

// sends are the texts of the messages whose sending was tried, in order.
func (f *fake) sends() (texts []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.calls {
		var p protocol.MessageSendParams
		if c.Method == protocol.MessageSend && json.Unmarshal(c.Params, &p) == nil {
			texts = append(texts, p.Text)
		}
	}
	return texts
}

// made are the calls of a method.
func (f *fake) made(method string) (calls []protocol.Call) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.calls {
		if c.Method == method {
			calls = append(calls, c)
		}
	}
	return calls
}

// log are the texts of the messages of a room.
func (f *fake) log(room string) (texts []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range f.rooms[room].log {
		if data, err := client.Data[protocol.MessageCreatedData](e.Data); err == nil && data.Text != nil {
			texts = append(texts, *data.Text)
		}
	}
	return texts
}

// room makes a room with its first event.
func (f *fake) room(id string, members ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rooms[id] = &fakeRoom{id: id, members: members, sent: make(map[string]protocol.Seq)}
	f.appendLocked(f.rooms[id], protocol.RoomCreated, members[0], protocol.RoomCreatedData{})
}

// say has a user say something.
func (f *fake) say(room, user, text string) protocol.Seq {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.appendLocked(f.rooms[room], protocol.MessageCreated, user, protocol.MessageCreatedData{Text: &text})
}

func (f *fake) appendLocked(r *fakeRoom, name protocol.Name, user string, data any) protocol.Seq {
	raw, err := json.Marshal(data)
	if err != nil {
		f.t.Error(err)
	}
	e := protocol.Event{Room: r.id, Seq: protocol.Seq(len(r.log) + 1), Name: name, At: protocol.At(time.Now()), User: user, Data: raw}
	r.log = append(r.log, e)
	for _, s := range f.sessions {
		if s.live[r.id] {
			s.push(protocol.AppendEvent(nil, &e))
		}
	}
	return e.Seq
}

// carryOut answers one call.
func (f *fake) carryOut(s *fakeSession, c protocol.Call) {
	f.mu.Lock()
	f.calls = append(f.calls, c)
	before, answer := f.before, f.answer
	f.mu.Unlock()
	if before != nil {
		if e := before(s, c); e != nil {
			s.push(protocol.AppendError(nil, c.ID, e))
			return
		}
	}
	if answer != nil && answer(s, c) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	result, e := f.result(s, c)
	switch {
	case result == nil && e == nil: // answered already, or not to be answered
	case e != nil:
		s.push(protocol.AppendError(nil, c.ID, e))
	default:
		s.push(protocol.AppendResult(nil, c.ID, result))
	}
}

func (f *fake) result(s *fakeSession, c protocol.Call) (any, *protocol.Error) {
	switch c.Method {
	case protocol.Hello:
		return nil, f.hello(s, c)
	case protocol.MessageSend:
		return f.send(s, c)
	case protocol.RoomList:
		return f.list(s), nil
	case protocol.RoomSubscribe:
		return nil, f.subscribe(s, c)
	case protocol.RoomUnsubscribe:
		var p protocol.RoomParams
		if e := protocol.DecodeParams(c.Params, &p); e != nil {
			return nil, e
		}
		delete(s.live, p.Room)
	case protocol.PresenceSubscribe:
		var p protocol.PresenceParams
		if e := protocol.DecodeParams(c.Params, &p); e != nil {
			return nil, e
		}
		var r protocol.PresenceResult
		for _, u := range p.Users {
			r.Users = append(r.Users, protocol.UserPresence{User: u, Status: protocol.StatusOnline})
		}
		return r, nil
	case protocol.EventList:
		var p protocol.EventListParams
		if e := protocol.DecodeParams(c.Params, &p); e != nil {
			return nil, e
		}
		r := protocol.EventListResult{Head: protocol.Seq(len(f.rooms[p.Room].log))}
		for _, e := range f.rooms[p.Room].log[p.After:] {
			r.Events = append(r.Events, protocol.AppendEvent(nil, &e))
		}
		return r, nil
	}
	if c.ID == 0 {
		return nil, nil
	}
	return protocol.Empty{}, nil
}

func (f *fake) hello(s *fakeSession, c protocol.Call) *protocol.Error {
	var p protocol.HelloParams
	if e := protocol.DecodeParams(c.Params, &p); e != nil {
		return e
	}
	f.greeted = append(f.greeted, p)
	if f.accept != nil {
		if e := f.accept(p.Token); e != nil {
			s.push(protocol.AppendError(nil, c.ID, e))
			s.push(closing(protocol.CloseUnauthenticated, 0))
			go s.end(protocol.CloseUnauthenticated)
			return nil
		}
	}
	s.user, s.device = strings.TrimPrefix(p.Token, "token-of-"), p.Device
	s.user, _, _ = strings.Cut(s.user, "/")
	s.push(protocol.AppendResult(nil, c.ID, protocol.HelloResult{
		Session: fmt.Sprint("session-", len(f.greeted)), User: s.user, Epoch: f.epoch, HeartbeatMS: f.beat.Milliseconds(),
		Limits: protocol.Limits{FrameBytes: protocol.MaxFrameBytes, Replay: int64(f.replay)},
	}))
	for id, r := range f.rooms {
		if p.Rooms != protocol.RoomsNone && slices.Contains(r.members, s.user) {
			s.live[id] = true
		}
	}
	if p.Resume != nil {
		for id, seq := range p.Resume.Rooms {
			f.resume(s, p.Resume.Epoch, id, seq)
		}
	}
	for _, o := range f.sessions {
		if o.device == s.device {
			time.AfterFunc(time.Second, func() { o.end(protocol.CloseReplaced) })
		}
	}
	f.sessions = append(f.sessions, s)
	return nil
}

func (f *fake) resume(s *fakeSession, epoch, id string, seq protocol.Seq) {
	r := f.rooms[id]
	if r == nil {
		s.push(protocol.AppendSignal(nil, protocol.SignalRoomRemoved, id, "", protocol.RoomRemovedData{Reason: protocol.ReasonGone}))
		return
	}
	s.live[id] = true
	head := protocol.Seq(len(r.log))
	if epoch != f.epoch || seq > head || head-seq > protocol.Seq(f.replay) {
		s.push(protocol.AppendSignal(nil, protocol.SignalReset, id, "", protocol.ResetData{Head: head}))
		return
	}
	for _, e := range r.log[seq:] {
		s.push(protocol.AppendEvent(nil, &e))
	}
}

func (f *fake) subscribe(s *fakeSession, c protocol.Call) *protocol.Error {
	var p protocol.RoomSubscribeParams
	if e := protocol.DecodeParams(c.Params, &p); e != nil {
		return e
	}
	r := f.rooms[p.Room]
	if r == nil {
		return protocol.RoomNotFound()
	}
	s.push(protocol.AppendResult(nil, c.ID, protocol.HeadResult{Head: protocol.Seq(len(r.log))}))
	s.live[p.Room] = true
	if p.After != nil {
		for _, e := range r.log[*p.After:] {
			s.push(protocol.AppendEvent(nil, &e))
		}
	}
	return nil
}

func (f *fake) send(s *fakeSession, c protocol.Call) (any, *protocol.Error) {
	var p protocol.MessageSendParams
	if e := protocol.DecodeParams(c.Params, &p); e != nil {
		return nil, e
	}
	r := f.rooms[p.Room]
	if r == nil {
		return nil, protocol.RoomNotFound()
	}
	if seq, ok := r.sent[s.user+" "+p.ClientID]; ok {
		return protocol.MessageSendResult{Room: r.id, Seq: seq, Duplicate: true}, nil
	}
	seq := f.appendLocked(r, protocol.MessageCreated, s.user, protocol.MessageCreatedData{ClientID: p.ClientID, Text: &p.Text})
	r.sent[s.user+" "+p.ClientID] = seq
	return protocol.MessageSendResult{Room: r.id, Seq: seq}, nil
}

func (f *fake) list(s *fakeSession) any {
	result := protocol.RoomListResult{Token: "list-token"}
	for id, r := range f.rooms {
		if slices.Contains(r.members, s.user) {
			result.Rooms = append(result.Rooms, protocol.InboxEntry{Room: protocol.Room{ID: id}, Head: protocol.Seq(len(r.log))})
		}
	}
	return result
}

func closing(code protocol.CloseCode, retry time.Duration) []byte {
	return protocol.AppendSignal(nil, protocol.SignalClosing, "", "", protocol.ClosingData{Code: code, Reason: "a test", RetryAfterMS: retry.Milliseconds()})
}

// closeAll ends every session as a server does.
func (f *fake) closeAll(code protocol.CloseCode, retry time.Duration) {
	for _, s := range f.open() {
		s.push(closing(code, retry))
		s.end(code)
	}
}
