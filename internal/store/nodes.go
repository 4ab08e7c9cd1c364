package store

import (
	"context"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/parley-im/parley/internal/cluster"
	"github.com/parley-im/parley/internal/store/database"
	"github.com/parley-im/parley/protocol"
)

var _ cluster.Registry = (*Store)(nil)

var (
	announceNode = database.SQL(`INSERT INTO nodes (id, beat_at, address, version, level, settings) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (id) DO UPDATE SET beat_at = excluded.beat_at, address = excluded.address, version = excluded.version, level = excluded.level,
			settings = excluded.settings`)
	liveNodes    = database.SQL(`SELECT id, beat_at, address, version, level, settings FROM nodes WHERE beat_at >= $1 ORDER BY id`)
	withdrawNode = database.SQL(`UPDATE nodes SET beat_at = $2, address = '' WHERE id = $1`)
	storeClock   = database.Text{database.Postgres: `SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint`}
)

// AnnounceNode implements cluster.Registry. On SQLite the node's clock is the store's.
func (a *accounts) AnnounceNode(ctx context.Context, n *cluster.Node) (skew time.Duration, err error) {
	settings, err := json.Marshal(n.Settings, json.Deterministic(true))
	if err != nil {
		return 0, err
	}
	err = a.write(ctx, scope{}, func(t database.Tx) error {
		if _, err := t.Exec(ctx, announceNode, n.ID, protocol.At(a.now()), n.Address, n.Version, n.Level, string(settings)); err != nil {
			return err
		}
		if a.engine.Dialect() == database.SQLite {
			return nil
		}
		var clock protocol.Time
		asked := a.now()
		_, err := one(ctx, t, storeClock, nil, &clock)
		answered := a.now()
		skew = clock.Go().Sub(asked.Add(answered.Sub(asked) / 2))
		return err
	})
	return skew, err
}

// LiveNodes implements cluster.Registry. A SQLite store has one node: what else has beaten was that node before it was killed.
func (a *accounts) LiveNodes(ctx context.Context) ([]cluster.Node, error) {
	if a.engine.Dialect() == database.SQLite {
		return nil, nil
	}
	var nodes []cluster.Node
	err := a.read(ctx, scope{}, func(t database.Tx) error {
		return t.Query(ctx, liveNodes, []any{protocol.At(a.now().Add(-liveFor))}, collect(&nodes, scanNode))
	})
	return nodes, err
}

func scanNode(scan database.Scan, _ ...any) (n cluster.Node, err error) {
	var beat protocol.Time
	var settings string
	if err := scan(&n.ID, &beat, &n.Address, &n.Version, &n.Level, &settings); err != nil {
		return n, err
	}
	n.BeatAt = beat.Go()
	if settings != "" { // a node of a version that did not write them
		err = json.Unmarshal([]byte(settings), &n.Settings)
	}
	return n, err
}

// WithdrawNode implements cluster.Registry.
func (a *accounts) WithdrawNode(ctx context.Context, id string) error {
	return a.write(ctx, scope{}, func(t database.Tx) error {
		_, err := t.Exec(ctx, withdrawNode, id, protocol.At(a.now().Add(-liveFor-time.Second)))
		return err
	})
}
