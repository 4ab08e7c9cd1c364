package database

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// postgresEngine is one PostgreSQL database, version 15 or newer, shared with other nodes.
type postgresEngine struct {
	pool    *pgxpool.Pool
	sharded bool

	watch   atomic.Pointer[Watch]
	left    context.Context // ends when a connection has led to another copy
	leave   context.CancelFunc
	leaving sync.Once
}

// MinPostgres is the oldest server that is used, as server_version_num has it.
const MinPostgres = 150000

// OpenPostgres connects to a database. Settings of the connection that the URL does not name are chosen for Parley. A store
// that is sharded, one of several, tells each transaction and snapshot which slots it serves.
func OpenPostgres(ctx context.Context, url string, sharded bool) (Engine, error) {
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
	e := &postgresEngine{sharded: sharded}
	e.left, e.leave = context.WithCancel(context.Background())
	wanted := cfg.ConnConfig.ValidateConnect // by the URL
	cfg.ConnConfig.ValidateConnect = func(ctx context.Context, c *pgconn.PgConn) error {
		if wanted != nil {
			if err := wanted(ctx, c); err != nil {
				return err
			}
		}
		return e.validate(ctx, c)
	}
	if e.pool, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		return nil, err
	}
	if err := e.pool.Ping(ctx); err != nil {
		e.Close()
		return nil, fmt.Errorf("the store cannot be reached: %w", err)
	}
	return e, nil
}

func (e *postgresEngine) Dialect() Dialect { return Postgres }

// Connections implements Pooled.
func (e *postgresEngine) Connections() (used, most int) {
	s := e.pool.Stat()
	return int(s.AcquiredConns()), int(s.MaxConns())
}

func (e *postgresEngine) Close() error {
	e.leave()
	e.pool.Close()
	return nil
}

// WriterLock is the key of the advisory lock that every writing transaction of a shard shares. Who takes it alone after a change of the ownership that is
// committed has waited for all who may have missed that change.
const WriterLock = 0x7061726c6579 // "parley"

// What begins a transaction, in one round trip. The ownership is read in a statement after the lock, so that it is seen as it is while the lock is held.
const (
	beginWrite = `BEGIN`
	beginRead  = `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY`
	// A node that is frozen or cut off within a transaction keeps its locks for so long. All the work of one is done in milliseconds, and other nodes, which wait
	// for the rooms, find no way around them.
	limitPause  = `SET LOCAL idle_in_transaction_session_timeout = '5s'`
	shareLock   = `SELECT pg_advisory_xact_lock_shared($1)`
	selectOwned = `SELECT name, reads, writes, upkeep FROM ownership`
)

// begin begins a transaction.
func (e *postgresEngine) begin(ctx context.Context, c *pgxpool.Conn, how string) (*postgresTx, error) {
	t := &postgresTx{c: c.Conn(), sharded: e.sharded}
	if !e.sharded {
		if how == beginWrite {
			how += "; " + limitPause
		}
		_, err := c.Exec(ctx, how)
		return t, err
	}
	var b pgx.Batch
	b.Queue(how)
	if how == beginWrite {
		b.Queue(limitPause)
		b.Queue(shareLock, int64(WriterLock))
	}
	b.Queue(selectOwned).QueryRow(func(row pgx.Row) (err error) {
		t.owned, err = scanOwned(row)
		return err
	})
	return t, c.SendBatch(ctx, &b).Close()
}

// ErrNotShard is the error of a store that is used as one of several and is none.
var ErrNotShard = errors.New("the store is not a shard yet: add it with parley shards add NAME URL")

func scanOwned(row pgx.Row) (*Ownership, error) {
	o := &Ownership{}
	var reads, writes, upkeep []byte
	err := row.Scan(&o.Name, &reads, &writes, &upkeep)
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrNotShard
	}
	copy(o.Reads[:], reads)
	copy(o.Writes[:], writes)
	copy(o.Upkeep[:], upkeep)
	return o, err
}

