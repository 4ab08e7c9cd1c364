package client

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/go-json-experiment/json"

	"github.com/parley-im/parley/protocol"
)

// linkHandler is what the client's link tells.
type linkHandler struct{ c *Client }

// Resume is where the stream stands.
func (h linkHandler) Resume() *protocol.Resume {
	h.c.mu.Lock()
	defer h.c.mu.Unlock()
	return h.c.stream.resume()
}

// Frame sorts replies from events and signals.
func (h linkHandler) Frame(line []byte) error {
	if _, push := pushName(line); !push {
		frame, err := protocol.ParseFrame(line)
		switch {
		case err != nil:
			return h.c.violated(err)
		case frame.Error != nil:
			h.c.answer(frame.ID, nil, frame.Error)
		default:
			h.c.answer(frame.ID, frame.Result, nil)
		}
		return nil
	}
	frame, err := protocol.ParseFrame(slices.Clone(line)) // it outlives the reader's buffer
	if err != nil {
		return h.c.violated(err)
	}
	if frame.Seq > 0 {
		return h.c.event(len(line), frame)
	}
	return h.c.signal(len(line), frame)
}

// State begins what belongs to a session, and tells the application.
func (h linkHandler) State(s State) {
	c := h.c
	c.mu.Lock()
	c.state = s
	close(c.changed)
	c.changed = make(chan struct{})
	if s.Phase == Live {
		ctx, end := context.WithCancel(c.ctx)
		c.sessions[s.Session] = end
		c.newest = s.Session
		c.stream.greeted(s.Hello.Epoch)
		c.queue.hear()
		defer c.greeted(ctx, s) // without the lock
	}
	c.mu.Unlock()
	c.queue.put(0, func() {
		if s.Phase == Live {
			c.mu.Lock()
			c.handled.epoch = s.Hello.Epoch
			c.mu.Unlock()
		}
		if c.o.Handler.State != nil {
			c.o.Handler.State(s)
		}
	})
	if s.Phase == Stopped {
		c.abandon(&StoppedError{s}, func(*call) bool { return true })
		c.outbox.stopped(s)
	}
}

// Ended gives up what a session has not answered.
func (h linkHandler) Ended(session uint64) {
	c := h.c
	c.mu.Lock()
	if end := c.sessions[session]; end != nil {
		end()
	}
	delete(c.sessions, session)
	c.mu.Unlock()
	c.abandon(errLost, func(waiting *call) bool { return waiting.session == session })
}

// greeted sends what waited for a session.
func (c *Client) greeted(ctx context.Context, s State) {
	c.abandon(errLost, func(waiting *call) bool { return waiting.scoped && waiting.session < s.Session })
	c.resubscribe()
	c.outbox.live()
	c.receipts.live()
	if c.o.Rooms != protocol.RoomsNone {
		c.background(func() { c.syncInbox(ctx) })
	}
}

// event takes one event of a log.
func (c *Client) event(bytes int, f protocol.Frame) error {
	if !c.queue.admit() {
		return nil
	}
	e := protocol.Event{Room: f.Room, Seq: f.Seq, Name: f.Event, At: f.At, User: f.User, Data: f.Data}
	if ok, err := c.advance(e.Room, e.Seq, e.Seq); !ok {
		return err
	}
	c.queue.put(bytes, func() {
		if c.o.Handler.Event != nil {
			c.o.Handler.Event(e)
		}
		c.reached(e.Room, e.Seq)
		if !c.o.ManualReceipts {
			c.receipts.handled(e)
		}
	})
	return nil
}

// advance moves the stream over the events from … to of a room. ok is false for what the application is not to see.
func (c *Client) advance(room string, from, to protocol.Seq) (ok bool, err error) {
	c.mu.Lock()
	if c.stream.isMuted(room) {
		c.mu.Unlock()
		return false, nil
	}
	lost, err := c.stream.next(room, from, to)
	c.mu.Unlock()
	var order *SequenceError
	if errors.As(err, &order) {
		err = c.violated(err)
		if order.Duplicate() {
			err = nil
		}
		return false, err
	}
	if lost {
		c.tellReset(room, from-1)
	}
	return true, nil
}

// violated tells the application that the server broke the contract, and returns the error.
func (c *Client) violated(err error) error {
	c.log.Error("the server broke the contract", "err", err)
	c.mu.Lock()
	c.violations++
	c.mu.Unlock()
	c.queue.put(0, func() {
		if c.o.Handler.Violation != nil {
			c.o.Handler.Violation(err)
		}
	})
	return err
}

// reached notes how far the handler has got in a room.
func (c *Client) reached(room string, seq protocol.Seq) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.handled.set(room, seq, false)
}

func (c *Client) tellReset(room string, head protocol.Seq) {
	c.queue.put(0, func() {
		if c.o.Handler.Reset != nil {
			c.o.Handler.Reset(room, head)
		}
		c.reached(room, head)
	})
}

// signal takes a push that is in no log.
func (c *Client) signal(bytes int, f protocol.Frame) error {
	if !c.queue.admit() {
		return nil
	}
	s := Signal{Name: f.Event, Room: f.Room, User: f.User}
	var err error
	if s.Data, err = signalData(f); err != nil {
		return c.violated(fmt.Errorf("client: the signal %s: %w", f.Event, err))
	}
	switch data := s.Data.(type) {
	case protocol.ResetData:
		c.mu.Lock()
		delete(c.stream.left, s.Room)
		c.stream.set(s.Room, data.Head, false)
		c.mu.Unlock()
		c.tellReset(s.Room, data.Head)
		return nil
	case protocol.SkippedData:
		if ok, err := c.advance(s.Room, data.From, data.To); !ok {
			return err
		}
	case protocol.RoomRemovedData:
		c.mu.Lock()
		c.stream.drop(s.Room)
		c.mu.Unlock()
	}
	c.queue.put(bytes, func() {
		if c.o.Handler.Signal != nil {
			c.o.Handler.Signal(s)
		}
		switch data := s.Data.(type) {
		case protocol.SkippedData:
			c.reached(s.Room, data.To)
		case protocol.RoomRemovedData:
			c.gone(s.Room)
		}
	})
	return nil
}

// gone forgets a room once the handler has heard that it is gone.
func (c *Client) gone(room string) {
	c.mu.Lock()
	c.handled.drop(room)
	c.mu.Unlock()
	c.receipts.gone(room)
}

// signalData decodes the data of a signal into the type that the table of pushes has for it.
func signalData(f protocol.Frame) (any, error) {
	for _, row := range protocol.Pushes() {
		if row.Name == f.Event && !row.Event {
			into := reflect.New(reflect.TypeOf(row.Data))
			err := json.Unmarshal(f.Data, into.Interface())
			return into.Elem().Interface(), err
		}
	}
	return f.Data, nil
}
