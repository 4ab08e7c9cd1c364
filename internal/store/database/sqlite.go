package database

import (
	"context"
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
	writer *sqliteConn

	readers chan *sqliteConn // those that nobody reads with now
	reading int              // how many there are
}

// minSQLite is the oldest SQLite that is used: 3.51.3 mends a race between WAL checkpoints and writers that could damage a file.
const minSQLite = "3.51.3"

// OpenSQLite opens a file, and makes it when it is not there; exclusive refuses a file that another process has opened so.
func OpenSQLite(path string, exclusive bool) (Engine, error) {
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
	e.writer, err = openSQLiteConn(dsn("&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=wal_autocheckpoint(4000)&_pragma=cache_size(-16384)"), false)
	if err != nil {
		e.Close()
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	readers := max(4, 2*runtime.GOMAXPROCS(0))
	e.readers = make(chan *sqliteConn, readers)
	for ; e.reading < readers; e.reading++ {
		c, err := openSQLiteConn(dsn("&_pragma=query_only(1)&_pragma=cache_size(-2048)"), true)
		if err != nil {
			e.Close()
			return nil, fmt.Errorf("open %s: %w", path, err)
		}
		e.readers <- c
	}
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

func (e *sqliteEngine) Dialect() Dialect { return SQLite }

// Connections implements Pooled: of those that read.
func (e *sqliteEngine) Connections() (used, most int) {
	return cap(e.readers) - len(e.readers), cap(e.readers)
}

func (e *sqliteEngine) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	var errs []error
	for ; e.reading > 0; e.reading-- {
		errs = append(errs, (<-e.readers).Close()) // waits for those who read
	}
	if e.writer != nil {
		errs = append(errs, e.writer.Close())
	}
	e.unlock()
	return errors.Join(errs...)
}

// tickText raises the counter of commits; every write transaction begins with it.
const tickText = "UPDATE tick SET v = v + 1"

func (e *sqliteEngine) Write(ctx context.Context, _ Lane, fn func(Tx) error) (err error) {
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
			return fmt.Errorf("%w: %w", ErrBroken, err)
		}
		return err
	}
	committed = true
	return nil
}

func (e *sqliteEngine) Read(ctx context.Context, fn func(Tx) error) (err error) {
	var c *sqliteConn
	select {
	case c = <-e.readers:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { e.readers <- c }()
	if _, err := c.run("BEGIN"); err != nil {
		return err
	}
	defer func() {
		if _, ended := c.run("ROLLBACK"); err == nil { // nothing was written; ending is all there is to do
			err = ended
		}
	}()
	return fn(c)
}

var selectHeads = SQL(`SELECT room, seq, n, last, at FROM room_heads WHERE room IN {list $1}`)

func (e *sqliteEngine) Heads(ctx context.Context, t Tx, _ Lane, rooms []string, row func(Scan) error) error {
	return t.Query(ctx, selectHeads, []any{JSONList(rooms)}, row) // the writer is alone: nothing needs a lock
}

func (e *sqliteEngine) Retryable(err error) bool {
	se, ok := errors.AsType[*sqlitedriver.Error](err)
	if !ok {
		return false
	}
	switch se.Code() & 0xff {
	case 5, 6, 13: // SQLITE_BUSY, SQLITE_LOCKED: another process writes; SQLITE_FULL: the disk has no room
		return true
	}
	return false
}

func (e *sqliteEngine) Identity(context.Context) (string, error) {
	info, err := os.Stat(e.path)
	if err != nil {
		return "", err
	}
	return strconv.FormatUint(info.Sys().(*syscall.Stat_t).Ino, 36), nil
}

var (
	selectVersion = Text{SQLite: "SELECT sqlite_version()"}
	quickCheck    = Text{SQLite: "PRAGMA quick_check(10)"}
)

func (e *sqliteEngine) Check(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	var version string
	if err := e.writer.Query(ctx, selectVersion, nil, func(scan Scan) error { return scan(&version) }); err != nil {
		return damaged(e.path, err)
	}
	if compareVersions(version, minSQLite) < 0 {
		return fmt.Errorf("SQLite %s is too old: at least %s is needed", version, minSQLite)
	}
	return checkPages(ctx, e.writer, e.path)
}

// checkPages looks for damage in a file.
func checkPages(ctx context.Context, t Tx, path string) error {
	var found []string
	err := t.Query(ctx, quickCheck, nil, func(scan Scan) error {
		var line string
		err := scan(&line)
		if line != "ok" {
			found = append(found, line)
		}
		return err
	})
	if err != nil {
		return damaged(path, err)
	}
	if len(found) > 0 {
		return damaged(path, errors.New(strings.Join(found, "; ")))
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
