package terminal

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/parley-im/parley/client"
	"github.com/parley-im/parley/protocol"
)

// Access says which server, and as whom: with a user's token, or with an API key that speaks for User.
type Access struct {
	URL   string
	Token func(ctx context.Context) (string, error) // asked whenever one is needed; may block
	Key   string
	User  string
}

// TailOptions say what Tail prints.
type TailOptions struct {
	Room   string
	After  *protocol.Seq // nil: what comes from now on
	Follow bool          // go on after the head
	JSON   bool          // a frame of the protocol on each line; otherwise words
	Out    io.Writer
	Notes  io.Writer // what is to be said of the connection
}

const (
	// askAgain is how often a back end, which has no session, asks for news; and how long it waits after a failure.
	askAgain = time.Second
	// answerTime is how long one call may take.
	answerTime = 30 * time.Second
)

// Tail prints the events of a room in order, none missing and none twice, over lost connections and restarts of the server. It returns nil when ctx ends or,
// without Follow, at the head. It fails when the room is not visible or is no longer, when the server cannot be reached at first, when the log
// was replaced by another (a restore), and when Out does.
func Tail(ctx context.Context, a Access, o TailOptions) error {
	h, err := client.NewHTTP(client.HTTPOptions{URL: a.URL, Token: a.Token, Key: a.Key, User: a.User})
	if err != nil {
		return err
	}
	t := &tail{o: o, log: h.Methods, out: bufio.NewWriter(o.Out), over: make(chan error, 1)}
	err = t.run(ctx, a)
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return nil
	}
	if refusal := new(protocol.Error); errors.As(err, &refusal) && refusal.Code == protocol.NotFound {
		return fmt.Errorf("there is no room %s that this user may see", o.Room)
	}
	return err
}

// tail prints one room.
type tail struct {
	o    TailOptions
	log  client.Methods // over HTTP
	over chan error     // why to stop

	// The session's handler's alone.
	epoch   string
	stopped bool

	mu    sync.Mutex // held while printing
	out   *bufio.Writer
	last  protocol.Seq // printed, or before the first to print
	begun bool         // something was printed: from here on no seq is left out
}

func (t *tail) run(ctx context.Context, a Access) error {
	room, err := t.log.Rooms.Get(ctx, t.o.Room)
	if err != nil {
		return err
	}
	t.last = room.Head
	if t.o.After != nil {
		t.last = *t.o.After
	}
	if !t.o.Follow {
		t.mu.Lock()
		defer t.mu.Unlock()
		return t.fillLocked(ctx)
	}
	if err := t.refill(ctx); err != nil {
		return err
	}
	if a.Key != "" {
		return t.ask(ctx)
	}
	return t.listen(ctx, a)
}

// fillLocked prints what the log has behind the last event printed.
func (t *tail) fillLocked(ctx context.Context) error {
	for {
		page, cancel := context.WithTimeout(ctx, answerTime)
		events, head, err := t.log.Messages.Events(page, protocol.EventListParams{Room: t.o.Room, After: t.last, Limit: protocol.MaxListEvents})
		cancel()
		switch {
		case err != nil:
			return err
		case head < t.last:
			return fmt.Errorf("the log of the room ends at %d, before event %d: it was restored from an older copy, or --after is too large", head, t.last)
		case len(events) == 0:
			return nil
		}
		for _, e := range events {
			if err := t.print(e); err != nil {
				return err
			}
		}
		if err := t.out.Flush(); err != nil {
			return err
		}
	}
}

// print writes the event that comes next.
func (t *tail) print(e protocol.Event) error {
	if t.begun && e.Seq != t.last+1 {
		return fmt.Errorf("the log no longer has the events %d to %d", t.last+1, e.Seq-1)
	}
	t.last, t.begun = e.Seq, true
	if t.o.JSON {
		_, err := t.out.Write(append(protocol.AppendEvent(nil, &e), '\n'))
		return err
	}
	const indent = "\n    "
	words := strings.ReplaceAll(describe(e), "\n", indent)
	sign := ":"
	if e.Name != protocol.MessageCreated {
		sign = ""
	}
	_, err := fmt.Fprintf(t.out, "%s #%d %s%s %s\n", e.At.Go().Local().Format(time.DateTime), e.Seq, author(e.User), sign, words)
	return err
}

