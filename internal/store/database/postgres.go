package database

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

// MinPostgres is the oldest server that is used, as server_version_num has it.
const MinPostgres = 150000

// OpenPostgres connects to a database. Settings of the connection that the URL does not name are chosen for Parley.
func OpenPostgres(ctx context.Context, url string) (Engine, error) {
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

func (e *postgresEngine) Dialect() Dialect { return Postgres }

// Connections implements Pooled.
func (e *postgresEngine) Connections() (used, most int) {
	s := e.pool.Stat()
	return int(s.AcquiredConns()), int(s.MaxConns())
}

func (e *postgresEngine) Close() error {
	e.pool.Close()
	return nil
}

func (e *postgresEngine) Write(ctx context.Context, _ Lane, fn func(Tx) error) error {
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
		return fmt.Errorf("%w: %w", ErrCommitUnknown, err)
	}
	return nil
}

func (e *postgresEngine) Read(ctx context.Context, fn func(Tx) error) error {
	return pgx.BeginTxFunc(ctx, e.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(t pgx.Tx) error {
		return fn(&postgresTx{t})
	})
}

var (
	lockFree = SQL(`SELECT room, seq, n, last, at FROM room_heads WHERE room = ANY($1) ORDER BY room FOR UPDATE SKIP LOCKED`)
	lockAll  = SQL(`SELECT room, seq, n, last, at FROM room_heads WHERE room = ANY($1) ORDER BY room FOR UPDATE`)
)

func (e *postgresEngine) Heads(ctx context.Context, t Tx, l Lane, rooms []string, row func(Scan) error) error {
	q := lockFree
	if l == Waiting {
		q = lockAll
	}
	return t.Query(ctx, q, []any{rooms}, row)
}

// connectionLost reports errors with which a server ends a connection (class 57P): what was under way may have happened.
func connectionLost(pe *pgconn.PgError) bool { return len(pe.Code) == 5 && pe.Code[:3] == "57P" }

func (e *postgresEngine) Retryable(err error) bool {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		switch pe.Code {
		case "40001", "40P01", "55P03": // serialization failure, deadlock, lock timeout
			return true
		}
		return connectionLost(pe)
	}
	var ce *pgconn.ConnectError
	return errors.As(err, &ce) || pgconn.SafeToRetry(err) || errors.Is(err, ErrCommitUnknown) || isNetworkError(err)
}

func (e *postgresEngine) Identity(ctx context.Context) (string, error) {
	var id string
	// The timeline stands in the name of the segment being written, so that it is right at once after a promotion.
	err := e.pool.QueryRow(ctx, `SELECT system_identifier::text || '.' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) FROM pg_control_system()`).Scan(&id)
	return id, err
}

func (e *postgresEngine) Check(ctx context.Context) error {
	var version int
	var recovery bool
	err := e.pool.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, pg_is_in_recovery()`).Scan(&version, &recovery)
	switch {
	case err != nil:
		return err
	case version < MinPostgres:
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

func (t *postgresTx) Exec(ctx context.Context, q Text, args ...any) (int64, error) {
	tag, err := t.t.Exec(ctx, q[Postgres], args...)
	return tag.RowsAffected(), err
}

func (t *postgresTx) Query(ctx context.Context, q Text, args []any, row func(Scan) error) error {
	rows, err := t.t.Query(ctx, q[Postgres], args...)
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

func (t *postgresTx) Batch(ctx context.Context, b *Batch) error {
	if len(b.items) == 0 {
		return nil
	}
	var pb pgx.Batch
	for _, it := range b.items {
		queued := pb.Queue(it.q[Postgres], it.args...)
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
