package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"github.com/parley-im/parley/protocol"
)

// ErrNotSQLite is returned by Backup for a store that its own engine's tools back up.
var ErrNotSQLite = errors.New("the store is not a SQLite file")

// ErrInUse is returned by NewEpoch while a server serves the store.
var ErrInUse = errors.New("a server serves this store")

// Contents is how much a store holds.
type Contents struct {
	Rooms  int64  `json:"rooms"`  // deleted ones too
	Events uint64 `json:"events"` // that were ever stored
}

var (
	selectContents = sql(`SELECT count(*), CAST(COALESCE(sum(seq), 0) AS BIGINT) FROM room_heads`)
	updateEpoch    = sql(`UPDATE meta SET value = $1 WHERE name = 'epoch'`)
	selectLiveNode = sql(`SELECT id, beat_at FROM nodes WHERE beat_at >= $1 ORDER BY beat_at DESC LIMIT 1`)
	fileSize       = text{sqlite: "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"}
)

// Backup writes a copy of a SQLite store to a new file, of one moment at or after the call, and returns when it is checked and on disk. A server may go on
// serving the store: it is read in one snapshot, and nobody waits for it; the write-ahead log grows meanwhile. progress, which may be nil, is told now and
// then how many bytes of about how many have been written. An error leaves no file; ErrNotSQLite when the store is none.
func Backup(ctx context.Context, o Options, to string, progress func(done, total int64)) (c Contents, err error) {
	e, err := openEngine(ctx, Options{URL: o.URL, Data: o.Data, Shared: true})
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, e.close()) }()
	source, ok := e.(*sqliteEngine)
	if !ok {
		return c, ErrNotSQLite
	}
	empty, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL, 0o600) // SQLite fills a file that is empty, and would make one that others may read
	if err != nil {
		return c, err
	}
	_ = empty.Close() // nothing was written
	defer func() {
		if err != nil {
			err = errors.Join(err, remove(to), remove(to+"-journal"))
		}
	}()
	if err := source.copyTo(ctx, to, progress); err != nil {
		return c, fmt.Errorf("copy the store: %w", err)
	}
	if c, err = inspect(ctx, to); err != nil {
		return c, err
	}
	return c, syncFile(to)
}

// inspect checks a copy, without changing it, and counts what it holds.
func inspect(ctx context.Context, path string) (c Contents, err error) {
	copied, err := openSQLiteConn("file:"+(&url.URL{Path: path}).EscapedPath()+"?mode=ro&immutable=1", true)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, copied.close()) }()
	if err := checkPages(ctx, copied, path); err != nil {
		return c, err
	}
	_, err = one(ctx, copied, selectContents, nil, &c.Rooms, &c.Events)
	return c, err
}

// copyTo has SQLite write a compact copy. It is a reader's transaction, on a connection of its own because the readers refuse statements that write.
func (e *sqliteEngine) copyTo(ctx context.Context, to string, progress func(done, total int64)) error {
	c, err := openSQLiteConn("file:"+(&url.URL{Path: e.path}).EscapedPath()+"?mode=rw&_pragma=busy_timeout(10000)", true)
	if err != nil {
		return err
	}
	defer c.close()
	var size int64
	if err := c.query(ctx, fileSize, nil, func(scan scan) error { return scan(&size) }); err != nil {
		return err
	}
	into, err := c.stmt("VACUUM INTO ?")
	if err != nil {
		return err
	}
	copied := make(chan error, 1)
	go func() {
		_, err := into.(driver.StmtExecContext).ExecContext(ctx, []driver.NamedValue{{Ordinal: 1, Value: to}})
		copied <- err
	}()
	ticker := time.NewTicker(time.Second / 4)
	defer ticker.Stop()
	for {
		select {
		case err := <-copied:
			return err
		case <-ticker.C:
			if info, err := os.Stat(to); err == nil && progress != nil {
				progress(min(info.Size(), size), size)
			}
		}
	}
}

// NewEpoch gives the store another epoch, so that every client loads its rooms anew: positions from before are no longer honoured. It must follow whatever
// may have brought the store back to an earlier state. Servers read the epoch when they start, so that none may be running: ErrInUse.
func (s *Store) NewEpoch(ctx context.Context) error {
	return s.write(ctx, func(t tx) error {
		var node string
		var beat protocol.Time
		found, err := one(ctx, t, selectLiveNode, []any{protocol.At(s.now().Add(-liveFor))}, &node, &beat)
		if err != nil {
			return err
		}
		if found && s.engine.dialect() != sqlite { // a SQLite store that a server serves cannot be opened by another
			return fmt.Errorf("%w: node %s was alive at %s; stop it and try again %d seconds after that", ErrInUse, node, beat, int(liveFor.Seconds()))
		}
		var b batch
		b.exec(updateEpoch, uuid.NewString())
		return t.batch(ctx, &b)
	})
}

// syncFile makes a file, and its name, durable.
func syncFile(path string) error {
	for _, name := range []string{path, filepath.Dir(path)} {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// remove removes a file that may not be there.
func remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
