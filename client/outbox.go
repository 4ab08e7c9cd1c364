package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/parley-im/parley/protocol"
)

const (
	outboxLimit = 1000
	// outboxTime is how long a message is tried: within it the server remembers its client_id for sure (§1, promise 2).
	outboxTime = 30 * 24 * time.Hour
)

// Errors of Send.
var (
	ErrOutboxFull = errors.New("client: the outbox is full: more messages wait for the server than Options.OutboxLimit")
	ErrExpired    = errors.New("client: the message was tried for 30 days and is given up")
)

// Queued is a message in the outbox.
type Queued struct {
	Message protocol.MessageSendParams // with its client_id
	At      time.Time                  // when it was given to Send
}

// OutboxStore keeps the outbox over restarts of the program, so that what was given to Send is sent in the end, once. Calls are never concurrent.
type OutboxStore interface {
	// Load returns what was put and not deleted, in the order of Put. It is called once, first.
	Load(ctx context.Context) ([]Queued, error)
	// Put keeps a message, durably, before it is sent for the first time. An error refuses the Send.
	Put(ctx context.Context, q Queued) error
	// Delete forgets the message with the client_id, which the server has answered.
	Delete(ctx context.Context, clientID string) error
}

// Sending is a message on its way.
type Sending struct {
	Queued
	c        *Client
	attempts uint64 // guarded by outbox.mu
	done     chan struct{}
	result   protocol.MessageSendResult
	err      error
}

// Done is closed when the message is stored or refused.
func (s *Sending) Done() <-chan struct{} { return s.done }

// Result waits until the server has answered for good, and returns what it said. If ctx ends before, its error is returned and the message stays in the
// outbox: it may still be sent.
func (s *Sending) Result(ctx context.Context) (protocol.MessageSendResult, error) {
	defer s.c.queue.wait()()
	select {
	case <-s.done:
		return s.result, s.err
	case <-ctx.Done():
		return protocol.MessageSendResult{}, context.Cause(ctx)
	}
}

// Send puts a message into the outbox and waits for its result: it is durable and has its place, or it was refused for the reason that the *protocol.Error
// tells. In between it is sent as often as it must be: over lost connections, while the server is unavailable, after a rate limit, under one
// client_id (made here if Message.ClientID is empty), so that it is stored once. The messages of one room are sent one after another, in the order of the calls; those of
// different rooms do not wait for each other. If ctx ends, see Sending.Result.
func (c *Client) Send(ctx context.Context, message protocol.MessageSendParams) (protocol.MessageSendResult, error) {
	s, err := c.SendAsync(message)
	if err != nil {
		return protocol.MessageSendResult{}, err
	}
	return s.Result(ctx)
}

// SendAsync is Send without the waiting. The error is ErrOutboxFull, a *StoppedError, or that of the OutboxStore: then nothing was
// sent, and at most what a store has kept will be by the next Start.
func (c *Client) SendAsync(message protocol.MessageSendParams) (*Sending, error) {
	if message.ClientID == "" {
		message.ClientID = rand.Text()
	}
	return c.outbox.add(Queued{Message: message, At: time.Now()})
}

// outbox sends messages until they are answered for good: those of a room one at a time, because a refused one that is tried again must not be
// overtaken by the next.
type outbox struct {
	c     *Client
	limit int

	storing sync.Mutex // held around calls of the store, and taken before mu

	mu    sync.Mutex
	rooms map[string][]*Sending // in order; the first is on its way
	size  int
	over  error // why nothing is sent any more
}

func newOutbox(c *Client) (*outbox, error) {
	o := &outbox{c: c, limit: c.o.OutboxLimit, rooms: make(map[string][]*Sending)}
	if o.limit <= 0 {
		o.limit = outboxLimit
	}
	if c.o.Outbox == nil {
		return o, nil
	}
	kept, err := c.o.Outbox.Load(c.ctx)
	if err != nil {
		return nil, fmt.Errorf("client: loading the outbox: %w", err)
	}
	for _, q := range kept {
		o.line(q)
	}
	return o, nil
}

// line puts a message at the end of its room's line, and reports whether it is the first.
func (o *outbox) line(q Queued) (s *Sending, first bool) {
	s = &Sending{Queued: q, c: o.c, done: make(chan struct{})}
	room := q.Message.Room
	o.rooms[room] = append(o.rooms[room], s)
	o.size++
	return s, len(o.rooms[room]) == 1
}

// add takes a message, and sends it if it is its turn.
func (o *outbox) add(q Queued) (*Sending, error) {
	s, first, err := o.keep(q)
	if first {
		o.send(s)
	}
	return s, err
}

