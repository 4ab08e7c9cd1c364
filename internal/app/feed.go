package app

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/parley-im/parley/internal/broker"
	"github.com/parley-im/parley/internal/broker/kafka"
	"github.com/parley-im/parley/internal/broker/nats"
	"github.com/parley-im/parley/internal/broker/rabbitmq"
	"github.com/parley-im/parley/internal/broker/redis"
	"github.com/parley-im/parley/internal/config"
	"github.com/parley-im/parley/internal/feed"
)

// fed is the feed of a server: the engine, and what brings the events of each store to it. Without a feed it has nothing.
type fed struct {
	exchange broker.Exchange // nil when off
	feeders  []*feed.Feeder  // one for each store
}

// OpenExchange opens the engine of a feed, under a name that it shows.
func OpenExchange(ctx context.Context, f *config.Feed, name string) (broker.Exchange, error) {
	o := broker.ExchangeOptions{URL: f.URL, Name: name, Queues: f.Declared(), Keep: f.Keep, Length: f.Length}
	open := nats.OpenExchange
	switch scheme, _, _ := strings.Cut(f.URL, ":"); scheme {
	case "amqp", "amqps":
		open = rabbitmq.OpenExchange
	case "kafka", "kafkas":
		open = kafka.OpenExchange
	case "redis", "rediss":
		open = redis.OpenExchange
	}
	x, err := open(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("the feed: %w", err)
	}
	return x, nil
}

// openFeed opens the feed, if there is one, and has jobs made from now on. It comes before the relays run.
func (a *App) openFeed(ctx context.Context, node string) error {
	on := a.cfg.Feed.URL != ""
	if on {
		var err error
		if a.exchange, err = OpenExchange(ctx, &a.cfg.Feed, node); err != nil {
			return err
		}
	}
	for name, s := range a.stores {
		since, err := s.Feed().Since(ctx)
		switch {
		case err != nil:
			return err
		case !on && since != 0:
			a.log.Warn("events wait in the store for a feed, and this node is told of none: configure it on all nodes, or end it with parley feed end", "store", name, "since", since)
		case on:
			if err := s.Feed().Begin(ctx); err != nil {
				return err
			}
			a.feeders = append(a.feeders, feed.New(feed.Options{
				Source: s.Feed(), Exchange: a.exchange, Node: node, Log: a.log, Observe: func(took time.Duration) { a.metrics.put.Observe(took.Seconds()) },
			}))
		}
	}
	return nil
}

// wakeFeed has the feeders look for what was applied.
func (f *fed) wakeFeed() {
	for _, one := range f.feeders {
		one.Wake()
	}
}

// told is what the feeders have found and done together.
func (f *fed) told() (all feed.Stats) {
	for _, one := range f.feeders {
		s := one.Stats()
		all.Jobs += s.Jobs
		all.Oldest = max(all.Oldest, s.Oldest)
		all.Dead += s.Dead
		all.Held += s.Held
		all.Put += s.Put
		all.Gone += s.Gone
		all.Refused += s.Refused
		all.Buried += s.Buried
		all.Failures += s.Failures
	}
	return all
}

// registerFeed registers what the feed has found and done; without a feed all is 0.
func (f *fed) registerFeed(m *metrics) {
	m.gauge("feed_connected", "1 while the engine of the feed can be used; 0 without a feed.", func() int {
		if f.exchange != nil && f.exchange.Stats().Connected {
			return 1
		}
		return 0
	})
	m.gauge("feed_backlog", "Events of the deployment that the engine of the feed has not acknowledged, counted up to 100,000 in each store when this node looked last.", func() int { return f.told().Jobs })
	m.seconds("feed_oldest_seconds", "How long the oldest of those counted had waited then.", func() time.Duration { return f.told().Oldest })
	m.gauge("feed_dead_letters", "Events of the deployment that the engine refused and that were given up: parley feed dead tells.", func() int { return f.told().Dead })
	m.gauge("feed_rooms_held", "Rooms of this node's share that wait because the engine refuses their next event.", func() int { return f.told().Held })
	m.counter("feed_events_total", "Events that the engine of the feed has acknowledged to this node.", func() uint64 { return f.told().Put })
	m.counter("feed_gone_total", "Events that retention had taken when their turn came.", func() uint64 { return f.told().Gone })
	m.counter("feed_refused_total", "Times that the engine refused an event.", func() uint64 { return f.told().Refused })
	m.counter("feed_buried_total", "Events that became dead letters.", func() uint64 { return f.told().Buried })
	m.counter("feed_failures_total", "Times that the feed could not go on, because of the engine or the store; all is repeated.", func() uint64 { return f.told().Failures })
}
