package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/parley-im/parley/client"
	"github.com/parley-im/parley/protocol"
)

func TestCallsThatAreNotAnswered(t *testing.T) {
	scene(t, "alice", nil, func(t *testing.T, f *fake, c *client.Client, r *recorder) {
		f.mu.Lock()
		f.answer = func(s *fakeSession, call protocol.Call) bool { return call.Method == protocol.UserGet }
		f.mu.Unlock()
		patience, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Users.Get(patience, "bob"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("past the deadline: %v", err)
		}
		answers := make(chan error)
		go func() {
			_, err := c.Users.Get(t.Context(), "bob")
			answers <- err
		}()
		synctest.Wait()
		f.cut()
		var refusal *protocol.Error
		if err := <-answers; !errors.As(err, &refusal) || refusal.Code != protocol.Unavailable {
			t.Errorf("over a lost connection: %v", err)
		}
	})
}

func TestCallsWaitForASession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		f.down = true
		c, err := client.Start(f.options("alice"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		answers := make(chan error)
		go func() { answers <- c.Typing.Start(t.Context(), "r") }()
		later(time.Minute)
		f.mu.Lock()
		f.down = false
		f.mu.Unlock()
		if err := <-answers; err != nil {
			t.Error(err)
		}
		hopeless, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		f.mu.Lock()
		f.down = true
		f.mu.Unlock()
		f.cut()
		synctest.Wait()
		if err := c.Typing.Start(hopeless, "r"); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "refused") {
			t.Errorf("without a server: %v", err)
		}
	})
}

func TestAFrameThatTheServerWouldNotTakeIsNotSent(t *testing.T) {
	scene(t, "alice", func(f *fake, o *client.Options) { f.room("r", "alice") }, func(t *testing.T, f *fake, c *client.Client, r *recorder) {
		_, err := c.Send(t.Context(), say("r", strings.Repeat("x", protocol.MaxFrameBytes)))
		var refusal *protocol.Error
		if !errors.As(err, &refusal) || refusal.Code != protocol.TooLarge {
			t.Errorf("Send: %v", err)
		}
		if _, err := c.Send(t.Context(), protocol.MessageSendParams{Room: "r", Data: protocol.Raw("{\n\"a\": 1\n}")}); err != nil {
			t.Errorf("JSON over several lines: %v", err)
		}
		same(t, "phases", take(r, &r.phases), []string{"connecting", "live"})
	})
}

// A handler that is slow holds back the server; one that calls meanwhile is answered all the same.
func TestSlowHandlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		f.room("r", "alice")
		o, r := f.options("alice"), new(recorder)
		o.QueueBytes = 2000
		o.Handler = r.handler()
		var c *client.Client
		note := o.Handler.Event
		failures := 0
		o.Handler.Event = func(e protocol.Event) {
			note(e)
			time.Sleep(100 * time.Millisecond)
			if _, err := c.Users.Get(context.Background(), e.User); err != nil {
				failures++
			}
		}
		var err error
		if c, err = client.Connect(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		synctest.Wait()
		var want []string
		for i := range 500 {
			f.say("r", "bob", fmt.Sprint(i))
			want = append(want, fmt.Sprintf("r %d %d", i+2, i))
		}
		later(time.Hour)
		same(t, "events", take(r, &r.events), want)
		same(t, "violations", c.Violations(), uint64(0))
		if failures > 50 {
			t.Errorf("%d of 500 calls from the handler failed", failures)
		}
		if len(f.hellos()) == 1 {
			t.Error("what waits for the handler has no bound")
		}
	})
}

func TestSubscriptionsLast(t *testing.T) {
	scene(t, "alice", func(f *fake, o *client.Options) {
		f.room("show", "bob")
		f.room("mine", "alice", "bob")
		f.room("loud", "alice", "bob")
	}, func(t *testing.T, f *fake, c *client.Client, r *recorder) {
		f.say("show", "bob", "before")
		head, err := c.Rooms.Subscribe(t.Context(), "show", 1)
		if err != nil || head != 2 {
			t.Errorf("Subscribe: %d, %v", head, err)
		}
		if err := c.Rooms.Unsubscribe(t.Context(), "loud"); err != nil {
			t.Error(err)
		}
		if _, err := c.Presence.Subscribe(t.Context(), "bob"); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		same(t, "positions", c.Positions().Rooms, map[string]protocol.Seq{"show": 2, "mine": 1})
		f.cut()
		f.say("show", "bob", "missed")
		f.say("loud", "bob", "unheard")
		later(time.Minute)
		f.say("show", "bob", "live")
		f.say("loud", "bob", "unheard")
		synctest.Wait()
		same(t, "events", take(r, &r.events), []string{"show 2 before", "show 3 missed", "show 4 live"})
		same(t, "presence after the cut", r.named[protocol.SignalPresence], 1)
		if err := c.Presence.Unsubscribe(t.Context(), "bob"); err != nil {
			t.Error(err)
		}
		f.cut()
		later(time.Minute)
		same(t, "presence after unsubscribing", r.named[protocol.SignalPresence], 1)
	})
}

