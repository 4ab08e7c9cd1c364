package shards_test

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-im/parley/internal/feed"
	"github.com/parley-im/parley/internal/relay"
	"github.com/parley-im/parley/internal/retention"
	"github.com/parley-im/parley/internal/shards"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/slots"
	"github.com/parley-im/parley/internal/store/storetest"
	"github.com/parley-im/parley/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTwoShards(t *testing.T) { conform(t, 2) }

func TestThreeShards(t *testing.T) { conform(t, 3) }

func conform(t *testing.T, n int) {
	server := testkit.StartPostgres(t, "fsync=off", "autovacuum=off", "max_connections=400")
	storetest.RunOn(t, func(t testing.TB) storetest.Deployment {
		d := deploy(t, server, n)
		return storetest.Deployment{
			URL: d.home, Database: func(room string) string { return d.urls[slots.Room(room)*n/slots.Count] },
			Open: func(ctx context.Context, o store.Options) (storetest.Store, error) {
				c, err := shards.Open(ctx, shards.Options{Home: d.home, Others: d.others, Store: o})
				return &whole{c, d}, err
			},
		}
	})
}

// deployment is some databases that are shards of one deployment, each with as many slots.
type deployment struct {
	home   string
	others map[string]string
	urls   []string // by number
}

func deploy(t testing.TB, server *testkit.Postgres, n int) *deployment {
	t.Helper()
	return deployOn(t, slices.Repeat([]*testkit.Postgres{server}, n)...)
}

// deployOn is deploy with a server for each shard.
func deployOn(t testing.TB, servers ...*testkit.Postgres) *deployment {
	t.Helper()
	n := len(servers)
	d := &deployment{home: servers[0].Database(t), others: map[string]string{}}
	d.urls = []string{d.home}
	alone, err := store.Open(t.Context(), store.Options{URL: d.home, Log: silent()})
	if err != nil {
		t.Fatal(err)
	}
	if err := alone.Close(); err != nil {
		t.Fatal(err)
	}
	for i := 1; i < n; i++ {
		name := fmt.Sprintf("shard%d", i)
		d.others[name] = servers[i].Database(t)
		d.urls = append(d.urls, d.others[name])
		if err := store.AddShard(t.Context(), store.Options{URL: d.home}, name, d.others[name]); err != nil {
			t.Fatal(err)
		}
	}
	if dealt, err := store.Deal(t.Context(), store.Options{URL: d.home}, d.others); err != nil || !dealt {
		t.Fatalf("dealt: %v, %v", dealt, err)
	}
	return d
}

func silent() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// whole does for all shards of several what a server does for each by itself.
type whole struct {
	*shards.Store
	at *deployment
}

func (w *whole) each(fn func(*store.Store) error) error {
	for _, s := range w.Stores() {
		if err := fn(s); err != nil {
			return err
		}
	}
	return nil
}

func (w *whole) Of(room string) *store.Store {
	names := []string{store.Home}
	for i := 1; i < len(w.at.urls); i++ {
		names = append(names, fmt.Sprintf("shard%d", i))
	}
	return w.Stores()[names[slots.Room(room)*len(names)/slots.Count]]
}

func (w *whole) Keeper() feed.Keeper { return w.Feed() }

func (w *whole) Lease(ctx context.Context, node string, ttl time.Duration) (share relay.Share, err error) {
	err = w.each(func(s *store.Store) (err error) {
		share, err = s.Lease(ctx, node, ttl)
		return err
	})
	return share, err
}

func (w *whole) Behind(ctx context.Context, share relay.Share, after string, limit int) (all []relay.Backlog, err error) {
	err = w.each(func(s *store.Store) error {
		some, err := s.Behind(ctx, share, after, limit)
		all = append(all, some...)
		return err
	})
	slices.SortFunc(all, func(a, b relay.Backlog) int { return cmp.Compare(a.Room, b.Room) })
	return all[:min(len(all), limit)], err
}

// Apply is one transaction in each shard: where one of them is overtaken, so is the whole.
func (w *whole) Apply(ctx context.Context, spans []relay.Span) (events int, err error) {
	parts := map[*store.Store][]relay.Span{}
	for _, span := range spans {
		parts[w.Of(span.Room)] = append(parts[w.Of(span.Room)], span)
	}
	for s, part := range parts {
		n, err := s.Apply(ctx, part)
		if err != nil {
			return 0, err
		}
		events += n
	}
	return events, nil
}

func (w *whole) Claim(ctx context.Context, limit int) (rooms []string, due int, err error) {
	err = w.each(func(s *store.Store) error {
		some, n, err := s.Claim(ctx, limit-len(rooms))
		rooms, due = append(rooms, some...), due+n
		return err
	})
	return rooms, due, err
}

func (w *whole) Prune(ctx context.Context, room string) (retention.Batch, error) {
	return w.Of(room).Prune(ctx, room)
}

func (w *whole) Forget(ctx context.Context) (rows int, err error) {
	err = w.each(func(s *store.Store) error {
		n, err := s.Forget(ctx)
		rows += n
		return err
	})
	return rows, err
}

func (w *whole) RebuildSearch(ctx context.Context) error {
	return w.each(func(s *store.Store) error { return s.RebuildSearch(ctx) })
}

func (w *whole) Unapplied(ctx context.Context, before time.Time) (rooms, events int, err error) {
	err = w.each(func(s *store.Store) error {
		r, e, err := s.Unapplied(ctx, before)
		rooms, events = rooms+r, events+e
		return err
	})
	return rooms, events, err
}

func (w *whole) NewEpoch(ctx context.Context) error {
	return w.each(func(s *store.Store) error { return s.NewEpoch(ctx) })
}
