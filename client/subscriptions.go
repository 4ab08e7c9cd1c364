package client

import (
	"errors"
	"maps"
	"slices"

	"github.com/go-json-experiment/json"

	"github.com/parley-im/parley/protocol"
)

// observe notes what a call subscribes to, so that the stream knows it before the first event that comes of it, and the next session can be asked for it
// again.
func (c *Client) observe(method string, params any, done func(protocol.Raw, error)) func(protocol.Raw, error) {
	var note func(params any, result protocol.Raw) error
	switch method {
	case protocol.RoomSubscribe:
		note = c.subscribed
	case protocol.RoomUnsubscribe:
		note = c.unsubscribed
	case protocol.PresenceSubscribe:
		note = c.watched
	case protocol.PresenceUnsubscribe:
		note = c.unwatched
	default:
		return done
	}
	return func(result protocol.Raw, err error) {
		if err == nil {
			err = note(params, result)
		}
		done(result, err)
	}
}

// resubscribe asks a new session for what the one before was asked for.
func (c *Client) resubscribe() {
	c.mu.Lock()
	muted := slices.Collect(maps.Keys(c.stream.muted))
	watched := slices.Collect(maps.Keys(c.watching))
	c.mu.Unlock()
	for _, room := range muted {
		c.start(protocol.RoomUnsubscribe, protocol.RoomParams{Room: room}, func(protocol.Raw, error) {})
	}
	for users := range slices.Chunk(watched, protocol.MaxUsersPerCall) {
		c.start(protocol.PresenceSubscribe, protocol.PresenceParams{Users: users}, c.tellPresence)
	}
}

// tellPresence tells the application how the users that it watches are seen, as if they had just changed.
func (c *Client) tellPresence(result protocol.Raw, err error) {
	var seen protocol.PresenceResult
	if err != nil || decode(result, &seen) != nil {
		return
	}
	c.queue.put(0, func() {
		for _, u := range seen.Users {
			if c.o.Handler.Signal != nil {
				c.o.Handler.Signal(Signal{
					Name: protocol.SignalPresence, User: u.User,
					Data: protocol.PresenceData{Status: u.Status, LastSeen: u.LastSeen},
				})
			}
		}
	})
}

func (c *Client) watched(params any, _ protocol.Raw) error {
	var asked protocol.PresenceParams
	err := convert(params, &asked)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, user := range asked.Users {
		c.watching[user] = struct{}{}
	}
	return err
}

func (c *Client) unwatched(params any, _ protocol.Raw) error {
	var asked protocol.PresenceParams
	err := convert(params, &asked)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, user := range asked.Users {
		delete(c.watching, user)
	}
	return err
}

func (c *Client) subscribed(params any, result protocol.Raw) error {
	var asked protocol.RoomSubscribeParams
	var answer protocol.HeadResult
	if err := errors.Join(convert(params, &asked), decode(result, &answer)); err != nil {
		return err
	}
	seq := answer.Head
	if asked.After != nil {
		seq = *asked.After
	}
	c.mu.Lock()
	c.stream.follow(asked.Room, seq)
	c.mu.Unlock()
	c.queue.put(0, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.handled.follow(asked.Room, seq)
	})
	return nil
}

func (c *Client) unsubscribed(params any, _ protocol.Raw) error {
	var asked protocol.RoomParams
	if err := convert(params, &asked); err != nil {
		return err
	}
	c.mu.Lock()
	c.stream.mute(asked.Room)
	c.mu.Unlock()
	c.queue.put(0, func() { c.gone(asked.Room) })
	return nil
}

// decode reads a result into the type that the table of methods has for it.
func decode(result protocol.Raw, into any) error { return json.Unmarshal(result, into) }

// convert reads params of any type that encodes as those of the method do.
func convert(params, into any) error {
	b, err := json.Marshal(params)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, into)
}