func TestDeliveredIsReportedOnceASecond(t *testing.T) {
	scene(t, "alice", func(f *fake, o *client.Options) {
		f.room("a", "alice", "bob")
		f.room("b", "alice", "bob")
	}, func(t *testing.T, f *fake, c *client.Client, r *recorder) {
		cursors := func() (all []map[string]protocol.Seq) {
			for _, call := range f.made(protocol.ReceiptDelivered) {
				p, _ := client.Data[protocol.ReceiptDeliveredParams](call.Params)
				all = append(all, p.Cursors)
			}
			return all
		}
		f.say("a", "alice", "my own needs none")
		later(5 * time.Second)
		same(t, "reports of one's own", len(cursors()), 0)
		for range 100 {
			f.say("a", "bob", "x")
			f.say("b", "bob", "x")
			later(50 * time.Millisecond)
		}
		later(5 * time.Second)
		all := cursors()
		if len(all) < 3 || len(all) > 7 {
			t.Errorf("%d reports of 5 s", len(all))
		}
		same(t, "the last report", all[len(all)-1], map[string]protocol.Seq{"a": 102, "b": 101})

		// What a lost connection did not answer is reported again.
		f.mu.Lock()
		f.answer = func(s *fakeSession, call protocol.Call) bool { return call.Method == protocol.ReceiptDelivered }
		f.mu.Unlock()
		f.say("a", "bob", "x")
		later(time.Second)
		f.mu.Lock()
		f.answer, f.down = nil, true
		f.mu.Unlock()
		f.cut()
		later(time.Minute)
		unanswered := len(cursors())
		f.mu.Lock()
		f.down = false
		f.mu.Unlock()
		later(time.Minute)
		same(t, "the report after the cut", cursors()[unanswered:], []map[string]protocol.Seq{{"a": 103}})

		c.Read("a", 50)
		c.Read("a", 103)
		c.Read("a", 70)
		later(3 * time.Second)
		var reads []protocol.Seq
		for _, call := range f.made(protocol.ReceiptRead) {
			p, _ := client.Data[protocol.ReceiptReadParams](call.Params)
			reads = append(reads, p.Seq)
		}
		if len(reads) == 0 || len(reads) > 2 || slices.Max(reads) != 103 {
			t.Errorf("reads %v", reads)
		}
	})
}

// One room that takes no receipts makes a call fail for all: it is found, and left out from then on.
func TestRoomsWithoutReceipts(t *testing.T) {
	scene(t, "alice", func(f *fake, o *client.Options) {
		for i := range 5 {
			f.room(fmt.Sprint("r", i), "alice", "bob")
		}
		o.ManualReceipts = true
		f.before = func(s *fakeSession, call protocol.Call) *protocol.Error {
			p, _ := client.Data[protocol.ReceiptDeliveredParams](call.Params)
			if _, ok := p.Cursors["r3"]; ok {
				return protocol.Errorf(protocol.NotFound, "cursors", "no")
			}
			return nil
		}
	}, func(t *testing.T, f *fake, c *client.Client, r *recorder) {
		reached := make(map[string]protocol.Seq)
		f.mu.Lock()
		f.answer = func(s *fakeSession, call protocol.Call) bool {
			if p, _ := client.Data[protocol.ReceiptDeliveredParams](call.Params); call.Method == protocol.ReceiptDelivered {
				for room, seq := range p.Cursors {
					reached[room] = seq
				}
			}
			return false
		}
		f.mu.Unlock()
		c.Delivered("r0", 1) // reported at once; the others gather meanwhile
		for i := range 5 {
			c.Delivered(fmt.Sprint("r", i), 1)
		}
		later(10 * time.Second)
		same(t, "reached", reached, map[string]protocol.Seq{"r0": 1, "r1": 1, "r2": 1, "r4": 1})
		before := len(f.made(protocol.ReceiptDelivered))
		c.Delivered("r3", 1)
		later(10 * time.Second)
		same(t, "reports of the room that takes none", len(f.made(protocol.ReceiptDelivered))-before, 0)
	})
}

// echo answers every call with the call itself.
type echo struct{ t *testing.T }

