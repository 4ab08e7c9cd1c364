package database

import (
	"context"
	stdsql "database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	goosedb "github.com/pressly/goose/v3/database"
	"github.com/pressly/goose/v3/lock"
)

// Migrate brings the schema up to what this binary knows, one transaction a step. Many nodes may start at once: one migrates, the others wait.
// A store that is newer than the binary is refused. The steps are in the folders migrations/sqlite and migrations/postgres.
func Migrate(ctx context.Context, e Engine, migrations fs.FS) (applied int, err error) {
	var (
		db      *stdsql.DB
		dir     string
		kind    goosedb.Dialect
		options = []goose.ProviderOption{goose.WithVerbose(false)}
	)
	switch e := e.(type) {
	case *sqliteEngine:
		// A pool of its own: the writing connection is held, and SQLite's own lock keeps two apart.
		if db, err = stdsql.Open("sqlite", "file:"+e.path+"?_pragma=busy_timeout(10000)&_txlock=immediate"); err != nil {
			return 0, err
		}
		defer db.Close()
		dir, kind = "migrations/sqlite", goosedb.DialectSQLite3
	case *postgresEngine:
		db = stdlib.OpenDBFromPool(e.pool)
		defer db.Close()
		dir, kind = "migrations/postgres", goosedb.DialectPostgres
		locker, err := lock.NewPostgresSessionLocker()
		if err != nil {
			return 0, err
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	sub, err := fs.Sub(migrations, dir)
	if err != nil {
		return 0, err
	}
	p, err := goose.NewProvider(kind, db, sub, options...)
	if err != nil {
		return 0, err
	}
	known := p.ListSources()
	newest := known[len(known)-1].Version
	current, err := p.GetDBVersion(ctx)
	if err != nil {
		return 0, fmt.Errorf("read the version of the store's schema: %w", err)
	}
	if current > newest {
		return 0, fmt.Errorf("the store has schema %d and this binary knows only %d: it was written by a newer Parley, run that one", current, newest)
	}
	done, err := p.Up(ctx)
	if err != nil {
		return 0, fmt.Errorf("migrate the store: %w", err)
	}
	return len(done), nil
}

// NewestSchema is the version of the schema that this binary makes.
func NewestSchema(d Dialect, migrations fs.FS) (int64, error) {
	files, err := fs.ReadDir(migrations, "migrations/"+[...]string{SQLite: "sqlite", Postgres: "postgres"}[d])
	if err != nil {
		return 0, err
	}
	return goose.NumericComponent(files[len(files)-1].Name())
}

// isNetworkError reports a connection that broke before a statement was answered.
func isNetworkError(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}
