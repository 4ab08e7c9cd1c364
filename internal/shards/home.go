package shards

import (
	"context"
	"time"

	"github.com/parley-im/parley/internal/auth"
	"github.com/parley-im/parley/internal/cluster"
	"github.com/parley-im/parley/internal/privacy"
	"github.com/parley-im/parley/internal/store"
)

var (
	_ auth.Keys    = (*home)(nil)
	_ auth.Tickets = (*home)(nil)

	_ cluster.Registry = (*home)(nil)
)

// home are the ports that only the first shard has: API keys, tickets, what is to be erased, and the checkpoints of event streams.
type home struct{ *router }

func (h *home) ask(ctx context.Context, fn func(context.Context, *store.Store) error) error {
	return h.askShard(ctx, h.shards[0], askTimeout, fn)
}

// AddKey implements auth.Keys.
func (h *home) AddKey(ctx context.Context, name string, hash [32]byte) error {
	return h.ask(ctx, func(ctx context.Context, s *store.Store) error { return s.AddKey(ctx, name, hash) })
}

// RemoveKey implements auth.Keys.
func (h *home) RemoveKey(ctx context.Context, name string) error {
	return h.ask(ctx, func(ctx context.Context, s *store.Store) error { return s.RemoveKey(ctx, name) })
}

// Keys implements auth.Keys.
func (h *home) Keys(ctx context.Context) (keys []auth.Key, err error) {
	err = h.ask(ctx, func(ctx context.Context, s *store.Store) (err error) {
		keys, err = s.Keys(ctx)
		return err
	})
	return keys, err
}

// KeyByHash implements auth.Keys.
func (h *home) KeyByHash(ctx context.Context, hash [32]byte) (name string, err error) {
	err = h.ask(ctx, func(ctx context.Context, s *store.Store) (err error) {
		name, err = s.KeyByHash(ctx, hash)
		return err
	})
	return name, err
}

// AddTicket implements auth.Tickets.
func (h *home) AddTicket(ctx context.Context, ticket *auth.Ticket) error {
	return h.ask(ctx, func(ctx context.Context, s *store.Store) error { return s.AddTicket(ctx, ticket) })
}

// TakeTicket implements auth.Tickets.
func (h *home) TakeTicket(ctx context.Context, hash [32]byte) (ticket *auth.Ticket, err error) {
	err = h.ask(ctx, func(ctx context.Context, s *store.Store) (err error) {
		ticket, err = s.TakeTicket(ctx, hash)
		return err
	})
	return ticket, err
}

// Request implements privacy.Estate.
func (h *home) Request(ctx context.Context, e privacy.Subject) error {
	return h.ask(ctx, func(ctx context.Context, s *store.Store) error { return s.Request(ctx, e) })
}

// Done implements privacy.Estate.
func (h *home) Done(ctx context.Context, e privacy.Subject) error {
	return h.ask(ctx, func(ctx context.Context, s *store.Store) error { return s.Done(ctx, e) })
}

// Erasures implements privacy.Estate.
func (h *home) Erasures(ctx context.Context, pending bool) (all []privacy.Erasure, err error) {
	err = h.ask(ctx, func(ctx context.Context, s *store.Store) (err error) {
		all, err = s.Erasures(ctx, pending)
		return err
	})
	return all, err
}

// SaveCheckpoint implements api.Checkpoints.
func (h *home) SaveCheckpoint(ctx context.Context, session string, number uint64, positions []byte) error {
	return h.ask(ctx, func(ctx context.Context, s *store.Store) error {
		return s.SaveCheckpoint(ctx, session, number, positions)
	})
}

// Checkpoint implements api.Checkpoints.
func (h *home) Checkpoint(ctx context.Context, session string, number uint64) (positions []byte, err error) {
	err = h.ask(ctx, func(ctx context.Context, s *store.Store) (err error) {
		positions, err = s.Checkpoint(ctx, session, number)
		return err
	})
	return positions, err
}

// keptAtOnce is how many sessions one question names.
const keptAtOnce = 5000

// KeepCheckpoints implements api.Checkpoints: which sessions the node has, all shards say.
func (h *home) KeepCheckpoints(ctx context.Context, node string) error {
	answers, _, err := gather(ctx, h.router, func(ctx context.Context, s *shard) ([]string, error) { return s.store.SessionsAt(ctx, node) })
	if err != nil {
		return err
	}
	sessions := onlyOnce(answers, func(id string) string { return id })
	for len(sessions) > 0 {
		some := sessions[:min(len(sessions), keptAtOnce)]
		sessions = sessions[len(some):]
		if err := h.ask(ctx, func(ctx context.Context, s *store.Store) error { return s.KeepCheckpointsOf(ctx, some) }); err != nil {
			return err
		}
	}
	return nil
}

// AnnounceNode implements cluster.Registry. The node lives in every shard, and says at once that it knows of them: whoever moves slots asks for that.
func (h *home) AnnounceNode(ctx context.Context, n *cluster.Node) (skew time.Duration, err error) {
	err = h.ask(ctx, func(ctx context.Context, s *store.Store) (err error) {
		skew, err = s.AnnounceNode(ctx, n)
		return err
	})
	if err != nil {
		return skew, err
	}
	return skew, h.beat(ctx, n.ID)
}

// LiveNodes implements cluster.Registry.
func (h *home) LiveNodes(ctx context.Context) (nodes []cluster.Node, err error) {
	err = h.ask(ctx, func(ctx context.Context, s *store.Store) (err error) {
		nodes, err = s.LiveNodes(ctx)
		return err
	})
	return nodes, err
}

// WithdrawNode implements cluster.Registry. The node ends in every shard, since each tells of the sessions that it has whether their node lives; to one that does
// not answer it lives until its last beat is too old.
func (h *home) WithdrawNode(ctx context.Context, id string) error {
	return h.tellAll(ctx, func(ctx context.Context, s *store.Store) error { return s.WithdrawNode(ctx, id) })
}