func (e echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	method := strings.TrimPrefix(r.URL.Path, "/v1/")
	row, ok := protocol.Lookup(method)
	if err != nil || !ok || r.Method != http.MethodPost {
		e.t.Errorf("%s %s: %v", r.Method, r.URL.Path, err)
	}
	into := reflect.New(reflect.TypeOf(row.Params)).Interface()
	if err := json.Unmarshal(body, into, json.RejectUnknownMembers(true)); err != nil {
		e.t.Errorf("the params of %s: %v", method, err)
	}
	w.Header().Set("Called", method+" "+r.Header.Get("Authorization")+" "+r.Header.Get("Parley-User")+r.Header.Get("Parley-Session"))
	switch r.Header.Get("Parley-User") {
	case "nobody":
		w.WriteHeader(http.StatusNotFound)
		w.Write([]byte(`{"error":{"code":"not_found","field":"room","message":"no"}}`))
	case "proxied":
		w.WriteHeader(http.StatusBadGateway)
		w.Write([]byte(`<html>`))
	default:
		result := reflect.New(reflect.TypeOf(row.Result)).Interface()
		json.MarshalWrite(w, result)
	}
}

// noted makes requests and keeps what the echo said it was called with.
type noted struct{ calls []string }

func (n *noted) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := http.DefaultTransport.RoundTrip(r)
	if err == nil {
		n.calls = append(n.calls, response.Header.Get("Called"))
	}
	return response, err
}

// Every method of the table has a method here that calls it by its name with params of its type.
func TestEveryMethod(t *testing.T) {
	server, n := httptest.NewServer(echo{t}), new(noted)
	defer http.DefaultClient.CloseIdleConnections()
	defer server.Close()
	h, err := client.NewHTTP(client.HTTPOptions{URL: server.URL + "/", Key: "pk_1", Session: "s", Client: &http.Client{Transport: n}})
	if err != nil {
		t.Fatal(err)
	}
	callAll(t, reflect.ValueOf(h.Methods))
	var called []string
	for _, c := range n.calls {
		method, rest, _ := strings.Cut(c, " ")
		if rest != "Bearer pk_1 s" {
			t.Errorf("%s was called with the headers %q", method, rest)
		}
		called = append(called, method)
	}
	for _, row := range protocol.Methods() {
		if row.Name != protocol.Hello && !slices.Contains(called, row.Name) {
			t.Errorf("no method calls %s", row.Name)
		}
	}
}

// callAll calls every method of every field with zero params.
func callAll(t *testing.T, methods reflect.Value) {
	for i := range methods.NumField() {
		field := methods.Field(i)
		for j := range field.NumMethod() {
			m := field.Method(j)
			args := []reflect.Value{reflect.ValueOf(t.Context())}
			for k := 1; k < m.Type().NumIn(); k++ {
				if !m.Type().IsVariadic() || k < m.Type().NumIn()-1 {
					args = append(args, reflect.Zero(m.Type().In(k)))
				}
			}
			results := m.Call(args)
			if err := results[len(results)-1]; !err.IsNil() {
				t.Errorf("%s.%s: %v", methods.Type().Field(i).Name, field.Type().Method(j).Name, err)
			}
		}
	}
}

func TestHTTPErrors(t *testing.T) {
	server := httptest.NewServer(echo{t})
	defer http.DefaultClient.CloseIdleConnections()
	defer server.Close()
	h, err := client.NewHTTP(client.HTTPOptions{URL: server.URL, Key: "pk_1"})
	if err != nil {
		t.Fatal(err)
	}
	var refusal *protocol.Error
	if _, err := h.AsUser("nobody").Rooms.Get(t.Context(), "r"); !errors.As(err, &refusal) || refusal.Code != protocol.NotFound || refusal.Field != "room" {
		t.Errorf("a refusal: %v", err)
	}
	if _, err := h.AsUser("proxied").Rooms.Get(t.Context(), "r"); !errors.As(err, &refusal) || refusal.Code != protocol.Unavailable {
		t.Errorf("a proxy's error: %v", err)
	}
	for _, o := range []client.HTTPOptions{
		{URL: "ws://host", Key: "k"},
		{URL: "http://host"},
		{URL: "http://host", Token: func(context.Context) (string, error) { return "", nil }, User: "u"},
	} {
		if _, err := client.NewHTTP(o); err == nil {
			t.Errorf("NewHTTP(%+v) takes what cannot work", o)
		}
	}
}

func TestOptionsThatCannotWork(t *testing.T) {
	token := func(context.Context) (string, error) { return "", nil }
	for _, o := range []client.Options{
		{Token: token},
		{URL: "ftp://host", Token: token},
		{URL: "http://", Token: token},
		{URL: "http://host"},
		{URL: "http://host", Token: token, Device: "ünprintable"},
		{URL: "http://host", Token: token, Device: strings.Repeat("x", 65)},
	} {
		if c, err := client.Start(o); err == nil {
			c.Close()
			t.Errorf("Start(%+v) takes what cannot work", o)
		}
	}
}