// keep stores a message and puts it in line. The order in the store is that in the line.
func (o *outbox) keep(q Queued) (s *Sending, first bool, err error) {
	o.storing.Lock()
	defer o.storing.Unlock()
	if err := o.open(); err != nil {
		return nil, false, err
	}
	if store := o.c.o.Outbox; store != nil {
		if err := store.Put(o.c.ctx, q); err != nil {
			return nil, false, fmt.Errorf("client: keeping the message: %w", err)
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.over != nil {
		return nil, false, o.over // it is in the store, for the next Start
	}
	s, first = o.line(q)
	return s, first, nil
}

// open says whether the outbox takes a message.
func (o *outbox) open() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.over == nil && o.size >= o.limit {
		return ErrOutboxFull
	}
	return o.over
}

// live sends the first message of every room on the session that has just opened.
func (o *outbox) live() {
	o.mu.Lock()
	var firsts []*Sending
	for _, line := range o.rooms {
		firsts = append(firsts, line[0])
	}
	o.mu.Unlock()
	for _, s := range firsts {
		o.send(s)
	}
}

// send makes one attempt. Without a session it does nothing: live makes the next.
func (o *outbox) send(s *Sending) {
	if time.Since(s.At) > outboxTime {
		o.settle(s, nil, ErrExpired)
		return
	}
	o.mu.Lock()
	s.attempts++
	attempt := s.attempts
	o.mu.Unlock()
	_, err := o.c.start(protocol.MessageSend, s.Message, func(result protocol.Raw, err error) { o.answered(s, attempt, result, err) })
	if err != nil && !errors.Is(err, errNotLive) {
		o.settle(s, nil, err)
	}
}

// answered takes the answer to one attempt. A result counts whichever attempt it belongs to, an error only if no other attempt is on its way.
func (o *outbox) answered(s *Sending, attempt uint64, result protocol.Raw, err error) {
	o.mu.Lock()
	latest := attempt == s.attempts
	o.mu.Unlock()
	refusal := new(protocol.Error)
	switch {
	case err == nil:
		o.settle(s, result, nil)
	case !latest, errors.Is(err, errLost), !errors.As(err, &refusal), refusal.Code == protocol.Unauthenticated:
		// The next session sends it again; a token that ends closes this one.
	case refusal.Code == protocol.Unavailable, refusal.Code == protocol.RateLimited:
		wait := time.Duration(refusal.RetryAfterMS)*time.Millisecond + o.c.o.Backoff.withDefaults().delay(int(min(attempt, 5)))
		o.c.background(func() { o.retry(s, attempt, wait) })
	default:
		o.settle(s, nil, refusal)
	}
}

// retry sends a message again after a pause, unless it was sent or settled meanwhile.
func (o *outbox) retry(s *Sending, attempt uint64, wait time.Duration) {
	pause(o.c.ctx, wait)
	o.mu.Lock()
	due := attempt == s.attempts && o.c.ctx.Err() == nil
	o.mu.Unlock()
	if due {
		o.send(s)
	}
}

// settle ends a message with the server's last word, and sends the next of its room.
func (o *outbox) settle(s *Sending, result protocol.Raw, err error) {
	o.mu.Lock()
	room := s.Message.Room
	line := o.rooms[room]
	if len(line) == 0 || line[0] != s { // settled by another attempt
		o.mu.Unlock()
		return
	}
	if s.err = err; err == nil {
		s.err = decode(result, &s.result)
	}
	s.attempts++ // what else is on its way does not count
	o.size--
	var next *Sending
	if line = line[1:]; len(line) > 0 {
		o.rooms[room], next = line, line[0]
	} else {
		delete(o.rooms, room)
	}
	o.mu.Unlock()
	close(s.done)
	if sent := o.c.o.Handler.Sent; sent != nil {
		o.c.queue.put(0, func() { sent(s.Queued, s.result, s.err) })
	}
	if o.c.o.Outbox != nil {
		o.c.background(func() { o.delete(s.Message.ClientID) })
	}
	if next != nil {
		o.send(next)
	}
}

// delete takes a message out of the store.
func (o *outbox) delete(clientID string) {
	o.storing.Lock()
	defer o.storing.Unlock()
	if err := o.c.o.Outbox.Delete(context.WithoutCancel(o.c.ctx), clientID); err != nil {
		o.c.log.Error("the outbox could not be shortened: the message will be sent again, to no effect", "client_id", clientID, "err", err)
	}
}

// stopped ends everything that waits. What is in the store stays there.
func (o *outbox) stopped(s State) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.over = &StoppedError{s}
	for _, line := range o.rooms {
		for _, s := range line {
			s.err = o.over
			close(s.done)
		}
	}
	o.rooms, o.size = map[string][]*Sending{}, 0
}