// ask asks for news, again and again.
func (t *tail) ask(ctx context.Context) error {
	for {
		if err := wait(ctx); err != nil {
			return err
		}
		if err := t.refill(ctx); err != nil {
			return err
		}
	}
}

// passing reports an error that says nothing about the room: the server is away, or busy.
func passing(err error) bool {
	var refusal *protocol.Error
	var network interface{ Timeout() bool }
	if errors.As(err, &refusal) {
		return refusal.Code == protocol.Unavailable || refusal.Code == protocol.RateLimited || refusal.Code == protocol.Internal
	}
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// listen follows the room on a session.
func (t *tail) listen(ctx context.Context, a Access) error {
	c, err := client.Connect(ctx, client.Options{
		URL: a.URL, Token: a.Token, ClientName: "parley tail", Rooms: protocol.RoomsNone, ManualReceipts: true, Logger: slog.New(slog.DiscardHandler),
		Handler: client.Handler{
			Event:  func(e protocol.Event) { t.pushed(ctx, e) },
			Reset:  func(string, protocol.Seq) { t.reset(ctx) },
			Signal: t.signal,
			State:  t.state,
		},
	})
	if err != nil {
		return err
	}
	defer c.Close()
	if err := t.subscribe(ctx, c); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-t.over:
		return err
	}
}

// subscribe tries until there is an answer for good.
func (t *tail) subscribe(ctx context.Context, c *client.Client) error {
	for {
		t.mu.Lock()
		after := t.last
		t.mu.Unlock()
		_, err := c.Rooms.Subscribe(ctx, t.o.Room, after)
		if err == nil || !passing(err) {
			return err
		}
		if err := wait(ctx); err != nil {
			return err
		}
	}
}

// pushed prints an event of the session.
func (t *tail) pushed(ctx context.Context, e protocol.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped || e.Seq <= t.last {
		return
	}
	var err error
	if t.begun && e.Seq > t.last+1 {
		err = t.refillLocked(ctx)
	} else if err = t.print(e); err == nil {
		err = t.out.Flush()
	}
	if err != nil {
		t.end(err)
	}
}

// reset prints what the session will not push.
func (t *tail) reset(ctx context.Context) {
	if t.stopped {
		return
	}
	if err := t.refill(ctx); err != nil {
		t.end(err)
	}
}

// refill prints what the log has, and goes on trying while the server is away.
func (t *tail) refill(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.refillLocked(ctx)
}

func (t *tail) refillLocked(ctx context.Context) error {
	for {
		err := t.fillLocked(ctx)
		if err == nil || !passing(err) {
			return err
		}
		if err := wait(ctx); err != nil {
			return err
		}
	}
}

// wait waits until it is time to ask again.
func wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(askAgain):
		return nil
	}
}

// signal stops when the room is gone.
func (t *tail) signal(s client.Signal) {
	if removed, ok := s.Data.(protocol.RoomRemovedData); ok && s.Room == t.o.Room {
		t.end(fmt.Errorf("the room is no longer visible to this user: %s", removed.Reason))
	}
}

// state tells of the connection, and stops when the logs are others than before.
func (t *tail) state(s client.State) {
	switch s.Phase {
	case client.Waiting:
		fmt.Fprintf(t.o.Notes, "parley: the connection was lost (%s); trying again in %s\n", s.Reason, s.Retry.Round(time.Millisecond))
	case client.Stopped:
		if s.Reason != client.ReasonShutdown {
			t.end(&client.StoppedError{State: s})
		}
	case client.Live:
		if t.epoch != "" && t.epoch != s.Hello.Epoch {
			t.end(errors.New("the server's logs were replaced (restored, or failed over): what follows cannot be joined to what was printed"))
		}
		t.epoch = s.Hello.Epoch
	}
}

// end stops with the first reason given.
func (t *tail) end(err error) {
	t.stopped = true
	select {
	case t.over <- err:
	default:
	}
}
