package client

import (
	"context"
	"errors"
	"time"

	"github.com/parley-im/parley/protocol"
)

// syncInbox asks what has changed in the inbox, tells the application, and learns from it where the rooms stand of which no event has come: without
// that, a position of theirs could not be told to the next session, and what happened in between would be missed in silence.
func (c *Client) syncInbox(ctx context.Context) {
	for attempt := 0; ctx.Err() == nil; attempt++ {
		result, err := c.listInbox(ctx)
		if err == nil {
			c.takeInbox(result)
			return
		}
		var refusal *protocol.Error
		if !errors.As(err, &refusal) {
			return // the session has ended
		}
		if refusal.Code == protocol.BadRequest && refusal.Field == "since" {
			c.mu.Lock()
			c.inbox = ""
			c.mu.Unlock()
			continue
		}
		c.log.Warn("the inbox could not be listed", "err", refusal)
		pause(ctx, time.Duration(refusal.RetryAfterMS)*time.Millisecond+c.o.Backoff.withDefaults().delay(attempt))
	}
}

// listInbox reads all pages of what has changed since the last time.
func (c *Client) listInbox(ctx context.Context) (all protocol.RoomListResult, err error) {
	c.mu.Lock()
	params := protocol.RoomListParams{Since: c.inbox, Limit: protocol.MaxListRooms}
	c.mu.Unlock()
	for {
		var page protocol.RoomListResult
		if err := c.call(ctx, protocol.RoomList, params, &page); err != nil {
			return all, err
		}
		all.Token = page.Token
		all.Rooms = append(all.Rooms, page.Rooms...)
		all.Removed = append(all.Removed, page.Removed...)
		if page.Page == "" {
			return all, nil
		}
		params.Page = page.Page
	}
}

func (c *Client) takeInbox(list protocol.RoomListResult) {
	c.mu.Lock()
	c.inbox = list.Token
	var lost []protocol.InboxEntry
	for _, entry := range list.Rooms {
		if c.stream.listed(entry.Room.ID, entry.Head) {
			lost = append(lost, entry)
		}
	}
	c.mu.Unlock()
	c.queue.put(0, func() {
		if c.o.Handler.Rooms != nil {
			c.o.Handler.Rooms(list.Rooms, list.Removed)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, entry := range list.Rooms {
			c.handled.listed(entry.Room.ID, entry.Head)
		}
	})
	for _, entry := range lost {
		c.tellReset(entry.Room.ID, entry.Head)
	}
}
