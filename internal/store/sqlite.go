package store

import (
	"context"
	stdsql "database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"

	sqlitedriver "modernc.org/sqlite"
)

// sqliteEngine is one SQLite file: one writing connection, a pool of reading ones, WAL, and synchronous=FULL, so that a commit that returned is on disk.
type sqliteEngine struct {
	path   string
	unlock func()

	mu     sync.Mutex // whoever holds it uses the writer
	writer *sqliteWriter

	db        *stdsql.DB // readers
	readStmts sync.Map   // string → *stdsql.Stmt
}

// minSQLite is the oldest SQLite that is used: 3.51.3 mends a race between WAL checkpoints and writers that could damage a file.
const minSQLite = "3.51.3"

func openSQLite(ctx context.Context, path string, exclusive bool) (*sqliteEngine, error) {
	e := &sqliteEngine{path: path, unlock: func() {}}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	if exclusive {
		unlock, err := lockFile(path + ".lock")
		if err != nil {
			return nil, fmt.Errorf("%s is in use by another server: stop that one first, or give this one a data directory of its own (%w)", path, err)
		}
		e.unlock = unlock
	}
	dsn := func(extra string) string {
		return "file:" + (&url.URL{Path: path}).EscapedPath() + "?_pragma=busy_timeout(10000)&_pragma=foreign_keys(1)&_pragma=mmap_size(0)" + extra
	}
	var err error
	e.writer, err = openSQLiteWriter(dsn("&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=wal_autocheckpoint(4000)&_pragma=cache_size(-16384)"))
	if err != nil {
		e.close()
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	if e.db, err = stdsql.Open("sqlite", dsn("&_pragma=query_only(1)&_pragma=cache_size(-4096)")); err != nil {
		e.close()
		return nil, err
	}
	readers := max(4, 2*runtime.GOMAXPROCS(0))
	e.db.SetMaxOpenConns(readers)
	e.db.SetMaxIdleConns(readers)
	return e, nil
}

// lockFile takes an advisory lock that ends with the process, so that a crash leaves nothing to clean up.
func lockFile(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

func (e *sqliteEngine) dialect() dialect { return sqlite }

func (e *sqliteEngine) close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	var errs []error
	e.readStmts.Range(func(_, s any) bool {
		errs = append(errs, s.(*stdsql.Stmt).Close())
		return true
	})
	if e.writer != nil {
		errs = append(errs, e.writer.close())
	}
	if e.db != nil {
		errs = append(errs, e.db.Close())
	}
	e.unlock()
	return errors.Join(errs...)
}

// tickText raises the counter of commits; every write transaction begins with it.
const tickText = "UPDATE tick SET v = v + 1"

func (e *sqliteEngine) write(ctx context.Context, _ lane, fn func(tx) error) (err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := e.writer.run("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	committed := false
	defer func() {
		if !committed {
			// After some errors SQLite has rolled back by itself; then this says so, and nothing is left to do.
			_, _ = e.writer.run("ROLLBACK")
		}
	}()
	if _, err := e.writer.run(tickText); err != nil {
		return err
	}
	if err := fn(e.writer); err != nil {
		return err
	}
	if _, err := e.writer.run("COMMIT"); err != nil {
		var se *sqlitedriver.Error
		if errors.As(err, &se) && se.Code()&0xff == 10 { // SQLITE_IOERR, a failed fsync among them
			return fmt.Errorf("%w: %w", errBroken, err)
		}
		return err
	}
	committed = true
	return nil
}

func (e *sqliteEngine) read(ctx context.Context, fn func(tx) error) error {
	snapshot, err := e.db.BeginTx(ctx, &stdsql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { _ = snapshot.Rollback() }() // nothing was written; ending is all there is to do
	return fn(&sqliteTx{stmt: func(ctx context.Context, q string) (*stdsql.Stmt, error) {
		s, ok := e.readStmts.Load(q)
		if !ok {
			prepared, err := e.db.PrepareContext(ctx, q)
			if err != nil {
				return nil, err
			}
			var raced bool
			if s, raced = e.readStmts.LoadOrStore(q, prepared); raced {
				prepared.Close()
			}
		}
		return snapshot.StmtContext(ctx, s.(*stdsql.Stmt)), nil
	}})
}

var selectHeads = sql(`SELECT h.room, ` + headCols + ` FROM room_heads h WHERE h.room IN {list $1}`)

func (e *sqliteEngine) heads(ctx context.Context, t tx, _ lane, rooms []string, row func(scan) error) error {
	return t.query(ctx, selectHeads, []any{jsonList(rooms)}, row) // the writer is alone: nothing needs a lock
}

func (e *sqliteEngine) retryable(err error) bool {
	var se *sqlitedriver.Error
	return errors.As(err, &se) && (se.Code()&0xff == 5 || se.Code()&0xff == 6) // SQLITE_BUSY, SQLITE_LOCKED: another process writes
}

func (e *sqliteEngine) identity(context.Context) (string, error) {
	info, err := os.Stat(e.path)
	if err != nil {
		return "", err
	}
	return strconv.FormatUint(info.Sys().(*syscall.Stat_t).Ino, 36), nil
}

var (
	selectVersion = text{sqlite: "SELECT sqlite_version()"}
	quickCheck    = text{sqlite: "PRAGMA quick_check(10)"}
)

func (e *sqliteEngine) check(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	var version string
	if err := e.writer.query(ctx, selectVersion, nil, func(scan scan) error { return scan(&version) }); err != nil {
		return damaged(e.path, err)
	}
	if compareVersions(version, minSQLite) < 0 {
		return fmt.Errorf("SQLite %s is too old: at least %s is needed", version, minSQLite)
	}
	var found []string
	err := e.writer.query(ctx, quickCheck, nil, func(scan scan) error {
		var line string
		err := scan(&line)
		if line != "ok" {
			found = append(found, line)
		}
		return err
	})
	if err != nil {
		return damaged(e.path, err)
	}
	if len(found) > 0 {
		return damaged(e.path, errors.New(strings.Join(found, "; ")))
	}
	return nil
}

func damaged(path string, err error) error {
	return fmt.Errorf("the store %s is damaged and was left untouched: restore a backup, or move the file away to begin anew: %w", path, err)
}

// compareVersions compares dotted numbers.
func compareVersions(a, b string) int {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range max(len(as), len(bs)) {
		var x, y int
		if i < len(as) {
			x, _ = strconv.Atoi(as[i])
		}
		if i < len(bs) {
			y, _ = strconv.Atoi(bs[i])
		}
		if x != y {
			return x - y
		}
	}
	return 0
}

// sqliteTx is a transaction or snapshot; stmt prepares a statement for its connection.
type sqliteTx struct {
	stmt func(ctx context.Context, q string) (*stdsql.Stmt, error)
}

func (t *sqliteTx) exec(ctx context.Context, q text, args ...any) (int64, error) {
	s, err := t.stmt(ctx, q[sqlite])
	if err != nil {
		return 0, err
	}
	res, err := s.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return res.(driver.Result).RowsAffected()
}

func (t *sqliteTx) query(ctx context.Context, q text, args []any, row func(scan) error) error {
	s, err := t.stmt(ctx, q[sqlite])
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(ctx, args...)
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

func (t *sqliteTx) batch(ctx context.Context, b *batch) error {
	for _, it := range b.items {
		var err error
		if it.row != nil {
			err = t.query(ctx, it.q, it.args, it.row)
		} else {
			_, err = t.exec(ctx, it.q, it.args...)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
