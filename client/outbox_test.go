package client_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-im/parley/client"
	"github.com/parley-im/parley/protocol"
)

func say(room, text string) protocol.MessageSendParams {
	return protocol.MessageSendParams{Room: room, Text: text}
}

func TestSendIsAnsweredOnceStored(t *testing.T) {
	scene(t, "alice", func(f *fake, o *client.Options) { f.room("r", "alice") }, func(t *testing.T, f *fake, c *client.Client, r *recorder) {
		sent, err := c.Send(t.Context(), say("r", "hello"))
		if err != nil || sent.Seq != 2 || sent.Duplicate {
			t.Errorf("Send: %+v, %v", sent, err)
		}
		_, err = c.Send(t.Context(), say("nowhere", "hello"))
		var refusal *protocol.Error
		if !errors.As(err, &refusal) || refusal.Code != protocol.NotFound {
			t.Errorf("Send to a room that is not there: %v", err)
		}
		same(t, "log", f.log("r"), []string{"hello"})
	})
}

// An answer that is lost leaves open whether the message was stored: it is sent again and stored once.
func TestLostAnswers(t *testing.T) {
	scene(t, "alice", func(f *fake, o *client.Options) { f.room("r", "alice") }, func(t *testing.T, f *fake, c *client.Client, r *recorder) {
		lost := 0
		f.mu.Lock()
		f.answer = func(s *fakeSession, call protocol.Call) bool {
			if call.Method != protocol.MessageSend || lost == 3 {
				return false
			}
			lost++
			f.mu.Lock()
			_, e := f.send(s, call)
			f.mu.Unlock()
			if e != nil {
				t.Error(e)
			}
			s.end(0)
			return true
		}
		f.mu.Unlock()
		sent, err := c.Send(t.Context(), say("r", "once"))
		if err != nil || !sent.Duplicate || sent.Seq != 2 {
			t.Errorf("Send: %+v, %v", sent, err)
		}
		same(t, "attempts", f.sends(), []string{"once", "once", "once", "once"})
		same(t, "log", f.log("r"), []string{"once"})
	})
}

func TestRefusalsForNowKeepTheOrder(t *testing.T) {
	scene(t, "alice", func(f *fake, o *client.Options) {
		f.room("busy", "alice")
		f.room("idle", "alice")
	}, func(t *testing.T, f *fake, c *client.Client, r *recorder) {
		begin := time.Now()
		f.mu.Lock()
		f.before = func(s *fakeSession, call protocol.Call) *protocol.Error {
			p, _ := client.Data[protocol.MessageSendParams](call.Params)
			switch {
			case p.Text == "1" && time.Since(begin) < 7*time.Second:
				return &protocol.Error{Code: protocol.RateLimited, RetryAfterMS: 7000}
			case p.Text == "2" && time.Since(begin) < 12*time.Second:
				return &protocol.Error{Code: protocol.Unavailable}
			}
			return nil
		}
		f.mu.Unlock()
		var all []*client.Sending
		for i := 1; i <= 4; i++ {
			s, err := c.SendAsync(say("busy", fmt.Sprint(i)))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, s)
		}
		if _, err := c.Send(t.Context(), say("idle", "meanwhile")); err != nil || time.Since(begin) > time.Second {
			t.Errorf("another room waited: %v after %v", err, time.Since(begin))
		}
		for _, s := range all {
			if _, err := s.Result(t.Context()); err != nil {
				t.Error(err)
			}
		}
		same(t, "log", f.log("busy"), []string{"1", "2", "3", "4"})
	})
}

func TestOutboxSpansTimeWithoutAServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		f.room("r", "alice")
		f.down = true
		o := f.options("alice")
		o.OutboxLimit = 3
		c, err := client.Start(o)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		var all []*client.Sending
		for i := range 3 {
			s, err := c.SendAsync(say("r", fmt.Sprint(i)))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, s)
		}
		if _, err := c.SendAsync(say("r", "too many")); !errors.Is(err, client.ErrOutboxFull) {
			t.Errorf("over the bound: %v", err)
		}
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := all[0].Result(impatient); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Result of one that waits: %v", err)
		}
		later(time.Hour)
		f.mu.Lock()
		f.down = false
		f.mu.Unlock()
		later(time.Minute)
		same(t, "log", f.log("r"), []string{"0", "1", "2"})

		f.mu.Lock()
		f.down = true
		f.mu.Unlock()
		f.cut()
		s, err := c.SendAsync(say("r", "stale"))
		if err != nil {
			t.Fatal(err)
		}
		later(31 * 24 * time.Hour)
		f.mu.Lock()
		f.down = false
		f.mu.Unlock()
		later(time.Minute)
		if _, err := s.Result(t.Context()); !errors.Is(err, client.ErrExpired) {
			t.Errorf("after 31 days: %v", err)
		}
	})
}

