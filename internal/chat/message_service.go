package chat

import (
	"context"

	"github.com/parley-im/parley/protocol"
)

// ListMessages is message.list.
func (s *Service) ListMessages(ctx context.Context, actor Actor, p *protocol.MessageListParams) (protocol.MessageListResult, *protocol.Error) {
	result := protocol.MessageListResult{Messages: []protocol.Message{}}
	err := s.view(ctx, actor, p.Room, func(sc *Scene, snap Snapshot) error {
		if err := sc.Readable(actor); err != nil {
			return err
		}
		result.Head = sc.Head.Seq
		q, err := messageQuery(p, sc.From())
		if err != nil {
			return err
		}
		if p.Before != nil && *p.Before <= q.From {
			return nil
		}
		messages, more, failed := snap.Messages(ctx, q)
		if failed != nil {
			return failed
		}
		for _, m := range messages {
			result.Messages = append(result.Messages, MessageObject(m, p.Room))
		}
		var cut bool
		result.Messages, cut = fitMessages(result.Messages, p)
		result.More = more || cut
		return nil
	})
	return result, err
}

// messageQuery puts the params into terms of a snapshot in which nothing before from is visible.
func messageQuery(p *protocol.MessageListParams, from protocol.Seq) (MessageQuery, *protocol.Error) {
	q := MessageQuery{
		From: from, After: p.After, Thread: p.Thread,
		Limit: protocol.Clamp(p.Limit, protocol.DefaultListMessages, protocol.MaxListMessages),
	}
	if p.Before != nil {
		q.Before = *p.Before
	}
	if p.Around != nil {
		if q.Around = *p.Around; q.Around < from {
			return q, noMessage("around")
		}
	}
	if p.Thread != 0 && p.Thread < from {
		return q, noMessage("thread")
	}
	return q, nil
}

// ListEvents is event.list.
func (s *Service) ListEvents(ctx context.Context, actor Actor, p *protocol.EventListParams) (protocol.EventListResult, *protocol.Error) {
	result := protocol.EventListResult{Events: []protocol.Raw{}}
	err := s.view(ctx, actor, p.Room, func(sc *Scene, snap Snapshot) error {
		if err := sc.Readable(actor); err != nil {
			return err
		}
		result.Head = sc.Head.Seq
		limit := protocol.Clamp(p.Limit, protocol.DefaultListEvents, protocol.MaxListEvents)
		after, room := max(p.After, sc.From()-1), listBytes
		for after < sc.Head.Seq && len(result.Events) < limit {
			// A few at a time, so that no more is in memory than about what one frame holds.
			events, err := snap.Events(ctx, after, sc.Head.Seq, min(limit-len(result.Events), eventChunk))
			if err != nil || len(events) == 0 {
				return err
			}
			for _, e := range events {
				frame := protocol.AppendEvent(nil, &e.Event)
				if room -= len(frame) + 1; room < 0 {
					return nil
				}
				result.Events = append(result.Events, frame)
				after = e.Seq
			}
		}
		return nil
	})
	return result, err
}

// eventChunk is how many events are read at once.
const eventChunk = 100
