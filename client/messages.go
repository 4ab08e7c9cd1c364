package client

import (
	"context"

	"github.com/parley-im/parley/protocol"
)

// Messages are what was said.
type Messages struct{ c Caller }

// Send sends a message once, without the outbox: it needs a ClientID, and if the answer is lost the caller sends it again with the same one.
// Client.Send does that by itself.
func (m Messages) Send(ctx context.Context, p protocol.MessageSendParams) (protocol.MessageSendResult, error) {
	return ask[protocol.MessageSendResult](ctx, m.c, protocol.MessageSend, p)
}

// Edit changes one's own message.
func (m Messages) Edit(ctx context.Context, p protocol.MessageEditParams) (protocol.SeqResult, error) {
	return ask[protocol.SeqResult](ctx, m.c, protocol.MessageEdit, p)
}

// Delete deletes a message for good.
func (m Messages) Delete(ctx context.Context, p protocol.MessageParams) (protocol.SeqResult, error) {
	return ask[protocol.SeqResult](ctx, m.c, protocol.MessageDelete, p)
}

// React sets a reaction.
func (m Messages) React(ctx context.Context, p protocol.ReactionParams) (protocol.SeqResult, error) {
	return ask[protocol.SeqResult](ctx, m.c, protocol.ReactionAdd, p)
}

// Unreact takes a reaction back.
func (m Messages) Unreact(ctx context.Context, p protocol.ReactionParams) (protocol.SeqResult, error) {
	return ask[protocol.SeqResult](ctx, m.c, protocol.ReactionRemove, p)
}

// List reads messages as they stand.
func (m Messages) List(ctx context.Context, p protocol.MessageListParams) (protocol.MessageListResult, error) {
	return ask[protocol.MessageListResult](ctx, m.c, protocol.MessageList, p)
}

// Search finds messages by their words.
func (m Messages) Search(ctx context.Context, p protocol.MessageSearchParams) (protocol.MessageSearchResult, error) {
	return ask[protocol.MessageSearchResult](ctx, m.c, protocol.MessageSearch, p)
}

// Events reads the log of a room, up to 1,000 events behind a seq, and tells the room's head.
func (m Messages) Events(ctx context.Context, p protocol.EventListParams) (events []protocol.Event, head protocol.Seq, err error) {
	r, err := ask[protocol.EventListResult](ctx, m.c, protocol.EventList, p)
	if err != nil {
		return nil, 0, err
	}
	events = make([]protocol.Event, len(r.Events))
	for i, raw := range r.Events {
		f, err := protocol.ParseFrame(raw)
		if err != nil {
			return nil, 0, err
		}
		events[i] = protocol.Event{Room: f.Room, Seq: f.Seq, Name: f.Event, At: f.At, User: f.User, Data: f.Data}
	}
	return events, r.Head, nil
}

// Data decodes the data of an event or of a signal into the type of its name, such as protocol.MessageCreatedData.
func Data[T any](data protocol.Raw) (T, error) {
	var v T
	err := decode(data, &v)
	return v, err
}
