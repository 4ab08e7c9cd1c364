package app

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/config"
	"github.com/parley-im/parley/internal/rates"
	"github.com/parley-im/parley/internal/state"
	"github.com/parley-im/parley/internal/state/memory"
	"github.com/parley-im/parley/internal/state/redis"
)

// nodeState is the state of this node, and what it shares with others.
type nodeState struct {
	own    *memory.Buckets
	leases state.Leases
	engine *redis.Engine // nil: nothing is shared
	quotas *rates.Quotas // of the engine's buckets
}

func openState(url, node string, log *slog.Logger) (*nodeState, error) {
	s := &nodeState{own: memory.NewBuckets()}
	if url == "" {
		s.leases = memory.NewLeases(time.Now)
		return s, nil
	}
	engine, err := redis.Open(redis.Options{URL: url, Name: node, Log: log})
	if err != nil {
		return nil, fmt.Errorf("the state: %w", err)
	}
	s.engine, s.leases = engine, engine
	s.quotas = rates.NewQuotas(rates.QuotaOptions{Shared: engine, Own: s.own, Nodes: engine.Nodes, Now: time.Now, Log: log})
	return s, nil
}

// messages are the limits on messages, and what is told of a transaction before it begins: nil where nothing is shared.
func (s *nodeState) messages(l config.Limits, log *slog.Logger) (*rates.Messages, func([]*chat.Append)) {
	limits := rates.Limits{
		PerSecond: l.MessagesPerSecond, Burst: l.Burst,
		RoomPerSecond: l.RoomMessagesPerSecond, RoomBurst: l.RoomBurst,
	}
	if s.quotas == nil {
		return rates.ForMessages(limits, s.own, log), nil
	}
	messages := rates.ForMessages(limits, s.quotas, log)
	return messages, messages.Prepare
}

func (s *nodeState) close() {
	if s.engine != nil {
		s.engine.Close()
	}
}

// registerState makes what is known of the shared state readable. Without any there are no such metrics but for that.
func (a *App) registerState(m *metrics) {
	engine := func() redis.Stats {
		if a.state.engine == nil {
			return redis.Stats{}
		}
		return a.state.engine.Stats()
	}
	quotas := func() rates.QuotaStats {
		if a.state.quotas == nil {
			return rates.QuotaStats{}
		}
		return a.state.quotas.Stats()
	}
	m.gauge("state_connected", "1 while the state that nodes share answers; 0 without one.", func() int { return oneIf(engine().Connected) })
	m.counter("state_operations_total", "Operations on the shared state.", func() uint64 { return engine().Operations })
	m.counter("state_failures_total", "Of these, those that it did not carry out; they are repeated, or done without.", func() uint64 { return engine().Failures })
	m.counter("state_quota_leased_total", "Tokens of shared rate buckets that this node has leased.", func() uint64 { return quotas().Leased })
	m.gauge("state_quota_buckets", "Shared rate buckets of which this node holds or knows something.", func() int { return quotas().Buckets })
	m.gauge("state_quota_alone", "1 while this node gives its share of each rate limit by itself, because the shared state does not answer.", func() int { return oneIf(quotas().Alone) })
	m.gauge("state_nodes", "Nodes that share the state, as was known last; 0 without one.", func() int { return quotas().Nodes })
}
