package chat

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/parley-im/parley/internal/tracing"
	"github.com/parley-im/parley/protocol"
)

// Ports are what the core stands on. All are needed.
type Ports struct {
	Log       Log
	Snapshots Snapshots
	Inbox     Inbox
	Search    Search
	Desk      Desk
	Users     Users
	Names     Names
}

// Options are what the core is told about its deployment. All are needed.
type Options struct {
	Epoch func() string // the epoch of the store, as it is now
	// Stands reports whether what was told under an epoch is good still: in a room, or with "" all of it. nil: if the epoch is the present one.
	Stands func(epoch, room string) bool
	Key    []byte           // authenticates pages and tokens: secret, at least 32 bytes, the same on every node and after a restart
	Now    func() time.Time // the clock
	Logger *slog.Logger     // is told of faults that a caller only sees as `internal`
}

// Service carries out the calls about rooms, members, messages, receipts and profiles. Params come as the protocol's types; their form and size have been
// checked, and whether the method is open to the actor at all (§3: what a back end may call for itself). It is used by many goroutines at once.
//
// Methods block until the answer is known, but for Submit. Errors say what the caller may know; a call that ends because its context does is answered
// `unavailable`, as its fate is not known.
type Service struct {
	ports  Ports
	epoch  func() string
	stands func(epoch, room string) bool
	seals  sealer
	now    func() time.Time
	log    *slog.Logger
}

// NewService puts the core onto its ports.
func NewService(p Ports, o Options) *Service {
	s := &Service{ports: p, epoch: o.Epoch, stands: o.Stands, seals: sealer{slices.Clone(o.Key)}, now: o.Now, log: o.Logger}
	if s.stands == nil {
		s.stands = func(epoch, _ string) bool { return epoch == s.epoch() }
	}
	return s
}

// Submit hands a call to the log and returns: what one session submits to one room is carried out in that order. done is called exactly once with the
// protocol's result of the method as a value, or with an error; it may be called before Submit returns, and must not block. Only for a back end that names
// users does Submit itself wait, until they exist.
//
// The methods are message.send, .edit and .delete, reaction.*, room.update, room.delete, member.add, .remove, .update, .ban and .unban, and
// receipt.read and .delivered.
func (s *Service) Submit(ctx context.Context, actor Actor, method string, params any, done func(result any, err *protocol.Error)) {
	switch p := params.(type) {
	case *protocol.ReceiptReadParams:
		s.read(actor, p, done)
	case *protocol.ReceiptDeliveredParams:
		s.delivered(actor, p, done)
	default:
		s.append(ctx, NewAppend(actor, method, params), done)
	}
}

// Do is Submit, and waits for the answer.
func (s *Service) Do(ctx context.Context, actor Actor, method string, params any) (any, *protocol.Error) {
	return await(ctx, func(done func(any, *protocol.Error)) { s.Submit(ctx, actor, method, params, done) })
}

// append makes whom a back end names exist, and gives the append to the log.
func (s *Service) append(ctx context.Context, a *Append, done func(any, *protocol.Error)) {
	if named := a.users(); a.Actor.server() && len(named) > 0 {
		if err := s.ports.Users.Ensure(ctx, named...); err != nil {
			done(nil, s.fault(ctx, err))
			return
		}
	}
	a.Span = tracing.From(ctx)
	s.ports.Log.Append(a, done)
}

// await waits for the one call of done.
func await(ctx context.Context, submit func(done func(any, *protocol.Error))) (any, *protocol.Error) {
	type outcome struct {
		result any
		err    *protocol.Error
	}
	settled := make(chan outcome, 1)
	submit(func(result any, err *protocol.Error) { settled <- outcome{result, err} })
	select {
	case o := <-settled:
		return o.result, o.err
	case <-ctx.Done():
		return nil, unavailable()
	}
}

// view reads a room in one snapshot.
func (s *Service) view(ctx context.Context, actor Actor, room string, fn func(*Scene, Snapshot) error) *protocol.Error {
	if err := s.ports.Snapshots.View(ctx, room, actor.User, fn); err != nil {
		return s.fault(ctx, err)
	}
	return nil
}

// fault is the one place where an error of a port becomes one of the protocol.
func (s *Service) fault(ctx context.Context, err error) *protocol.Error {
	var refused *protocol.Error
	switch {
	case errors.As(err, &refused):
		return refused
	case ctx.Err() != nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return unavailable()
	}
	s.log.ErrorContext(ctx, "the store failed", "error", err)
	return internal()
}

func unavailable() *protocol.Error {
	return &protocol.Error{
		Code: protocol.Unavailable, RetryAfterMS: 1000,
		Message: "The server cannot answer now: send the same call again, with the same client_id.",
	}
}
