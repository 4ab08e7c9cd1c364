package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/parley-im/parley/internal/store/database"
	"github.com/parley-im/parley/protocol"
)

// Condition is what [Inspect] finds.
type Condition struct {
	Engine  string // "SQLite" or "PostgreSQL"
	Version string // of the engine
	Missing bool   // the file or the schema is not there yet: the next start makes it, and nothing below is known
	Schema  int64  // of the store; Newest is what this binary knows
	Newest  int64
	Tip     protocol.Time // when a log last grew; zero: never

	// The rest is PostgreSQL's.
	Skew     time.Duration // the server's clock before ours, half of the question's way taken off
	Unsafe   []string      // settings with which an acknowledged message may be lost: "fsync=off"
	Replica  bool          // it takes no writes
	MaxConns int           // of the whole server
	TooOld   bool          // older than what is used
	Replicas []Replica     // that follow it, as far as the user may see them
}

// Replica is a server that follows the store's.
type Replica struct {
	Name  string
	State string        // "streaming"; "" where the user may not see it
	Sync  bool          // commits wait for it
	Lag   time.Duration // what was committed so long ago is the last that it shows; 0 while nothing is written
	Bytes int64         // of the log that it has not replayed
}

var (
	schemaTable   = database.Text{database.SQLite: "SELECT count(*) FROM sqlite_schema WHERE name = 'goose_db_version'", database.Postgres: "SELECT count(*) FROM pg_tables WHERE tablename = 'goose_db_version'"}
	sqliteVersion = database.Text{database.SQLite: "SELECT sqlite_version()"}
	schemaVersion = database.SQL(`SELECT max(version_id) FROM goose_db_version`)
	selectTip     = database.SQL(`SELECT COALESCE(max(at), 0) FROM room_heads`)
	serverState   = database.Text{database.Postgres: `SELECT current_setting('server_version'), current_setting('server_version_num')::int, current_setting('max_connections')::int,
		pg_is_in_recovery(), (extract(epoch FROM clock_timestamp()) * 1000)::bigint,
		current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit')`}
	replicas = database.Text{database.Postgres: `SELECT COALESCE(application_name, ''), COALESCE(state, ''), COALESCE(sync_state IN ('sync', 'quorum'), false),
		COALESCE(extract(epoch FROM replay_lag) * 1000, 0)::bigint, COALESCE(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn), 0)::bigint
		FROM pg_stat_replication ORDER BY 1`}
)

// Inspect looks at a store without changing it, also while servers run on it. The error says that it cannot be reached or read.
func Inspect(ctx context.Context, o Options) (c Condition, err error) {
	if path, ok := o.sqlitePath(); ok {
		c.Engine = "SQLite"
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			c.Missing = true
			return c, nil
		}
	}
	o.Shared = true
	e, err := openEngine(ctx, o)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	if c.Newest, err = database.NewestSchema(e.Dialect(), migrations); err != nil {
		return c, err
	}
	err = e.Read(ctx, func(t database.Tx) error {
		if err := c.inspectEngine(ctx, t, e.Dialect()); err != nil || c.TooOld {
			return err
		}
		var tables int
		if _, err := one(ctx, t, schemaTable, nil, &tables); err != nil {
			return err
		}
		if c.Missing = tables == 0; c.Missing {
			return nil
		}
		if _, err := one(ctx, t, schemaVersion, nil, &c.Schema); err != nil || c.Schema == 0 {
			return err
		}
		_, err := one(ctx, t, selectTip, nil, &c.Tip)
		return err
	})
	return c, err
}

func (c *Condition) inspectEngine(ctx context.Context, t database.Tx, d database.Dialect) error {
	if d == database.SQLite {
		_, err := one(ctx, t, sqliteVersion, nil, &c.Version)
		return err
	}
	c.Engine = "PostgreSQL"
	var number int
	var now int64
	var fsync, fullPages, synchronous string
	asked := time.Now()
	if _, err := one(ctx, t, serverState, nil, &c.Version, &number, &c.MaxConns, &c.Replica, &now, &fsync, &fullPages, &synchronous); err != nil {
		return err
	}
	answered := time.Now()
	c.Skew = time.UnixMilli(now).Sub(asked.Add(answered.Sub(asked) / 2))
	c.TooOld = number < database.MinPostgres
	for _, s := range []struct{ name, value string }{{"fsync", fsync}, {"full_page_writes", fullPages}, {"synchronous_commit", synchronous}} {
		if s.value == "off" {
			c.Unsafe = append(c.Unsafe, s.name+"=off")
		}
	}
	if c.Replica || c.TooOld {
		return nil
	}
	return t.Query(ctx, replicas, nil, collect(&c.Replicas, func(scan database.Scan, _ ...any) (r Replica, err error) {
		var lag int64
		err = scan(&r.Name, &r.State, &r.Sync, &lag, &r.Bytes)
		r.Lag = time.Duration(lag) * time.Millisecond
		return r, err
	}))
}