// diary is an OutboxStore that outlives clients.
type diary struct {
	mu   sync.Mutex
	kept []client.Queued
}

func (d *diary) Load(context.Context) ([]client.Queued, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.kept), nil
}

func (d *diary) Put(_ context.Context, q client.Queued) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if q.Message.Text == "unkeepable" {
		return errors.New("disk full")
	}
	d.kept = append(d.kept, q)
	return nil
}

func (d *diary) Delete(_ context.Context, clientID string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.kept = slices.DeleteFunc(d.kept, func(q client.Queued) bool { return q.Message.ClientID == clientID })
	return nil
}

func TestOutboxStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, d := newFake(t), new(diary)
		f.room("r", "alice")
		f.down = true
		o := f.options("alice")
		o.Outbox = d
		c, err := client.Start(o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.SendAsync(say("r", "unkeepable")); err == nil {
			t.Error("a message that could not be kept was taken")
		}
		waiting, err := c.SendAsync(say("r", "one"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.SendAsync(say("r", "two")); err != nil {
			t.Fatal(err)
		}
		c.Close()
		var stopped *client.StoppedError
		if _, err := waiting.Result(t.Context()); !errors.As(err, &stopped) {
			t.Errorf("Result after Close: %v", err)
		}
		if _, err := c.Send(t.Context(), say("r", "three")); !errors.As(err, &stopped) {
			t.Errorf("Send after Close: %v", err)
		}

		// Who starts again is told what became of what was left, a refusal included.
		if err := d.Put(t.Context(), client.Queued{Message: protocol.MessageSendParams{Room: "nowhere", ClientID: "lost", Text: "three"}, At: time.Now()}); err != nil {
			t.Fatal(err)
		}
		var told sync.Map
		o.Handler.Sent = func(q client.Queued, r protocol.MessageSendResult, err error) {
			told.Store(q.Message.Text, fmt.Sprint(r.Seq, " ", err))
		}
		f.down = false
		c, err = client.Connect(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		later(time.Second)
		same(t, "log", f.log("r"), []string{"one", "two"})
		for text, want := range map[string]string{"one": "2 <nil>", "two": "3 <nil>", "three": "0 not_found"} {
			if got, _ := told.Load(text); !strings.HasPrefix(fmt.Sprint(got), want) {
				t.Errorf("told of %q: %v, not %s", text, got, want)
			}
		}
		kept, _ := d.Load(t.Context())
		same(t, "kept", len(kept), 0)
	})
}

// What is sent while connections break all the time is stored once and in order, and everybody sees it once and in order.
func TestSendingAndFollowingThroughCuts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rooms, each = 3, 60
		f := newFake(t)
		for i := range rooms {
			f.room(fmt.Sprint("r", i), "alice", "bob")
		}
		var clients []*client.Client
		var seen []*recorder
		for _, user := range []string{"alice", "bob"} {
			r, o := new(recorder), f.options(user)
			o.Handler = r.handler()
			c, err := client.Connect(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			clients, seen = append(clients, c), append(seen, r)
		}
		synctest.Wait()
		var sending sync.WaitGroup
		for i := range rooms {
			sending.Go(func() {
				for n := range each {
					if _, err := clients[n%2].Send(t.Context(), say(fmt.Sprint("r", i), fmt.Sprint(n))); err != nil {
						t.Error(err)
					}
					time.Sleep(time.Duration(n%7) * 100 * time.Millisecond)
				}
			})
		}
		over := make(chan struct{})
		var cutting sync.WaitGroup
		cutting.Go(func() {
			for turn := 0; ; turn++ {
				select {
				case <-over:
					return
				case <-time.After(time.Duration(1+turn%5) * 500 * time.Millisecond):
				}
				if open := f.open(); len(open) > 0 {
					open[turn%len(open)].end(0)
				}
			}
		})
		sending.Wait()
		close(over)
		cutting.Wait()
		later(time.Minute)
		for i := range rooms {
			room := fmt.Sprint("r", i)
			var texts, want []string
			for n := range each {
				texts = append(texts, fmt.Sprint(n))
				want = append(want, fmt.Sprintf("%s %d %d", room, n+2, n))
			}
			same(t, "log of "+room, f.log(room), texts)
			for who, r := range seen {
				var got []string
				for _, e := range r.events {
					if e[:2] == room {
						got = append(got, e)
					}
				}
				same(t, fmt.Sprint("what ", who, " saw of ", room), got, want)
			}
		}
		for who, c := range clients {
			same(t, fmt.Sprint("violations seen by ", who), c.Violations(), uint64(0))
		}
		if len(f.hellos()) < 20 {
			t.Errorf("only %d hellos: the cuts did not happen", len(f.hellos()))
		}
	})
}
