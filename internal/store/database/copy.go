package database

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
)

var fileSize = Text{SQLite: "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"}

// CopySQLite writes a copy of a SQLite file to a new file, of one moment at or after the call, and returns when it is checked and on disk. Others may go on
// using the file: it is read in one snapshot, and nobody waits for it; the write-ahead log grows meanwhile. progress, which may be nil, is told now and then
// how many bytes of about how many have been written; read reads the copy at the end. An error leaves no file. It panics for another engine.
func CopySQLite(ctx context.Context, e Engine, to string, progress func(done, total int64), read func(Tx) error) (err error) {
	empty, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL, 0o600) // SQLite fills a file that is empty, and would make one that others may read
	if err != nil {
		return err
	}
	_ = empty.Close() // nothing was written
	defer func() {
		if err != nil {
			err = errors.Join(err, remove(to), remove(to+"-journal"))
		}
	}()
	if err := e.(*sqliteEngine).copyTo(ctx, to, progress); err != nil {
		return fmt.Errorf("copy the store: %w", err)
	}
	if err := readCopy(ctx, to, read); err != nil {
		return err
	}
	return syncFile(to)
}

// readCopy checks a copy and has it read, without changing it.
func readCopy(ctx context.Context, path string, read func(Tx) error) (err error) {
	copied, err := openSQLiteConn("file:"+(&url.URL{Path: path}).EscapedPath()+"?mode=ro&immutable=1", true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, copied.Close()) }()
	if err := checkPages(ctx, copied, path); err != nil {
		return err
	}
	return read(copied)
}

// copyTo has SQLite write a compact copy. It is a reader's transaction, on a connection of its own because the readers refuse statements that write.
func (e *sqliteEngine) copyTo(ctx context.Context, to string, progress func(done, total int64)) error {
	c, err := openSQLiteConn("file:"+(&url.URL{Path: e.path}).EscapedPath()+"?mode=rw&_pragma=busy_timeout(10000)", true)
	if err != nil {
		return err
	}
	defer c.Close()
	var size int64
	if err := c.Query(ctx, fileSize, nil, func(scan Scan) error { return scan(&size) }); err != nil {
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