// within runs fn in a transaction that begins as told, and ends it. A connection on which that did not work is thrown away.
func (e *postgresEngine) within(ctx context.Context, how string, fn func(Tx) error) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.left, cancel)()
	defer func() {
		if err != nil && e.left.Err() != nil && !errors.Is(err, ErrCommitUnknown) {
			err = fmt.Errorf("%w (%v)", ErrMoved, err) // whatever was found out is of no use
		}
	}()
	c, err := e.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer c.Release() // which closes a connection that is still in a transaction
	defer func() {
		if c.Conn().PgConn().TxStatus() != idle {
			_, _ = c.Exec(context.WithoutCancel(ctx), "ROLLBACK") // if it fails, the connection goes
		}
	}()
	t, err := e.begin(ctx, c, how)
	if err != nil {
		return err
	}
	if err := fn(t); err != nil {
		return explain(err)
	}
	tag, err := c.Exec(ctx, "COMMIT")
	switch {
	case err == nil && tag.String() == "ROLLBACK":
		return pgx.ErrTxCommitRollback
	case err != nil && how == beginWrite:
		if pe, ok := errors.AsType[*pgconn.PgError](err); ok && !ended(pe) {
			return err // the server said no
		}
		return fmt.Errorf("%w: %w", ErrCommitUnknown, err)
	}
	return err
}

const idle = 'I' // the status of a connection that is in no transaction

func (e *postgresEngine) Write(ctx context.Context, _ Lane, fn func(Tx) error) error {
	return e.within(ctx, beginWrite, fn)
}

func (e *postgresEngine) Read(ctx context.Context, fn func(Tx) error) error {
	return e.within(ctx, beginRead, fn)
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

// ended reports errors with which a server ends the connection, or itself. Of a COMMIT that was under way they say nothing: a server that panics because its
// log cannot be written may find the commit there when it recovers.
func ended(pe *pgconn.PgError) bool {
	switch cmp.Or(pe.SeverityUnlocalized, pe.Severity) {
	case "FATAL", "PANIC":
		return true
	}
	return pe.Code[:min(2, len(pe.Code))] == "08" // a pooler lost the server
}

func (e *postgresEngine) Retryable(err error) bool {
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true // whatever the server says to who comes: it begins, ends, is full, or is a standby
	}
	if pe, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch pe.Code {
		case "40001", "40P01", "55P03", // serialization failure, deadlock, lock timeout
			readOnly:
			return true
		}
		switch pe.Code[:min(2, len(pe.Code))] {
		case "53", "57", "58": // insufficient resources, such as a full disk; an operator intervened; the system failed
			return true
		}
		return ended(pe)
	}
	return pgconn.SafeToRetry(err) || errors.Is(err, ErrCommitUnknown) || errors.Is(err, ErrMoved) || isNetworkError(err)
}

const readOnly = "25006" // the code of a write that a server does not take

// explain says what the server's own words for it leave open.
func explain(err error) error {
	if pe, ok := errors.AsType[*pgconn.PgError](err); ok && pe.Code == readOnly {
		return fmt.Errorf("the PostgreSQL server takes no writes: default_transaction_read_only is on, or it is a standby: %w", err)
	}
	return err
}

func (e *postgresEngine) Identity(ctx context.Context) (string, error) {
	var id string
	err := e.pool.QueryRow(ctx, identityQuery).Scan(&id)
	return id, err
}

func (e *postgresEngine) Check(ctx context.Context) error {
	var version int
	var recovery, refuses bool
	err := e.pool.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, pg_is_in_recovery(), current_setting('default_transaction_read_only')::bool`).
		Scan(&version, &recovery, &refuses)
	switch {
	case err != nil:
		return err
	case version < MinPostgres:
		return fmt.Errorf("PostgreSQL %d is too old: at least 15 is needed", version/10000)
	case recovery:
		return errStandby
	case refuses:
		return errReadOnly
	}
	return nil
}

// postgresTx is a transaction.
type postgresTx struct {
	c       *pgx.Conn
	sharded bool
	owned   *Ownership
}

// Owned implements Tx.
func (t *postgresTx) Owned() *Ownership { return t.owned }

func (t *postgresTx) Exec(ctx context.Context, q Text, args ...any) (int64, error) {
	tag, err := t.c.Exec(ctx, q.on(t.sharded), args...)
	return tag.RowsAffected(), err
}

func (t *postgresTx) Query(ctx context.Context, q Text, args []any, row func(Scan) error) error {
	rows, err := t.c.Query(ctx, q.on(t.sharded), args...)
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
		queued := pb.Queue(it.q.on(t.sharded), it.args...)
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
	return t.c.SendBatch(ctx, &pb).Close()
}
