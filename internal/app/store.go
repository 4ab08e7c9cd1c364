package app

import (
	"context"
	"log/slog"

	"github.com/parley-im/parley/internal/api"
	"github.com/parley-im/parley/internal/auth"
	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/cluster"
	"github.com/parley-im/parley/internal/delivery"
	"github.com/parley-im/parley/internal/presence"
	"github.com/parley-im/parley/internal/privacy"
	"github.com/parley-im/parley/internal/relay"
	"github.com/parley-im/parley/internal/retention"
	"github.com/parley-im/parley/internal/shards"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/protocol"
)

// kept is where everything is kept: one store, or several as one.
type kept interface {
	ofRooms
	ofUsers
	ofNodes
	ofLives
}

type (
	ofRooms interface {
		chat.Log
		chat.Snapshots
		chat.Inbox
		chat.Search
		chat.Desk
		chat.Names
		delivery.Source
		Whereabouts(ctx context.Context, room string, seq protocol.Seq, limit int) (*store.Whereabouts, error)
	}
	ofUsers interface {
		chat.Users
		auth.Sessions
		auth.Keys
		auth.Tickets
		presence.Store
		privacy.Estate
	}
	ofNodes interface {
		api.Checkpoints
		cluster.Registry
		Key(purpose string) []byte
		Stats() store.Stats
		Ping(ctx context.Context) error
		Close() error
	}
	ofLives interface {
		Epoch() string
		Stands(epoch, room string) bool
		Life(room string) (now, before string)
	}
)

// keeper is the store of a server, and what is done to it without anybody asking.
type keeper struct {
	store  kept
	stores map[string]*store.Store // of which store consists, by name; without shards that are away until the server is opened anew
	relays []*relay.Relay          // one for each of stores
	sweeps []*retention.Sweeper
	opened chan struct{} // closed when everything is there that may be told of the store
}

// openStore opens the one store, or all shards. back is called when a shard is back that was away, once the server has opened.
func (k *keeper) openStore(ctx context.Context, others map[string]string, back func(), o store.Options) error {
	if len(others) == 0 {
		one, err := store.Open(ctx, o)
		if err != nil {
			return err
		}
		k.store, k.stores = one, map[string]*store.Store{store.Home: one}
		return nil
	}
	several, err := shards.Open(ctx, shards.Options{Home: o.URL, Others: others, Store: o, Back: func() {
		select {
		case <-k.opened:
			back()
		default: // there is nobody yet who could have missed it
		}
	}})
	if err != nil {
		return err
	}
	k.store, k.stores = several, several.Stores()
	return nil
}

// keepUp makes a relay and a sweep of retention for each store. applied is told of what the relays have applied.
func (k *keeper) keepUp(node string, applied func(), log *slog.Logger) {
	for _, s := range k.stores {
		k.relays = append(k.relays, relay.New(relay.Options{Source: s, Node: node, Log: log, Applied: applied}))
		k.sweeps = append(k.sweeps, retention.New(retention.Options{Source: s, Log: log}))
	}
}

// wake has the relays look for what was committed.
func (k *keeper) wake() {
	for _, r := range k.relays {
		r.Wake()
	}
}

// relayed is what the relays have done together.
func (k *keeper) relayed() (all relay.Stats) {
	for _, r := range k.relays {
		s := r.Stats()
		all.Behind += s.Behind
		all.Lag = max(all.Lag, s.Lag)
		all.Applied += s.Applied
		all.Overtaken += s.Overtaken
		all.Failures += s.Failures
	}
	return all
}

// swept is what the sweeps of retention have done together; Swept is when the last one of them had nothing left.
func (k *keeper) swept() (all retention.Stats) {
	for i, w := range k.sweeps {
		s := w.Stats()
		all.Due += s.Due
		all.Pruned += s.Pruned
		all.Failures += s.Failures
		if i == 0 || s.Swept.Before(all.Swept) {
			all.Swept = s.Swept
		}
	}
	return all
}

// registerShards registers what is known of shards, where there are several.
func (k *keeper) registerShards(m *metrics) {
	several, ok := k.store.(*shards.Store)
	if !ok {
		return
	}
	each := func(value func(shards.Status) float64) func(tellFunc) {
		return func(tell tellFunc) {
			for _, s := range several.Status() {
				tell(value(s), s.Name)
			}
		}
	}
	label := []string{"shard"}
	m.labelled("shard_up", "gauge", "1 while the shard answers; what is kept in one that does not is unavailable.", label, each(func(s shards.Status) float64 {
		if s.Away {
			return 0
		}
		return 1
	}))
	m.labelled("shard_slots", "gauge", "Of the 1,024 slots, those that the shard has.", label, each(func(s shards.Status) float64 { return float64(s.Slots) }))
	m.labelled("shard_failures_total", "counter", "Questions that the shard did not answer in time.", label, each(func(s shards.Status) float64 { return float64(s.Failed) }))
	m.labelled("shard_spared_total", "counter", "Questions that were answered unavailable at once, because the shard was away.", label, each(func(s shards.Status) float64 { return float64(s.Spared) }))
	m.gauge("shard_parked_bytes", "Bytes of appends and cursor moves that wait while their slots are being moved.", func() int {
		bytes, _ := several.Parked()
		return bytes
	})
	m.gauge("shard_parked_bytes_limit", "Bound of parley_shard_parked_bytes: what comes then is answered unavailable.", func() int {
		_, most := several.Parked()
		return most
	})
}
