package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// postgresEngine is one PostgreSQL database, version 15 or newer, shared with other nodes.
type postgresEngine struct {
	pool *pgxpool.Pool
}

// minPostgres is the oldest server that is used, as server_version_num has it.
const minPostgres = 150000

func openPostgres(ctx context.Context, url string) (*postgresEngine, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("the store's URL: %w", err)
	}
	if cfg.MaxConns < 12 {
		cfg.MaxConns = 12 // two writer lanes, and readers
	}
	cfg.HealthCheckPeriod = 5 * time.Second
	params := cfg.ConnConfig.RuntimeParams
	for name, value := range map[string]string{
		"application_name":                    "parley",
		"lock_timeout":                        "2s",
		"statement_timeout":                   "30s",
		"idle_in_transaction_session_timeout": "60s",
		"default_transaction_isolation":       "read committed",
	} {
		if params[name] == "" {
			params[name] = value
		}
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("the store cannot be reached: %w", err)
	}
	return &postgresEngine{pool}, nil
}

func (e *postgresEngine) dialect() dialect { return postgres }

// connections implements pooled.
func (e *postgresEngine) connections() (used, most int) {
	s := e.pool.Stat()
	return int(s.AcquiredConns()), int(s.MaxConns())
}

func (e *postgresEngine) close() error {
	e.pool.Close()
	return nil
}

func (e *postgresEngine) write(ctx context.Context, _ lane, fn func(tx) error) error {
	t, err := e.pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = t.Rollback(context.WithoutCancel(ctx)) }() // after a commit this does nothing
	if err := fn(&postgresTx{t}); err != nil {
		return err
	}
	if err := t.Commit(ctx); err != nil {
		var pe *pgconn.PgError
		if errors.As(err, &pe) && !connectionLost(pe) {
			return err // the server said no
		}
		return fmt.Errorf("%w: %w", errCommitUnknown, err)
	}
	return nil
}

func (e *postgresEngine) read(ctx context.Context, fn func(tx) error) error {
	return pgx.BeginTxFunc(ctx, e.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(t pgx.Tx) error {
		return fn(&postgresTx{t})
	})
}

var (
	lockFree = sql(`SELECT room, seq, n, last, at FROM room_heads WHERE room = ANY($1) ORDER BY room FOR UPDATE SKIP LOCKED`)
	lockAll  = sql(`SELECT room, seq, n, last, at FROM room_heads WHERE room = ANY($1) ORDER BY room FOR UPDATE`)
)

func (e *postgresEngine) heads(ctx context.Context, t tx, l lane, rooms []string, row func(scan) error) error {
	q := lockFree
	if l == waiting {
		q = lockAll
	}
	return t.query(ctx, q, []any{rooms}, row)
}

// connectionLost reports errors with which a server ends a connection (class 57P): what was under way may have happened.
func connectionLost(pe *pgconn.PgError) bool { return len(pe.Code) == 5 && pe.Code[:3] == "57P" }

func (e *postgresEngine) retryable(err error) bool {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		switch pe.Code {
		case "40001", "40P01", "55P03": // serialization failure, deadlock, lock timeout
			return true
		}
		return connectionLost(pe)
	}
	var ce *pgconn.ConnectError
	return errors.As(err, &ce) || pgconn.SafeToRetry(err) || errors.Is(err, errCommitUnknown) || isNetworkError(err)
}

func (e *postgresEngine) identity(ctx context.Context) (string, error) {
	var id string
	// The timeline stands in the name of the segment being written, so that it is right at once after a promotion.
	err := e.pool.QueryRow(ctx, `SELECT system_identifier::text || '.' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) FROM pg_control_system()`).Scan(&id)
	return id, err
}

func (e *postgresEngine) check(ctx context.Context) error {
	var version int
	var recovery bool
	err := e.pool.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, pg_is_in_recovery()`).Scan(&version, &recovery)
	switch {
	case err != nil:
		return err
	case version < minPostgres:
		return fmt.Errorf("PostgreSQL %d is too old: at least 15 is needed", version/10000)
	case recovery:
		return errors.New("the PostgreSQL server is a standby: give the URL of the primary")
	}
	return nil
}

// postgresTx is a transaction.
type postgresTx struct {
	t pgx.Tx
}

func (t *postgresTx) exec(ctx context.Context, q text, args ...any) (int64, error) {
	tag, err := t.t.Exec(ctx, q[postgres], args...)
	return tag.RowsAffected(), err
}

func (t *postgresTx) query(ctx context.Context, q text, args []any, row func(scan) error) error {
	rows, err := t.t.Query(ctx, q[postgres], args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (t *postgresTx) batch(ctx context.Context, b *batch) error {
	if len(b.items) == 0 {
		return nil
	}
	var pb pgx.Batch
	for _, it := range b.items {
		queued := pb.Queue(it.q[postgres], it.args...)
		if it.row != nil {
			queued.Query(func(rows pgx.Rows) error {
				for rows.Next() {
					if err := it.row(rows.Scan); err != nil {
						return err
					}
				}
				return rows.Err()
			})
		}
	}
	return t.t.SendBatch(ctx, &pb).Close()
}
