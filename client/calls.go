package client

import (
	"context"
	"errors"

	"github.com/go-json-experiment/json"

	"github.com/parley-im/parley/protocol"
)

// call is one that the server has not answered yet.
type call struct {
	session uint64 // that it was sent on; 0 while it is not known
	scoped  bool   // its effect is bound to that session: answered by one that was replaced it means nothing
	done    func(result protocol.Raw, err error)
}

var (
	// errNotLive is returned by start when no session is open: nothing was sent.
	errNotLive = errors.New("client: no session is open")
	// errLost ends a call whose session ended before it was answered.
	errLost = protocol.Errorf(protocol.Unavailable, "", "The connection was lost before the answer came. Whether the call was carried out is not known; "+
		"with the same client_id it can be sent again and is carried out once.")
)

// start sends a call. done is told the result or the error once, on the goroutine that reads, unless start returns an error or forget is called; result is
// done's until it returns.
func (c *Client) start(method string, params any, done func(result protocol.Raw, err error)) (id uint64, err error) {
	c.mu.Lock()
	c.lastCall++
	id = c.lastCall
	limit := int64(protocol.MaxFrameBytes)
	if c.state.Hello != nil {
		limit = c.state.Hello.Limits.FrameBytes
	}
	c.mu.Unlock()
	frame, err := callFrame(id, method, params)
	if err != nil {
		return 0, err
	}
	if limit > 0 && int64(len(frame)) > limit {
		return 0, protocol.Errorf(protocol.TooLarge, "", "the frame of this call has %d bytes; the server takes at most %d: send less at once", len(frame), limit)
	}
	done = c.observe(method, params, done)
	c.mu.Lock()
	row, _ := protocol.Lookup(method)
	c.calls[id] = &call{scoped: row.Session, done: done}
	c.mu.Unlock()
	session, live := c.link.Write(frame)
	if !live {
		c.forget(id)
		return 0, errNotLive
	}
	if !c.sentOn(id, session) {
		c.answer(id, nil, errLost)
	}
	return id, nil
}

// sentOn notes the session of a call, and reports false if that one has ended meanwhile.
func (c *Client) sentOn(id, session uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if waiting, ok := c.calls[id]; ok {
		waiting.session = session
	}
	_, open := c.sessions[session]
	return open || session > c.newest
}

// forget gives a call up; its answer is ignored.
func (c *Client) forget(id uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.calls, id)
}

// answer tells the result of a call to whoever waits for it.
func (c *Client) answer(id uint64, result protocol.Raw, err error) {
	c.mu.Lock()
	waiting := c.calls[id]
	delete(c.calls, id)
	c.mu.Unlock()
	if waiting != nil {
		waiting.done(result, err)
	}
}

// abandon ends the calls that fits picks with err.
func (c *Client) abandon(err error, fits func(*call) bool) {
	c.mu.Lock()
	var lost []uint64
	for id, waiting := range c.calls {
		if fits(waiting) {
			lost = append(lost, id)
		}
	}
	c.mu.Unlock()
	for _, id := range lost {
		c.answer(id, nil, err)
	}
}

// Call calls a method with its params and decodes its result into result, a pointer; nil drops it. It waits for a session if none is open. A call whose
// connection is lost is not sent again: it returns `unavailable`, and whether it was carried out is not known. When ctx ends, so does
// the waiting, with the context's error.
func (c *Client) Call(ctx context.Context, method string, params, result any) error {
	defer c.queue.wait()()
	return c.call(ctx, method, params, result)
}

// call is Call for the client itself.
func (c *Client) call(ctx context.Context, method string, params, result any) error {
	answered := make(chan error, 1)
	done := func(raw protocol.Raw, err error) {
		if err == nil && result != nil {
			err = json.Unmarshal(raw, result)
		}
		answered <- err
	}
	for {
		over, err := c.awaitLive(ctx)
		if err != nil {
			return err
		}
		id, err := c.start(method, params, done)
		if errors.Is(err, errNotLive) {
			<-over // the session has ended, which is about to be told
			continue
		}
		if err != nil {
			return err
		}
		select {
		case err := <-answered:
			return err
		case <-ctx.Done():
			c.forget(id)
			return context.Cause(ctx)
		}
	}
}
