// Package rates says which limits a message is under (§5): of its user, of the user's share of the room, and of the room.
package rates

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/state"
	"github.com/parley-im/parley/protocol"
)

// Limits are how many messages may be sent. With 0 for the rate or the burst there is no such limit.
type Limits struct {
	PerSecond     float64 // of one user over all rooms; of one user in one room half of it
	Burst         int     // likewise, half of it rounded up
	RoomPerSecond float64 // of all users and back ends in one room
	RoomBurst     int
}

// Messages are the limits on messages. Back ends are under the room's only. It implements [chat.Rates] and may be used by many goroutines at once.
type Messages struct {
	buckets           state.Buckets
	prepare           func([]state.Charge) // nil: the buckets need not know in advance
	log               *slog.Logger
	user, share, room state.Limit
	charges           sync.Pool // of *[3]state.Charge
}

var _ chat.Rates = (*Messages)(nil)

// ForMessages has messages take from buckets, which may be Quotas.
func ForMessages(l Limits, buckets state.Buckets, log *slog.Logger) *Messages {
	m := &Messages{
		buckets: buckets, log: log,
		user:    state.PerSecond(l.PerSecond, l.Burst),
		share:   state.PerSecond(l.PerSecond/2, (l.Burst+1)/2),
		room:    state.PerSecond(l.RoomPerSecond, l.RoomBurst),
		charges: sync.Pool{New: func() any { return new([3]state.Charge) }},
	}
	if quotas, ok := buckets.(*Quotas); ok {
		m.prepare = quotas.Prepare
	}
	return m
}

// Prepare tells what Take is about to be asked for: the messages among the appends of a transaction that has not begun. It may wait a moment, as Quotas.Prepare
// does.
func (m *Messages) Prepare(appends []*chat.Append) {
	if m.prepare == nil {
		return
	}
	var charges []state.Charge
	for _, a := range appends {
		if a.Method == protocol.MessageSend {
			charges = m.append(charges, a.Actor, a.Room)
		}
	}
	if len(charges) > 0 {
		m.prepare(charges)
	}
}

// append appends what one message is charged.
func (m *Messages) append(charges []state.Charge, actor chat.Actor, room string) []state.Charge {
	if !actor.Backend {
		charges = append(charges,
			state.Charge{Bucket: state.Bucket{User: actor.User}, Limit: m.user, Count: 1},
			state.Charge{Bucket: state.Bucket{User: actor.User, Room: room}, Limit: m.share, Count: 1})
	}
	return append(charges, state.Charge{Bucket: state.Bucket{Room: room}, Limit: m.room, Count: 1})
}

// Take lets a message through and charges it to its buckets, or refuses it and charges nothing. Then retry_after_ms is the exact time after which this
// message would be let through if no other came before it; scope is room for the room's limit and user for the user's, be it over all rooms or in this
// one. Where the buckets cannot be asked the message is let through: it is worth more than its limit.
func (m *Messages) Take(now protocol.Time, actor chat.Actor, room string) *protocol.Error {
	list := m.charges.Get().(*[3]state.Charge)
	defer m.charges.Put(list)
	charges := m.append(list[:0], actor, room)
	refusal, err := m.buckets.Take(context.Background(), now.Go(), charges)
	switch {
	case err != nil:
		m.log.Warn("the rate of a message could not be asked for", "error", err)
		return nil
	case refusal.Wait == 0:
		return nil
	case charges[refusal.Charge].Bucket.User == "":
		return refused(refusal.Wait, protocol.ScopeRoom, "This room gets messages faster than this server lets a room; send it again after retry_after_ms.")
	}
	return refused(refusal.Wait, protocol.ScopeUser, "You send messages faster than this server lets one user; send it again after retry_after_ms.")
}

// refused rounds the wait up to what the protocol can say.
func refused(wait time.Duration, scope protocol.Scope, message string) *protocol.Error {
	return &protocol.Error{
		Code: protocol.RateLimited, Message: message, Scope: scope,
		RetryAfterMS: int64((wait + time.Millisecond - 1) / time.Millisecond),
	}
}
